import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { STAT_RECORD_BYTES } from '../../src/base/native-filesystem.ts';
import { AbortWatch } from '../../src/engine/abort-watch.ts';
import type { IngestBatch } from '../../src/engine/engine.ts';
import { decodeError, encodeError, moveGrant, type Parcel, parcelExtract, parcelFrames, parcelIngest, parcelReply, releaseRequest } from '../../src/engine/messages.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(1);
/** A view of a larger buffer, as slices of a walk or of a pack are. */
const part = (length: number): Uint8Array<ArrayBuffer> => random.bytes(length + 5000).subarray(100, 100 + length);

/** All byte arrays in a message. */
function arraysIn(value: unknown): Uint8Array[] {
  if (ArrayBuffer.isView(value)) return value instanceof Uint8Array ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(arraysIn);
}

/** Sends a parcel as a port does; returns what arrives. */
function send<M>({ message, transfer }: Parcel<M>): M {
  return structuredClone(message, { transfer: transfer as ArrayBuffer[] });
}

function expectMoved<M>(parcel: Parcel<M>): M {
  const before = arraysIn(parcel.message).map(bytes => bytes.slice());
  const held = new Set(arraysIn(parcel.message).map(bytes => bytes.buffer));
  expect([...held].reduce((sum, buffer) => sum + buffer.byteLength, 0), 'the memory holds nothing else').toBe(before.reduce((sum, bytes) => sum + bytes.length, 0));
  const arrived = send(parcel);
  for (const bytes of arraysIn(parcel.message)) expect(bytes.buffer.byteLength, 'the sender is left with nothing').toBe(0);
  expect(arraysIn(arrived).map(bytes => bytes.slice())).toEqual(before);
  return arrived;
}

const BATCHES: readonly (readonly [string, IngestBatch])[] = [
  ['files', {
    kind: 'files', sizeBytes: 9, groups: [1, 2].map(count => ({ directory: part(20), names: part(8 * count), stats: part(count * STAT_RECORD_BYTES), count })),
  }],
  ['segment', { kind: 'segment', sizeBytes: 9, segment: { directory: part(20), name: part(8), stat: part(STAT_RECORD_BYTES), start: 5, end: 2 ** 40 } }],
  ['bridge', {
    kind: 'segment', sizeBytes: 9,
    segment: { directory: part(20), name: part(8), stat: part(STAT_RECORD_BYTES), start: 5, end: 9, stopAt: Float64Array.of(6, 2 ** 41).subarray(1) },
  }],
  ['piece of a stream in memory of its own', { kind: 'stream', sizeBytes: 9, piece: { stream: 3, bytes: random.bytes(700), isLast: false } }],
  ['piece of a stream in pooled memory', { kind: 'stream', sizeBytes: 9, piece: { stream: 3, bytes: part(700), isLast: true } }],
];

describe('Every transferred buffer is owned by its message alone', () => {
  test.each(BATCHES)('in a batch: %s', (_, batch) => {
    const copy = structuredClone(batch);
    const arrived = expectMoved(parcelIngest(1, batch, []));
    expect(arrived).toEqual({ kind: 'ingest', slot: 1, batch: copy, grants: [] });
  });

  test('in frames to open', () => {
    const frames = [1, 2].map(frame => ({ frame, stored: part(900), rawLength: 5, codec: 1, flags: 0, chunks: part(72) }));
    const batch = { suite: 1, frameKey: part(32), framePrefix: part(76), type: 'tree', frames, wantsContent: true } as const;
    const copy = structuredClone(batch);
    expect(expectMoved(parcelExtract(0, batch))).toEqual({ kind: 'extract', slot: 0, batch: copy });
    expect(batch.frames[0]!.stored.length, 'the caller keeps its range').toBe(900);
  });

  test('and given back when its request is answered', () => {
    const frames = [1, 2].map(frame => ({ frame, stored: part(20_000), rawLength: 5, codec: 1, flags: 0, chunks: part(72) }));
    const toOpen = { suite: 1, frameKey: part(32), framePrefix: part(76), type: 'data', frames, wantsContent: true } as const;
    const stats = part(500 * STAT_RECORD_BYTES);
    const files: IngestBatch = { kind: 'files', sizeBytes: 9, groups: [{ directory: part(20), names: part(900), stats, count: 500 }] };
    const piece: IngestBatch = { kind: 'stream', sizeBytes: 9, piece: { stream: 3, bytes: random.bytes(50_000), isLast: false } };
    for (const parcel of [parcelExtract(0, toOpen), parcelIngest(0, files, []), parcelIngest(0, piece, [])]) {
      const request = send(parcel);
      releaseRequest(request);
      for (const bytes of arraysIn(request)) expect(bytes.buffer.byteLength).toBe(0);
    }
  });

  test('in sealed frames', () => {
    const frames = [1, 2].map(frame => ({ pack: 1, frame, stored: random.bytes(900), rawLength: 5, codec: 1, chunks: random.bytes(36) }));
    expectMoved(parcelFrames(frames));
  });

  test('in replies', () => {
    expectMoved(parcelReply(1, { kind: 'ingested', grantsTaken: 1, result: { items: random.bytes(24), references: random.bytes(96), from: 0, to: 0, damage: [] } }));
    expectMoved(parcelReply(1, { kind: 'extracted', frames: [{ content: random.bytes(50), verdict: 'ok' }, { content: undefined, verdict: [1] }] }));
  });
});

describe('Messages', () => {
  test('carry the facts of an error', () => {
    const error = new SnapError('INTERNAL', 'Broken', { hint: 'Do this', context: { pack: 3 } });
    const arrived = decodeError(structuredClone(encodeError(error)));
    expect(arrived).toMatchObject({ code: 'INTERNAL', kind: 'internal', message: 'Broken', hint: 'Do this', context: { pack: 3 } });
    expect((arrived.cause as Error).stack).toBe(error.stack);
    expect(decodeError(structuredClone(encodeError(new TypeError('odd'))))).toMatchObject({ code: 'INTERNAL', message: 'A worker thread failed: TypeError: odd' });
  });

  test('move a grant and leave no key behind', () => {
    const grant = { pack: 1, suite: 1, frameKey: part(32), framePrefix: part(76) } as const;
    const key = grant.frameKey.slice();
    const moved = moveGrant(grant);
    expect(moved.frameKey).toEqual(key);
    expect(moved.frameKey.buffer.byteLength).toBe(32);
    expect(grant.frameKey).toEqual(new Uint8Array(32));
  });
});

describe('An abort watch', () => {
  test('calls everybody who waits, with one listener on the signal', () => {
    const controller = new AbortController();
    const added: string[] = [];
    const listen = controller.signal.addEventListener.bind(controller.signal);
    controller.signal.addEventListener = ((...call: Parameters<typeof listen>) => (added.push(call[0]), listen(...call))) as typeof listen;
    const watch = new AbortWatch();
    const called: number[] = [];
    const forgets = Array.from({ length: 50 }, (_, i) => watch.add(controller.signal, () => called.push(i)));
    forgets[7]!();
    controller.abort();
    expect(called).toEqual(Array.from({ length: 50 }, (_, i) => i).filter(i => i !== 7));
    expect(added).toEqual(['abort']);
  });

  test('leaves no listener behind', () => {
    const controller = new AbortController();
    const watch = new AbortWatch();
    let calls = 0;
    watch.add(controller.signal, () => calls++)();
    watch.add(undefined, () => calls++)();
    controller.abort();
    expect(calls).toBe(0);
  });
});
