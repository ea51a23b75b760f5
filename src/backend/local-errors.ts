/** Turns errors of the file system into the few kinds that may leave an adapter. */
import type { SnapError, SnapErrorCode } from '../base/errors.ts';
import { errnoOf } from './local-filesystem.ts';
import { type Failure, objectError } from './object-errors.ts';

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
  const code = codeFor(errno);
  const context = effectUnknown ? { errno, effectUnknown: 1 } : { errno };
  return objectError(code, failure, reasonOf(error, errno), { cause: error, hint: HINTS[code], context });
}

/** The root is gone or empty in a way that only an unmounted disk explains: "not there" would be a wrong answer. */
export function rootVanished(failure: Failure, cause: unknown, effectUnknown = false): SnapError {
  const context = effectUnknown ? { effectUnknown: 1 } : undefined;
  return objectError('UNAVAILABLE', failure, 'the repository directory has vanished', { cause, context, hint: 'Check that the disk is mounted' });
}

/** From "EACCES: permission denied, open '/x'" the middle; the path stands in the message already. */
function reasonOf(error: unknown, errno: string): string {
  const text = error instanceof Error ? /^[A-Z0-9]+: ([^,]+)/.exec(error.message)?.[1] ?? error.message : String(error);
  return errno === '' ? text : `${text} (${errno})`;
}
