/** Turns errors of the file system into the few kinds that may leave an adapter. */
import { SnapError, type SnapErrorCode } from '../base/errors.ts';
import type { ByteRange } from './backend.ts';
import { errnoOf } from './local-filesystem.ts';
import { MAX_READ_BYTES } from './object-arguments.ts';

/** Where and what an error is about. */
export interface Failure {
  readonly verb: 'read' | 'stat' | 'list' | 'create' | 'remove' | 'open';
  readonly location: string;
  /** Object name; empty for the repository as a whole. */
  readonly name: string;
}

/** No plain file has the name: nothing there, a directory (ESPIPE: a pipe) or a link in its place, or a file on the way to it. */
const MISSING = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EISDIR', 'ESPIPE', 'ENXIO'];
const FULL = ['ENOSPC', 'EDQUOT'];
const REFUSED = [
  'EACCES', 'EPERM', 'EROFS', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL', 'EXDEV', 'ENAMETOOLONG', 'EFBIG', 'ENOTDIR', 'EISDIR', 'ELOOP', 'EMLINK',
];

/** Whether the error says that no object has the name. */
export function saysMissing(error: unknown): boolean {
  return MISSING.includes(errnoOf(error));
}

const HINTS: Partial<Record<SnapErrorCode, string>> = {
  NO_SPACE: 'Make space on the disk of the repository or raise the quota',
  DENIED: 'Check owner, permissions and mount options of the repository directory',
  UNAVAILABLE: 'Check the disk and the connection of the repository, then run the command again',
};

function codeFor(errno: string): SnapErrorCode {
  if (FULL.includes(errno)) return 'NO_SPACE';
  // EIO, ESTALE, ETIMEDOUT, EMFILE, ENOMEM, ...: nothing is known, and the next try may go well.
  return REFUSED.includes(errno) ? 'DENIED' : 'UNAVAILABLE';
}

/** `effectUnknown` states that a write may have happened all the same. */
export function localError(failure: Failure, error: unknown, effectUnknown = false): SnapError {
  const errno = errnoOf(error);
  return makeError(codeFor(errno), failure, reasonOf(error, errno), error, effectUnknown ? { errno, effectUnknown: 1 } : { errno });
}

export function objectNotFound(failure: Failure, cause?: unknown): SnapError {
  return makeError('OBJECT_NOT_FOUND', failure, 'there is no such object', cause, {});
}

/** The root is gone or empty in a way that only an unmounted disk explains: "not there" would be a wrong answer. */
export function rootVanished(failure: Failure, cause: unknown, effectUnknown = false): SnapError {
  const context: Context = effectUnknown ? { effectUnknown: 1 } : {};
  return makeError('UNAVAILABLE', failure, 'the repository directory has vanished', cause, context, 'Check that the disk is mounted');
}

export function invalidRange(failure: Failure, range: ByteRange, sizeBytes: number): SnapError {
  const { offset, length } = range;
  const reason = length > MAX_READ_BYTES ? `${length} bytes are more than any object has` : `${length} bytes from ${offset} reach beyond its end at ${sizeBytes}`;
  return makeError('INVALID_RANGE', failure, reason, undefined, { offset, length, sizeBytes });
}

/** For `create` on a name that has other bytes; `exists` tells it from a lack of permission. */
export function nameTaken(failure: Failure): SnapError {
  return makeError('DENIED', failure, 'another object has the name', undefined, { exists: 1 }, 'Object names are never used twice');
}

type Context = Readonly<Record<string, string | number>>;

function makeError(
  code: SnapErrorCode, failure: Failure, reason: string, cause: unknown, context: Context, hint = HINTS[code],
): SnapError {
  const { verb, location, name } = failure;
  const subject = name === '' ? `repository '${location}'` : `'${name}' in '${location}'`;
  return new SnapError(code, `Cannot ${verb} ${subject}: ${reason}`, { cause, hint, context: { location, name, ...context } });
}

/** From "EACCES: permission denied, open '/x'" the middle; the path stands in the message already. */
function reasonOf(error: unknown, errno: string): string {
  const text = error instanceof Error ? /^[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1] ?? error.message : String(error);
  return errno === '' ? text : `${text} (${errno})`;
}
