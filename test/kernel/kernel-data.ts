/** Seeded bytes and the literal cutting rule, for the kernel tests. */
import { createCipheriv } from 'node:crypto';
import type { CutParameters, Cutter, GearTable } from '../../src/kernel/kernel.ts';

/** The same for the same seed on every machine: AES-CTR of zeros. */
export function randomBytes(count: number, seed: number): Uint8Array<ArrayBuffer> {
  const key = new Uint8Array(16);
  new DataView(key.buffer).setUint32(0, seed);
  return new Uint8Array(createCipheriv('aes-128-ctr', key, new Uint8Array(16)).update(new Uint8Array(count)));
}

/** Words of a small vocabulary in random order. */
export function textBytes(count: number, seed: number): Uint8Array<ArrayBuffer> {
  const words = ['chunk', 'frame', 'pack', 'index', 'the', 'of', 'a', 'snapshot', 'session', 'key', '\n', 'return', '{', '}', 'const'];
  const choices = randomBytes(Math.ceil(count / 2), seed);
  const pieces: string[] = [];
  for (let length = 0, i = 0; length < count; i++) {
    const word = `${words[choices[i]! % words.length]} `;
    pieces.push(word);
    length += word.length;
  }
  return new Uint8Array(Buffer.from(pieces.join('')).subarray(0, count));
}

export function gearTable(seed: number): GearTable {
  const view = new DataView(randomBytes(2048, seed).buffer);
  return BigUint64Array.from({ length: 256 }, (_, i) => view.getBigUint64(8 * i, true));
}

/** Chunk lengths of `data`, word for word after repository design, section 13.1; slow. */
export function cutsByTheRule(data: Uint8Array, gear: GearTable, { minBytes, averageBytes, maxBytes }: CutParameters): number[] {
  const a = BigInt(Math.log2(averageBytes));
  const lengths: number[] = [];
  for (let start = 0; start < data.length;) {
    const left = data.length - start;
    let h = 0n;
    let length = Math.max(0, minBytes - 64);
    for (;;) {
      if (length >= left) { length = left; break; }
      h = BigInt.asUintN(64, (h << 1n) + gear[data[start + length]!]!);
      length++;
      if (length < minBytes) continue;
      if (length < averageBytes && h >> (64n - (a + 2n)) === 0n) break;
      if (length >= averageBytes && h >> (64n - (a - 2n)) === 0n) break;
      if (length === maxBytes) break;
    }
    lengths.push(length);
    start += length;
  }
  return lengths;
}

/** Chunk lengths of `data`, all of it in the window at once. */
export function cutsAtOnce(cutter: Cutter, data: Uint8Array, parameters: CutParameters): number[] {
  cutter.memory.set(data);
  const lengths: number[] = [];
  for (let at = 0; at < data.length;) {
    const length = cutter.cut(at, data.length, true, parameters);
    lengths.push(length);
    at += length;
  }
  return lengths;
}

/**
 * Chunk lengths of `data` that arrives in reads of the given sizes (used in turn), in a window that holds no more than
 * the unfinished chunk and what comes next.
 */
export function cutsWhileReading(cutter: Cutter, data: Uint8Array, parameters: CutParameters, readSizes: readonly number[]): number[] {
  const { memory } = cutter;
  const lengths: number[] = [];
  let start = 0;
  let end = 0;
  let read = 0;
  for (let turn = 0; ; turn++) {
    const isLast = read === data.length;
    for (let length = cutter.cut(start, end, isLast, parameters); length > 0; length = cutter.cut(start, end, isLast, parameters)) {
      lengths.push(length);
      start += length;
    }
    if (isLast) return lengths;
    memory.copyWithin(0, start, end);
    end -= start;
    start = 0;
    const size = Math.min(readSizes[turn % readSizes.length]!, data.length - read, memory.length - end);
    memory.set(data.subarray(read, read + size), end);
    end += size;
    read += size;
  }
}
