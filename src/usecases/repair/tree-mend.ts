/**
 * Walks a tree of a snapshot of which parts may be gone: names what is lost, with its ranges of bytes, and on request builds the tree
 * anew without it. What is whole is taken over by reference and looked at once, however many snapshots share it. A damaged part is
 * walked a second time, for only then is it known to be worth building.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError, throwIfAborted } from '../../base/errors.ts';
import type { ChunkIndex } from '../../cache/cache.ts';
import { corrupt } from '../../format/decode-error.ts';
import { chunkIdKey, type ChunkId } from '../../format/ids.ts';
import { compareNames, ENTRY_PARTLY_UNREADABLE, type ContentItem, type Entry, type TreeNode } from '../../format/tree-node.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import { ContentBuilder } from '../../repository/content-builder.ts';
import { isDamage } from '../../repository/damage.ts';
import { DirectoryBuilder } from '../../repository/directory-builder.ts';
import { checkContentNode, checkDirectoryNode } from '../../repository/tree-reader.ts';
import type { NodeSink } from '../../repository/tree-writer.ts';
import { ByteRanges } from './byte-ranges.ts';
import { ChunkMap } from '../reach/chunk-map.ts';
import { joinPath } from '../path-bytes.ts';

/** Something that a snapshot names and nobody can read. */
export interface TreeLoss {
  readonly object: 'file' | 'directory' | 'attribute';
  readonly path: Bytes;
  /** Of a file. */
  readonly ranges: ByteRanges | undefined;
  /** The first chunk or node that is gone. */
  readonly chunk: ChunkId;
  /** Why, in words. */
  readonly reason: string;
}

/** Where the parts of trees come from. */
export interface MendSource {
  /** Whether a data chunk can be had. */
  hasChunk(id: ChunkId, lengthBytes: number): boolean | Promise<boolean>;
  /** @throws damage, and every other error, which ends the walk */
  node(id: ChunkId): Promise<TreeNode>;
}

export interface MendOptions extends CallOptions {
  readonly source: MendSource;
  readonly index: ChunkIndex;
  readonly auxiliaryHasher: Hasher;
}

export interface MendRun {
  /** Told of every entry that is hit. */
  readonly onLoss: (loss: TreeLoss) => void;
  /** Takes the nodes of what is built anew; without it nothing is built, and every entry is returned as it was. */
  readonly sink?: NodeSink | undefined;
}

const WHOLE = 1;
const DAMAGED = 2;
const NO_CHUNK = 'No pack holds the chunk';

/** A stretch of a content: a chunk or zeros, or what lies below a node that is gone. */
type Part = { readonly item: ContentItem } | { readonly lostBytes: number; readonly node: ChunkId; readonly error: SnapError };

/** The entries of a leaf, or the node that cannot be read. */
type Leaf = { readonly entries: readonly Entry[] } | { readonly chunk: ChunkId; readonly error: SnapError };

export class TreeMend {
  readonly #options: MendOptions;
  readonly #states: ChunkMap;
  /** Of nodes that the index has no place for. */
  readonly #unplaced = new Map<string, number>();
  #run: MendRun = { onLoss: () => undefined };

  constructor(options: MendOptions) {
    this.#options = options;
    this.#states = new ChunkMap(options.index);
  }

  /** The very same entry when all of it is whole. One after the other. */
  async mend(entry: Entry, path: Bytes, run: MendRun): Promise<Entry> {
    this.#run = run;
    return await this.#isWhole(entry) ? entry : this.#entry(entry, path);
  }

  // --- looking ---

