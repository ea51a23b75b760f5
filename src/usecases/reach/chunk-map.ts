/** A small value for every chunk of the packs that are looked at, exact and in columns: 2 bytes a chunk, and those of `ChunkNumbers`. */
import type { ChunkIndex, ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { ChunkNumbers } from './chunk-numbers.ts';
import { PagedColumn } from './paged-column.ts';

export class ChunkMap {
  readonly #numbers: ChunkNumbers;
  readonly #values = new PagedColumn(16);

  /** Maps that are asked for the same chunks may share `numbers`; `packs` is then of all of them. */
  constructor(index: Pick<ChunkIndex, 'pack'>, numbers: ChunkNumbers = new ChunkNumbers(index)) {
    this.#numbers = numbers;
  }

  /** 0 unless `set` gave it another value. */
  get(location: ChunkLocation): number {
    return this.#values.get(this.#numbers.of(location));
  }

  /** `value` is at most 65,535. */
  set(location: ChunkLocation, value: number): void {
    this.#values.set(this.#numbers.of(location), value);
  }

  /** Packs of which a chunk was looked at. */
  packs(): IterableIterator<PackNumber> {
    return this.#numbers.packs();
  }
}
