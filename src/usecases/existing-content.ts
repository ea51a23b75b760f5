/** Compares ranges of files at a target with the chunks of a snapshot. */
import { isAllZero } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { Hasher } from '../kernel/kernel.ts';
import type { ContentItem, Entry } from '../format/tree-node.ts';
import type { TargetHandle, TreeTarget } from '../targets/target.ts';
import { isSameChunk } from './chunk-salvage.ts';

/** Runs of zeros are read in pieces; making longer ones zero again is cheaper than reading them. */
const ZERO_PIECE_BYTES = MiB;
const MAX_ZERO_BYTES = 64 * MiB;
/** After so many bytes other work of the thread gets its turn. */
const TURN_BYTES = 64 * MiB;

export class ExistingContent {
  readonly #target: TreeTarget;
  readonly #hasher: Hasher;
  #bytesSinceTurn = 0;

  /** `hasher` makes the IDs of data chunks. */
  constructor(target: TreeTarget, hasher: Hasher) {
    this.#target = target;
    this.#hasher = hasher;
  }

  /** Whether the file under the name of the entry has this content at this position. */
  async holds(parent: TargetHandle, entry: Entry, position: number, { id, lengthBytes }: ContentItem): Promise<boolean> {
    if (id !== undefined) {
      await this.#takeTurn(lengthBytes);
      return isSameChunk(this.#hasher, this.#target.readExisting(parent, entry, position, lengthBytes), id, lengthBytes);
    }
    if (lengthBytes > MAX_ZERO_BYTES) return false;
    for (let at = 0; at < lengthBytes; at += ZERO_PIECE_BYTES) {
      const length = Math.min(ZERO_PIECE_BYTES, lengthBytes - at);
      await this.#takeTurn(length);
      const bytes = this.#target.readExisting(parent, entry, position + at, length);
      if (bytes === undefined || !isAllZero(bytes)) return false;
    }
    return true;
  }

  /** Whether all of a file that was restored is as it should be. */
  async holdsAll(parent: TargetHandle, entry: Entry, content: AsyncIterable<readonly ContentItem[]>): Promise<boolean> {
    let position = 0;
    for await (const items of content) {
      for (const item of items) {
        // A long run of zeros was made zero by one call, and a look at its ends tells whether that was done.
        const looked = item.id === undefined && item.lengthBytes > MAX_ZERO_BYTES ? zeroEnds(position, item.lengthBytes) : [{ position, item }];
        for (const each of looked) if (!await this.holds(parent, entry, each.position, each.item)) return false;
        position += item.lengthBytes;
      }
    }
    return position === (entry.sizeBytes ?? 0);
  }

  async #takeTurn(bytes: number): Promise<void> {
    this.#bytesSinceTurn += bytes;
    if (this.#bytesSinceTurn < TURN_BYTES) return;
    this.#bytesSinceTurn = 0;
    await new Promise(resolve => { setImmediate(resolve); });
  }
}

function zeroEnds(position: number, lengthBytes: number): { position: number; item: ContentItem }[] {
  const item: ContentItem = { id: undefined, lengthBytes: ZERO_PIECE_BYTES };
  return [{ position, item }, { position: position + lengthBytes - ZERO_PIECE_BYTES, item }];
}
