/**
 * Finds chunk records: newest run first, Bloom filter, one LMDB read, binary search. The same code serves the main thread
 * and the read-only views of workers.
 */
import type { Bytes } from '../base/bytes.ts';
import { invariant } from '../base/errors.ts';
import type { ChunkLocation, PackNumber } from './cache.ts';
import { mayContain } from './bloom.ts';
import { compareIds, ID_BYTES, isTreeRecord, leadingBits, PACK_AT, readLocation, RECORD_BYTES } from './chunk-record.ts';
import { bucketKeys } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';
import { bucketOfId } from './run-table.ts';
import { NO_FILTER, type SharedIndexReader, type SharedRun } from './shared-index.ts';

/** Called when a run turned out to be gone: the runs there are now, or undefined when they are the same. */
export type RunRenewal = (known: readonly SharedRun[]) => readonly SharedRun[] | undefined;

/** Looks at the record at `at`; true ends the search. */
type Visitor = (view: DataView, at: number) => boolean;

export class ChunkLookup {
  readonly #store: LmdbStore;
  readonly #shared: SharedIndexReader;
  readonly #renew: RunRenewal;
  readonly #bucketKey = bucketKeys();
  #runs: readonly SharedRun[] = [];
  #version = -1;
  /** View of the buffer in which LMDB returns values; it stays the same for nearly all calls. */
  #view: DataView = new DataView(new ArrayBuffer(0));
  #foundPack: PackNumber = 0;
  #wantsTrees = false;

  constructor(store: LmdbStore, shared: SharedIndexReader, renew: RunRenewal) {
    this.#store = store;
    this.#shared = shared;
    this.#renew = renew;
  }

  /** Takes over the present run table. */
  refresh(): void {
    if (this.#shared.version() === this.#version) return;
    const { version, runs } = this.#shared.runs();
    this.#version = version;
    this.#runs = runs;
  }

  /** A usable pack of the type that holds the chunk, or 0. */
  findPack(id: Bytes, type: 'data' | 'tree'): PackNumber {
    this.#wantsTrees = type === 'tree';
    this.#foundPack = 0;
    this.#visit(id, this.#takePack);
    return this.#foundPack;
  }

  findLocation(id: Bytes): ChunkLocation | undefined {
    let location: ChunkLocation | undefined;
    this.#visit(id, (view, at) => {
      if (!this.#isUsable(view, at)) return false;
      location = readLocation(view, at);
      return true;
    });
    return location;
  }

  /** Every usable place once. */
  findAllLocations(id: Bytes): ChunkLocation[] {
    const locations: ChunkLocation[] = [];
    this.#visit(id, (view, at) => {
      if (!this.#isUsable(view, at)) return false;
      const location = readLocation(view, at);
      if (!locations.some(each => each.pack === location.pack && each.frame === location.frame && each.offset === location.offset)) {
        locations.push(location);
      }
      return false;
    });
    return locations;
  }

  readonly #takePack: Visitor = (view, at) => {
    if (!this.#isUsable(view, at) || isTreeRecord(view, at) !== this.#wantsTrees) return false;
    this.#foundPack = view.getUint32(at + PACK_AT, true);
    return true;
  };

  #isUsable(view: DataView, at: number): boolean {
    return this.#shared.isUsable(view.getUint32(at + PACK_AT, true));
  }

  #visit(id: Bytes, visitor: Visitor): void {
    invariant(id.length === ID_BYTES, 'A chunk ID has 32 bytes');
    while (this.#visitRuns(id, visitor) === 'run gone') {
      const runs = this.#renew(this.#runs);
      if (runs === undefined) return;
      this.#runs = runs;
    }
  }

  #visitRuns(id: Bytes, visitor: Visitor): 'done' | 'run gone' {
    const leading = leadingBits(id, 0);
    let isRunGone = false;
    for (const run of this.#runs) {
      if (run.filterAt !== NO_FILTER && !mayContain(this.#shared.filters, run.filterAt, run.filterBlocks, id)) continue;
      const bucket = this.#store.peek(this.#bucketKey(run.number, bucketOfId(leading, run)));
      // A missing bucket may be an empty one, but with 68 records on average nearly always another process merged the run.
      if (bucket === undefined) isRunGone = true;
      else if (this.#visitBucket(bucket, id, visitor)) return 'done';
    }
    return isRunGone ? 'run gone' : 'done';
  }

  #visitBucket(bucket: Bytes, id: Bytes, visitor: Visitor): boolean {
    const byteLength = bucket.length;
    if (bucket.buffer !== this.#view.buffer || bucket.byteOffset !== this.#view.byteOffset || byteLength > this.#view.byteLength) {
      this.#view = new DataView(bucket.buffer, bucket.byteOffset);
    }
    for (let at = RECORD_BYTES * lowerBound(bucket, byteLength / RECORD_BYTES, id); at < byteLength; at += RECORD_BYTES) {
      if (compareIds(bucket, at, id, 0) !== 0) break;
      if (visitor(this.#view, at)) return true;
    }
    return false;
  }
}

/** Index of the first record whose ID is not below `id`. */
function lowerBound(records: Bytes, count: number, id: Bytes): number {
  let low = 0;
  let high = Math.floor(count);
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareIds(records, middle * RECORD_BYTES, id, 0) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
