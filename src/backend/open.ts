import type { Clock, Random } from '../base/ambient.ts';
import type { AzureSettings } from './azure-client.ts';
import { SnapError } from '../base/errors.ts';
import type { Backend, ObjectHistory, ObjectLocks } from './backend.ts';
import { type LocalBackend, openLocalBackend } from './local.ts';
import { type AzureLocation, type Location, parseLocation, type S3Location, type SftpLocation } from './location.ts';
import { type RetryEvent, RetryingBackend, repeatWhileUnavailable } from './retrying.ts';
import type { S3Backend } from './s3.ts';
import type { S3Settings } from './s3-client.ts';
import type { SshSettings } from './ssh-connection.ts';
import { RetryingHistory, RetryingLocks } from './retrying-history.ts';
import { ThrottledBackend } from './throttled.ts';
import type { TransferLimits } from './transfer-limits.ts';
import { withoutRemove } from './without-remove.ts';

export { type AzureLocation, type LocalLocation, type Location, parseLocation, type S3Credentials, type S3Location, type SftpLocation } from './location.ts';

export interface OpenBackendOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the place of a new repository when it is missing. */
  readonly create?: boolean | undefined;
  /** Shared by all backends of the process; undefined: none. */
  readonly limits?: TransferLimits | undefined;
  /** Nothing can be removed through this backend. */
  readonly appendOnly?: boolean | undefined;
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
  readonly s3?: S3Settings | undefined;
  readonly ssh?: SshSettings | undefined;
  readonly azure?: AzureSettings | undefined;
  /** The repository as it was then, ms since 1970: read-only, and only where the storage keeps versions. */
  readonly asOf?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface OpenedBackend {
  /** The adapter in its wrappers: limits inside, so that repeated bytes count too, then repetition, then append-only. */
  readonly backend: Backend;
  readonly location: Location;
  /** The bare adapter of a directory, here or on an SSH server, for free space and stale temporary files; undefined for other kinds. */
  readonly local: LocalBackend | undefined;
  /** Undefined where no past is kept. */
  readonly history?: ObjectHistory | undefined;
  /** Undefined where nothing is locked. */
  readonly locks?: ObjectLocks | undefined;
}

/** A disk that does not answer for this long will not; a network gets the longer default of `RetryingBackend`. */
const LOCAL_GIVE_UP_MS = 15_000;
/** Before anything was done, a wrong address is likelier than a router that restarts, and somebody may be waiting. */
const OPEN_GIVE_UP_MS = 60_000;

/**
 * Opens the backend at a location. Clients of networks are loaded only here.
 * @throws USAGE for text that is no location; REPOSITORY_NOT_FOUND when its directory or bucket is not there and `create` is
 *   not set; DENIED, UNAVAILABLE
 */
export async function openBackend(location: Location | string, options: OpenBackendOptions): Promise<OpenedBackend> {
  const place = typeof location === 'string' ? parseLocation(location) : location;
  if (place.kind === 's3') {
    const s3 = await openS3(place, options);
    const history = s3.history();
    const { asOf } = options;
    const adapter = asOf === undefined ? s3 : await closedOnFailure(s3, () => repeatOpening(options, () => history.asOf(asOf, { signal: options.signal })));
    const retrying = { clock: options.clock, random: options.random, onRetry: options.onRetry };
    const locks = s3.locks();
    return {
      backend: wrap(adapter, options), location: place, local: undefined, history: new RetryingHistory(history, retrying),
      locks: locks === undefined ? undefined : new RetryingLocks(locks, retrying),
    };
  }
  if (options.asOf !== undefined) throw noPast(place);
  if (place.kind === 'azure') return { backend: wrap(await openAzure(place, options), options), location: place, local: undefined };
  if (place.kind === 'sftp') {
    const sftp = await openSftp(place, options);
    return { backend: wrap(sftp, options), location: place, local: sftp };
  }
  const { clock, random, create } = options;
  const local = await openLocalBackend(place.path, { clock, random, create });
  return { backend: wrap(local, options, LOCAL_GIVE_UP_MS), location: place, local };
}

function noPast({ printable }: Location): SnapError {
  return new SnapError('UNSUPPORTED_STORE', `The storage at '${printable}' keeps no versions that snap could look at`, {
    hint: 'Only buckets of S3 with versions do. For a folder use the snapshots of its file system, and open their copy of the repository',
  });
}

async function openS3(location: S3Location, options: OpenBackendOptions): Promise<S3Backend> {
  const { S3Backend } = await import('./s3.ts');
  const backend = new S3Backend(location, options.clock, options.s3);
  const { create, signal } = options;
  return closedOnFailure(backend, () => repeatOpening(options, async () => { await backend.checkBucket({ create, signal }); return backend; }));
}

async function openAzure(location: AzureLocation, options: OpenBackendOptions): Promise<Backend> {
  const { AzureBackend } = await import('./azure.ts');
  const backend = new AzureBackend(location, options.clock, options.azure);
  const { create, signal } = options;
  return closedOnFailure(backend, () => repeatOpening(options, async () => { await backend.checkContainer({ create, signal }); return backend; }));
}

async function openSftp(location: SftpLocation, options: OpenBackendOptions): Promise<LocalBackend> {
  const { openSftpBackend } = await import('./sftp.ts');
  const { clock, random, create, ssh } = options;
  return repeatOpening(options, () => openSftpBackend(location, { clock, random, create, settings: ssh }));
}

function repeatOpening<T>(options: OpenBackendOptions, once: () => Promise<T>): Promise<T> {
  const { clock, random, signal, onRetry } = options;
  return repeatWhileUnavailable({ operation: 'open', name: '', signal }, { clock, random, giveUpAfterMs: OPEN_GIVE_UP_MS, onRetry }, once);
}

async function closedOnFailure<T>(backend: Backend, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await backend.close();
    throw error;
  }
}

function wrap(adapter: Backend, options: OpenBackendOptions, giveUpAfterMs?: number): Backend {
  const { clock, random, limits, onRetry } = options;
  const limited = limits === undefined ? adapter : new ThrottledBackend(adapter, limits);
  const retrying = new RetryingBackend(limited, { clock, random, giveUpAfterMs, onRetry });
  return options.appendOnly === true ? withoutRemove(retrying) : retrying;
}
