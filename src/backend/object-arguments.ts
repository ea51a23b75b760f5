/** What every adapter checks before it touches the storage: wrong arguments are faults of the caller, not of the storage. */
import type { ByteRange } from './backend.ts';

/** Adapters that write under a temporary name first keep such files below this name; it never belongs to an object. */
export const TEMPORARY_DIRECTORY = 'tmp';

/** Who opens a repository reads this object before all others. */
export const FIRST_OBJECT = 'config';

/** Longest object name, bytes: one file name of the usual file systems, so that a name never fits one adapter only. */
export const MAX_NAME_LENGTH = 255;
export const MAX_NAME_PARTS = 8;

/** Most bytes that one `read` returns: no object of a repository is larger, and a planted giant must not exhaust memory. */
export const MAX_READ_BYTES = 1024 ** 3;

// No part begins with a dot: that excludes '.', '..' and hidden files at once.
const PART = /^[a-z0-9-][a-z0-9.-]*$/;

/** Whether an object name may have this part between two slashes. */
export function isNamePart(part: string): boolean {
  return PART.test(part);
}

function areParts(parts: readonly string[]): boolean {
  return parts.length <= MAX_NAME_PARTS && parts.every(isNamePart);
}

/** Parts of `a-z 0-9 . -` between single slashes, so a name cannot leave the place of its adapter. @throws RangeError */
export function assertObjectName(name: string): void {
  const parts = name.split('/');
  if (name.length > MAX_NAME_LENGTH || !areParts(parts) || parts[0] === TEMPORARY_DIRECTORY) {
    throw new RangeError(`Not an object name: '${printable(name)}'`);
  }
}

/** Anything that an object name can start with, also nothing. @throws RangeError */
export function assertObjectPrefix(prefix: string): void {
  const parts = prefix.split('/');
  if (parts.at(-1) === '') parts.pop();
  if (prefix.length > MAX_NAME_LENGTH || !areParts(parts)) throw new RangeError(`Not a prefix of object names: '${printable(prefix)}'`);
}

/** Whole numbers of bytes, not negative, the length within MAX_READ_BYTES. @throws RangeError */
export function assertRange(range: ByteRange): void {
  const { offset, length } = range;
  if (![offset, length, offset + length].every(value => Number.isSafeInteger(value) && value >= 0) || length > MAX_READ_BYTES) {
    throw new RangeError(`Not a range of bytes: ${length} from ${offset}`);
  }
}

/** The text without control characters, which could steer a terminal, and at most 200 characters of it. */
export function printable(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
  return clean.length > 200 ? `${clean.slice(0, 200)}…` : clean;
}
