import fc from 'fast-check';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import zstd from 'zstd-napi/binding.js';
import { compareBytes, concatBytes } from '../../src/base/bytes.ts';
import { GiB, KiB, MiB } from '../../src/base/units.ts';
import { createZstdCompressor, createZstdDecompressor } from '../../src/kernel/zstd.ts';
import { randomBytes, textBytes } from './kernel-data.ts';

const decompress = createZstdDecompressor();
const compressor = createZstdCompressor(1);
const compress = (input: Uint8Array): Uint8Array<ArrayBuffer> => new Uint8Array(compressor.compress(input, Infinity)!);

const MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
const SINGLE_SEGMENT = 0x20;

/** A block of one repeated byte: 21 bits of size, type 1, last or not. */
function rleBlock(size: number, isLast: boolean): number[] {
  const header = size << 3 | 1 << 1 | (isLast ? 1 : 0);
  return [header & 255, header >> 8 & 255, header >> 16, 0x41];
}

function uint32(value: number): number[] {
  return [value & 255, value >>> 8 & 255, value >>> 16 & 255, value >>> 24];
}

describe('Compression', () => {
  it('makes frames with content size, without checksum and dictionary', () => {
    for (const size of [0, 1, 255, 256, 70_000, 200_000]) {
      const frame = compress(textBytes(size, 1));
      expect([...frame.subarray(0, 4)]).toEqual(MAGIC);
      expect(frame[4]! & 0x07).toBe(0);
      expect(zstd.getFrameContentSize(frame)).toBe(size);
    }
  });

  it.skipIf(!('zstdDecompressSync' in zlib))('is understood by the zstd of the runtime', () => {
    const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync(frame: Uint8Array): Buffer };
    const text = textBytes(50_000, 3);
    expect(compareBytes(zstdDecompressSync(compress(text)), text)).toBe(0);
  });
});

