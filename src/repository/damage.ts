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

/** Adds the object's name to an error of a decoder, which knows only the bytes. */
export function withName(error: unknown, name: string): unknown {
  if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported') || error.context['name'] === name) return error;
  return new SnapError(error.code, `${error.message} ('${name}')`, { hint: error.hint, cause: error, context: { ...error.context, name } });
}

/** What a disk says of a sector that it cannot read. */
const MEDIA_ERRORS: readonly unknown[] = ['EIO', 'EBADMSG', 'EUCLEAN', 'EILSEQ', 'ENODATA', 'EREMOTEIO'];

/** Whether the storage cannot give this part of an object, whatever one does, while other parts may be fine. */
export function isUnreadableRange(error: unknown): error is SnapError {
  return error instanceof SnapError && (error.code === 'INVALID_RANGE' || (error.code === 'UNAVAILABLE' && MEDIA_ERRORS.includes(error.context['errno'])));
}
