/** Checks of the arguments of kernel operations. A wrong argument is a fault of the caller, so it throws RangeError. */
import type { Bytes } from '../base/bytes.ts';
import type { CutParameters, GearTable, ScryptParameters } from './kernel.ts';

export const GEAR_ENTRIES = 256;
export const KEY_BYTES = 32;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
export const ED25519_SIGNATURE_BYTES = 64;

/** The Gear hash of 64 bit forgets a byte after 64 more, so a chunk can be no shorter. */
export const SMALLEST_MINIMUM = 64;

/** 1 GiB: addresses stay below 2^31, and the a + 2 high bits of the rule within the upper half of the hash. */
const LARGEST_WINDOW = 2 ** 30;

/** RFC 5869 allows 255 blocks of SHA-256; OpenSSL limits the context to 1,024 bytes. */
const HKDF_MAX_LENGTH = 255 * 32;
const HKDF_MAX_INFO = 1024;

export function checkLength(what: string, bytes: Bytes, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${what}: expected ${length} bytes, found ${bytes.length}`);
}

export function checkWindow(gear: GearTable, windowBytes: number): void {
  if (gear.length !== GEAR_ENTRIES) throw new RangeError(`Gear table: expected ${GEAR_ENTRIES} entries, found ${gear.length}`);
  if (!Number.isInteger(windowBytes) || windowBytes < SMALLEST_MINIMUM || windowBytes > LARGEST_WINDOW) {
    throw new RangeError(`Window: expected ${SMALLEST_MINIMUM} to ${LARGEST_WINDOW} bytes, found ${windowBytes}`);
  }
}

/** Once per chunk, so it costs nothing next to the scan. */
export function checkCut(start: number, end: number, parameters: CutParameters, windowBytes: number): void {
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || start > end || end > windowBytes) {
    throw new RangeError(`Range ${start} to ${end} is outside the window of ${windowBytes} bytes`);
  }
  const { minBytes, averageBytes, maxBytes } = parameters;
  const isInOrder = SMALLEST_MINIMUM <= minBytes && minBytes <= averageBytes && averageBytes <= maxBytes && maxBytes <= windowBytes;
  const isWhole = Number.isInteger(minBytes) && Number.isInteger(maxBytes) && Number.isInteger(averageBytes);
  if (!isInOrder || !isWhole || (averageBytes & (averageBytes - 1)) !== 0) {
    throw new RangeError(`Cut parameters ${minBytes}/${averageBytes}/${maxBytes}: expected 64 <= min <= average <= max <= ${windowBytes}, `
      + 'whole numbers, and a power of two as average');
  }
}

export function checkHkdf(info: Bytes, length: number): void {
  if (info.length > HKDF_MAX_INFO) throw new RangeError(`HKDF info: at most ${HKDF_MAX_INFO} bytes, found ${info.length}`);
  if (!Number.isInteger(length) || length < 1 || length > HKDF_MAX_LENGTH) {
    throw new RangeError(`HKDF length: expected 1 to ${HKDF_MAX_LENGTH}, found ${length}`);
  }
}

/** RFC 7914, section 2. How much memory is too much is the caller's decision. */
export function checkScrypt({ N, r, p }: ScryptParameters, length: number): void {
  const isPowerOfTwo = Number.isInteger(N) && N >= 2 && N <= 2 ** 30 && (N & (N - 1)) === 0;
  const areCounts = Number.isInteger(r) && Number.isInteger(p) && r >= 1 && p >= 1 && r * p < 2 ** 30;
  if (!isPowerOfTwo || !areCounts) throw new RangeError(`scrypt parameters N=${N}, r=${r}, p=${p} are not allowed`);
  if (!Number.isInteger(length) || length < 1 || length > 2 ** 30) throw new RangeError(`scrypt length: found ${length}`);
}

/** Memory that scrypt needs for one derivation, in bytes: p blocks, the N blocks of one mix, and scratch. */
export function scryptMemory({ N, r, p }: ScryptParameters): number {
  return 128 * r * (N + p + 2);
}
