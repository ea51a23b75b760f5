/** Writes values of the CBOR subset of `cbor.ts`. */
import type { Bytes } from '../base/bytes.ts';
import { ARRAY, BYTES, FALSE, MAP, NEGATIVE, TEXT, TRUE, UNSIGNED } from './cbor.ts';

// Copying a few bytes in a loop beats the call of `set`; measured break-even on Node 20 is about 48 bytes.
const SHORT_COPY_BYTES = 48;

/** Appends values to a growing buffer; `reset` keeps the memory. Values outside the subset throw a RangeError. */
export class CborWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(initialBytes = 1024) {
    this.#bytes = new Uint8Array(Math.max(16, initialBytes));
  }

  /** Bytes written since the last reset. */
  get length(): number {
    return this.#at;
  }

  reset(): void {
    this.#at = 0;
  }

  /** Takes back everything after the first `length` bytes. */
  truncate(length: number): void {
    if (length > this.#at) throw new RangeError('Cannot truncate beyond the end');
    this.#at = length;
  }

  /** Unsigned integer below 2^53, or any below 2^64 as a BigInt. */
  uint(value: number | bigint): void {
    if (typeof value === 'bigint') this.#bigUint(value);
    else this.#head(UNSIGNED, value);
  }

  /** Integer of magnitude below 2^53. */
  int(value: number): void {
    if (value < 0) this.#head(NEGATIVE, -1 - value);
    else this.#head(UNSIGNED, value);
  }

  bytes(value: Bytes): void {
    this.#head(BYTES, value.length);
    this.raw(value);
  }

  /** @throws RangeError for lone surrogates, which have no UTF-8 form. */
  text(value: string): void {
    const length = value.length;
    const start = this.#at;
    this.#head(TEXT, length);
    this.#reserve(length);
    const bytes = this.#bytes;
    let at = this.#at;
    for (let i = 0; i < length; i++) {
      const code = value.charCodeAt(i);
      if (code > 0x7f) {
        this.#at = start;
        this.#unicode(value);
        return;
      }
      bytes[at++] = code;
    }
    this.#at = at;
  }

  bool(value: boolean): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value ? TRUE : FALSE;
  }

  /** Starts an array; `count` values must follow. */
  array(count: number): void {
    this.#head(ARRAY, count);
  }

  /** Starts a map; `count` times a key (`uint`, ascending) and a value must follow. */
  map(count: number): void {
    this.#head(MAP, count);
  }

  /** Appends bytes as they are. */
  raw(value: Bytes): void {
    const length = value.length;
    this.#reserve(length);
    if (length <= SHORT_COPY_BYTES) {
      const bytes = this.#bytes;
      let at = this.#at;
      for (let i = 0; i < length; i++) bytes[at++] = value[i]!;
      this.#at = at;
    } else {
      this.#bytes.set(value, this.#at);
      this.#at += length;
    }
  }

  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  /** What was written, valid until the next call. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#at);
  }

  #unicode(value: string): void {
    if (/\p{Surrogate}/u.test(value)) throw new RangeError('Text with a lone surrogate cannot be encoded');
    const encoded = new TextEncoder().encode(value);
    this.#head(TEXT, encoded.length);
    this.raw(encoded);
  }

  #head(major: number, value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`Not a whole number below 2^53: ${value}`);
    this.#reserve(9);
    const bytes = this.#bytes;
    let at = this.#at;
    if (value < 24) {
      bytes[at++] = major | value;
    } else if (value < 0x100) {
      bytes[at++] = major | 24;
      bytes[at++] = value;
    } else if (value < 0x1_0000) {
      bytes[at++] = major | 25;
      bytes[at++] = value >>> 8;
      bytes[at++] = value;
    } else {
      const isLong = value > 0xffff_ffff;
      bytes[at++] = major | (isLong ? 27 : 26);
      if (isLong) at = writeBig32(bytes, at, Math.floor(value / 2 ** 32));
      at = writeBig32(bytes, at, value >>> 0);
    }
    this.#at = at;
  }

  #bigUint(value: bigint): void {
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return this.#head(UNSIGNED, Number(value));
    if (value >= 1n << 64n) throw new RangeError(`Not below 2^64: ${value}`);
    this.#reserve(9);
    this.#bytes[this.#at] = UNSIGNED | 27;
    writeBig32(this.#bytes, this.#at + 1, Number(value >> 32n));
    this.#at = writeBig32(this.#bytes, this.#at + 5, Number(value & 0xffff_ffffn));
  }

  #reserve(count: number): void {
    const needed = this.#at + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}

function writeBig32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}
