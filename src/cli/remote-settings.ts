/** What flags and the variables of other tools say about remote repositories, merged. */
import { SnapError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import type { Environment } from './config-place.ts';
import type { GlobalValues } from './flags.ts';

export interface S3Choices {
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean | undefined;
  readonly checksums: boolean | undefined;
  readonly storageClass: string | undefined;
  readonly metadataStorageClass: string | undefined;
  readonly encryption: 'AES256' | 'aws:kms' | undefined;
  readonly kmsKey: string | undefined;
  readonly objectLock: { readonly mode: 'governance' | 'compliance'; readonly days: number } | undefined;
  readonly concurrency: number | undefined;
}

/** @throws USAGE for settings that contradict each other */
export function s3Choices(globals: GlobalValues, environment: Environment): S3Choices {
  const given = (name: string): string | undefined => environment[name] === '' ? undefined : environment[name];
  const ignoresAwsEndpoint = given('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS') === 'true';
  const awsEndpoint = ignoresAwsEndpoint ? undefined : given('AWS_ENDPOINT_URL_S3') ?? given('AWS_ENDPOINT_URL');
  const { s3SseKmsKey: kmsKey } = globals;
  if (kmsKey !== undefined && globals.s3Sse === 'AES256') {
    throw new SnapError('USAGE', "'--s3-sse AES256' and '--s3-sse-kms-key' exclude each other", { hint: 'Keep one of them' });
  }
  return {
    endpoint: globals.s3Endpoint ?? awsEndpoint,
    region: globals.s3Region ?? given('AWS_REGION') ?? given('AWS_DEFAULT_REGION'),
    pathStyle: globals.s3PathStyle,
    // Undefined leaves it to AWS_REQUEST_CHECKSUM_CALCULATION.
    checksums: globals.s3Checksums ? undefined : false,
    storageClass: globals.s3StorageClass,
    metadataStorageClass: globals.s3StorageClassMetadata,
    encryption: kmsKey === undefined ? globals.s3Sse : 'aws:kms',
    kmsKey,
    objectLock: objectLockOf(globals),
    concurrency: globals.concurrency,
  };
}

const DEFAULT_LOCK_DAYS = 30;

function objectLockOf({ s3ObjectLock: mode, s3ObjectLockDays: days = DEFAULT_LOCK_DAYS, s3ObjectLockDays: given }: GlobalValues): S3Choices['objectLock'] {
  if (mode !== undefined) return { mode, days };
  if (given === undefined) return undefined;
  throw new SnapError('USAGE', "'--s3-object-lock-days' without '--s3-object-lock'", { hint: 'Give --s3-object-lock governance or compliance, too' });
}

export interface SshChoices {
  readonly acceptNewHostKey: boolean;
  readonly environment: Environment;
  readonly concurrency: number | undefined;
}

export function sshChoices({ sftpAcceptNewHostKey, concurrency }: GlobalValues, environment: Environment): SshChoices {
  return { acceptNewHostKey: sftpAcceptNewHostKey, environment, concurrency };
}

export interface AzureChoices {
  readonly endpoint: string | undefined;
  readonly connectionString: Secret<string> | undefined;
  readonly accountKey: Secret<string> | undefined;
  readonly sasToken: Secret<string> | undefined;
  readonly accessTier: string | undefined;
  readonly metadataAccessTier: string | undefined;
  readonly concurrency: number | undefined;
}

/** Credentials come from the variables of Azure's own command line. */
export function azureChoices(globals: GlobalValues, environment: Environment): AzureChoices {
  const secret = (name: string): Secret<string> | undefined => {
    const value = environment[name];
    return value === undefined || value === '' ? undefined : new Secret(value);
  };
  return {
    endpoint: globals.azureEndpoint,
    connectionString: secret('AZURE_STORAGE_CONNECTION_STRING'), accountKey: secret('AZURE_STORAGE_KEY'), sasToken: secret('AZURE_STORAGE_SAS_TOKEN'),
    accessTier: globals.azureAccessTier, metadataAccessTier: globals.azureAccessTierMetadata,
    concurrency: globals.concurrency,
  };
}
