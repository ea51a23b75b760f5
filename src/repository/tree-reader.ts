/** Reads directories and long contents node by node, checking what only a walker can check (repository design, section 14.4). */
import { SnapError } from '../base/errors.ts';
import { equalBytes, toHex, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { PackNumber } from '../cache/cache.ts';
import { corrupt } from '../format/decode-error.ts';
import type { ChunkId } from '../format/ids.ts';
import { MAX_NODE_DEPTH } from '../format/limits.ts';
import { decodeNode, type ContentItem, type Entry, type TreeNode } from '../format/tree-node.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { PackReader } from './pack-reader.ts';

/** A node that was read, for callers that follow every reference. */
export type OnNode = (id: ChunkId, pack: PackNumber) => void;

export interface TreeReadOptions extends CallOptions {
  readonly onNode?: OnNode | undefined;
}

export class TreeReader {
  readonly #repository: OpenRepository;
  readonly #packs: PackReader;

  constructor(repository: OpenRepository, packs: PackReader) {
    this.#repository = repository;
    this.#packs = packs;
  }

  /** Entries of a directory, leaf by leaf, in name order. @throws CHUNK_MISSING, CHUNK_CORRUPT, FRAME_CORRUPT, OBJECT_CORRUPT */
  async *leaves(root: ChunkId, options: TreeReadOptions = {}): AsyncGenerator<readonly Entry[]> {
    yield* this.#leaves(root, undefined, 0, options);
  }

  async *entries(root: ChunkId, options: TreeReadOptions = {}): AsyncGenerator<Entry> {
    for await (const leaf of this.leaves(root, options)) yield* leaf;
  }

  /** One entry of a directory, or undefined; reads only the nodes on the way to it. */
  async find(root: ChunkId, name: Bytes, options: CallOptions = {}): Promise<Entry | undefined> {
    let id = root;
    for (let depth = 0; depth <= MAX_NODE_DEPTH; depth++) {
      const node = await this.node(id, options);
      if (node.kind === 'leaf') return node.entries.find(entry => equalBytes(entry.name, name));
      if (node.kind !== 'interior') throw corrupt('tree', 'a content node stands where a directory node belongs', { node: toHex(id) });
      const child = node.children.find(each => Buffer.compare(each.lastName, name) >= 0);
      if (child === undefined) return undefined;
      id = child.id;
    }
    throw corrupt('tree', 'a directory has too many levels', { node: toHex(root) });
  }

  /** Content of a file, in parts: the inline list, or the leaves of its content nodes. */
  async *content(entry: Entry, options: TreeReadOptions = {}): AsyncGenerator<readonly ContentItem[]> {
    if (entry.content !== undefined) yield entry.content;
    if (entry.contentNode === undefined) return;
    const covered = yield* this.#contentLeaves(entry.contentNode, 0, options);
    if (covered !== entry.sizeBytes) {
      throw corrupt('tree', `content nodes of ${covered} bytes for a file of ${entry.sizeBytes}`, { node: toHex(entry.contentNode) });
    }
  }

  /** @throws CHUNK_MISSING when no usable tree pack holds it */
  async node(id: ChunkId, options: TreeReadOptions = {}): Promise<TreeNode> {
    const location = this.#repository.cache.chunks.find(id);
    if (location === undefined || this.#repository.cache.chunks.pack(location.pack)?.type !== 'tree') {
      throw new SnapError('CHUNK_MISSING', `No usable pack holds tree node ${toHex(id)}`, {
        hint: 'Run `snap verify` to see which snapshots are hit', context: { node: toHex(id) },
      });
    }
    options.onNode?.(id, location.pack);
    return decodeNode(await this.#packs.chunk(id, location, options));
  }

  async *#leaves(id: ChunkId, lastName: Bytes | undefined, depth: number, options: TreeReadOptions): AsyncGenerator<readonly Entry[]> {
    const node = await this.node(id, options);
    if (node.kind === 'leaf') {
      const last = node.entries.at(-1)?.name;
      if (lastName !== undefined && (last === undefined || !equalBytes(last, lastName))) throw corrupt('tree', 'a leaf does not end with the name above it', { node: toHex(id) });
      yield node.entries;
      return;
    }
    if (node.kind !== 'interior' || depth >= MAX_NODE_DEPTH) throw corrupt('tree', 'a directory node of a wrong kind or depth', { node: toHex(id) });
    if (lastName !== undefined && !equalBytes(node.children.at(-1)!.lastName, lastName)) throw corrupt('tree', 'a node does not end with the name above it', { node: toHex(id) });
    for (const child of node.children) yield* this.#leaves(child.id, child.lastName, depth + 1, options);
  }

  async *#contentLeaves(id: ChunkId, depth: number, options: TreeReadOptions): AsyncGenerator<readonly ContentItem[], number> {
    const node = await this.node(id, options);
    if (node.kind === 'content-leaf') {
      yield node.items;
      return node.items.reduce((sum, item) => sum + item.lengthBytes, 0);
    }
    if (node.kind !== 'content-interior' || depth >= MAX_NODE_DEPTH) throw corrupt('tree', 'a content node of a wrong kind or depth', { node: toHex(id) });
    let total = 0;
    for (const child of node.children) {
      const covered = yield* this.#contentLeaves(child.id, depth + 1, options);
      if (covered !== child.sizeBytes) throw corrupt('tree', `a content node covers ${covered} bytes instead of ${child.sizeBytes}`, { node: toHex(child.id) });
      total += covered;
    }
    return total;
  }
}
