import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isAllZero } from '../../src/base/bytes.ts';
import { AnswerWriter, ReferenceList } from '../../src/engine/answer-writer.ts';
import { ContentCutter, type CutInput } from '../../src/engine/content-cutter.ts';
import { type IngestResult, REFERENCE_CHUNK, REFERENCE_ZEROS } from '../../src/engine/engine.ts';
import { type CutRange, RangeCutter } from '../../src/engine/range-cutter.ts';
import { type PlannedSegment, planSegments, SegmentJoiner } from '../../src/engine/segment-join.ts';
import type { CutParameters } from '../../src/kernel/kernel.ts';
import { createReferenceCutter } from '../../src/kernel/reference-cutter.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const PARAMETERS: CutParameters = { minBytes: 64, averageBytes: 256, maxBytes: 1024 };
const FIXED: CutParameters = { minBytes: 192, averageBytes: 192, maxBytes: 192 };
const gear = new BigUint64Array(new SeededRandom(1).bytes(2048).buffer);
const cutter = new ContentCutter(createReferenceCutter(gear, 8192), PARAMETERS);
const MiB = 1024 * 1024;

interface Content extends CutInput {
  readonly bytes: Uint8Array;
  reads: number;
}

/** Content in memory; `holes` are ranges that it reports as such. */
function contentOf(bytes: Uint8Array, holes: readonly (readonly [number, number])[] = []): Content {
  return {
    bytes,
    size: bytes.length,
    isWhole: true,
    reads: 0,
    read(target, start, length, position) {
      this.reads += length;
      const part = bytes.subarray(position, position + length);
      target.set(part, start);
      return part.length;
    },
    holeEnd: position => holes.find(([from, to]) => from <= position && position < to)?.[1] ?? position,
  };
}

/** Runs one range as an ingest does, with the position of each chunk in place of its hash. */
function runRange(content: CutInput, range: CutRange, parameters = PARAMETERS): IngestResult {
  const answer = new AnswerWriter();
  answer.begin();
  const ranges = new RangeCutter(cutter, {
    chunk(bytes) {
      if (isAllZero(bytes)) answer.zeros(bytes.length, bytes.length);
      else answer.chunk(summary(bytes), bytes.length, 1, REFERENCE_CHUNK);
    },
    zeros: (length, chunkBytes) => answer.zeros(length, chunkBytes),
    discard: () => answer.discardReferences(),
    checkStop: () => undefined,
  });
  const { from, to } = ranges.run(content, parameters, range);
  expect(answer.itemBytes, 'the references cover the range').toBe(to - from);
  answer.endItem(0);
  return answer.finish(from, to);
}

function summary(bytes: Uint8Array): Uint8Array {
  const id = new Uint8Array(32);
  for (let i = 0; i < bytes.length; i++) id[i % 32] = Math.imul(id[i % 32]! + bytes[i]! + 1, 31);
  return id;
}

const runSegment = (content: CutInput, { start, end }: PlannedSegment, size: number, parameters?: CutParameters): IngestResult =>
  runRange(content, { start, end: end === size ? Number.POSITIVE_INFINITY : end, isAligned: start === 0, stopAt: undefined }, parameters);

interface Joined { readonly result: IngestResult; readonly bridges: number; readonly bridgedBytes: number }

/** Joins segments whose results come in the given order. */
function join(content: CutInput, segments: readonly PlannedSegment[], order: readonly number[], size: number, parameters?: CutParameters): Joined {
  const joiner = new SegmentJoiner(segments);
  const waiting = [...order];
  let bridges = 0;
  let bridgedBytes = 0;
  for (;;) {
    const step = joiner.next();
    if (step.kind === 'done') return { result: step.result, bridges, bridgedBytes };
    if (step.kind === 'wait') {
      const index = waiting.shift()!;
      joiner.addSegment(index, runSegment(content, segments[index]!, size, parameters));
    } else {
      const end = step.end === size ? Number.POSITIVE_INFINITY : step.end;
      const bridge = runRange(content, { start: step.start, end, isAligned: true, stopAt: step.stopAt }, parameters);
      joiner.addBridge(bridge);
      bridges++;
      bridgedBytes += bridge.to - bridge.from;
    }
  }
}

