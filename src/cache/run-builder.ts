/**
 * Writes sorted chunk records as a new run: buckets and Bloom filter, in transactions of bounded size and with bounded
 * memory. The last part goes into the transaction in which the caller lists the run, so a small run is one transaction.
 */
import type { Clock } from '../base/ambient.ts';
import { MiB } from '../base/units.ts';
import { addToFilter, FILTER_BLOCK_BYTES, filterBlockOf } from './bloom.ts';
import { compareIds, leadingBits, PACK_AT, RECORD_BYTES } from './chunk-record.ts';
import { bucketKeys, KEY_SPACE, numberKey } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';
import { RecordBlock, type MergedRecords, type RecordCursor } from './record-cursor.ts';
import {
  bucketOfId, FILTER_PART_BLOCKS, FILTER_PART_BYTES, isBeingBuilt, putUnlisted, removeUnlisted, shapeRun, takeRunNumber, type Run,
} from './run-table.ts';

/**
 * What one transaction writes: bounds memory (LMDB keeps that of its changed pages for ever), and the time for which others
 * wait for the write lock. Merges with 8 MiB are no faster.
 */
export const BATCH_BYTES: number = 2 * MiB;
const NONE = -1;

interface Part {
  readonly number: number;
  readonly bytes: Uint8Array;
}

export class RunBuilder {
  readonly #store: LmdbStore;
  readonly #clock: Clock;
  readonly #shape: Omit<Run, 'number'>;
  readonly #batchBytes: number;
  /** 0 until the first part was stored. */
  #number = 0;
  #records = 0;
  /** Records that are not stored yet; the last bucket of them is open. */
  readonly #batch = new RecordBlock();
  #used = 0;
  readonly #buckets: number[] = [];
  readonly #starts: number[] = [];
  #filled: Part[] = [];
  #part: Part | undefined;

  /** `maxRecords` decides the number of buckets and the size of the filter; there may come fewer. */
  constructor(store: LmdbStore, clock: Clock, maxRecords: number, batchBytes: number) {
    this.#store = store;
    this.#clock = clock;
    this.#shape = shapeRun(maxRecords);
    this.#batchBytes = batchBytes;
  }

  /** Takes all records but repetitions and those of dead packs. False: the run was taken for abandoned; begin again. */
  async addAll(records: MergedRecords, deadPacks: Pick<ReadonlySet<number>, 'has' | 'size'>): Promise<boolean> {
    for (let cursor = records.next(); cursor !== undefined; cursor = records.next()) {
      if (deadPacks.size > 0 && deadPacks.has(cursor.block.view.getUint32(cursor.at + PACK_AT, true))) continue;
      if (this.#used >= this.#batchBytes && this.#buckets.length > 1) {
        if (!this.#store.write(() => this.#storeBatch())) return false;
        await this.#clock.sleep(0);
      }
      this.#add(cursor);
    }
    return true;
  }

  /** Inside a transaction: stores the rest. The caller lists the run; undefined: it was taken for abandoned. */
  finish(): Run | undefined {
    if (this.#number !== 0 && !isBeingBuilt(this.#store, this.#number)) return undefined;
    this.#takeNumber();
    this.#putBuckets(this.#buckets.length);
    this.#putFilter([...this.#filled, ...(this.#part === undefined ? [] : [this.#part])]);
    removeUnlisted(this.#store, this.#number);
    return { ...this.#shape, number: this.#number, records: this.#records };
  }

  /** Inside a transaction: leaves what was stored to `removeWaste`. */
  abandon(): void {
    if (this.#number !== 0) putUnlisted(this.#store, { ...this.#shape, number: this.#number }, 0);
  }

  #add(cursor: RecordCursor): void {
    const { bytes, view } = cursor.block;
    const bucket = bucketOfId(leadingBits(bytes, cursor.at), this.#shape);
    if (bucket !== (this.#buckets.at(-1) ?? NONE)) {
      this.#buckets.push(bucket);
      this.#starts.push(this.#used);
    } else if (this.#isRepetition(cursor, view.getUint32(cursor.at + PACK_AT, true))) {
      return;
    }
    this.#batch.reserve(this.#used + RECORD_BYTES);
    this.#batch.copyRecord(this.#used, cursor.block, cursor.at);
    this.#used += RECORD_BYTES;
    this.#records++;
    this.#addToFilter(bytes, cursor.at);
  }

  /** The same chunk in the same pack; records with one ID follow each other and so share a bucket. */
  #isRepetition(cursor: RecordCursor, pack: number): boolean {
    const start = this.#starts.at(-1)!;
    for (let at = this.#used - RECORD_BYTES; at >= start; at -= RECORD_BYTES) {
      if (compareIds(this.#batch.bytes, at, cursor.block.bytes, cursor.at) !== 0) return false;
      if (this.#batch.view.getUint32(at + PACK_AT, true) === pack) return true;
    }
    return false;
  }

  #addToFilter(ids: Uint8Array, at: number): void {
    const block = filterBlockOf(ids, at, this.#shape.filterBlocks);
    const number = Math.floor(block / FILTER_PART_BLOCKS);
    if (this.#part?.number !== number) {
      if (this.#part !== undefined) this.#filled.push(this.#part);
      const blocks = Math.min(FILTER_PART_BLOCKS, this.#shape.filterBlocks - number * FILTER_PART_BLOCKS);
      this.#part = { number, bytes: new Uint8Array(blocks * FILTER_BLOCK_BYTES) };
    }
    addToFilter(this.#part!.bytes, block * FILTER_BLOCK_BYTES - number * FILTER_PART_BYTES, ids, at);
  }

  /** Everything but the open bucket, which moves to the start of the batch. */
  #storeBatch(): boolean {
    if (this.#number !== 0 && !isBeingBuilt(this.#store, this.#number)) return false;
    this.#takeNumber();
    putUnlisted(this.#store, { ...this.#shape, number: this.#number }, this.#clock.now());
    const last = this.#buckets.length - 1;
    this.#putBuckets(last);
    this.#putFilter(this.#filled);
    const [bucket, start] = [this.#buckets[last]!, this.#starts[last]!];
    this.#batch.bytes.copyWithin(0, start, this.#used);
    this.#used -= start;
    this.#buckets.splice(0, Infinity, bucket);
    this.#starts.splice(0, Infinity, 0);
    this.#filled = [];
    return true;
  }

  #takeNumber(): void {
    if (this.#number === 0) this.#number = takeRunNumber(this.#store);
  }

  #putBuckets(count: number): void {
    const key = bucketKeys();
    for (let i = 0; i < count; i++) {
      this.#store.append(key(this.#number, this.#buckets[i]!), this.#batch.bytes.subarray(this.#starts[i]!, this.#starts[i + 1] ?? this.#used));
    }
  }

  #putFilter(parts: readonly Part[]): void {
    for (const { number, bytes } of parts) this.#store.put(numberKey(KEY_SPACE.filter, this.#number, number), bytes);
  }
}
