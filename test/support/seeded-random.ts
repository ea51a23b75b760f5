import type { Random } from '../../src/base/ambient.ts';

/** The same numbers for the same seed: mulberry32, good enough to scatter, never for keys. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  bytes(count: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(count);
    const words = new DataView(bytes.buffer);
    let at = 0;
    for (; at + 4 <= count; at += 4) words.setUint32(at, this.#next(), true);
    for (; at < count; at++) bytes[at] = this.#next() & 0xff;
    return bytes;
  }

  below(bound: number): number {
    return Math.floor(this.#next() / 2 ** 32 * bound);
  }

  /** True once in `n` draws on average. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }
}