describe('Decompression', () => {
  it('gives back any input', () => {
    fc.assert(fc.property(fc.nat(400_000), fc.nat(), fc.boolean(), (size, seed, isText) => {
      const input = isText ? textBytes(size, seed) : randomBytes(size, seed);
      expect(compareBytes(decompress(compress(input), size)!, input)).toBe(0);
    }), { numRuns: 40 });
  });

  it('gives back zeros of every size class of the header', () => {
    for (const size of [0, 1, 255, 256, 65_791, 65_792, 128 * KiB, 128 * KiB + 1, 17 * MiB]) {
      const zeros = new Uint8Array(size);
      expect(compareBytes(decompress(compress(zeros), size)!, zeros)).toBe(0);
    }
  });

  it('accepts a checksum that is right and no other', () => {
    const context = new zstd.CCtx();
    context.setParameter(zstd.CParameter.checksumFlag, 1);
    const output = new Uint8Array(1000);
    const frame = output.slice(0, context.compress2(output, textBytes(500, 1)));
    expect(decompress(frame, 500)).toBeDefined();
    frame[frame.length - 1]! ^= 1;
    expect(decompress(frame, 500)).toBeUndefined();
  });

  it('accepts a content size of 8 bytes', () => {
    const frame = new Uint8Array([...MAGIC, 0xc0 | SINGLE_SEGMENT, ...uint32(10), ...uint32(0), ...rleBlock(10, true)]);
    expect(decompress(frame, 10)).toEqual(new Uint8Array(10).fill(0x41));
    frame[9] = 1;
    expect(decompress(frame, 10)).toBeUndefined();
  });

  it('answers undefined when the declared size is another than expected', () => {
    const frame = compress(textBytes(1000, 1));
    for (const rawLength of [0, 1, 999, 1001, 2 ** 40]) expect(decompress(frame, rawLength)).toBeUndefined();
  });

  it('answers undefined when no size is declared', () => {
    const context = new zstd.CCtx();
    context.setParameter(zstd.CParameter.contentSizeFlag, 0);
    const output = new Uint8Array(1000);
    const frame = output.subarray(0, context.compress2(output, textBytes(500, 1)));
    expect(zstd.getFrameContentSize(frame)).toBeNull();
    expect(decompress(frame, 500)).toBeUndefined();
  });

  it('answers undefined for a frame that names a dictionary or sets a reserved bit', () => {
    const plain = [...MAGIC, SINGLE_SEGMENT, 10, ...rleBlock(10, true)];
    expect(decompress(new Uint8Array(plain), 10)).toBeDefined();
    expect(decompress(new Uint8Array([...MAGIC, SINGLE_SEGMENT | 1, 7, 10, ...rleBlock(10, true)]), 10)).toBeUndefined();
    expect(decompress(new Uint8Array([...MAGIC, SINGLE_SEGMENT | 8, 10, ...rleBlock(10, true)]), 10)).toBeUndefined();
  });

  it('answers undefined for trailing bytes, a second frame and skippable frames', () => {
    const text = textBytes(1000, 1);
    const frame = compress(text);
    const empty = compress(new Uint8Array(0));
    const skippable = new Uint8Array([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
    for (const parts of [[frame, new Uint8Array(1)], [frame, frame], [frame, empty], [empty, frame], [frame, skippable], [skippable, frame]]) {
      const joined = concatBytes(parts);
      for (const rawLength of [1000, 2000]) expect(decompress(joined, rawLength)).toBeUndefined();
    }
  });

  it('answers undefined for a frame that is cut off anywhere', () => {
    const frame = compress(textBytes(1000, 1));
    for (let length = 0; length < frame.length; length++) expect(decompress(frame.subarray(0, length), 1000)).toBeUndefined();
  });

  it('answers undefined for a frame that expands to more or less than it declares', () => {
    for (const [declared, actual] of [[10, 11], [10, 9], [10, 100_000], [0, 1], [1, 0]] as const) {
      expect(decompress(new Uint8Array([...MAGIC, SINGLE_SEGMENT, declared, ...rleBlock(actual, true)]), declared)).toBeUndefined();
    }
    const manyBlocks = Array.from({ length: 8192 }, (_, i) => rleBlock(128 * KiB, i === 8191)).flat();
    const bomb = new Uint8Array([...MAGIC, 0x80, 0x38, ...uint32(1000), ...manyBlocks]);
    expect(decompress(bomb, 1000)).toBeUndefined();
  });

  it('answers undefined for a bomb before it allocates for it', () => {
    const manyBlocks = Array.from({ length: 8192 }, (_, i) => rleBlock(128 * KiB, i === 8191)).flat();
    const bomb = new Uint8Array([...MAGIC, 0x80, 0x38, ...uint32(GiB), ...manyBlocks]);
    expect(zstd.getFrameContentSize(bomb)).toBe(GiB);
    const before = process.memoryUsage().arrayBuffers;
    expect(decompress(bomb, 1000)).toBeUndefined();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MiB);
  });

  it('never allocates more than the raw length', () => {
    const fresh = createZstdDecompressor();
    expect(fresh(compress(textBytes(3000, 1)), 3000)!.buffer.byteLength).toBe(3000);
    expect(fresh(compress(textBytes(100, 1)), 100)!.buffer.byteLength).toBe(3000);
    expect(fresh(compress(textBytes(3001, 1)), 3001)!.buffer.byteLength).toBe(3001);
  });

  it('survives any damage and any bytes', () => {
    const text = textBytes(700, 1);
    const frame = compress(text);
    for (let bit = 0; bit < 8 * frame.length; bit++) {
      const damaged = new Uint8Array(frame);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect([undefined, 700]).toContain(decompress(damaged, 700)?.length);
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(1000), (tail, rawLength) => {
      expect([undefined, rawLength]).toContain(decompress(new Uint8Array([...MAGIC, ...tail]), rawLength)?.length);
    }));
    expect(compareBytes(decompress(frame, 700)!, text)).toBe(0);
  });

  it('refuses a raw length that is no length with a RangeError', () => {
    for (const rawLength of [-1, 1.5, Number.NaN]) expect(() => decompress(compress(new Uint8Array(1)), rawLength)).toThrow(RangeError);
  });
});
