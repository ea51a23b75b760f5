import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { viewOf } from '../../../src/base/bytes.ts';
import type { PackRecord } from '../../../src/cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../../../src/format/frame.ts';
import { MAX_GAP_BYTES, MAX_READ_BYTES, MAX_READ_CONTENT_BYTES } from '../../../src/usecases/reading/frame-loader.ts';
import { NOWHERE, planReads, RestoreWindow, ZEROS } from '../../../src/usecases/restore/restore-plan.ts';

interface Frame {
  readonly offset: number;
  readonly storedLength: number;
  readonly rawLength: number;
}

/** Frames of these stored lengths with these gaps in front, stored in an order that is not that of their numbers. */
function makePack(number: number, parts: readonly { readonly gap: number; readonly stored: number; readonly raw: number }[]): { record: PackRecord; frames: Frame[] } {
  const order = parts.map((_, i) => (i * 7 + 3) % parts.length).filter((each, i, all) => all.indexOf(each) === i);
  const places = order.length === parts.length ? order : parts.map((_, i) => i);
  const frames: Frame[] = new Array(parts.length);
  let offset = 4096;
  for (const i of places) {
    const { gap, stored, raw } = parts[i]!;
    offset += gap;
    frames[i] = { offset, storedLength: stored, rawLength: raw };
    offset += stored;
  }
  const packed = new Uint8Array(parts.length * FRAME_RECORD_BYTES);
  frames.forEach((frame, i) => {
    const view = viewOf(packed);
    view.setUint32(i * FRAME_RECORD_BYTES, frame.offset, true);
    view.setUint32(i * FRAME_RECORD_BYTES + 4, frame.storedLength, true);
    view.setUint32(i * FRAME_RECORD_BYTES + 8, frame.rawLength, true);
  });
  return { record: { number, type: 'data', frames: packed } as unknown as PackRecord, frames };
}

const part = fc.record({ gap: fc.integer({ min: 0, max: 900_000 }), stored: fc.integer({ min: 17, max: 2_000_000 }), raw: fc.integer({ min: 1, max: 3_000_000 }) });
const id = new Uint8Array(32) as never;

describe('the plan of reads', () => {
  test('gives every reference to exactly one frame, the one that it names', () => {
    fc.assert(fc.property(
      fc.array(fc.array(part, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.tuple(fc.nat(3), fc.nat(11)), { maxLength: 120 }),
      (packParts, wanted) => {
        const packs = packParts.map((parts, i) => makePack(1000 * i + 7, parts));
        const window = new RestoreWindow(256);
        wanted.forEach(([pack, frame], i) => {
          const { record, frames } = packs[pack % packs.length]!;
          window.add(i, i, 10, id, { pack: record.number, frame: frame % frames.length, offset: 0, length: 10 });
        });
        const { reads, zeros, nowhere } = planReads(window, number => packs.find(({ record }) => record.number === number)?.record);
        expect([zeros, nowhere]).toEqual([[], []]);
        const seen: number[] = [];
        const opened = new Set<string>();
        for (const { pack, frames, references, starts } of reads) {
          const known = packs.find(({ record }) => record.number === pack)!.frames;
          const places = frames.map(frame => known[frame]!);
          const start = places[0]!.offset;
          const end = places.at(-1)!.offset + places.at(-1)!.storedLength;
          expect(starts).toHaveLength(frames.length + 1);
          if (frames.length > 1) {
            expect(end - start).toBeLessThanOrEqual(MAX_READ_BYTES);
            expect(places.reduce((sum, { rawLength }) => sum + rawLength, 0)).toBeLessThanOrEqual(MAX_READ_CONTENT_BYTES);
          }
          frames.forEach((frame, k) => {
            expect(opened.has(`${pack}/${frame}`)).toBe(false);
            opened.add(`${pack}/${frame}`);
            if (k > 0) {
              const gap = places[k]!.offset - places[k - 1]!.offset - places[k - 1]!.storedLength;
              expect(gap).toBeGreaterThanOrEqual(0);
              expect(gap).toBeLessThanOrEqual(MAX_GAP_BYTES);
            }
            const own = [...references.subarray(starts[k]!, starts[k + 1]!)];
            expect(own).toEqual(own.toSorted((a, b) => a - b));
            for (const i of own) expect([window.packs[i], window.frames[i]]).toEqual([pack, frame]);
            seen.push(...own);
          });
        }
        expect(seen.toSorted((a, b) => a - b)).toEqual(wanted.map((_, i) => i));
      },
    ));
  });

  test('sets zeros, unknown packs and unknown frames aside', () => {
    const { record } = makePack(5, [{ gap: 0, stored: 100, raw: 200 }]);
    const window = new RestoreWindow(8);
    window.add(0, 0, 2 ** 40, undefined, undefined);
    window.add(0, 2 ** 40, 10, id, undefined);
    window.add(0, 0, 10, id, { pack: 6, frame: 0, offset: 0, length: 10 });
    window.add(0, 0, 10, id, { pack: 5, frame: 1, offset: 0, length: 10 });
    window.add(0, 0, 10, id, { pack: 5, frame: 0, offset: 0, length: 10 });
    expect([window.packs[0], window.packs[1], window.lengths[0]]).toEqual([ZEROS, NOWHERE, 2 ** 40]);
    const plan = planReads(window, number => (number === 5 ? record : undefined));
    expect(plan.zeros).toEqual([0]);
    expect(plan.nowhere).toEqual([1, 2, 3]);
    expect(plan.reads).toMatchObject([{ pack: 5, frames: [0], starts: [0, 1] }]);
    expect([...plan.reads[0]!.references]).toEqual([4]);
  });

  test('of an empty window is empty', () => {
    expect(planReads(new RestoreWindow(4), () => undefined)).toEqual({ reads: [], zeros: [], nowhere: [] });
  });
});