const WHOLE: CutRange = { start: 0, end: Number.POSITIVE_INFINITY, isAligned: true, stopAt: undefined };

type Part = readonly ['random' | 'repeated' | 'zeros' | 'hole', number, number];
const part = fc.tuple(fc.constantFrom('random', 'repeated', 'zeros', 'hole'), fc.integer({ min: 1, max: 12_000 }), fc.integer({ min: 1, max: 700 })) as fc.Arbitrary<Part>;

function build(parts: readonly Part[]): Content {
  const holes: [number, number][] = [];
  let at = 0;
  const pieces = parts.map(([kind, length, seed]) => {
    const piece = new Uint8Array(length);
    if (kind === 'random') piece.set(new SeededRandom(seed).bytes(length));
    if (kind === 'repeated') for (let i = 0; i < length; i++) piece[i] = (i % seed) & 255;
    if (kind === 'hole') holes.push([at, at + length]);
    at += length;
    return piece;
  });
  return contentOf(new Uint8Array(Buffer.concat(pieces)), holes);
}

describe('Joined segments', () => {
  test('have exactly the chunks of one serial run, whatever the data, the segments and the order of the results', () => {
    fc.assert(fc.property(
      fc.array(part, { minLength: 1, maxLength: 8 }), fc.integer({ min: 300, max: 9000 }), fc.boolean(), fc.infiniteStream(fc.nat()),
      (parts, segmentBytes, isFixed, shuffle) => {
        const content = build(parts);
        const parameters = isFixed ? FIXED : PARAMETERS;
        const size = content.size;
        const segments = planSegments(size, size, segmentBytes);
        const order = segments.map((_, i) => i);
        for (let i = order.length - 1; i > 0; i--) {
          const j = shuffle.next().value % (i + 1);
          [order[i], order[j]] = [order[j]!, order[i]!];
        }
        const { result } = join(content, segments, order, size, parameters);
        const serial = runRange(content, WHOLE, parameters);
        expect(result.references).toEqual(serial.references);
        expect([result.from, result.to]).toEqual([0, size]);
        expect(result.items).toEqual(serial.items);
      },
    ), { numRuns: 200 });
  });

  test('need a bridge only rarely on random data', () => {
    const content = contentOf(new SeededRandom(5).bytes(2 * MiB));
    const segments = planSegments(content.size, content.size, 32 * 1024);
    const { bridges } = join(content, segments, segments.map((_, i) => i), content.size);
    expect(bridges).toBeLessThan(segments.length / 8);
  });

  test('cross zeros without a bridge for each segment', () => {
    const bytes = new Uint8Array(MiB);
    bytes.set(new SeededRandom(6).bytes(1001));
    bytes.set(new SeededRandom(7).bytes(5003), MiB - 5003);
    const content = contentOf(bytes);
    const segments = planSegments(MiB, MiB, 32 * 1024);
    const { result, bridgedBytes } = join(content, segments, segments.map((_, i) => i), MiB);
    expect(result.references).toEqual(runRange(content, WHOLE).references);
    expect(bridgedBytes).toBeLessThan(MiB / 8);
  });

  test('end where the file ended when it became shorter meanwhile', () => {
    const full = new SeededRandom(8).bytes(60_000);
    const short = contentOf(full.subarray(0, 25_000));
    const segments = planSegments(60_000, 60_000, 10_000);
    const joiner = new SegmentJoiner(segments);
    // The later segments were read before the file shrank.
    for (let i = 0; i < segments.length; i++) joiner.addSegment(i, runSegment(i > 3 ? contentOf(full) : short, segments[i]!, 60_000));
    let step = joiner.next();
    while (step.kind === 'bridge') {
      joiner.addBridge(runRange(short, { start: step.start, end: step.end, isAligned: true, stopAt: step.stopAt }));
      step = joiner.next();
    }
    expect(step).toMatchObject({ kind: 'done', result: { to: 25_000 } });
    expect(step.kind === 'done' && step.result.references).toEqual(runRange(short, WHOLE).references);
  });

  test('take the bytes that were added when the file grew', () => {
    const bytes = new SeededRandom(9).bytes(70_000);
    const content = contentOf(bytes);
    const segments = planSegments(60_000, 60_000, 10_000);
    const { result } = join(content, segments, segments.map((_, i) => i), 60_000);
    expect(result.references).toEqual(runRange(content, WHOLE).references);
  });

  test('fail when a segment could not be read', () => {
    const content = contentOf(new SeededRandom(10).bytes(40_000));
    const segments = planSegments(40_000, 40_000, 10_000);
    const joiner = new SegmentJoiner(segments);
    const failed = new AnswerWriter();
    failed.begin();
    failed.failItem(13);
    segments.forEach((segment, i) => joiner.addSegment(i, i === 1 ? failed.finish(segment.start, segment.start) : runSegment(content, segment, 40_000)));
    const step = joiner.next();
    expect(step.kind === 'done' && new DataView(step.result.items.buffer).getUint32(0, true)).toBe(13);
    expect(step).toMatchObject({ kind: 'done', result: { references: new Uint8Array(0), from: 0, to: 0 } });
  });

  test('keep the damage of the parts that are used, and only that', () => {
    const content = contentOf(new SeededRandom(11).bytes(20_000));
    const segments = planSegments(20_000, 20_000, 10_000);
    const joiner = new SegmentJoiner(segments);
    const damaged = (i: number, ranges: readonly (readonly [number, number])[]): IngestResult =>
      ({ ...runSegment(content, segments[i]!, 20_000), damage: ranges.map(([offset, length]) => ({ item: 0, offset, length, errno: 5 })) });
    const first = damaged(0, [[100, 50]]);
    joiner.addSegment(0, first);
    joiner.addSegment(1, damaged(1, [[first.to - 60, 100], [19_000, 10]]));
    const step = joiner.next();
    expect(step.kind === 'done' && step.result.damage).toEqual([
      { item: 0, offset: 100, length: 50, errno: 5 }, { item: 0, offset: first.to, length: 40, errno: 5 }, { item: 0, offset: 19_000, length: 10, errno: 5 },
    ]);
  });
});

