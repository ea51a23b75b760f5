/**
 * IDs that came lately: directories name the same unchanged files again and again, and a look at 32 bytes is much cheaper than a
 * look into the index. May forget, never errs: the whole ID is compared.
 */
import type { Bytes } from '../../base/bytes.ts';
import { CHUNK_ID_BYTES } from '../../format/ids.ts';

/** 16 MiB when all are used: as many IDs as a tree of some hundred thousand files names. */
const SLOTS = 2 ** 19;

export class RecentIds {
  /** One place for all IDs with the same leading bits; only touched pages take memory. */
  readonly #ids = new Uint8Array(SLOTS * CHUNK_ID_BYTES);

  has(id: Bytes): boolean {
    const at = placeOf(id);
    let bits = 0;
    for (let i = 0; i < CHUNK_ID_BYTES; i++) {
      const byte = id[i]!;
      if (this.#ids[at + i] !== byte) return false;
      bits |= byte;
    }
    return bits !== 0; // an empty place looks like the ID of zeros
  }

  add(id: Bytes): void {
    const at = placeOf(id);
    for (let i = 0; i < CHUNK_ID_BYTES; i++) this.#ids[at + i] = id[i]!;
  }
}

function placeOf(id: Bytes): number {
  return (((id[0]! << 16) | (id[1]! << 8) | id[2]!) % SLOTS) * CHUNK_ID_BYTES;
}
