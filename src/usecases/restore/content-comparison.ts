/** Compares bytes at hand, such as those of a file at a target, with the chunks of a snapshot. */
import { isAllZero, type Bytes } from '../../base/bytes.ts';
import { MiB } from '../../base/units.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import type { ContentItem } from '../../format/tree-node.ts';
import { isSameChunk } from '../reading/chunk-salvage.ts';

/** A range of a file; undefined when it is not fully there. */
export type ReadRange = (offset: number, length: number) => Bytes | undefined;

/** Runs of zeros are read in pieces. */
const ZERO_PIECE_BYTES = MiB;
/** After so many bytes other work of the thread gets its turn. */
const TURN_BYTES = 64 * MiB;

export class ContentComparison {
  readonly #hasher: Hasher;
  #bytesSinceTurn = 0;

  /** `hasher` makes the IDs of data chunks. */
  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  /** Whether the file has this content at this position. */
  async holds(read: ReadRange, position: number, { id, lengthBytes }: ContentItem): Promise<boolean> {
    if (id !== undefined) {
      await this.#takeTurn(lengthBytes);
      return isSameChunk(this.#hasher, read(position, lengthBytes), id, lengthBytes);
    }
    for (let at = 0; at < lengthBytes; at += ZERO_PIECE_BYTES) {
      const length = Math.min(ZERO_PIECE_BYTES, lengthBytes - at);
      await this.#takeTurn(length);
      const bytes = read(position + at, length);
      if (bytes === undefined || !isAllZero(bytes)) return false;
    }
    return true;
  }

  /** Whether the file begins with all of the content. */
  async holdsAll(read: ReadRange, content: AsyncIterable<readonly ContentItem[]>): Promise<boolean> {
    let position = 0;
    for await (const items of content) {
      for (const item of items) {
        if (!await this.holds(read, position, item)) return false;
        position += item.lengthBytes;
      }
    }
    return true;
  }

  async #takeTurn(bytes: number): Promise<void> {
    this.#bytesSinceTurn += bytes;
    if (this.#bytesSinceTurn < TURN_BYTES) return;
    this.#bytesSinceTurn = 0;
    await new Promise(resolve => { setImmediate(resolve); });
  }
}
