/** Which chunks share a frame (repository design, section 4.6). Pure: it collects bytes and seals nothing. */
import type { Bytes } from '../base/bytes.ts';
import { MAX_GROUP_FRAME_BYTES, MAX_GROUP_FRAME_CHUNKS, OWN_FRAME_BYTES } from '../format/limits.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from './frame-chunks.ts';

/** True for a chunk that does not share a frame. */
export function needsOwnFrame(chunkBytes: number): boolean {
  return chunkBytes >= OWN_FRAME_BYTES;
}

/** Collects small chunks of one walker, in walk order, until their frame should be closed. */
export class FrameBuilder {
  readonly #plaintext = new Uint8Array(MAX_GROUP_FRAME_BYTES);
  readonly #chunks = new Uint8Array(MAX_GROUP_FRAME_CHUNKS * FRAME_CHUNK_BYTES);
  #rawLength = 0;
  #count = 0;

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get chunkCount(): number {
    return this.#count;
  }

  /** Plaintext so far; a view that `add` and `clear` change. */
  get plaintext(): Uint8Array<ArrayBuffer> {
    return this.#plaintext.subarray(0, this.#rawLength);
  }

  /** `FRAME_CHUNK_BYTES` a chunk, a copy. */
  copyChunks(): Uint8Array<ArrayBuffer> {
    return this.#chunks.slice(0, this.#count * FRAME_CHUNK_BYTES);
  }

  /** Whether the frame takes one more chunk of this size; if not, it must be closed first. */
  fits(chunkBytes: number): boolean {
    return this.#rawLength + chunkBytes <= MAX_GROUP_FRAME_BYTES && this.#count < MAX_GROUP_FRAME_CHUNKS;
  }

  /** At the end of a directory a frame is closed if it is at least half full, so that directories share few frames. */
  isLargeEnough(): boolean {
    return this.#rawLength >= OWN_FRAME_BYTES;
  }

  /** Only a chunk that `fits`. */
  add(id: Bytes, bytes: Bytes): void {
    this.#plaintext.set(bytes, this.#rawLength);
    writeFrameChunk(this.#chunks, this.#count, id, bytes.length);
    this.#rawLength += bytes.length;
    this.#count++;
  }

  clear(): void {
    this.#rawLength = 0;
    this.#count = 0;
  }
}
