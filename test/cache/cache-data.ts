/** Made-up packs and index segments for the tests of the cache. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { concatBytes, viewOf, type Bytes } from '../../src/base/bytes.ts';
import { systemRandom, type Clock } from '../../src/base/ambient.ts';
import type { PackRecord, SegmentContent } from '../../src/cache/cache.ts';
import { chunkIdFromBytes, packIdFromBytes, parseRepositoryId, segmentIdFromBytes, type ChunkId, type PackId, type SegmentId } from '../../src/format/ids.ts';

export const REPOSITORY = parseRepositoryId('ab'.repeat(16));
export const OTHER_REPOSITORY = parseRepositoryId('cd'.repeat(16));

export const randomChunkId = (): ChunkId => chunkIdFromBytes(systemRandom.bytes(32));
export const randomPackId = (): PackId => packIdFromBytes(systemRandom.bytes(16));
export const randomSegmentId = (): SegmentId => segmentIdFromBytes(systemRandom.bytes(16));

export interface MadePack {
  readonly id: PackId;
  readonly type: 'data' | 'tree';
  readonly chunks: readonly ChunkId[];
}

export function makePack(chunks: number | readonly ChunkId[], type: 'data' | 'tree' = 'data'): MadePack {
  return { id: randomPackId(), type, chunks: typeof chunks === 'number' ? Array.from({ length: chunks }, randomChunkId) : chunks };
}

/** Chunk i of a pack lies in frame i >> 2 at offset 1000 * (i & 3) and has 500 + i bytes. */
export function makeSegment(packs: readonly MadePack[], supersedes: readonly SegmentId[] = [], id: SegmentId = randomSegmentId()): SegmentContent {
  const records = packs.flatMap((pack, ordinal) => pack.chunks.map((chunk, i) => chunkRecord(chunk, ordinal, i)));
  records.sort((a, b) => Buffer.compare(a.subarray(0, 32), b.subarray(0, 32)) || viewOf(a).getUint32(32, true) - viewOf(b).getUint32(32, true));
  return { id, supersedes, packs: packs.map(packOf), chunks: concatBytes(records) };
}

export function packOf(pack: MadePack): Omit<PackRecord, 'number'> {
  const frames = new Uint8Array(16 * Math.ceil(pack.chunks.length / 4)).fill(pack.chunks.length);
  return {
    id: pack.id, sessionId: '5e'.repeat(16), type: pack.type, suite: 2, epoch: 7, sizeBytes: 5_000_000_000 + pack.chunks.length, chunkCount: pack.chunks.length, frames,
  };
}

export function chunkRecord(chunk: Bytes, ordinal: number, i: number): Uint8Array {
  const record = new Uint8Array(48);
  const view = viewOf(record);
  record.set(chunk);
  [ordinal, i >> 2, 1000 * (i & 3), 500 + i].forEach((value, field) => view.setUint32(32 + 4 * field, value, true));
  return record;
}

/** A folder for the duration of one test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'snap-cache-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface TestClock extends Clock {
  nowMs: number;
  /** Called at every `sleep`; throws to end the work there, as a crash would. */
  onSleep: () => void;
}

export function testClock(): TestClock {
  return {
    nowMs: 1_700_000_000_000,
    onSleep: () => undefined,
    now() { return this.nowMs; },
    nowPair() { return [Math.floor(this.nowMs / 1000), 0]; },
    monotonic() { return this.nowMs; },
    async sleep() { this.onSleep(); },
    every: () => () => undefined,
  };
}
