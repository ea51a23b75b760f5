/** The IDs of the chunks in one open pack: a pack never gets the same ID twice (repository design, section 4.5). */
import type { Bytes } from '../base/bytes.ts';
import { CHUNK_ID_BYTES } from '../format/ids.ts';

const ID_WORDS = CHUNK_ID_BYTES / 4;
const FIRST_SLOTS = 256;

export class ChunkSet {
  /** Power of two slots; a slot holds the number of an ID plus one, or 0. */
  #slots = new Int32Array(FIRST_SLOTS);
  #ids = new Int32Array(FIRST_SLOTS / 2 * ID_WORDS);
  #count = 0;
  readonly #id = new Int32Array(ID_WORDS);
  readonly #idBytes = new Uint8Array(this.#id.buffer);

  get count(): number {
    return this.#count;
  }

  has(id: Bytes): boolean {
    this.#idBytes.set(id);
    return this.#slots[this.#find()] !== 0;
  }

  /** The ID must not be in the set. */
  add(id: Bytes): void {
    if (2 * this.#count === this.#slots.length) this.#grow();
    this.#idBytes.set(id);
    this.#ids.set(this.#id, this.#count * ID_WORDS);
    this.#slots[this.#find()] = ++this.#count;
  }

  /** Keeps the memory for the next pack. */
  clear(): void {
    this.#slots.fill(0);
    this.#count = 0;
  }

  /** Slot of the ID in `#id`, or the free slot where it would go. */
  #find(): number {
    const mask = this.#slots.length - 1;
    for (let slot = this.#id[1]! & mask; ; slot = (slot + 1) & mask) {
      const number = this.#slots[slot]!;
      if (number === 0 || this.#isId((number - 1) * ID_WORDS)) return slot;
    }
  }

  #isId(at: number): boolean {
    for (let i = 0; i < ID_WORDS; i++) if (this.#ids[at + i] !== this.#id[i]) return false;
    return true;
  }

  #grow(): void {
    const ids = new Int32Array(2 * this.#ids.length);
    ids.set(this.#ids);
    this.#ids = ids;
    this.#slots = new Int32Array(2 * this.#slots.length);
    for (let i = 0; i < this.#count; i++) {
      this.#id.set(ids.subarray(i * ID_WORDS, (i + 1) * ID_WORDS));
      this.#slots[this.#find()] = i + 1;
    }
  }
}
