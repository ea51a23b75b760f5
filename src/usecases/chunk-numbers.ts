/**
 * A number for every chunk of the packs that are looked at, from 0 and without large gaps, so that what is known of chunks
 * fits in columns. Chunks are told by their place: 8 bytes a frame, and 4 for each chunk that shares one.
 */
import { invariant } from '../base/errors.ts';
import { viewOf } from '../base/bytes.ts';
import type { ChunkIndex, ChunkLocation, PackNumber, PackRecord } from '../cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../format/frame.ts';

export class ChunkNumbers {
  readonly #index: Pick<ChunkIndex, 'pack'>;
  readonly #packs = new Map<PackNumber, PackPlaces>();
  /** Numbers given so far are below it. */
  limit = 0;

  constructor(index: Pick<ChunkIndex, 'pack'>) {
    this.#index = index;
  }

  of({ pack, frame, offset }: ChunkLocation): number {
    let places = this.#packs.get(pack);
    if (places === undefined) {
      const record = this.#index.pack(pack);
      invariant(record !== undefined, `The cache has no record of pack ${pack}`);
      this.#packs.set(pack, places = new PackPlaces(record, this.limit));
      this.limit += places.chunkCount;
    }
    return places.numberOf(frame, offset);
  }
}

class PackPlaces {
  readonly #base: number;
  /** Number of the first chunk of each frame, from 0 in each pack; the same among the chunks of frames with several. */
  readonly #first: Uint32Array;
  readonly #firstShared: Uint32Array;
  /** Offset + 1 of the chunks of shared frames, each frame a hash table of its own; 0 is free. */
  readonly #offsets: Uint32Array;

  constructor({ frames }: PackRecord, base: number) {
    this.#base = base;
    const count = frames.length / FRAME_RECORD_BYTES;
    const view = viewOf(frames);
    this.#first = new Uint32Array(count + 1);
    this.#firstShared = new Uint32Array(count + 1);
    for (let i = 0; i < count; i++) {
      const chunks = view.getUint16(i * FRAME_RECORD_BYTES + 12, true);
      this.#first[i + 1] = this.#first[i]! + chunks;
      this.#firstShared[i + 1] = this.#firstShared[i]! + (chunks > 1 ? chunks : 0);
    }
    this.#offsets = new Uint32Array(this.#firstShared[count]!);
  }

  get chunkCount(): number {
    return this.#first.at(-1)!;
  }

  numberOf(frame: number, offset: number): number {
    const first = this.#first[frame]!;
    const count = this.#first[frame + 1]! - first;
    if (count === 1) return this.#base + first;
    const table = this.#firstShared[frame]!;
    // A frame has exactly `count` offsets, so there is always room; Fibonacci hashing spreads them.
    for (let step = 0, at = (Math.imul(offset, 0x9e3779b1) >>> 0) % count; step < count; step++, at = at + 1 === count ? 0 : at + 1) {
      const found = this.#offsets[table + at]!;
      if (found !== offset + 1 && found !== 0) continue;
      this.#offsets[table + at] = offset + 1;
      return this.#base + first + at;
    }
    invariant(false, `Frame ${frame} has more chunks than the index says`);
  }
}
