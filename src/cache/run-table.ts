/**
 * Runs of the chunk index in LMDB: which exist, their numbers, and the removal of what no longer belongs to one.
 *
 * A run of n records is cut by the leading bits of the chunk IDs into buckets of about 68 records, so that nearly every
 * bucket fits one page of 4 KiB. The run table, one value, is the authority: buckets of other runs are waste. A run that
 * grows over several transactions, and a run that was replaced, stand in the list of unlisted runs, by which a crash is
 * cleaned up.
 */
import type { Clock } from '../base/ambient.ts';
import { viewOf } from '../base/bytes.ts';
import { bucketOf } from './chunk-record.ts';
import { filterBlocks, FILTER_BLOCK_BYTES } from './bloom.ts';
import { getNumber, putNumber } from './lmdb-environment.ts';
import { KEY_SPACE, metaKey, numberKey } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';

export interface Run {
  /** From 1, never used again. */
  readonly number: number;
  readonly records: number;
  readonly buckets: number;
  readonly filterBlocks: number;
}

/** Average that fills 4 KiB pages best: 84 records fit, and with 68 only 3 % of the buckets (Poisson) need a second page. */
const RECORDS_PER_BUCKET = 68;
/** 1,023 blocks: with LMDB's header of 24 bytes just below 16 pages. */
export const FILTER_PART_BLOCKS = 1023;
export const FILTER_PART_BYTES: number = FILTER_PART_BLOCKS * FILTER_BLOCK_BYTES;

const TABLE = metaKey('runs');
const NEXT_RUN = metaKey('next run number');
const RUN_BYTES = 16;
/** A run that nobody has worked on for so long was left behind by a crash. */
const ABANDONED_MS = 10 * 60_000;
const REMOVALS_PER_TRANSACTION = 8192;

/** Shape of a run that will hold at most `records` records. */
export function shapeRun(records: number): Omit<Run, 'number'> {
  return { records, buckets: Math.max(1, Math.ceil(records / RECORDS_PER_BUCKET)), filterBlocks: filterBlocks(records) };
}

export function bucketOfId(leading: number, run: Pick<Run, 'buckets'>): number {
  return bucketOf(leading, run.buckets);
}

/** Newest first. */
export function readRuns(store: Pick<LmdbStore, 'get'>): Run[] {
  const bytes = store.get(TABLE) ?? new Uint8Array(0);
  const view = viewOf(bytes);
  const runs: Run[] = [];
  for (let at = 0; at + RUN_BYTES <= bytes.length; at += RUN_BYTES) {
    runs.push({
      number: view.getUint32(at), records: view.getUint32(at + 4), buckets: view.getUint32(at + 8), filterBlocks: view.getUint32(at + 12),
    });
  }
  return runs;
}

/** Inside a transaction. */
export function writeRuns(store: LmdbStore, runs: readonly Run[]): void {
  const bytes = new Uint8Array(RUN_BYTES * runs.length);
  const view = viewOf(bytes);
  [...runs].sort((a, b) => b.number - a.number).forEach((run, i) => {
    [run.number, run.records, run.buckets, run.filterBlocks].forEach((value, field) => view.setUint32(RUN_BYTES * i + 4 * field, value));
  });
  store.put(TABLE, bytes);
}

/** Inside a transaction: a number for a new run. */
export function takeRunNumber(store: LmdbStore): number {
  const number = getNumber(store, NEXT_RUN) + 1;
  putNumber(store, NEXT_RUN, number);
  return number;
}

/** Inside a transaction: the run is being built; `now` 0: it is waste. */
export function putUnlisted(store: LmdbStore, run: Run, now: number): void {
  const bytes = new Uint8Array(16);
  const view = viewOf(bytes);
  view.setFloat64(0, now);
  view.setUint32(8, run.buckets);
  view.setUint32(12, run.filterBlocks);
  store.put(numberKey(KEY_SPACE.unlistedRun, run.number), bytes);
}

/** False when somebody took the run for abandoned. */
export function isBeingBuilt(store: LmdbStore, number: number): boolean {
  const bytes = store.get(numberKey(KEY_SPACE.unlistedRun, number));
  return bytes !== undefined && viewOf(bytes).getFloat64(0) !== 0;
}

/** Inside a transaction. */
export function removeUnlisted(store: LmdbStore, number: number): void {
  store.remove(numberKey(KEY_SPACE.unlistedRun, number));
}

/**
 * Removes what replaced and abandoned runs left behind, in transactions of bounded size. A builder that was only very slow
 * notices at its end that its run is gone and begins again.
 */
export async function removeWaste(store: LmdbStore, clock: Clock): Promise<void> {
  const now = clock.now();
  for (const { key, value } of [...store.entries(numberKey(KEY_SPACE.unlistedRun))]) {
    const number = viewOf(key).getUint32(1);
    const touched = viewOf(value).getFloat64(0);
    if (touched !== 0 && Math.abs(now - touched) < ABANDONED_MS) continue;
    const run = { number, records: 0, buckets: viewOf(value).getUint32(8), filterBlocks: viewOf(value).getUint32(12) };
    // First of all: a builder that is still alive must not list the run while its buckets disappear.
    store.write(() => putUnlisted(store, run, 0));
    await removeRun(store, clock, run);
    store.write(() => removeUnlisted(store, number));
  }
}

async function removeRun(store: LmdbStore, clock: Clock, run: Run): Promise<void> {
  const parts = Math.ceil(run.filterBlocks / FILTER_PART_BLOCKS);
  store.write(() => {
    for (let part = 0; part < parts; part++) store.remove(numberKey(KEY_SPACE.filter, run.number, part));
  });
  for (let bucket = 0; bucket < run.buckets;) {
    const end = Math.min(run.buckets, bucket + REMOVALS_PER_TRANSACTION);
    store.write(() => {
      for (; bucket < end; bucket++) store.remove(numberKey(KEY_SPACE.bucket, run.number, bucket));
    });
    await clock.sleep(0);
  }
}