  async #isWhole({ content, xattrs, contentNode, directoryNode, sizeBytes = 0 }: Entry): Promise<boolean> {
    if (content !== undefined && await this.#firstMissing(content) !== undefined) return false;
    for (const { value } of xattrs ?? []) if (!(value instanceof Uint8Array) && await this.#firstMissing(value) !== undefined) return false;
    if (contentNode !== undefined && !await this.#isWholeContent(contentNode, sizeBytes, 0)) return false;
    return directoryNode === undefined || this.#isWholeDirectory(directoryNode, undefined, 0);
  }

  async #firstMissing(items: readonly ContentItem[]): Promise<ChunkId | undefined> {
    for (const { id, lengthBytes } of items) {
      if (id === undefined) continue;
      const has = this.#options.source.hasChunk(id, lengthBytes);
      if (!(typeof has === 'boolean' ? has : await has)) return id;
    }
    return undefined;
  }

  #isWholeDirectory(id: ChunkId, lastName: Bytes | undefined, depth: number): Promise<boolean> {
    return this.#remember(id, async () => {
      const node = checkDirectoryNode(id, await this.#options.source.node(id), lastName, depth);
      if (node.kind === 'interior') {
        for (const child of node.children) if (!await this.#isWholeDirectory(child.id, child.lastName, depth + 1)) return false;
      } else for (const entry of node.entries) if (!await this.#isWhole(entry)) return false;
      return true;
    });
  }

  #isWholeContent(id: ChunkId, sizeBytes: number, depth: number): Promise<boolean> {
    return this.#remember(id, async () => {
      const node = checkContentNode(id, await this.#options.source.node(id), sizeBytes, depth);
      if (node.kind === 'content-leaf') return await this.#firstMissing(node.items) === undefined;
      for (const child of node.children) if (!await this.#isWholeContent(child.id, child.sizeBytes, depth + 1)) return false;
      return true;
    });
  }

  async #remember(id: ChunkId, look: () => Promise<boolean>): Promise<boolean> {
    throwIfAborted(this.#options.signal);
    const location = this.#options.index.find(id);
    const known = location === undefined ? this.#unplaced.get(chunkIdKey(id)) : this.#states.get(location);
    if (known === WHOLE || known === DAMAGED) return known === WHOLE;
    let isWhole = false;
    try {
      isWhole = await look();
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    const state = isWhole ? WHOLE : DAMAGED;
    if (location === undefined) this.#unplaced.set(chunkIdKey(id), state);
    else this.#states.set(location, state);
    return isWhole;
  }

  // --- mending ---

  async #entry(entry: Entry, path: Bytes): Promise<Entry> {
    let mended = await this.#withoutLostAttributes(entry, path);
    if (entry.type === 'file') mended = await this.#file(mended, path);
    if (entry.directoryNode !== undefined && !await this.#isWholeDirectory(entry.directoryNode, undefined, 0)) mended = await this.#directory(mended, entry.directoryNode, path);
    return this.#run.sink === undefined ? entry : mended;
  }

  /** An attribute without its value would be another attribute, so it goes. */
  async #withoutLostAttributes(entry: Entry, path: Bytes): Promise<Entry> {
    const { xattrs } = entry;
    if (xattrs === undefined) return entry;
    const kept = [];
    for (const xattr of xattrs) {
      const chunk = xattr.value instanceof Uint8Array ? undefined : await this.#firstMissing(xattr.value);
      if (chunk === undefined) kept.push(xattr);
      else this.#run.onLoss({ object: 'attribute', path, ranges: undefined, chunk, reason: `The value of the attribute '${Buffer.from(xattr.name).toString()}' is gone` });
    }
    if (kept.length === xattrs.length) return entry;
    return { ...entry, xattrs: kept.length === 0 ? undefined : kept, flags: entry.flags | ENTRY_PARTLY_UNREADABLE };
  }

  async #file(entry: Entry, path: Bytes): Promise<Entry> {
    const ranges = new ByteRanges();
    let first: Pick<TreeLoss, 'chunk' | 'reason'> | undefined;
    let position = 0;
    for await (const part of this.#parts(entry)) {
      const loss = await this.#lossOf(part);
      const length = 'item' in part ? part.item.lengthBytes : part.lostBytes;
      if (loss !== undefined) ranges.add(position, length);
      first ??= loss;
      position += length;
    }
    if (first === undefined) return entry;
    this.#run.onLoss({ object: 'file', path, ranges, ...first });
    if (this.#run.sink === undefined) return entry;
    const content = await this.#rebuiltContent(entry, this.#run.sink);
    for (const { offset, length } of entry.damagedSpans ?? []) ranges.add(offset, length);
    return { ...entry, content: undefined, contentNode: undefined, ...content, flags: entry.flags | ENTRY_PARTLY_UNREADABLE, damagedSpans: ranges.spans() };
  }

