/** From the bytes of a chunk to its reference: zeros, known, claimed, or stored by this thread. */
import { type Bytes, isAllZero } from '../base/bytes.ts';
import type { KnownChunks } from '../cache/cache.ts';
import type { Hasher } from '../kernel/kernel.ts';
import type { AnswerWriter } from './answer-writer.ts';
import type { ClaimTable } from './claim-table.ts';
import { REFERENCE_CHUNK, REFERENCE_CLAIMED } from './engine.ts';
import type { OpenPacks } from './open-packs.ts';

const NO_PACK = 0;

export class ChunkStore {
  readonly #hasher: Hasher;
  readonly #known: KnownChunks;
  readonly #claims: ClaimTable;
  readonly #packs: OpenPacks;
  readonly #answer: AnswerWriter;

  constructor(hasher: Hasher, known: KnownChunks, claims: ClaimTable, packs: OpenPacks, answer: AnswerWriter) {
    this.#hasher = hasher;
    this.#known = known;
    this.#claims = claims;
    this.#packs = packs;
    this.#answer = answer;
  }

  /** Adds the reference of one chunk to the current item, and the chunk to a frame if nobody has it yet. */
  add(bytes: Bytes): void {
    if (isAllZero(bytes)) this.#answer.zeros(bytes.length, bytes.length);
    else this.#addContent(bytes);
  }

  #addContent(bytes: Bytes): void {
    const id = this.#hasher.hash(bytes);
    let pack = this.#known.find(id);
    if (pack === NO_PACK) {
      const claim = this.#claims.claim(id);
      if (claim !== 'mine') pack = this.#packs.find(id);
      if (claim === 'taken' && pack === NO_PACK) {
        this.#answer.chunk(id, bytes.length, NO_PACK, REFERENCE_CLAIMED);
        return;
      }
      if (pack === NO_PACK) pack = this.#packs.store(id, bytes);
    }
    this.#answer.chunk(id, bytes.length, pack, REFERENCE_CHUNK);
  }
}
