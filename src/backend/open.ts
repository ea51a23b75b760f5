import type { Clock, Random } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { Backend } from './backend.ts';
import { type LocalBackend, openLocalBackend } from './local.ts';
import { type Location, parseLocation } from './location.ts';
import { type RetryEvent, RetryingBackend } from './retrying.ts';
import { ThrottledBackend } from './throttled.ts';
import { withoutRemove } from './without-remove.ts';

export { type LocalLocation, type Location, parseLocation, type S3Credentials, type S3Location, type SftpLocation } from './location.ts';

export interface OpenBackendOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the place of a new repository when it is missing. */
  readonly create?: boolean | undefined;
  readonly uploadBytesPerSecond?: number | undefined;
  readonly downloadBytesPerSecond?: number | undefined;
  /** Nothing can be removed through this backend. */
  readonly appendOnly?: boolean | undefined;
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
}

export interface OpenedBackend {
  /** The adapter in its wrappers: limits inside, so that repeated bytes count too, then repetition, then append-only. */
  readonly backend: Backend;
  readonly location: Location;
  /** The bare adapter of a directory, for free space and stale temporary files; undefined for other kinds. */
  readonly local: LocalBackend | undefined;
}

/** A disk that does not answer for this long will not; a network gets the longer default of `RetryingBackend`. */
const LOCAL_GIVE_UP_MS = 15_000;

/**
 * Opens the backend at a location.
 * @throws USAGE for text that is no location; UNSUPPORTED_STORE; REPOSITORY_NOT_FOUND as `openLocalBackend`
 */
export async function openBackend(location: Location | string, options: OpenBackendOptions): Promise<OpenedBackend> {
  const place = typeof location === 'string' ? parseLocation(location) : location;
  if (place.kind !== 'local') throw unsupported(place);
  const { clock, random, create } = options;
  const local = await openLocalBackend(place.path, { clock, random, create });
  return { backend: wrap(local, options, LOCAL_GIVE_UP_MS), location: place, local };
}

function wrap(adapter: Backend, options: OpenBackendOptions, giveUpAfterMs: number): Backend {
  const { clock, random, uploadBytesPerSecond, downloadBytesPerSecond, onRetry } = options;
  const isLimited = uploadBytesPerSecond !== undefined || downloadBytesPerSecond !== undefined;
  const limited = isLimited ? new ThrottledBackend(adapter, { clock, uploadBytesPerSecond, downloadBytesPerSecond }) : adapter;
  const retrying = new RetryingBackend(limited, { clock, random, giveUpAfterMs, onRetry });
  return options.appendOnly === true ? withoutRemove(retrying) : retrying;
}

function unsupported(location: Exclude<Location, { kind: 'local' }>): SnapError {
  const kind = location.kind === 's3' ? 'S3' : 'SFTP';
  return new SnapError('UNSUPPORTED_STORE', `This version of snap cannot open the ${kind} location '${location.printable}'`, {
    hint: 'Use a local directory, or a newer version of snap', context: { location: location.printable },
  });
}
