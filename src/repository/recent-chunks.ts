/** Where chunks lie that this run stored and that the cache does not answer for yet, since their packs are not durable and indexed. */
import type { ChunkIndex, PackNumber } from '../cache/cache.ts';

export class RecentChunks {
  readonly #chunks: ChunkIndex;
  #packs: { readonly number: PackNumber; readonly keys: Set<string> }[] = [];

  constructor(chunks: ChunkIndex) {
    this.#chunks = chunks;
  }

  /** `key` as of `chunkIdKey`. */
  packOf(key: string): PackNumber | undefined {
    return this.#packs.find(({ keys }) => keys.has(key))?.number;
  }

  /** Packs come one after the other. */
  add(key: string, pack: PackNumber): void {
    if (this.#packs.at(-1)?.number !== pack) {
      this.#packs = this.#packs.filter(({ number }) => this.#chunks.pack(number) === undefined);
      this.#packs.push({ number: pack, keys: new Set() });
    }
    this.#packs.at(-1)!.keys.add(key);
  }

  clear(): void {
    this.#packs = [];
  }
}
