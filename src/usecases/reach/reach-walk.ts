/**
 * Follows every reference from roots on, for all who must know what snapshots need: each distinct node is read once, whatever
 * number of snapshots reaches it. The order is depth first in batches, so little is waiting and a frame is seldom read twice:
 * writers lay the nodes of a subtree next to each other.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError, throwIfAborted } from '../../base/errors.ts';
import type { ChunkLocation } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { ContentItem, Entry, TreeNode } from '../../format/tree-node.ts';
import { checkContentNode, checkDirectoryNode, type TreeReader } from '../../repository/tree-reader.ts';
import { missingChunk } from '../reading/frame-loader.ts';
import { NO_PARENT } from './reached-chunks.ts';

/** Nodes that are looked for at once: enough that neighbouring frames are read together, few enough that what waits stays small. */
const BATCH_NODES = 256;

/** A node that was reached for the first time. */
export interface ReachedNode {
  /** What `ReachSink` calls it as a parent. */
  readonly number: number;
  readonly location: ChunkLocation;
}

/** Who is told of every reference, and says where things lie. */
export interface ReachSink {
  /** A data chunk that the node `parent` refers to (`NO_PARENT`: a root). `lengthBytes` undefined: any. False: no place is known. */
  data(id: ChunkId, lengthBytes: number | undefined, parent: number): boolean;
  /** The same for a node. Undefined: no place is known. */
  node(id: ChunkId, parent: number): ReachedNode | 'known' | undefined;
  /** All places of a node that turned out to be damaged, or gone, where it was looked for first. */
  copies(id: ChunkId, error: SnapError): Promise<readonly ChunkLocation[]>;
  /** It was read at this place instead. */
  foundAt(location: ChunkLocation, instead: ChunkLocation, error: SnapError): void;
  /** Chunks without a place are looked for once more after this; false when there is no point in it. */
  lookAgain(): Promise<boolean>;
}

/** Roots that are no entries: nodes of any kind, and data chunks of any length. */
export interface BareRoots {
  readonly nodes: readonly ChunkId[];
  readonly chunks: readonly ChunkId[];
}

/** What the place that names a node says of it. */
interface NodeClaim {
  readonly depth: number;
  /** Of a directory node below another one. */
  readonly lastName: Bytes | undefined;
  /** Of a content node. */
  readonly sizeBytes: number | undefined;
  /** False: nothing is said of the kind either. */
  readonly isKindKnown: boolean;
}

interface PendingNode extends ReachedNode, NodeClaim {
  readonly id: ChunkId;
}

const ROOT_DIRECTORY: NodeClaim = { depth: 0, lastName: undefined, sizeBytes: undefined, isKindKnown: true };
const ANY_NODE: NodeClaim = { ...ROOT_DIRECTORY, isKindKnown: false };

export class ReachWalk {
  readonly #trees: TreeReader;
  readonly #sink: ReachSink;
  readonly #options: CallOptions;
  /** Last ones first, which keeps it short. */
  readonly #pending: PendingNode[] = [];
  /** References without a place, to be looked for again; true when there is one now. */
  #missing: { readonly id: ChunkId; readonly find: () => boolean }[] = [];

  constructor(trees: TreeReader, sink: ReachSink, options: CallOptions) {
    this.#trees = trees;
    this.#sink = sink;
    this.#options = options;
  }

