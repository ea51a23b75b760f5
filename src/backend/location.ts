import { resolve } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { Secret } from '../base/secret.ts';
import { printable } from './object-arguments.ts';

export interface LocalLocation {
  readonly kind: 'local';
  /** Absolute. */
  readonly path: string;
  readonly printable: string;
}

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3Location {
  readonly kind: 's3';
  /** `https://host:port`; undefined: from the settings, else Amazon's. */
  readonly endpoint: string | undefined;
  readonly bucket: string;
  /** Without slashes at its ends; '' for the whole bucket. */
  readonly prefix: string;
  readonly credentials: Secret<S3Credentials> | undefined;
  readonly printable: string;
}

export interface SftpLocation {
  readonly kind: 'sftp';
  readonly user: string | undefined;
  readonly password: Secret<string> | undefined;
  readonly host: string;
  readonly port: number;
  /** Absolute on the server, or below the home directory when it begins with `~/`. */
  readonly path: string;
  readonly printable: string;
}

export interface AzureLocation {
  readonly kind: 'azure';
  readonly account: string;
  readonly container: string;
  /** Without slashes at its ends; '' for the whole container. */
  readonly prefix: string;
  readonly printable: string;
}

/** Where a repository is. `printable` never contains credentials or control characters. */
export type Location = LocalLocation | S3Location | SftpLocation | AzureLocation;

const FORMS = 'Write a path, s3://bucket/prefix, s3:https://host:port/bucket/prefix, azure:account/container/prefix or sftp://user@host:port/path';
const SFTP_PORT = 22;
/** As Amazon, but with upper case and underscores, which older buckets and other servers have. */
const BUCKET = /^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/;
const AZURE_ACCOUNT = /^[a-z0-9]{3,24}$/;
const AZURE_CONTAINER = /^[a-z0-9](?:-?[a-z0-9]){2,62}$/;
/** A colon before the first slash: another tool's scheme or `user@host:path`. One letter is a Windows drive. */
const FOREIGN_FORM = /^(?![a-z]:)[^/\\]*:/i;

/**
 * Reads the forms of the command line: a path, `s3://bucket/prefix`, `s3:https://[key:secret@]host:port/bucket/prefix`,
 * `sftp://[user[:password]@]host[:port]/path`, `azure:account/container/prefix`. A path with a colon before its first slash is written `./name:rest`.
 * @throws USAGE
 */
