/**
 * Collects the content of one file: up to 128 items stay inline in the entry, longer lists become content nodes (repository
 * design, section 14.3). A file of any length costs the memory of one node per level.
 */
import type { ChunkId } from '../format/ids.ts';
import { MAX_INLINE_ITEMS } from '../format/limits.ts';
import {
  createContentInteriorEncoder, createContentLeafEncoder, isContentCut, type ContentChild, type ContentItem, type NodeEncoder,
} from '../format/tree-node.ts';
import type { NodeSink } from './tree-writer.ts';

/** What goes into the entry. */
export interface BuiltContent {
  readonly sizeBytes: number;
  readonly content?: readonly ContentItem[];
  readonly contentNode?: ChunkId;
}

interface ContentLevel {
  readonly encoder: NodeEncoder<ContentChild>;
  sizeBytes: number;
  finished: number;
}

export class ContentBuilder {
  readonly #sink: NodeSink;
  #inline: ContentItem[] | undefined = [];
  /** Made for the few files that need nodes: an encoder costs more than a small file. */
  #leaf: NodeEncoder<ContentItem> | undefined;
  #leafBytes = 0;
  readonly #levels: ContentLevel[] = [];
  #sizeBytes = 0;
  /** A zero run is held back so that neighbours merge: the list must not depend on how the content was delivered. */
  #zeros = 0;

  constructor(sink: NodeSink) {
    this.#sink = sink;
  }

  /** `id` undefined: that many zero bytes. */
  add(id: ChunkId | undefined, lengthBytes: number): void {
    this.#sizeBytes += lengthBytes;
    if (id === undefined) {
      this.#zeros += lengthBytes;
      return;
    }
    this.#flushZeros();
    this.#addItem({ id, lengthBytes });
  }

  finish(): BuiltContent {
    this.#flushZeros();
    const sizeBytes = this.#sizeBytes;
    if (this.#inline !== undefined) return this.#inline.length === 0 ? { sizeBytes } : { sizeBytes, content: this.#inline };
    if (this.#levels.length === 0) return { sizeBytes, contentNode: this.#sink.put(this.#leaf!.finish()) };
    if (this.#leaf!.count > 0) this.#finishLeaf();
    for (let level = 0; ; level++) {
      const current = this.#levels[level]!;
      if (current.finished === 0) return { sizeBytes, contentNode: this.#sink.put(current.encoder.finish()) };
      if (current.encoder.count > 0) this.#finishInterior(level);
    }
  }

  #flushZeros(): void {
    const lengthBytes = this.#zeros;
    this.#zeros = 0;
    if (lengthBytes > 0) this.#addItem({ id: undefined, lengthBytes });
  }

  #addItem(item: ContentItem): void {
    if (this.#inline !== undefined) {
      if (this.#inline.length < MAX_INLINE_ITEMS) {
        this.#inline.push(item);
        return;
      }
      const inline = this.#inline;
      this.#inline = undefined;
      for (const earlier of inline) this.#addToLeaf(earlier);
    }
    this.#addToLeaf(item);
  }

  #addToLeaf(item: ContentItem): void {
    const leaf = this.#leaf ??= createContentLeafEncoder();
    leaf.add(item);
    this.#leafBytes += item.lengthBytes;
    if (isContentCut(leaf.count, item.id)) this.#finishLeaf();
  }

  #finishLeaf(): void {
    const sizeBytes = this.#leafBytes;
    this.#leafBytes = 0;
    this.#addChild(0, { sizeBytes, id: this.#sink.put(this.#leaf!.finish()) });
  }

  #addChild(level: number, child: ContentChild): void {
    const current = this.#levels[level] ??= { encoder: createContentInteriorEncoder(), sizeBytes: 0, finished: 0 };
    current.encoder.add(child);
    current.sizeBytes += child.sizeBytes;
    if (isContentCut(current.encoder.count, child.id)) this.#finishInterior(level);
  }

  #finishInterior(level: number): void {
    const current = this.#levels[level]!;
    const { sizeBytes } = current;
    current.sizeBytes = 0;
    current.finished++;
    this.#addChild(level + 1, { sizeBytes, id: this.#sink.put(current.encoder.finish()) });
  }
}
