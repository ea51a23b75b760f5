/**
 * Shared table of the new chunks that some thread of this run is storing already. It saves double work and decides nothing
 * else: a wrong 'mine' stores a chunk twice, and a wrong 'taken' is found by the closure check before the commit.
 *
 * Open addressing over full 32-byte IDs, in two generations: new claims go to the current one, both are searched. When
 * everything claimed in the older one can be found in the chunk index, it is cleared and becomes the current one, so the
 * table never has to hold more than what is between the workers and the index. `ClaimGenerations` says when.
 */
import type { Bytes } from '../base/bytes.ts';
import type { PackNumber } from '../cache/cache.ts';
import { CHUNK_ID_BYTES } from '../format/ids.ts';

/** `full`: nobody is known to store it, but the claim could not be written down. */
export type Claim = 'mine' | 'taken' | 'full';

/** Slots of one generation; with 36 bytes a slot the table takes 9.4 MB, and pages that are not used cost nothing. */
const SLOTS = 131_072;
const ID_WORDS = CHUNK_ID_BYTES / 4;
/** Seven eighths: above it, searches for free slots become long. */
const LARGEST_FILL = SLOTS / 8 * 7;
const LONGEST_PROBE = 256;
/** A slot is written in well under a microsecond, unless the system takes the thread off its processor just then. */
const SPINS = 1000;
/** Waits of 1 ms after that; a thread that died while writing must not hold up the others for ever. */
const LONGEST_WAITS = 100;

const EMPTY = 0;
const BUSY = 1;
const READY = 2;

const CURRENT = 0;
const FILL = 1;
const CONTROL_WORDS = 16;
const STATES_AT = CONTROL_WORDS;
const IDS_AT = STATES_AT + 2 * SLOTS;
const WORDS = IDS_AT + 2 * SLOTS * ID_WORDS;

export class ClaimTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #id = new Int32Array(ID_WORDS);
  readonly #idBytes = new Uint8Array(this.#id.buffer);

  /** A new table, or a view of one that another thread made. */
  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  claim(id: Bytes): Claim {
    this.#idBytes.set(id);
    const current = Atomics.load(this.#words, CURRENT);
    if (this.#search(1 - current, false) === 'taken') return 'taken';
    const isFull = Atomics.load(this.#words, FILL + current) >= LARGEST_FILL;
    const claim = this.#search(current, !isFull);
    if (claim === 'mine') Atomics.add(this.#words, FILL + current, 1);
    return claim;
  }

  /** Whether the current generation is half as full as it may become. */
  isHalfFull(): boolean {
    return Atomics.load(this.#words, FILL + Atomics.load(this.#words, CURRENT)) >= LARGEST_FILL / 2;
  }

  /** Clears the older generation and makes it the current one. A claim that runs meanwhile may come out as a wrong 'mine'. */
  rotate(): void {
    const older = 1 - Atomics.load(this.#words, CURRENT);
    this.#words.fill(EMPTY, STATES_AT + older * SLOTS, STATES_AT + (older + 1) * SLOTS);
    Atomics.store(this.#words, FILL + older, 0);
    Atomics.store(this.#words, CURRENT, older);
  }

  #search(generation: number, mayWrite: boolean): Claim {
    const states = STATES_AT + generation * SLOTS;
    // IDs are keyed hashes, so their first bits are as good as any hash of them.
    let slot = this.#id[0]! & (SLOTS - 1);
    for (let probe = 0; probe < LONGEST_PROBE; probe++, slot = (slot + 1) & (SLOTS - 1)) {
      const idAt = IDS_AT + (generation * SLOTS + slot) * ID_WORDS;
      let state = Atomics.load(this.#words, states + slot);
      if (state === EMPTY) {
        if (!mayWrite) return 'full';
        state = Atomics.compareExchange(this.#words, states + slot, EMPTY, BUSY);
        if (state === EMPTY) {
          this.#words.set(this.#id, idAt);
          Atomics.store(this.#words, states + slot, READY);
          return 'mine';
        }
      }
      if (state === BUSY) state = this.#whenWritten(states + slot);
      if (state === READY && this.#holdsId(idAt)) return 'taken';
    }
    return 'full';
  }

  #whenWritten(at: number): number {
    let state = BUSY;
    for (let i = 0; state === BUSY && i < SPINS + LONGEST_WAITS; i++) {
      if (i >= SPINS) Atomics.wait(this.#words, at, BUSY, 1);
      state = Atomics.load(this.#words, at);
    }
    return state;
  }

  #holdsId(at: number): boolean {
    for (let i = 0; i < ID_WORDS; i++) if (this.#words[at + i] !== this.#id[i]) return false;
    return true;
  }
}

/**
 * Decides when the older generation of claims may go. A claim lies on a pack that was granted and not yet indexed when the
 * claim was made; so the claims of a generation are settled when all packs that were in this state at its end are indexed.
 */
export class ClaimGenerations {
  readonly #table: ClaimTable;
  readonly #unsettled = new Set<PackNumber>();
  /** Packs that the claims of the older generation may lie on. */
  #older = new Set<PackNumber>();

  constructor(table: ClaimTable) {
    this.#table = table;
  }

  granted(pack: PackNumber): void {
    this.#unsettled.add(pack);
  }

  indexed(pack: PackNumber): void {
    this.#unsettled.delete(pack);
    this.#older.delete(pack);
    if (this.#older.size > 0 || !this.#table.isHalfFull()) return;
    this.#table.rotate();
    this.#older = new Set(this.#unsettled);
  }
}
