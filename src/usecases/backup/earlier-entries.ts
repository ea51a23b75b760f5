/**
 * The entries of a directory in an earlier run, looked up in ascending order of names: one node is held at a time, however
 * large the directory is.
 */
import type { SnapError } from '../../base/errors.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { ChunkId } from '../../format/ids.ts';
import { compareNames, type Entry } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';

export class EarlierEntries {
  readonly #onDamage: (error: SnapError) => void;
  readonly #leaves: AsyncIterator<readonly Entry[]> | undefined;
  #leaf: readonly Entry[] = [];
  #position = 0;
  #isAtEnd: boolean;

  /** Without a node there are no earlier entries. */
  constructor(trees: TreeReader, node: ChunkId | undefined, onDamage: (error: SnapError) => void) {
    this.#onDamage = onDamage;
    this.#leaves = node === undefined ? undefined : trees.leaves(node)[Symbol.asyncIterator]();
    this.#isAtEnd = node === undefined;
  }

  /** No entry can be found any more. */
  get isEmpty(): boolean {
    return this.#isAtEnd;
  }

  /** Names are asked for in ascending order. */
  async find(name: Bytes): Promise<Entry | undefined> {
    while (!this.#isAtEnd) {
      for (; this.#position < this.#leaf.length; this.#position++) {
        const entry = this.#leaf[this.#position]!;
        const order = compareNames(entry.name, name);
        if (order === 0) return entry;
        if (order > 0) return undefined;
      }
      await this.#nextLeaf();
    }
    return undefined;
  }

  async #nextLeaf(): Promise<void> {
    try {
      const next = await this.#leaves!.next();
      this.#isAtEnd = next.done === true;
      this.#leaf = next.done === true ? [] : next.value;
      this.#position = 0;
    } catch (error) {
      // A parent that cannot be read any more only costs reading the files again.
      if (!isDamage(error)) throw error;
      this.#isAtEnd = true;
      this.#onDamage(error);
    }
  }
}
