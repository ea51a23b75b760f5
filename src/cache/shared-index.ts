/**
 * What the threads of one process share of the chunk index: the run table, the Bloom filters, and the set of usable packs.
 *
 * One thread writes, all read. The run table is guarded by a counter that is odd while it changes (a seqlock, as in Linux
 * `seqlock.h`). Filters and the set are read without a guard: at worst a reader takes a chunk for unknown, which costs a
 * second copy. A bit of the set never means another pack, since pack numbers are never used again.
 *
 * Memory is set aside generously; the system provides a page of it when it is first written.
 */
import { MiB } from '../base/units.ts';
import { FILTER_BLOCK_BYTES } from './bloom.ts';
import type { Run } from './run-table.ts';

/** Structured-clonable. */
export interface SharedMemory {
  readonly control: SharedArrayBuffer;
  readonly filters: SharedArrayBuffer;
  /** One bit per pack number. */
  readonly usable: SharedArrayBuffer;
}

/** A run with the place of its filter in the shared memory. */
export interface SharedRun extends Run {
  /** Byte position; `NO_FILTER`: look into the run without asking a filter. */
  readonly filterAt: number;
}

export const NO_FILTER = -1;

/** Many more than a merge leaves; the oldest beyond are not seen by look-ups, which may forget. */
const MAX_RUNS = 64;
const RUN_WORDS = 5;
const VERSION = 0;
const COUNT = 1;
const FIRST_RUN = 2;
const NO_FILTER_BLOCK = 0xffff_ffff;

/** Room for filters of new runs beside twice what is there: 26 million chunks. */
const SPARE_FILTER_BYTES = 32 * MiB;
/** Numbers that a session may add: 128 TiB in packs of 32 MiB. */
const SPARE_PACKS = 4 * 1024 * 1024;

export function allocateSharedMemory(filterBytes: number, highestPack: number): SharedMemory {
  return {
    control: new SharedArrayBuffer(4 * (FIRST_RUN + MAX_RUNS * RUN_WORDS)),
    filters: new SharedArrayBuffer(2 * filterBytes + SPARE_FILTER_BYTES),
    usable: new SharedArrayBuffer(Math.ceil((highestPack + SPARE_PACKS) / 8)),
  };
}

/** The reading side. */
export class SharedIndexReader {
  readonly filters: Uint8Array;
  readonly #control: Int32Array;
  readonly #usable: Uint8Array;

  constructor(memory: SharedMemory) {
    this.filters = new Uint8Array(memory.filters);
    this.#control = new Int32Array(memory.control);
    this.#usable = new Uint8Array(memory.usable);
  }

  /** Changes with every change of the run table. */
  version(): number {
    return Atomics.load(this.#control, VERSION);
  }

  /** Newest first. */
  runs(): { readonly version: number; readonly runs: readonly SharedRun[] } {
    for (;;) {
      const version = this.version();
      const runs = this.#readRuns();
      if ((version & 1) === 0 && this.version() === version) return { version, runs };
    }
  }

  isUsable(pack: number): boolean {
    return pack < 8 * this.#usable.length && ((this.#usable[pack >>> 3]! >>> (pack & 7)) & 1) !== 0;
  }

  #readRuns(): SharedRun[] {
    const runs: SharedRun[] = [];
    const count = Math.min(MAX_RUNS, Atomics.load(this.#control, COUNT));
    for (let i = 0; i < count; i++) {
      const [number, records, buckets, filterBlocks, block] = Array.from({ length: RUN_WORDS }, (_, field) =>
        Atomics.load(this.#control, FIRST_RUN + RUN_WORDS * i + field) >>> 0) as [number, number, number, number, number];
      const filterAt = block === NO_FILTER_BLOCK ? NO_FILTER : block * FILTER_BLOCK_BYTES;
      runs.push({ number, records, buckets, filterBlocks, filterAt });
    }
    return runs;
  }
}

/** Reads the filter of a run into `target`. */
export type FilterLoader = (run: Run, target: Uint8Array) => void;

/** The writing side; one object in the main thread. */
export class SharedIndexWriter {
  readonly memory: SharedMemory;
  readonly #control: Int32Array;
  readonly #filters: Uint8Array;
  readonly #usable: Uint8Array;
  #runs: readonly SharedRun[] = [];

  constructor(memory: SharedMemory) {
    this.memory = memory;
    this.#control = new Int32Array(memory.control);
    this.#filters = new Uint8Array(memory.filters);
    this.#usable = new Uint8Array(memory.usable);
  }

  /** Bits of the set; a number beyond is never usable. */
  get packCapacity(): number {
    return 8 * this.#usable.length;
  }

  /**
   * Replaces the run table; filters of new runs are loaded first. They never overwrite a filter of the table before, so a
   * reader that is one table late still gets right answers. False when a filter did not fit.
   */
  setRuns(runs: readonly Run[], load: FilterLoader): boolean {
    const former = this.#runs;
    const kept = former.filter(run => runs.some(each => each.number === run.number));
    const placed: SharedRun[] = [...kept];
    for (const run of runs.slice(0, MAX_RUNS)) {
      if (kept.some(each => each.number === run.number)) continue;
      const filterAt = this.#findRoom([...former, ...placed], run.filterBlocks * FILTER_BLOCK_BYTES);
      if (filterAt !== NO_FILTER) load(run, this.#filters.subarray(filterAt, filterAt + run.filterBlocks * FILTER_BLOCK_BYTES));
      placed.push({ ...run, filterAt });
    }
    this.#runs = placed.sort((a, b) => b.number - a.number);
    this.#publish();
    return this.#runs.every(run => run.filterAt !== NO_FILTER);
  }

  /** Replaces the set in place; numbers beyond the capacity are left out. */
  setUsable(numbers: Iterable<number>): void {
    const bits = new Uint8Array(this.#usable.length);
    for (const number of numbers) if (number < this.packCapacity) bits[number >>> 3]! |= 1 << (number & 7);
    this.#usable.set(bits);
  }

  /** Takes over the set of a smaller one. */
  copyUsable(from: SharedIndexWriter): void {
    this.#usable.set(from.#usable);
  }

  addUsable(number: number): void {
    if (number < this.packCapacity) this.#usable[number >>> 3]! |= 1 << (number & 7);
  }

  removeUsable(number: number): void {
    if (number < this.packCapacity) this.#usable[number >>> 3]! &= ~(1 << (number & 7));
  }

  /** First gap between the filters in use. */
  #findRoom(runs: readonly SharedRun[], byteLength: number): number {
    const taken = runs.filter(run => run.filterAt !== NO_FILTER).sort((a, b) => a.filterAt - b.filterAt);
    let at = 0;
    for (const run of taken) {
      if (run.filterAt - at >= byteLength) return at;
      at = Math.max(at, run.filterAt + run.filterBlocks * FILTER_BLOCK_BYTES);
    }
    return at + byteLength <= this.#filters.length ? at : NO_FILTER;
  }

  #publish(): void {
    const runs = this.#runs.slice(0, MAX_RUNS);
    Atomics.add(this.#control, VERSION, 1);
    Atomics.store(this.#control, COUNT, runs.length);
    runs.forEach((run, i) => {
      const block = run.filterAt === NO_FILTER ? NO_FILTER_BLOCK : run.filterAt / FILTER_BLOCK_BYTES;
      [run.number, run.records, run.buckets, run.filterBlocks, block].forEach((value, field) =>
        Atomics.store(this.#control, FIRST_RUN + RUN_WORDS * i + field, value));
    });
    Atomics.add(this.#control, VERSION, 1);
  }
}
