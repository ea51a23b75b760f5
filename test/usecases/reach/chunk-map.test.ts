import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../../src/base/bytes.ts';
import type { PackRecord } from '../../../src/cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../../../src/format/frame.ts';
import { ChunkMap } from '../../../src/usecases/reach/chunk-map.ts';

/** Packs of frames with these chunk lengths. */
function indexOf(packs: readonly (readonly (readonly number[])[])[]): { pack(number: number): PackRecord | undefined } {
  const records = packs.map(frames => {
    const packed = new Uint8Array(frames.length * FRAME_RECORD_BYTES);
    frames.forEach((lengths, i) => viewOf(packed).setUint16(i * FRAME_RECORD_BYTES + 12, lengths.length, true));
    return { frames: packed } as unknown as PackRecord;
  });
  return { pack: number => records[number - 1] };
}

describe('a chunk map', () => {
  test('keeps the values of all chunks apart', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 3000 }), { maxLength: 40 });
    fc.assert(fc.property(fc.array(fc.array(lengths, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 }), fc.infiniteStream(fc.nat(65_535)), (packs, values) => {
      const map = new ChunkMap(indexOf(packs));
      const model: [pack: number, frame: number, offset: number, value: number][] = [];
      packs.forEach((frames, p) => frames.forEach((chunks, frame) => {
        let offset = 0;
        for (const length of chunks) {
          model.push([p + 1, frame, offset, values.next().value as number]);
          offset += length;
        }
      }));
      for (const [pack, frame, offset] of model) expect(map.get({ pack, frame, offset, length: 1 })).toBe(0);
      for (const [pack, frame, offset, value] of model.toReversed()) map.set({ pack, frame, offset, length: 1 }, value);
      for (const [pack, frame, offset, value] of model) expect(map.get({ pack, frame, offset, length: 1 })).toBe(value);
    }), { numRuns: 40 });
  });

  test('knows the packs that it was asked about', () => {
    const map = new ChunkMap(indexOf([[[1]], [[1]], [[1]]]));
    map.get({ pack: 3, frame: 0, offset: 0, length: 1 });
    map.set({ pack: 1, frame: 0, offset: 0, length: 1 }, 5);
    expect([...map.packs()]).toEqual([3, 1]);
  });

  test('notices an index that names more chunks than a frame has', () => {
    const map = new ChunkMap(indexOf([[[1, 1]]]));
    map.set({ pack: 1, frame: 0, offset: 0, length: 1 }, 1);
    map.set({ pack: 1, frame: 0, offset: 1, length: 1 }, 2);
    expect(() => map.get({ pack: 1, frame: 0, offset: 2, length: 1 })).toThrow(expect.objectContaining({ code: 'INTERNAL' }));
  });
});