  /**
   * Everything that the roots reach and that was not reached before. With `onMissing` chunks without a place are left out.
   * @throws CHUNK_MISSING; the error of a node that cannot be read anywhere
   */
  async reach(roots: readonly Entry[] | BareRoots, onMissing?: (id: ChunkId) => void): Promise<void> {
    if ('nodes' in roots) {
      for (const id of roots.nodes) this.#node(id, NO_PARENT, ANY_NODE);
      for (const id of roots.chunks) this.#data(id, undefined, NO_PARENT);
    } else for (const root of roots) this.#entry(root, NO_PARENT);
    await this.#lookForMissing(onMissing);
    while (this.#pending.length > 0) {
      throwIfAborted(this.#options.signal);
      await this.#readBatch(this.#pending.splice(-BATCH_NODES));
      await this.#lookForMissing(onMissing);
    }
  }

  async #readBatch(batch: readonly PendingNode[]): Promise<void> {
    const failed: { readonly node: PendingNode; readonly error: SnapError }[] = [];
    await this.#trees.nodesAt(batch, (index, found) => {
      const node = batch[index]!;
      if (found instanceof SnapError) failed.push({ node, error: found });
      else this.#visit(node, found);
    }, this.#options);
    for (const { node, error } of failed) await this.#readElsewhere(node, error);
  }

  async #readElsewhere(node: PendingNode, error: SnapError): Promise<void> {
    for (const location of await this.#sink.copies(node.id, error)) {
      if (isSamePlace(location, node.location)) continue;
      let found: TreeNode | undefined;
      await this.#trees.nodesAt([{ id: node.id, location }], (_, result) => {
        if (!(result instanceof SnapError)) found = result;
      }, this.#options);
      if (found === undefined) continue;
      this.#sink.foundAt(location, node.location, error);
      return this.#visit(node, found);
    }
    throw error;
  }

  #visit(pending: PendingNode, node: TreeNode): void {
    const { number, depth } = pending;
    checkNode(pending, node);
    switch (node.kind) {
      case 'leaf':
        for (const entry of node.entries) this.#entry(entry, number);
        break;
      case 'content-leaf':
        this.#items(node.items, number);
        break;
      case 'interior':
        for (const { id, lastName } of node.children) this.#node(id, number, { ...ROOT_DIRECTORY, depth: depth + 1, lastName: lastName.slice() });
        break;
      case 'content-interior':
        for (const { id, sizeBytes } of node.children) this.#node(id, number, { ...ROOT_DIRECTORY, depth: depth + 1, sizeBytes });
        break;
    }
  }

  #entry({ content, xattrs, contentNode, directoryNode, sizeBytes = 0 }: Entry, parent: number): void {
    if (content !== undefined) this.#items(content, parent);
    if (xattrs !== undefined) for (const { value } of xattrs) if (!(value instanceof Uint8Array)) this.#items(value, parent);
    if (contentNode !== undefined) this.#node(contentNode, parent, { ...ROOT_DIRECTORY, sizeBytes });
    if (directoryNode !== undefined) this.#node(directoryNode, parent, ROOT_DIRECTORY);
  }

  #items(items: readonly ContentItem[], parent: number): void {
    for (const { id, lengthBytes } of items) if (id !== undefined) this.#data(id, lengthBytes, parent);
  }

  #data(id: ChunkId, lengthBytes: number | undefined, parent: number): void {
    if (this.#sink.data(id, lengthBytes, parent)) return;
    const copy = copyOf(id);
    this.#missing.push({ id: copy, find: () => this.#sink.data(copy, lengthBytes, parent) });
  }

  #node(id: ChunkId, parent: number, claim: NodeClaim): void {
    if (this.#findNode(id, parent, claim)) return;
    const copy = copyOf(id);
    this.#missing.push({ id: copy, find: () => this.#findNode(copy, parent, claim) });
  }

  #findNode(id: ChunkId, parent: number, claim: NodeClaim): boolean {
    const found = this.#sink.node(id, parent);
    if (found === undefined) return false;
    if (found !== 'known') this.#pending.push({ id: copyOf(id), ...found, ...claim });
    return true;
  }

  async #lookForMissing(onMissing: ((id: ChunkId) => void) | undefined): Promise<void> {
    if (this.#missing.length === 0) return;
    const canHelp = await this.#sink.lookAgain();
    const missing = this.#missing;
    this.#missing = [];
    for (const { id, find } of missing) {
      if (canHelp && find()) continue;
      if (onMissing === undefined) throw missingChunk(id);
      onMissing(id);
    }
  }
}

function isSamePlace(a: ChunkLocation, b: ChunkLocation): boolean {
  return a.pack === b.pack && a.frame === b.frame && a.offset === b.offset;
}

/** IDs are views of the frame that they were read from, which would stay in memory as long as they wait. */
function copyOf(id: ChunkId): ChunkId {
  return id.slice() as Bytes as ChunkId;
}

function checkNode({ id, depth, lastName, sizeBytes, isKindKnown }: PendingNode, node: TreeNode): void {
  if (!isKindKnown) return;
  if (sizeBytes === undefined) checkDirectoryNode(id, node, lastName, depth);
  else checkContentNode(id, node, sizeBytes, depth);
}
