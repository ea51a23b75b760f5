/** The few kinds of errors that may leave an adapter, with what and where in their messages; shared by all adapters. */
import { SnapError, type SnapErrorCode } from '../base/errors.ts';
import type { ByteRange } from './backend.ts';
import { MAX_READ_BYTES } from './object-arguments.ts';

/** Where and what an error is about. */
export interface Failure {
  readonly verb: 'read' | 'stat' | 'list' | 'create' | 'remove' | 'open' | 'lock';
  readonly location: string;
  /** Object name; empty for the repository as a whole. */
  readonly name: string;
}

export interface ObjectErrorOptions {
  readonly cause?: unknown;
  readonly hint?: string | undefined;
  readonly context?: Readonly<Record<string, string | number>> | undefined;
}

/** `reason` goes on after "Cannot read 'x' in 'place': ". */
export function objectError(code: SnapErrorCode, failure: Failure, reason: string, options: ObjectErrorOptions = {}): SnapError {
  const { verb, location, name } = failure;
  const { cause, hint, context = {} } = options;
  const subject = name === '' ? `repository '${location}'` : `'${name}' in '${location}'`;
  return new SnapError(code, `Cannot ${verb} ${subject}: ${reason}`, { cause, hint, context: { location, name, ...context } });
}

export function objectNotFound(failure: Failure, cause?: unknown): SnapError {
  return objectError('OBJECT_NOT_FOUND', failure, 'there is no such object', { cause });
}

export function invalidRange(failure: Failure, range: ByteRange, sizeBytes: number): SnapError {
  const { offset, length } = range;
  const reason = length > MAX_READ_BYTES ? `${length} bytes are more than any object has` : `${length} bytes from ${offset} reach beyond its end at ${sizeBytes}`;
  return objectError('INVALID_RANGE', failure, reason, { context: { offset, length, sizeBytes } });
}

/** For `create` on a name that has other bytes; `exists` tells it from a lack of permission. */
export function nameTaken(failure: Failure): SnapError {
  return objectError('DENIED', failure, 'another object has the name', { context: { exists: 1 }, hint: 'Object names are never used twice' });
}
