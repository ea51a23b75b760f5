import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareBytes, concatBytes, equalBytes, toHex, viewOf } from '../../src/base/bytes.ts';
import { FRAME_RECORD_BYTES } from '../../src/format/frame.ts';
import type { PackId, SegmentId } from '../../src/format/ids.ts';
import { parseSessionId } from '../../src/format/ids.ts';
import { decodeIndexSegment, encodeIndexSegment, type PackContent, SEGMENT_CHUNK_BYTES, unpackSegment } from '../../src/format/index-segment.ts';
import { chunkRecord, decodeHostile, expectKind, mutations, packIds, seeded, u32s } from './samples.ts';

const TABLE_BYTES = 4096 + 16;

/** A pack whose frames hold chunks of the given lengths, stored in the given order. */
function makePack(id: PackId, frames: readonly (readonly number[])[], chunkIdOf: (n: number) => Uint8Array, order: readonly number[] = frames.map((_, i) => i)): PackContent {
  const records = new Uint8Array(FRAME_RECORD_BYTES * frames.length);
  const view = viewOf(records);
  let offset = 64 + TABLE_BYTES;
  for (const number of order) {
    const raw = frames[number]!.reduce((sum, length) => sum + length, 0);
    const isPadding = frames[number]!.length === 0;
    const at = number * FRAME_RECORD_BYTES;
    view.setUint32(at, offset, true);
    view.setUint32(at + 4, (isPadding ? 100 : raw) + 16, true);
    view.setUint32(at + 8, isPadding ? 100 : raw, true);
    view.setUint16(at + 12, frames[number]!.length, true);
    view.setUint8(at + 15, isPadding ? 1 : 0);
    offset += (isPadding ? 100 : raw) + 16;
  }
  const lengths = frames.flat();
  return {
    id, sessionId: parseSessionId('5e'.repeat(16)), type: 'data', suite: 1, epoch: 3, sizeBytes: offset + TABLE_BYTES + 80, chunkCount: lengths.length,
    frames: records, chunks: concatBytes(lengths.map((length, n) => chunkRecord(chunkIdOf(n), length))),
  };
}

const frameLists = fc.array(fc.oneof({ weight: 1, arbitrary: fc.constant([]) }, { weight: 9, arbitrary: fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 5 }) }), { minLength: 1, maxLength: 6 });

/** Packs with distinct IDs; chunk IDs come from a small set, so that packs share chunks and prefixes. */
const packLists: fc.Arbitrary<PackContent[]> = fc.uniqueArray(packIds, { maxLength: 4 }).chain(ids => fc.tuple(...ids.map((id, i) =>
  fc.tuple(frameLists, u32s, fc.boolean()).map(([frames, seed, isReversed]) => makePack(
    id, frames, n => seeded(`chunk ${(n + (seed % 7)) % 11} ${i % 2}`, 32), isReversed ? frames.map((_, f) => frames.length - 1 - f) : undefined,
  )))));

const sampleId = (name: string): PackId => toHex(seeded(name, 16)) as PackId;
const samplePacks = (): PackContent[] => [
  makePack(sampleId('one'), [[1000], [10, 20, 30], []], n => seeded(`a${n}`, 32), [1, 0, 2]),
  makePack(sampleId('two'), [[500], [700]], n => seeded(`b${n}`, 32)),
];
const superseded = ['11'.repeat(16), '22'.repeat(16)] as SegmentId[];

