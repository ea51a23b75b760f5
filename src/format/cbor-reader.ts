/** Reads values of the CBOR subset of `cbor.ts`, and refuses every other form of them. */
import type { Bytes } from '../base/bytes.ts';
import { ARRAY, BYTES, FALSE, FIRST_OPTIONAL_KEY, MAP, NEGATIVE, TEXT, TRUE, UNSIGNED } from './cbor.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { MAX_CBOR_NESTING } from './limits.ts';

const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

// User and group names repeat from entry to entry; a few remembered strings save nearly all decoding.
const RECENT_TEXTS = 16;
const MAX_RECENT_BYTES = 32;

interface RecentText {
  readonly at: number;
  readonly length: number;
  readonly text: string;
}

/**
 * A cursor over one body. Every method throws OBJECT_CORRUPT for anything but the expected value in its only encoding, and
 * checks counts and lengths against the bytes that are left. `array` and `map` are paired with `close`.
 */
export class CborReader {
  readonly what: string;
  readonly #bytes: Bytes;
  readonly #end: number;
  #at: number;
  #depth = 0;
  #recent: (RecentText | undefined)[] | undefined;

  /** `what` names the kind of object in error messages. */
  constructor(bytes: Bytes, what: string) {
    this.what = what;
    this.#bytes = bytes;
    this.#at = 0;
    this.#end = bytes.length;
  }

  /** Offset of the next value. */
  get at(): number {
    return this.#at;
  }

  /** Unsigned integer up to `max`, at most 2^53 − 1. */
  uint(max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.#head(UNSIGNED);
    if (value > max) throw this.fail(`number ${value} is above its limit ${max}`);
    return value;
  }

