/** The main thread's end of the shared memory: keeps run table, filters and the set of usable packs right in all of it. */
import type { PackNumber } from './cache.ts';
import { FILTER_BLOCK_BYTES } from './bloom.ts';
import { ChunkLookup } from './chunk-lookup.ts';
import { KEY_SPACE, numberKey } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';
import { FILTER_PART_BYTES, readRuns, type Run } from './run-table.ts';
import { allocateSharedMemory, SharedIndexReader, SharedIndexWriter, type SharedMemory } from './shared-index.ts';

interface Current {
  readonly writer: SharedIndexWriter;
  readonly reader: SharedIndexReader;
  readonly lookup: ChunkLookup;
}

export class IndexSharing {
  readonly #store: LmdbStore;
  readonly #highestPack: () => PackNumber;
  /** Made on first use: commands that look up no chunk read no filter. */
  #current: Current | undefined;
  #isHandedOut = false;
  /** Handed out and then too small; workers may still look at them. */
  readonly #former: SharedIndexWriter[] = [];

  constructor(store: LmdbStore, highestPack: () => PackNumber) {
    this.#store = store;
    this.#highestPack = highestPack;
  }

  lookup(): ChunkLookup {
    const { lookup } = this.#get();
    lookup.refresh();
    return lookup;
  }

  /** Memory for workers; from now on it is kept right until the end. */
  handOut(): SharedMemory {
    this.#isHandedOut = true;
    return this.#get().writer.memory;
  }

  /** Takes over the run table as it is in LMDB now. */
  renewRuns(): void {
    if (this.#current === undefined) return;
    const runs = readRuns(this.#store);
    for (const writer of this.#former) writer.setRuns(runs, this.#loadFilter);
    if (!this.#current.writer.setRuns(runs, this.#loadFilter)) this.#grow();
  }

  setUsable(numbers: readonly PackNumber[]): void {
    const { writer } = this.#get();
    const highest = numbers.reduce((max, number) => Math.max(max, number), 0);
    if (highest >= writer.packCapacity) this.#grow(highest);
    for (const each of this.#writers()) each.setUsable(numbers);
  }

  addUsable(number: PackNumber): void {
    if (number >= this.#get().writer.packCapacity) this.#grow(number);
    for (const writer of this.#writers()) writer.addUsable(number);
  }

  removeUsable(numbers: readonly PackNumber[]): void {
    for (const writer of this.#writers()) {
      for (const number of numbers) writer.removeUsable(number);
    }
  }

  isUsable(number: PackNumber): boolean {
    return this.#current?.reader.isUsable(number) ?? false;
  }

  #get(): Current {
    return this.#current ?? this.#grow();
  }

  #writers(): SharedIndexWriter[] {
    return this.#current === undefined ? [] : [...this.#former, this.#current.writer];
  }

  /** New memory that is large enough for what LMDB holds now, and for the pack number. */
  #grow(pack: PackNumber = 0): Current {
    const runs = readRuns(this.#store);
    const filterBytes = runs.reduce((sum, run) => sum + run.filterBlocks * FILTER_BLOCK_BYTES, 0);
    const writer = new SharedIndexWriter(allocateSharedMemory(filterBytes, Math.max(pack, this.#highestPack())));
    writer.setRuns(runs, this.#loadFilter);
    if (this.#current !== undefined) {
      writer.copyUsable(this.#current.writer);
      if (this.#isHandedOut) this.#former.push(this.#current.writer);
      this.#isHandedOut = false;
    }
    const reader = new SharedIndexReader(writer.memory);
    const lookup = new ChunkLookup(this.#store, reader, known => this.#renewFor(known));
    this.#current = { writer, reader, lookup };
    return this.#current;
  }

  #renewFor(known: readonly Run[]): ReturnType<SharedIndexReader['runs']>['runs'] | undefined {
    if (isSameRuns(known, readRuns(this.#store))) return undefined;
    this.renewRuns();
    return this.#get().reader.runs().runs;
  }

  readonly #loadFilter = (run: Run, target: Uint8Array): void => {
    for (let part = 0, at = 0; at < target.length; part++, at += FILTER_PART_BYTES) {
      const bytes = this.#store.peek(numberKey(KEY_SPACE.filter, run.number, part));
      const end = Math.min(target.length, at + FILTER_PART_BYTES);
      // A part without IDs is not stored. Nor is one of a run that is gone, and there nothing is found either.
      if (bytes === undefined) target.fill(0, at, end);
      else target.set(bytes.subarray(0, Math.min(bytes.length, end - at)), at);
    }
  };
}

export function isSameRuns(a: readonly Run[], b: readonly Run[]): boolean {
  return a.length === b.length && a.every((run, i) => run.number === b[i]!.number);
}
