/**
 * Builds the nodes of one directory from its entries in name order, holding one open node per level (repository design,
 * section 14.4). A directory with millions of entries costs the memory of one node.
 */
import { invariant } from '../base/errors.ts';
import type { Hasher } from '../kernel/kernel.ts';
import type { Bytes } from '../base/bytes.ts';
import type { ChunkId } from '../format/ids.ts';
import { MAX_NODE_DEPTH } from '../format/limits.ts';
import {
  createInteriorEncoder, createLeafEncoder, isNodeCut, type DirectoryChild, type Entry, type NodeEncoder,
} from '../format/tree-node.ts';
import type { NodeSink } from './tree-writer.ts';

interface Level {
  readonly encoder: NodeEncoder<DirectoryChild>;
  /** Nodes of this level that are stored and recorded one level up. */
  finished: number;
}

export class DirectoryBuilder {
  #sink: NodeSink | undefined;
  readonly #auxiliaryHasher: Hasher;
  readonly #leaf = createLeafEncoder();
  readonly #levels: Level[] = [];
  #leavesFinished = 0;
  #lastName: Bytes | undefined;

  constructor(auxiliaryHasher: Hasher) {
    this.#auxiliaryHasher = auxiliaryHasher;
  }

  /** Starts a directory; its nodes go to `sink`. */
  begin(sink: NodeSink): void {
    this.#sink = sink;
  }

  /** Entries come in strictly ascending order of their names. */
  add(entry: Entry): void {
    this.#leaf.add(entry);
    this.#lastName = entry.name;
    if (isNodeCut(this.#leaf.recordBytes, 0, this.#auxiliaryHasher, entry.name)) this.#finishLeaf();
  }

  /** Root node of the directory; the builder may be used again for the next one. */
  finish(): ChunkId {
    if (this.#leavesFinished === 0) return this.#reset(this.#sink!.put(this.#leaf.finish()));
    if (this.#leaf.count > 0) this.#finishLeaf();
    for (let level = 0; ; level++) {
      const { encoder, finished } = this.#levels[level]!;
      if (finished === 0) return this.#reset(this.#sink!.put(encoder.finish()));
      if (encoder.count > 0) this.#finishInterior(level);
    }
  }

  #reset(root: ChunkId): ChunkId {
    this.#levels.length = 0;
    this.#leavesFinished = 0;
    this.#lastName = undefined;
    return root;
  }

  #finishLeaf(): void {
    this.#leavesFinished++;
    this.#addChild(0, this.#sink!.put(this.#leaf.finish()));
  }

  /** `level` 0 is the first interior level. */
  #addChild(level: number, id: ChunkId): void {
    invariant(level < MAX_NODE_DEPTH, 'A directory needs too many levels');
    const current = this.#levels[level] ??= { encoder: createInteriorEncoder(), finished: 0 };
    current.encoder.add({ lastName: this.#lastName!, id });
    if (isNodeCut(current.encoder.recordBytes, level + 1, this.#auxiliaryHasher, this.#lastName!)) this.#finishInterior(level);
  }

  #finishInterior(level: number): void {
    const current = this.#levels[level]!;
    current.finished++;
    this.#addChild(level + 1, this.#sink!.put(current.encoder.finish()));
  }
}