describe('index segment', () => {
  it('lists the packs as they were given, with chunks sorted by ID, pack, frame and offset', () => {
    fc.assert(fc.property(packLists, packs => {
      const segment = decodeIndexSegment(encodeIndexSegment(superseded, packs));
      expect(segment.supersedes).toEqual(superseded);
      expect(segment.packs).toEqual(packs.map(({ chunks: _, ...pack }) => pack));
      const records = Array.from({ length: segment.chunks.length / SEGMENT_CHUNK_BYTES }, (_, i) => segment.chunks.subarray(i * SEGMENT_CHUNK_BYTES, (i + 1) * SEGMENT_CHUNK_BYTES));
      const keyOf = (record: Uint8Array): Uint8Array => concatBytes([record.subarray(0, 32), ...[32, 36, 40].map(at => record.slice(at, at + 4).reverse())]);
      for (let i = 1; i < records.length; i++) expect(compareBytes(keyOf(records[i - 1]!), keyOf(records[i]!))).toBeLessThan(0);
    }), { numRuns: 50 });
  });

  it('gives back every pack with its chunks in frame order', () => {
    fc.assert(fc.property(packLists, packs => {
      const contents = unpackSegment(decodeIndexSegment(encodeIndexSegment([], packs)));
      expect(contents).toEqual(packs);
    }), { numRuns: 50 });
  });

  it('sorts IDs with equal first 32 bits by the rest', () => {
    const idOf = (n: number): Uint8Array => Uint8Array.of(...new Uint8Array(30), 255 - n, 9);
    const segment = decodeIndexSegment(encodeIndexSegment([], [makePack(sampleId('one'), Array.from({ length: 50 }, () => [5]), idOf)]));
    const order = Array.from({ length: 50 }, (_, i) => segment.chunks[i * SEGMENT_CHUNK_BYTES + 30]);
    expect(order).toEqual(Array.from({ length: 50 }, (_, i) => 206 + i));
  });

  const payload = encodeIndexSegment(superseded, samplePacks());
  const packAt = (ordinal: number, field: number): number => 24 + 32 + 64 * ordinal + field;
  const frameAt = (frame: number, field: number): number => packAt(2, 0) + 16 * frame + field;
  const chunkAt = (chunk: number, field: number): number => frameAt(5, 0) + 48 * chunk + field;
  const decodeChanged = (change: (view: DataView) => void): unknown => {
    const bytes = payload.slice();
    change(viewOf(bytes));
    return decodeIndexSegment(bytes);
  };

  it('that names a frame, an offset or a pack that does not exist is refused (fault 49)', () => {
    decodeChanged(() => undefined);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 32), 2, true)), 'corrupt', /pack that is not listed/);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 36), 3, true)), 'corrupt', /does not have/);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 36), 2 ** 32 - 1, true)), 'corrupt', /frame/);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 40), 5000, true)), 'corrupt', /outside/);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 44), 2 ** 32 - 1, true)), 'corrupt', /outside/);
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(0, 44), 0, true)), 'corrupt', /outside/);
  });

  it('whose chunks are out of order, or do not fill their frames, is refused', () => {
    expectKind(() => decodeChanged(view => view.setUint8(chunkAt(0, 0), 0xff)), 'corrupt', /order/);
    const last = 5;
    expectKind(() => decodeChanged(view => view.setUint32(chunkAt(last, 44), view.getUint32(chunkAt(last, 44), true) - 1, true)), 'corrupt', /fill/);
    const twice = concatBytes([payload.subarray(0, chunkAt(1, 0)), payload.subarray(chunkAt(0, 0), chunkAt(1, 0)), payload.subarray(chunkAt(1, 0))]);
    viewOf(twice).setUint32(16, 7, true);
    expectKind(() => decodeIndexSegment(twice), 'corrupt');
  });

  it('whose frames overlap or leave a gap in their pack is refused (fault 45)', () => {
    expectKind(() => decodeChanged(view => view.setUint32(frameAt(0, 0), view.getUint32(frameAt(0, 0), true) + 1, true)), 'corrupt');
    expectKind(() => decodeChanged(view => view.setUint32(packAt(0, 32), view.getUint32(packAt(0, 32), true) + 1, true)), 'corrupt');
    expectKind(() => decodeChanged(view => view.setUint32(frameAt(0, 0), 10, true)), 'corrupt', /in the header/);
  });

  it('with counts that do not fit its length is refused before it allocates (fault 38)', () => {
    for (const at of [4, 8, 12, 16]) for (const value of [0, 1_000_000, 2 ** 32 - 1]) {
      expectKind(() => decodeChanged(view => view.setUint32(at, value, true)), 'corrupt');
    }
    expectKind(() => decodeChanged(view => view.setUint32(packAt(0, 52), 2 ** 32 - 1, true)), 'corrupt');
    expectKind(() => decodeChanged(view => view.setUint32(packAt(1, 48), 0, true)), 'corrupt', /not in the list/);
    const spareFrame = concatBytes([payload.subarray(0, chunkAt(0, 0)), payload.subarray(frameAt(4, 0), chunkAt(0, 0)), payload.subarray(chunkAt(0, 0))]);
    viewOf(spareFrame).setUint32(12, 6, true);
    expectKind(() => decodeIndexSegment(spareFrame), 'corrupt', /without a pack/);
    expectKind(() => decodeChanged(view => view.setUint32(packAt(0, 56), 5, true)), 'corrupt');
    expectKind(() => decodeIndexSegment(payload.subarray(0, 23)), 'corrupt');
    expectKind(() => decodeIndexSegment(payload.subarray(0, payload.length - 1)), 'corrupt');
  });

  it('that lists a pack or a superseded segment twice is refused', () => {
    const [one] = samplePacks();
    expectKind(() => decodeIndexSegment(encodeIndexSegment([], [one!, one!])), 'corrupt', /twice/);
    expectKind(() => decodeIndexSegment(encodeIndexSegment([superseded[0]!, superseded[0]!], [])), 'corrupt', /twice/);
  });

  it('of an unknown version, suite, pack type or codec is unsupported (fault 52)', () => {
    expectKind(() => decodeChanged(view => view.setUint32(0, 2, true)), 'unsupported');
    expectKind(() => decodeChanged(view => view.setUint8(packAt(0, 44), 3)), 'unsupported');
    expectKind(() => decodeChanged(view => view.setUint8(packAt(0, 45), 3)), 'unsupported');
    expectKind(() => decodeChanged(view => view.setUint8(frameAt(0, 14), 2)), 'unsupported');
  });

  it('with reserved bytes, epoch 0 or an impossible pack size is refused', () => {
    for (const at of [20, packAt(0, 46), packAt(0, 60)]) expectKind(() => decodeChanged(view => view.setUint8(at, 1)), 'corrupt', /reserved/);
    expectKind(() => decodeChanged(view => view.setUint32(packAt(0, 40), 0, true)), 'corrupt');
    expectKind(() => decodeChanged(view => view.setUint32(packAt(0, 36), 2 ** 31, true)), 'corrupt');
  });

  it('may hold one chunk twice in one pack, as a rebuilt index of such a pack does (fault 21)', () => {
    const packs = [makePack(sampleId('one'), [[9], [9, 9]], () => seeded('same', 32))];
    const segment = decodeIndexSegment(encodeIndexSegment([], packs));
    expect(segment.chunks).toHaveLength(3 * 48);
    expect(unpackSegment(segment)).toEqual(packs);
  });

  it('whose chunks overlap inside a frame is refused when it is taken apart', () => {
    const pack = makePack(sampleId('one'), [[100, 100]], n => seeded(`a${n}`, 32));
    const bytes = encodeIndexSegment([], [pack]);
    const view = viewOf(bytes);
    const at = 24 + 64 + 16;
    for (const record of [at, at + 48]) view.setUint32(record + 40, 50, true);
    expectKind(() => unpackSegment(decodeIndexSegment(bytes)), 'corrupt', /tile/);
  });

  it('beyond its limits is not written', () => {
    const [one] = samplePacks();
    expect(() => encodeIndexSegment([], [{ ...one!, chunkCount: 3 }])).toThrow(/number disagree/);
    expect(() => encodeIndexSegment([], [{ ...one!, chunkCount: 5, chunks: concatBytes([one!.chunks, new Uint8Array(36)]) }])).toThrow(/records disagree/);
    expect(() => encodeIndexSegment([], [{ ...one!, chunkCount: 1_048_577, chunks: new Uint8Array(0) }])).toThrow(/1048577 chunks/);
  });

  it('survives arbitrary changes and arbitrary bytes, and what it accepts is whole (fuzz)', () => {
    const run = (bytes: Uint8Array): void => {
      const segment = decodeHostile(() => decodeIndexSegment(bytes));
      if (segment === undefined) return;
      const contents = decodeHostile(() => unpackSegment(segment));
      if (contents !== undefined) expect(equalBytes(encodeIndexSegment(segment.supersedes, contents), bytes)).toBe(true);
    };
    fc.assert(fc.property(mutations(payload), run), { numRuns: 600 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), run), { numRuns: 200 });
  });
});