  /** Unsigned integer below 2^64: a number up to 2^53 − 1, a BigInt above. */
  bigUint(): number | bigint {
    const at = this.#at;
    if (this.#bytes[at] !== (UNSIGNED | 27) || at + 9 > this.#end) return this.uint();
    const high = this.#big32(at + 1);
    if (high <= 0x1f_ffff) return this.uint();
    this.#at += 9;
    return (BigInt(high) << 32n) | BigInt(this.#big32(at + 5));
  }

  /** Integer of magnitude below 2^53. */
  int(): number {
    if ((this.#bytes[this.#at]! & 0xe0) !== NEGATIVE) return this.uint();
    const value = -1 - this.#head(NEGATIVE);
    if (!Number.isSafeInteger(value)) throw this.fail('integer is below its limit');
    return value;
  }

  /** Byte string of at most `max` bytes: a view of the input. */
  bytes(max: number = Number.MAX_SAFE_INTEGER): Bytes {
    const length = this.#length(BYTES, max);
    const view = this.#bytes.subarray(this.#at, this.#at + length);
    this.#at += length;
    return view;
  }

  /** Byte string of exactly `length` bytes: a view of the input. */
  fixedBytes(length: number): Bytes {
    const view = this.bytes(length);
    if (view.length !== length) throw this.fail(`byte string of ${view.length} bytes, expected ${length}`);
    return view;
  }

  /** Text of at most `max` UTF-8 bytes. */
  text(max: number = Number.MAX_SAFE_INTEGER): string {
    const length = this.#length(TEXT, max);
    const at = this.#at;
    this.#at += length;
    if (length === 0) return '';
    if (length > MAX_RECENT_BYTES) return this.#decodeText(at, length);
    const slot = (length + this.#bytes[at]! + this.#bytes[at + length - 1]!) % RECENT_TEXTS;
    this.#recent ??= new Array<RecentText | undefined>(RECENT_TEXTS).fill(undefined);
    const known = this.#recent[slot];
    if (known !== undefined && known.length === length && this.#sameBytes(known.at, at, length)) return known.text;
    const text = this.#decodeText(at, length);
    this.#recent[slot] = { at, length, text };
    return text;
  }

  bool(): boolean {
    const byte = this.#at < this.#end ? this.#bytes[this.#at] : undefined;
    if (byte !== TRUE && byte !== FALSE) throw this.fail('a boolean was expected');
    this.#at++;
    return byte === TRUE;
  }

  /** Enters an array and gives its number of values, at most `max`. */
  array(max: number = Number.MAX_SAFE_INTEGER): number {
    return this.#enter(ARRAY, 1, max);
  }

  /** Enters an array of exactly `count` values. */
  fixedArray(count: number): void {
    const found = this.array();
    if (found !== count) throw this.fail(`list of ${found} values, expected ${count}`);
  }

  /** Enters a map and gives its number of keys. */
  map(): number {
    return this.#enter(MAP, 2, Number.MAX_SAFE_INTEGER);
  }

  /** The next key of a map, above `previous` (−1 at the start). */
  key(previous: number): number {
    const key = this.#head(UNSIGNED);
    if (key <= previous) throw this.fail(`map key ${key} after ${previous}`);
    return key;
  }

  /** Leaves an array or a map. */
  close(): void {
    this.#depth--;
  }

  /** Passes over the value of a key that this version does not know. @throws UNSUPPORTED_FORMAT for keys below 64 */
  unknown(key: number): void {
    if (key < FIRST_OPTIONAL_KEY) throw unsupported(this.what, `unknown field ${key}`, { field: key });
    this.#skip();
  }

  /** True when the next value is an array. */
  isArray(): boolean {
    return this.#at < this.#end && (this.#bytes[this.#at]! & 0xe0) === ARRAY;
  }

  /** True when the next value is an unsigned integer. */
  isUint(): boolean {
    return this.#at < this.#end && (this.#bytes[this.#at]! & 0xe0) === UNSIGNED;
  }

  /** Must be called after the last value. */
  end(): void {
    if (this.#at !== this.#end) throw this.fail(`${this.#end - this.#at} bytes after the end`);
    if (this.#depth !== 0) throw new RangeError('A list or map was not closed');
  }

  fail(reason: string): Error {
    return corrupt(this.what, reason, { offset: this.#at });
  }

  #enter(major: number, bytesPerValue: number, max: number): number {
    const count = this.#head(major);
    if (count * bytesPerValue > this.#end - this.#at) throw this.fail(`${count} values in ${this.#end - this.#at} bytes`);
    if (count > max) throw this.fail(`${count} values, at most ${max} are allowed`);
    if (++this.#depth > MAX_CBOR_NESTING) throw this.fail(`nested deeper than ${MAX_CBOR_NESTING}`);
    return count;
  }

  #length(major: number, max: number): number {
    const length = this.#head(major);
    if (length > this.#end - this.#at) throw this.fail(`string of ${length} bytes where ${this.#end - this.#at} are left`);
    if (length > max) throw this.fail(`string of ${length} bytes, at most ${max} are allowed`);
    return length;
  }

  #head(major: number): number {
    const bytes = this.#bytes;
    const at = this.#at;
    if (at >= this.#end) throw this.fail('it ends too early');
    const first = bytes[at]!;
    if ((first & 0xe0) !== major) throw this.fail(`unexpected byte ${first}`);
    const low = first & 0x1f;
    if (low < 24) {
      this.#at = at + 1;
      return low;
    }
    return this.#longHead(low);
  }

  #longHead(low: number): number {
    if (low > 27) throw this.fail('indefinite length or reserved head');
    const width = 1 << (low - 24);
    const at = this.#at + 1;
    if (width > this.#end - at) throw this.fail('it ends too early');
    const bytes = this.#bytes;
    let value: number;
    let least: number;
    if (width === 1) {
      value = bytes[at]!;
      least = 24;
    } else if (width === 2) {
      value = (bytes[at]! << 8) | bytes[at + 1]!;
      least = 0x100;
    } else if (width === 4) {
      value = this.#big32(at);
      least = 0x1_0000;
    } else {
      const high = this.#big32(at);
      if (high > 0x1f_ffff) throw this.fail('number above 2^53');
      value = high * 2 ** 32 + this.#big32(at + 4);
      least = 2 ** 32;
    }
    if (value < least) throw this.fail('number is not in its shortest form');
    this.#at = at + width;
    return value;
  }

  #big32(at: number): number {
    const bytes = this.#bytes;
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }

  #sameBytes(a: number, b: number, length: number): boolean {
    for (let i = 0; i < length; i++) if (this.#bytes[a + i] !== this.#bytes[b + i]) return false;
    return true;
  }

  #decodeText(at: number, length: number): string {
    try {
      return utf8Decoder.decode(this.#bytes.subarray(at, at + length));
    } catch (error) {
      throw corrupt(this.what, 'text is not UTF-8', { offset: at }, 'OBJECT_CORRUPT', error);
    }
  }

  // Recursion is bounded by the nesting limit.
  #skip(): void {
    const byte = this.#at < this.#end ? this.#bytes[this.#at]! : 0xff;
    const major = byte & 0xe0;
    if (major === UNSIGNED) this.bigUint();
    else if (major === NEGATIVE) this.int();
    else if (major === BYTES) this.bytes();
    else if (major === TEXT) this.text();
    else if (major === ARRAY) {
      for (let count = this.array(); count > 0; count--) this.#skip();
      this.close();
    } else if (major === MAP) {
      let previous = -1;
      for (let count = this.map(); count > 0; count--) {
        previous = this.key(previous);
        this.#skip();
      }
      this.close();
    } else this.bool();
  }
}
