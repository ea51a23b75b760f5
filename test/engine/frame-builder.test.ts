import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FrameBuilder, needsOwnFrame } from '../../src/engine/frame-builder.ts';
import { findWrongChunks, FRAME_CHUNK_BYTES } from '../../src/engine/frame-chunks.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const KiB = 1024;
const hasher = createFastKernel().createHasher(new Uint8Array(32));

describe('The frame builder', () => {
  test('gives a frame of its own to a chunk of 128 KiB and more', () => {
    expect([128 * KiB - 1, 128 * KiB, 128 * KiB + 1].map(needsOwnFrame)).toEqual([false, true, true]);
  });

  test('takes up to 256 KiB', () => {
    const builder = new FrameBuilder();
    builder.add(new Uint8Array(32), new Uint8Array(100 * KiB));
    builder.add(new Uint8Array(32), new Uint8Array(100 * KiB));
    expect([56 * KiB, 56 * KiB + 1].map(length => builder.fits(length))).toEqual([true, false]);
  });

  test('takes up to 4,096 chunks', () => {
    const builder = new FrameBuilder();
    for (let i = 0; i < 4096; i++) {
      expect(builder.fits(1)).toBe(true);
      builder.add(new Uint8Array(32), Uint8Array.of(i));
    }
    expect(builder.fits(1)).toBe(false);
    expect(builder.chunkCount).toBe(4096);
  });

  test('is large enough to be closed at the end of a directory from 128 KiB on', () => {
    const builder = new FrameBuilder();
    builder.add(new Uint8Array(32), new Uint8Array(100 * KiB));
    expect(builder.isLargeEnough()).toBe(false);
    builder.add(new Uint8Array(32), new Uint8Array(28 * KiB));
    expect(builder.isLargeEnough()).toBe(true);
  });

  test('lists chunks that tile its plaintext, and can be used again', () => {
    const builder = new FrameBuilder();
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 60 }), lengths => {
      builder.clear();
      expect(builder.isEmpty).toBe(true);
      const chunks = lengths.map((length, i) => new SeededRandom(i).bytes(length));
      for (const chunk of chunks) builder.add(hasher.hash(chunk), chunk);
      expect(Buffer.compare(builder.plaintext, Buffer.concat(chunks))).toBe(0);
      expect(builder.copyChunks().length).toBe(lengths.length * FRAME_CHUNK_BYTES);
      expect(findWrongChunks(hasher, builder.plaintext, builder.copyChunks())).toEqual([]);
      expect(findWrongChunks(hasher, builder.plaintext.subarray(1), builder.copyChunks())).toContain(lengths.length - 1);
    }), { numRuns: 50 });
  });
});
