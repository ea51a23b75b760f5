/** Reads directories and long contents node by node, checking what only a walker can check (repository design, section 14.4). */
import { SnapError } from '../base/errors.ts';
import { equalBytes, toHex, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { ChunkLocation, PackNumber } from '../cache/cache.ts';
import { corrupt } from '../format/decode-error.ts';
import type { ChunkId } from '../format/ids.ts';
import { MAX_NODE_DEPTH } from '../format/limits.ts';
import { decodeNode, type ContentItem, type Entry, type TreeNode } from '../format/tree-node.ts';
import { isDamage } from './damage.ts';
import { followMoves, type ViewRenewal } from './moved-chunks.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { PackReader } from './pack-reader.ts';

/** A node that was read, for callers that follow every reference. */
export type OnNode = (id: ChunkId, pack: PackNumber) => void;

/** A node that is damaged or missing; `sizeBytes` is the content below a content node. */
export type OnDamage = (id: ChunkId, error: SnapError, sizeBytes: number) => void;

export interface TreeReadOptions extends CallOptions {
  readonly onNode?: OnNode | undefined;
  /** With it, nodes that cannot be read are reported and left out, with everything below them; without it they are thrown. */
  readonly onDamage?: OnDamage | undefined;
}

/** A node and where it is to be read. */
export interface NodePlace {
  readonly id: ChunkId;
  readonly location: ChunkLocation;
}

/** Packs that are read at the same time. */
const PARALLEL_READS = 8;

type ContentNode = Extract<TreeNode, { kind: 'content-leaf' | 'content-interior' }>;
type DirectoryNode = Extract<TreeNode, { kind: 'leaf' | 'interior' }>;

export class TreeReader {
  readonly #repository: OpenRepository;
  readonly #packs: PackReader;
  readonly #renewal: ViewRenewal | undefined;

  /** With `renewal`, a node that is nowhere, or whose pack has vanished, is looked for in new views. */
  constructor(repository: OpenRepository, packs: PackReader, renewal?: ViewRenewal) {
    this.#repository = repository;
    this.#packs = packs;
    this.#renewal = renewal;
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
    if (entry.contentNode !== undefined) yield* this.#contentLeaves(entry.contentNode, entry.sizeBytes ?? 0, 0, options);
  }

  /** @throws CHUNK_MISSING when no usable tree pack holds it */
  async node(id: ChunkId, options: TreeReadOptions = {}): Promise<TreeNode> {
    return this.#renewal === undefined ? this.#read(id, options) : followMoves(this.#renewal, () => this.#read(id, options), options);
  }

  /**
   * Nodes at known places, as many at once as the caller likes to have in memory: frames that lie together are read together.
   * Each is delivered once, in any order, as itself or as the error of its place, which is damage or OBJECT_NOT_FOUND.
   * @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT for a node that is what its ID says but nothing that this version can read
   */
  async nodesAt(places: readonly NodePlace[], deliver: (index: number, node: TreeNode | SnapError) => void, options: CallOptions = {}): Promise<void> {
    await mapBounded(byFrame(places), PARALLEL_READS, ([pack, frames]) => this.#packs.frames(pack, [...frames.keys()], (frame, content) => {
      for (const index of frames.get(frame)!) deliver(index, content instanceof SnapError ? content : this.#openAt(places[index]!, content));
    }, options));
  }

  #openAt({ id, location: { pack, frame, offset, length } }: NodePlace, content: Bytes): TreeNode | SnapError {
    const bytes = content.subarray(offset, offset + length);
    if (bytes.length === length && equalBytes(this.#repository.keys.treeHasher.hash(bytes), id)) return decodeNode(bytes);
    return new SnapError('CHUNK_CORRUPT', `Tree node ${toHex(id)} does not match its ID`, { context: { node: toHex(id), pack, frame } });
  }

  /** Another copy stands in for one that is damaged. */
  async #read(id: ChunkId, options: TreeReadOptions): Promise<TreeNode> {
    const { chunks } = this.#repository.cache;
    const first = chunks.find(id);
    if (first === undefined || chunks.pack(first.pack)?.type !== 'tree') throw missingNode(id);
    try {
      return await this.#readAt(id, first, options);
    } catch (error) {
      if (!isDamage(error)) throw error;
      const copy = chunks.findAll(id).find(({ pack, frame, offset }) => (pack !== first.pack || frame !== first.frame || offset !== first.offset)
        && chunks.pack(pack)?.type === 'tree');
      if (copy === undefined) throw error;
      return this.#readAt(id, copy, options);
    }
  }

  async #readAt(id: ChunkId, location: ChunkLocation, options: TreeReadOptions): Promise<TreeNode> {
    options.onNode?.(id, location.pack);
    return decodeNode(await this.#packs.chunk(id, location, options));
  }

  async *#leaves(id: ChunkId, lastName: Bytes | undefined, depth: number, options: TreeReadOptions): AsyncGenerator<readonly Entry[]> {
    const node = await this.#orDamage(id, 0, options, async () => checkDirectoryNode(id, await this.node(id, options), lastName, depth));
    if (node === undefined) return;
    if (node.kind === 'leaf') yield node.entries;
    else for (const child of node.children) yield* this.#leaves(child.id, child.lastName, depth + 1, options);
  }

  async *#contentLeaves(id: ChunkId, sizeBytes: number, depth: number, options: TreeReadOptions): AsyncGenerator<readonly ContentItem[]> {
    const node = await this.#orDamage(id, sizeBytes, options, async () => checkContentNode(id, await this.node(id, options), sizeBytes, depth));
    if (node === undefined) return;
    if (node.kind === 'content-leaf') yield node.items;
    else for (const child of node.children) yield* this.#contentLeaves(child.id, child.sizeBytes, depth + 1, options);
  }

  async #orDamage<Node>(id: ChunkId, sizeBytes: number, options: TreeReadOptions, read: () => Promise<Node>): Promise<Node | undefined> {
    try {
      return await read();
    } catch (error) {
      if (options.onDamage === undefined || !isDamage(error)) throw error;
      options.onDamage(id, error, sizeBytes);
      return undefined;
    }
  }
}