  /** Zeros take the place of what is gone; the entry says where. */
  async #rebuiltContent(entry: Entry, sink: NodeSink): Promise<ReturnType<ContentBuilder['finish']>> {
    const builder = new ContentBuilder(sink);
    for await (const part of this.#parts(entry)) {
      if (!('item' in part)) builder.add(undefined, part.lostBytes);
      else builder.add(await this.#lossOf(part) === undefined ? part.item.id : undefined, part.item.lengthBytes);
    }
    return builder.finish();
  }

  async #lossOf(part: Part): Promise<Pick<TreeLoss, 'chunk' | 'reason'> | undefined> {
    if (!('item' in part)) return { chunk: part.node, reason: part.error.message };
    const chunk = await this.#firstMissing([part.item]);
    return chunk === undefined ? undefined : { chunk, reason: NO_CHUNK };
  }

  async *#parts({ content, contentNode, sizeBytes = 0 }: Entry): AsyncGenerator<Part> {
    for (const item of content ?? []) yield { item };
    if (contentNode !== undefined) yield* this.#partsBelow(contentNode, sizeBytes, 0);
  }

  async *#partsBelow(id: ChunkId, sizeBytes: number, depth: number): AsyncGenerator<Part> {
    throwIfAborted(this.#options.signal);
    const node = await orDamage(async () => checkContentNode(id, await this.#options.source.node(id), sizeBytes, depth));
    if (node instanceof SnapError) yield { lostBytes: sizeBytes, node: id, error: node };
    else if (node.kind === 'content-leaf') for (const item of node.items) yield { item };
    else for (const child of node.children) yield* this.#partsBelow(child.id, child.sizeBytes, depth + 1);
  }

  async #directory(entry: Entry, node: ChunkId, path: Bytes): Promise<Entry> {
    const { sink } = this.#run;
    const builder = sink === undefined ? undefined : new DirectoryBuilder(this.#options.auxiliaryHasher);
    if (sink !== undefined) builder?.begin(sink);
    let last: Bytes | undefined;
    let loss: { readonly chunk: ChunkId; readonly error: SnapError } | undefined;
    for await (const leaf of this.#leaves(node, undefined, 0)) {
      if ('error' in leaf) loss ??= leaf;
      else for (const child of leaf.entries) {
        if (last !== undefined && compareNames(child.name, last) <= 0) {
          loss ??= { chunk: node, error: corrupt('tree', 'names of two leaves overlap') };
          continue;
        }
        last = child.name;
        const mended = await this.#isWhole(child) ? child : await this.#entry(child, joinPath(path, child.name));
        builder?.add(mended);
      }
    }
    if (loss !== undefined) this.#run.onLoss({ object: 'directory', path, ranges: undefined, chunk: loss.chunk, reason: `Entries of the folder are gone: ${loss.error.message}` });
    return { ...entry, directoryNode: builder?.finish() ?? node, flags: loss === undefined ? entry.flags : entry.flags | ENTRY_PARTLY_UNREADABLE };
  }

  async *#leaves(id: ChunkId, lastName: Bytes | undefined, depth: number): AsyncGenerator<Leaf> {
    throwIfAborted(this.#options.signal);
    const node = await orDamage(async () => checkDirectoryNode(id, await this.#options.source.node(id), lastName, depth));
    if (node instanceof SnapError) yield { chunk: id, error: node };
    else if (node.kind === 'leaf') yield { entries: node.entries };
    else for (const child of node.children) yield* this.#leaves(child.id, child.lastName, depth + 1);
  }
}

async function orDamage<T>(work: () => Promise<T>): Promise<T | SnapError> {
  try {
    return await work();
  } catch (error) {
    if (!isDamage(error)) throw error;
    return error;
  }
}