export function parseLocation(text: string): Location {
  if (text === '') throw new SnapError('USAGE', 'The location of the repository is empty', { hint: FORMS });
  if (text.includes('\0')) throw wrongLocation(text, 'a location has no NUL character');
  if (text.startsWith('s3://')) return parseBucket(text, text.slice('s3://'.length));
  if (/^s3:https?:\/\//.test(text)) return parseS3Url(text);
  if (text.startsWith('sftp://')) return parseSftp(text);
  if (text.startsWith('azure:')) return parseAzure(text);
  if (FOREIGN_FORM.test(text)) throw wrongLocation(text, 'its form is not known', `${FORMS}; a path with a colon begins with './'`);
  const path = resolve(text);
  return { kind: 'local', path, printable: printable(path) };
}

function parseBucket(text: string, rest: string): S3Location {
  if (rest.split('/', 1)[0]!.includes('@')) {
    throw wrongLocation(text, 'a bucket has no user', 'Give the credentials in the environment, as AWS_ACCESS_KEY_ID and so on');
  }
  const { bucket, prefix } = splitBucketPath(text, rest);
  return { kind: 's3', endpoint: undefined, bucket, prefix, credentials: undefined, printable: printable(`s3://${joinPath(bucket, prefix)}`) };
}

function parseS3Url(text: string): S3Location {
  const url = parseUrl(text, text.slice('s3:'.length));
  const { bucket, prefix } = splitBucketPath(text, decode(text, url.pathname).slice(1));
  const endpoint = `${url.protocol}//${url.host}`;
  if ((url.username === '') !== (url.password === '')) throw wrongLocation(text, 'credentials are a key ID and a secret with a colon between them');
  const credentials = url.username === '' ? undefined
    : new Secret({ accessKeyId: decode(text, url.username), secretAccessKey: decode(text, url.password) });
  return { kind: 's3', endpoint, bucket, prefix, credentials, printable: printable(`s3:${endpoint}/${joinPath(bucket, prefix)}`) };
}

function parseSftp(text: string): SftpLocation {
  const url = parseUrl(text, text);
  // An unescaped slash in a password ends the host for a URL; the rest of the password must not pass for a path.
  if (url.pathname.includes('@')) throw wrongLocation(text, "'@' is not part of a path", "Write it as '%40', and '/' in a password as '%2F'");
  const path = decode(text, url.pathname).replace(/^\/+(?=~\/)/, '').replace(/^\/+/, '/').replace(/(?<=.)\/+$/, '');
  if (path === '' || path === '/' || path === '/~' || path === '~') throw wrongLocation(text, 'the path on the server is missing');
  const user = url.username === '' ? undefined : decode(text, url.username);
  // A user or host that begins with a dash would become an option of an ssh command.
  if (user?.startsWith('-') === true || url.hostname.startsWith('-')) throw wrongLocation(text, 'user and host do not begin with a dash');
  const port = url.port === '' ? SFTP_PORT : Number(url.port);
  if (port === 0) throw wrongLocation(text, 'no server listens on port 0');
  return {
    kind: 'sftp', user, host: url.hostname, port, path,
    password: url.password === '' ? undefined : new Secret(decode(text, url.password)),
    printable: printable(`sftp://${user === undefined ? '' : `${user}@`}${url.host}${path.startsWith('/') ? '' : '/'}${path}`),
  };
}

function parseAzure(text: string): AzureLocation {
  if (/[@?]/.test(text)) throw wrongLocation(text, 'it holds no credentials', 'Give them in the environment, as AZURE_STORAGE_KEY and so on');
  const [account = '', container = '', ...segments] = text.slice('azure:'.length).replace(/^\/\//, '').split('/');
  if (!AZURE_ACCOUNT.test(account)) throw wrongLocation(text, 'the storage account is missing or has a name that no account has');
  if (!AZURE_CONTAINER.test(container)) throw wrongLocation(text, 'the container is missing or has a name that no container has');
  const prefix = prefixOf(text, segments);
  // Azure takes a backslash for a slash, and leaves out dots at the end of a part.
  if (/\\|\.(\/|$)/.test(prefix)) throw wrongLocation(text, "no part of the prefix has a backslash or ends with a dot");
  return { kind: 'azure', account, container, prefix, printable: printable(`azure:${account}/${joinPath(container, prefix)}`) };
}

function parseUrl(text: string, urlText: string): URL {
  const url = URL.canParse(urlText) ? new URL(urlText) : undefined;
  if (url === undefined || url.hostname === '') throw wrongLocation(text, 'the host is missing or the address is not well formed');
  if (url.search !== '' || url.hash !== '') throw wrongLocation(text, "'?' and '#' are not part of a location", "Write them as '%3F' and '%23'");
  return url;
}

function splitBucketPath(text: string, rest: string): { bucket: string; prefix: string } {
  const [bucket = '', ...segments] = rest.split('/');
  if (!BUCKET.test(bucket)) throw wrongLocation(text, 'the bucket is missing or has a name that no bucket has');
  return { bucket, prefix: prefixOf(text, segments) };
}

function prefixOf(text: string, segments: readonly string[]): string {
  const named = segments.filter((segment, i) => segment !== '' || (i > 0 && i < segments.length - 1));
  // Some gateways resolve such segments like a file system, and two locations would be one.
  if (named.some(segment => ['', '.', '..'].includes(segment))) throw wrongLocation(text, "the prefix has an empty part, '.' or '..'");
  return named.join('/');
}

function joinPath(bucket: string, prefix: string): string {
  return prefix === '' ? bucket : `${bucket}/${prefix}`;
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw wrongLocation(text, "a '%' is not followed by two hexadecimal digits of UTF-8");
  }
}

function wrongLocation(text: string, reason: string, hint = FORMS): SnapError {
  // Whatever stands before the last '@' or in a query can be a password, however badly the rest is written.
  const shown = printable(text.replace(/^(s3:https?:\/\/|s3:\/\/|sftp:\/\/|azure:)?.*@/is, '$1***@').replace(/[?#].*$/s, '?***'));
  return new SnapError('USAGE', `Cannot use the location '${shown}': ${reason}`, { hint });
}
