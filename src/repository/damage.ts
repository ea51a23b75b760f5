import { SnapError } from '../base/errors.ts';

/** Whether an error says that a stored object is damaged, or needs a newer version: a reader may be able to do without it. */
export function isUnreadable(error: unknown): error is SnapError {
  return error instanceof SnapError && (error.kind === 'corrupt' || error.kind === 'unsupported');
}

/**
 * Whether an error says that something stored is damaged or gone, so that a reader may go on with the rest; every other
 * error (no connection, no permission, a newer format, ...) ends the run, since it says nothing about the data.
 */
export function isDamage(error: unknown): error is SnapError {
  return error instanceof SnapError && (error.kind === 'corrupt' || error.code === 'OBJECT_NOT_FOUND');
}
