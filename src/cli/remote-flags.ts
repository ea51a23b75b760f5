/** Flags of remote repositories, all global. Names are a contract with scripts: add, never rename. */
import { SnapError } from '../base/errors.ts';
import { choice, flag, onUnless, text, toggle, valued, wholeNumber } from './flag.ts';

/** Help of the verbs leaves these to `snap help locations`, or it would be longer than the verb's own. */
const HIDDEN = { isHidden: true, inFile: true } as const;
/** Their objects cannot be read at once, and every run reads tree packs, index and snapshots. */
const ARCHIVE_CLASSES = ['GLACIER', 'DEEP_ARCHIVE'];

export const REMOTE_FLAGS = {
  s3Endpoint: valued('s3-endpoint', 'URL', 'address of the S3 server', parseEndpoint, { environment: 'SNAP_S3_ENDPOINT', inFile: true }),
  s3Region: text('s3-region', 'NAME', 'region of the bucket (default: as the AWS tools, else us-east-1)', { ...HIDDEN, environment: 'SNAP_S3_REGION' }),
  s3PathStyle: { ...toggle('s3-path-style', 'put the bucket into the path of requests (default: with an endpoint)', HIDDEN), initial: undefined as boolean | undefined },
  s3Checksums: onUnless('s3-checksums', 'send no checksum headers, for servers that refuse them', HIDDEN),
  s3StorageClass: text('s3-storage-class', 'CLASS', 'storage class of data packs', HIDDEN),
  s3StorageClassMetadata: valued('s3-storage-class-metadata', 'CLASS', 'storage class of tree packs, index and snapshots', parseMetadataClass, HIDDEN),
  s3Sse: choice('s3-sse', ['AES256', 'aws:kms'], 'let the server encrypt, too', HIDDEN),
  s3SseKmsKey: text('s3-sse-kms-key', 'KEY', 'ID or ARN of the key for --s3-sse aws:kms, which it implies', HIDDEN),
  s3ObjectLock: choice('s3-object-lock', ['governance', 'compliance'], 'lock what stays: who has the right can end it, or nobody can', HIDDEN),
  s3ObjectLockDays: wholeNumber('s3-object-lock-days', 1, 3650, 'days that a lock holds (default 30)', HIDDEN),
  azureEndpoint: valued('azure-endpoint', 'URL', 'address of the Blob service, with the account in it', parseEndpoint, { ...HIDDEN, environment: 'SNAP_AZURE_ENDPOINT' }),
  azureAccessTier: valued('azure-access-tier', 'TIER', 'Hot, Cool, Cold or Archive, for data packs', tierOf(['Hot', 'Cool', 'Cold', 'Archive']), HIDDEN),
  azureAccessTierMetadata: valued('azure-access-tier-metadata', 'TIER', 'the same for tree packs, index and snapshots', tierOf(['Hot', 'Cool', 'Cold']), HIDDEN),
  sftpAcceptNewHostKey: flag('sftp-accept-new-host-key', 'trust an SSH server that is not in known_hosts yet, and add it', HIDDEN),
  concurrency: wholeNumber('concurrency', 1, 64, 'requests to a remote repository at once (default 16)', { ...HIDDEN, environment: 'SNAP_CONCURRENCY' }),
};

function parseEndpoint(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '') {
    throw new SnapError('USAGE', 'The value is not the address of a server', { hint: 'Write it like https://host:9000; credentials come from the environment' });
  }
  return url.href.replace(/\/$/, '');
}

function parseMetadataClass(given: string): string {
  if (!ARCHIVE_CLASSES.includes(given)) return given;
  throw new SnapError('USAGE', `'${given}' cannot be read at once, and every run reads these objects`, { hint: 'Give such a class to data packs only, with --s3-storage-class' });
}

/** In the case that Azure wants. Every run reads metadata, so it has no archive tier. */
function tierOf(tiers: readonly string[]): (given: string) => string {
  return given => {
    const tier = tiers.find(each => each.toLowerCase() === given.toLowerCase());
    if (tier === undefined) throw new SnapError('USAGE', `'${given}' is not a tier that can be used here`, { hint: `Write ${tiers.slice(0, -1).join(', ')} or ${tiers.at(-1)!}` });
    return tier;
  };
}