describe('A range cutter', () => {
  test('reads nothing of large holes', () => {
    const bytes = new Uint8Array(4 * MiB);
    bytes.set(new SeededRandom(12).bytes(3000));
    const content = contentOf(bytes, [[4096, 4 * MiB]]);
    const { references } = runRange(content, WHOLE);
    expect(content.reads).toBeLessThan(20_000);
    const last = new ReferenceList(references).count - 1;
    expect(new ReferenceList(references).kind(last)).toBe(REFERENCE_ZEROS);
  });

  test('gives the same references for holes as for zeros that were read', () => {
    fc.assert(fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), parts => {
      const sparse = build(parts);
      expect(runRange(sparse, WHOLE).references).toEqual(runRange(contentOf(sparse.bytes), WHOLE).references);
    }));
  });
});

describe('The plan of segments', () => {
  test('tiles the file', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 2 ** 45 }), fc.nat(2 ** 40), (size, allocated) => {
      fc.pre(size / Math.max(1, allocated) > 1000 || size < 2 ** 37);
      const segments = planSegments(size, allocated);
      expect(segments[0]!.start).toBe(0);
      expect(segments.at(-1)!.end).toBe(size);
      for (let i = 1; i < segments.length; i++) expect(segments[i]!.start).toBe(segments[i - 1]!.end);
    }));
  });

  test('has few segments for a sparse file of 1 TiB', () => expect(planSegments(2 ** 40, MiB).length).toBeLessThan(64));
});
