/** Byte strings: concatenation, comparison, hexadecimal text, little-endian integers with bounds. */

export type Bytes = Uint8Array<ArrayBufferLike>;

export function concatBytes(parts: readonly Bytes[]): Uint8Array<ArrayBuffer> {
  let total = 0;
  for (const part of parts) total += part.length;
  const joined = new Uint8Array(total);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Order of unsigned bytes, a prefix first: negative, zero or positive. */
export function compareBytes(a: Bytes, b: Bytes): number {
  return Buffer.compare(a, b);
}

export function equalBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}

/** Lowercase hexadecimal digits, two a byte. */
export function toHex(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** The reverse of `toHex`. @throws RangeError for anything but pairs of lowercase hexadecimal digits. */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) throw new RangeError(`Not hexadecimal: '${text.slice(0, 80)}'`);
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(text));
}

/** A `DataView` over exactly the given bytes. */
export function viewOf(bytes: Bytes): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function isAllZero(bytes: Bytes): boolean {
  // A look at both ends decides nearly always; the overlap comparison then runs at memcmp speed.
  const n = bytes.length;
  if (n === 0) return true;
  if (bytes[0] !== 0 || bytes[n - 1] !== 0 || bytes[n >> 1] !== 0) return false;
  if (n === 1) return true;
  return Buffer.compare(bytes.subarray(0, n - 1), bytes.subarray(1)) === 0;
}
