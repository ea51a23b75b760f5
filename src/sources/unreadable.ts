/** How failing file-system calls become problems of a source. */
import { getSystemErrorName } from 'node:util';
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { NativeError } from '../base/native-filesystem.ts';
import { displayPath } from './display-path.ts';
import type { SourceProblem } from './source.ts';

const ACTIONS: Readonly<Record<SourceProblem['during'], string>> = {
  open: 'open', list: 'list', stat: 'examine', metadata: 'read the metadata of', read: 'read',
};

export function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' && 'syscall' in error;
}

/** True for a failing call that says "not there (any more)". */
export function isVanished(error: unknown): boolean {
  return isNativeError(error) && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}

/** The error of an entry that cannot be read; rethrows what is not an error of the file system. */
export function unreadable(path: Bytes, during: SourceProblem['during'], cause: unknown): SnapError {
  if (!isNativeError(cause)) throw cause;
  return describe(path, during, cause.message, cause.code, cause);
}

/** The same for an errno of a batch call. */
export function unreadableErrno(path: Bytes, during: SourceProblem['during'], errno: number): SnapError {
  return describe(path, during, getSystemErrorName(-errno), getSystemErrorName(-errno));
}

export function problemOf(path: Bytes, during: SourceProblem['during'], cause: unknown): SourceProblem {
  return { path, during, error: unreadable(path, during, cause) };
}

function describe(path: Bytes, during: SourceProblem['during'], reason: string, code: string, cause?: unknown): SnapError {
  const shown = displayPath(path);
  return new SnapError('ENTRY_UNREADABLE', `Cannot ${ACTIONS[during]} '${shown}' (${reason})`, { cause, context: { path: shown, errno: code } });
}
