/**
 * A small number for every chunk of the packs that are looked at, exact and in columns: 2 bytes a chunk, and 4 more for those
 * that share a frame. Chunks are told apart by their place, which is unique, where a shortened hash would not be.
 */
import { invariant } from '../base/errors.ts';
import { viewOf } from '../base/bytes.ts';
import type { ChunkIndex, ChunkLocation, PackNumber, PackRecord } from '../cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../format/frame.ts';

export class ChunkMap {
  readonly #index: Pick<ChunkIndex, 'pack'>;
  readonly #packs = new Map<PackNumber, PackValues>();
  #last: PackValues | undefined;
  #lastNumber: PackNumber = 0;

  constructor(index: Pick<ChunkIndex, 'pack'>) {
    this.#index = index;
  }

  /** 0 unless `set` gave it another value. */
  get(location: ChunkLocation): number {
    return this.#packOf(location.pack).get(location.frame, location.offset);
  }

  /** `value` is at most 65,535. */
  set(location: ChunkLocation, value: number): void {
    this.#packOf(location.pack).set(location.frame, location.offset, value);
  }

  /** Packs of which a chunk was looked at. */
  packs(): IterableIterator<PackNumber> {
    return this.#packs.keys();
  }

  #packOf(number: PackNumber): PackValues {
    if (this.#last !== undefined && this.#lastNumber === number) return this.#last;
    let values = this.#packs.get(number);
    if (values === undefined) {
      const record = this.#index.pack(number);
      invariant(record !== undefined, `The cache has no record of pack ${number}`);
      this.#packs.set(number, values = new PackValues(record));
    }
    this.#lastNumber = number;
    return this.#last = values;
  }
}

class PackValues {
  /** Number of the first chunk of each frame. */
  readonly #first: Uint32Array;
  /** The same among the chunks of frames with several. */
  readonly #firstShared: Uint32Array;
  readonly #values: Uint16Array;
  /** Offset + 1 of the chunks of shared frames, each frame a hash table of its own; 0 is free. */
  readonly #offsets: Uint32Array;

  constructor({ frames }: PackRecord) {
    const count = frames.length / FRAME_RECORD_BYTES;
    const view = viewOf(frames);
    this.#first = new Uint32Array(count + 1);
    this.#firstShared = new Uint32Array(count + 1);
    for (let i = 0; i < count; i++) {
      const chunks = view.getUint16(i * FRAME_RECORD_BYTES + 12, true);
      this.#first[i + 1] = this.#first[i]! + chunks;
      this.#firstShared[i + 1] = this.#firstShared[i]! + (chunks > 1 ? chunks : 0);
    }
    this.#values = new Uint16Array(this.#first[count]!);
    this.#offsets = new Uint32Array(this.#firstShared[count]!);
  }

  get(frame: number, offset: number): number {
    return this.#values[this.#find(frame, offset)]!;
  }

  set(frame: number, offset: number, value: number): void {
    this.#values[this.#find(frame, offset)] = value;
  }

  #find(frame: number, offset: number): number {
    const first = this.#first[frame]!;
    const count = this.#first[frame + 1]! - first;
    if (count === 1) return first;
    const table = this.#firstShared[frame]!;
    // A frame has exactly `count` offsets, so there is always room; Fibonacci hashing spreads them.
    for (let step = 0, at = (Math.imul(offset, 0x9e3779b1) >>> 0) % count; step < count; step++, at = at + 1 === count ? 0 : at + 1) {
      const found = this.#offsets[table + at]!;
      if (found === offset + 1) return first + at;
      if (found !== 0) continue;
      this.#offsets[table + at] = offset + 1;
      return first + at;
    }
    invariant(false, `Frame ${frame} has more chunks than the index says`);
  }
}