/** Indices of the places, by pack and frame. */
function byFrame(places: readonly NodePlace[]): Map<PackNumber, Map<number, number[]>> {
  const packs = new Map<PackNumber, Map<number, number[]>>();
  places.forEach(({ location: { pack, frame } }, index) => {
    let frames = packs.get(pack);
    if (frames === undefined) packs.set(pack, frames = new Map());
    const indices = frames.get(frame);
    if (indices === undefined) frames.set(frame, [index]);
    else indices.push(index);
  });
  return packs;
}

function missingNode(id: ChunkId): SnapError {
  return new SnapError('CHUNK_MISSING', `No usable pack holds tree node ${toHex(id)}`, {
    hint: 'Run `snap verify` to see which snapshots are hit', context: { node: toHex(id) },
  });
}

/** A directory node at this depth below a parent that names `lastName`. @throws OBJECT_CORRUPT */
export function checkDirectoryNode(id: ChunkId, node: TreeNode, lastName: Bytes | undefined, depth: number): DirectoryNode {
  if ((node.kind !== 'leaf' && node.kind !== 'interior') || (node.kind === 'interior' && depth >= MAX_NODE_DEPTH)) {
    throw corrupt('tree', 'a directory node of a wrong kind or depth', { node: toHex(id) });
  }
  const last = node.kind === 'leaf' ? node.entries.at(-1)?.name : node.children.at(-1)!.lastName;
  if (lastName !== undefined && (last === undefined || !equalBytes(last, lastName))) {
    throw corrupt('tree', 'a node does not end with the name above it', { node: toHex(id) });
  }
  return node;
}

/** A content node at this depth that must cover `sizeBytes`. @throws OBJECT_CORRUPT */
export function checkContentNode(id: ChunkId, node: TreeNode, sizeBytes: number, depth: number): ContentNode {
  if ((node.kind !== 'content-leaf' && node.kind !== 'content-interior') || (node.kind === 'content-interior' && depth >= MAX_NODE_DEPTH)) {
    throw corrupt('tree', 'a content node of a wrong kind or depth', { node: toHex(id) });
  }
  const covered = coveredBytes(node);
  if (covered !== sizeBytes) throw corrupt('tree', `a content node covers ${covered} bytes instead of ${sizeBytes}`, { node: toHex(id) });
  return node;
}

/** Bytes of content below a content node. */
export function coveredBytes(node: ContentNode): number {
  return node.kind === 'content-leaf'
    ? node.items.reduce((sum, item) => sum + item.lengthBytes, 0)
    : node.children.reduce((sum, child) => sum + child.sizeBytes, 0);
}
