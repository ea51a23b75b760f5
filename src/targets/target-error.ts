/** Errors of the operating system, translated once into the codes of snap. Messages hold no path: the problem carries it. */
import { SnapError, type SnapErrorCode } from '../base/errors.ts';
import type { NativeError } from '../base/native-filesystem.ts';

const CODES: Readonly<Record<string, SnapErrorCode>> = {
  EACCES: 'DENIED', EPERM: 'DENIED', EROFS: 'DENIED', ENOSPC: 'NO_SPACE', EDQUOT: 'NO_SPACE',
};

function isNativeError(error: unknown): error is NativeError {
  return typeof error === 'object' && error !== null && 'errno' in error && 'code' in error && typeof error.code === 'string';
}

/** True for an error of the operating system with one of the given names. */
export function failedWith(error: unknown, ...names: string[]): error is NativeError {
  return isNativeError(error) && names.includes(error.code);
}

/** `action` continues "Cannot". @throws the error itself when it does not come from the operating system */
export function targetError(action: string, error: unknown): SnapError {
  if (error instanceof SnapError) return error;
  if (!isNativeError(error)) throw error;
  return new SnapError(CODES[error.code] ?? 'TARGET_FAILED', `Cannot ${action} (${error.code})`, {
    cause: error, context: { errno: error.errno, systemCode: error.code },
  });
}

/** Something that must not be replaced is at the place of an entry. */
export function occupied(reason: string, hint?: string): SnapError {
  return new SnapError('TARGET_OCCUPIED', reason, { hint });
}

/** The target is not what it was a moment ago; going on could write to the wrong file. */
export function changedMeanwhile(): SnapError {
  return new SnapError('TARGET_FAILED', 'Somebody changed the target while the entry was restored');
}
