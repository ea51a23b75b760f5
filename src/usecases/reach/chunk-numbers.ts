/**
 * A number for every chunk of the packs that are looked at, from 0 and without large gaps, so that what is known of chunks fits
 * in columns. Chunks are told apart by their place, which is unique, where a shortened hash would not be.
 *
 * Memory: nothing for a chunk of a pack whose frames hold one chunk each; else 4 bytes a chunk and 4 a frame. Packs take
 * 12 bytes each and no object, since a repository of 5 TB has some 300,000 of them.
 */
import { invariant } from '../../base/errors.ts';
import { viewOf } from '../../base/bytes.ts';
import type { ChunkIndex, ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../../format/frame.ts';
import { PagedColumn } from './paged-column.ts';

/** Place of a pack whose frames hold one chunk each. */
const NO_TABLE = 0;

export class ChunkNumbers {
  readonly #index: Pick<ChunkIndex, 'pack'>;
  /** By pack number: its first chunk + 1 (0: not looked at yet), the number of its frames, the place of its table. */
  readonly #bases = new PagedColumn(32);
  readonly #frameCounts = new PagedColumn(32);
  readonly #tables = new PagedColumn(32);
  /** Tables: number of the first chunk of each frame and of the end, from 0; then offset + 1 of each chunk, each frame a hash table of its own. */
  readonly #cells = new PagedColumn(32);
  #nextCell = NO_TABLE + 1;
  readonly #packs: PackNumber[] = [];
  /** Numbers given so far are below it. */
  limit = 0;

  constructor(index: Pick<ChunkIndex, 'pack'>) {
    this.#index = index;
  }

  of({ pack, frame, offset }: ChunkLocation): number {
    const base = this.baseOf(pack);
    const table = this.#tables.get(pack);
    const frameCount = this.#frameCounts.get(pack);
    invariant(frame < frameCount, `Pack ${pack} has no frame ${frame}`);
    if (table === NO_TABLE) return base + frame;
    const first = this.#cells.get(table + frame);
    const count = this.#cells.get(table + frame + 1) - first;
    if (count === 1) return base + first;
    const offsets = table + frameCount + 1 + first;
    // A frame has exactly `count` offsets, so there is always room; Fibonacci hashing spreads them.
    for (let step = 0, at = (Math.imul(offset, 0x9e3779b1) >>> 0) % count; step < count; step++, at = at + 1 === count ? 0 : at + 1) {
      const found = this.#cells.get(offsets + at);
      if (found === offset + 1) return base + first + at;
      if (found !== 0) continue;
      this.#cells.set(offsets + at, offset + 1);
      return base + first + at;
    }
    invariant(false, `Frame ${frame} of pack ${pack} has more chunks than the index says`);
  }

  /** Number of the first chunk of a pack; those of a frame follow each other, frame by frame. */
  baseOf(pack: PackNumber): number {
    const known = this.#bases.get(pack);
    return known === 0 ? this.#add(pack) : known - 1;
  }

  /** Number of the first chunk of its frame; undefined for a frame with one chunk. */
  firstOfShared({ pack, frame }: ChunkLocation): number | undefined {
    const table = this.#tables.get(pack);
    if (table === NO_TABLE) return undefined;
    const first = this.#cells.get(table + frame);
    return this.#cells.get(table + frame + 1) - first === 1 ? undefined : this.baseOf(pack) + first;
  }

  has(pack: PackNumber): boolean {
    return this.#bases.get(pack) !== 0;
  }

  /** Packs of which a chunk was looked at. */
  packs(): IterableIterator<PackNumber> {
    return this.#packs.values();
  }

  #add(pack: PackNumber): number {
    const record = this.#index.pack(pack);
    invariant(record !== undefined, `The cache has no record of pack ${pack}`);
    const view = viewOf(record.frames);
    const frameCount = record.frames.length / FRAME_RECORD_BYTES;
    let chunks = 0;
    let isSingle = true;
    for (let frame = 0; frame < frameCount; frame++) {
      const count = view.getUint16(frame * FRAME_RECORD_BYTES + 12, true);
      isSingle &&= count === 0 || (count === 1 && chunks === frame);
      chunks += count;
    }
    if (!isSingle) this.#addTable(pack, view, frameCount, chunks);
    const base = this.limit;
    this.limit += chunks;
    invariant(this.limit < 2 ** 32 - 1, 'More than four thousand million chunks');
    this.#bases.set(pack, base + 1);
    this.#frameCounts.set(pack, frameCount);
    this.#packs.push(pack);
    return base;
  }

  #addTable(pack: PackNumber, view: DataView, frameCount: number, chunks: number): void {
    const table = this.#nextCell;
    this.#nextCell += frameCount + 1 + chunks;
    invariant(this.#nextCell < 2 ** 32, 'More chunks than can be numbered');
    let first = 0;
    for (let frame = 0; frame < frameCount; frame++) {
      this.#cells.set(table + frame, first);
      first += view.getUint16(frame * FRAME_RECORD_BYTES + 12, true);
    }
    this.#cells.set(table + frameCount, first);
    this.#tables.set(pack, table);
  }
}
