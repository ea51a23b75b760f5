/**
 * What snapshots take: to restore, deduplicated, stored, and what each of them alone holds. Every distinct tree node is read
 * once. Memory: about 20 bytes for each chunk of the packs that are looked at (see `ReachedChunks` and `ChunkNumbers`).
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { mapBounded } from '../base/concurrency.ts';
import { throwIfAborted } from '../base/errors.ts';
import type { ChunkLocation } from '../cache/cache.ts';
import type { ChunkId } from '../format/ids.ts';
import type { ContentItem, Entry, TreeNode } from '../format/tree-node.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { ReadingSession } from '../repository/reading-session.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import { checkContentNode, checkDirectoryNode } from '../repository/tree-reader.ts';
import type { BrowseOptions } from './browsing.ts';
import { ChunkNumbers } from './chunk-numbers.ts';
import { newCounters, type JobContext } from './events.ts';
import { missingChunk } from './frame-loader.ts';
import { NO_PARENT, ReachedChunks } from './reached-chunks.ts';
import type { StatsReport } from './reports.ts';
import { StoredShares } from './stored-shares.ts';

/** Nodes that are looked for at once; those of one frame are read one after the other, since the first read brings them all. */
const BATCH_NODES = 32;
const PARALLEL_READS = 8;

/**
 * File sizes and counts are those that the snapshots say of themselves.
 * @throws SNAPSHOT_NOT_FOUND, CANCELLED; CHUNK_MISSING and the like for a damaged repository, whose figures would mean nothing
 */
export async function stats(repository: OpenRepository, records: readonly SnapshotRecord[], { owner }: BrowseOptions, context: JobContext = {}): Promise<StatsReport> {
  const { signal, counters = newCounters() } = context;
  const session = await ReadingSession.begin(repository, owner, records, { signal });
  try {
    counters.phase = 'reading';
    counters.totalEntries = records.length;
    const walk = new ReachWalk(session, { signal });
    for (const [number, { snapshot }] of records.entries()) {
      await walk.reach(number, snapshot.components.map(({ root }) => root));
      counters.entriesDone++;
      counters.bytesDone = walk.rawBytes;
    }
    return makeReport(session, records, walk);
  } finally {
    await session.end();
  }
}

function makeReport({ view: { packs } }: ReadingSession, records: readonly SnapshotRecord[], walk: ReachWalk): StatsReport {
  const uniqueBytes = walk.reached.uniqueBytes(records.length);
  const perSnapshot = records.map(({ id, snapshot: { statistics: { bytes, files } } }, number) => ({
    snapshotId: id, restoreBytes: bytes, files, uniqueBytes: Math.round(uniqueBytes[number]!),
  }));
  return {
    job: 'stats', snapshots: records.length, restoreBytes: sum(perSnapshot.map(({ restoreBytes }) => restoreBytes)), files: sum(perSnapshot.map(({ files }) => files)),
    rawBytes: walk.rawBytes, storedBytes: Math.round(walk.storedBytes), chunks: walk.chunks,
    packs: packs.length, repositoryBytes: sum(packs.map(({ sizeBytes }) => sizeBytes)), perSnapshot,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** A node that was reached for the first time, with what its parent says of it. */
interface PendingNode {
  readonly id: ChunkId;
  readonly number: number;
  readonly location: ChunkLocation;
  readonly depth: number;
  /** Of a directory node below another one. */
  readonly lastName: Bytes | undefined;
  /** Of a content node. */
  readonly sizeBytes: number | undefined;
}

class ReachWalk {
  readonly reached = new ReachedChunks();
  rawBytes = 0;
  storedBytes = 0;
  chunks = 0;
  readonly #session: ReadingSession;
  readonly #options: CallOptions;
  readonly #numbers: ChunkNumbers;
  readonly #shares: StoredShares;
  /** Last ones first, which keeps it short. */
  readonly #pending: PendingNode[] = [];
  /** Chunks that were in no usable pack, to be looked for again, with what is to be done when they are found. */
  #missing: { readonly id: ChunkId; readonly found: (location: ChunkLocation) => void }[] = [];
  #snapshot = 0;

  constructor(session: ReadingSession, options: CallOptions) {
    this.#session = session;
    this.#options = options;
    const { chunks } = session.repository.cache;
    this.#numbers = new ChunkNumbers(chunks);
    this.#shares = new StoredShares(chunks);
  }

  /** Snapshots one after the other. */
  async reach(snapshot: number, roots: readonly Entry[]): Promise<void> {
    this.#snapshot = snapshot;
    for (const root of roots) this.#entry(root, NO_PARENT);
    await this.#lookForMissing();
    while (this.#pending.length > 0) {
      throwIfAborted(this.#options.signal);
      await mapBounded(byFrame(this.#pending.splice(-BATCH_NODES)), PARALLEL_READS, async nodes => {
        for (const node of nodes) this.#visit(node, checkNode(node, await this.#session.trees.node(node.id, this.#options)));
      });
      await this.#lookForMissing();
    }
  }

  #visit({ number, depth }: PendingNode, node: TreeNode): void {
    switch (node.kind) {
      case 'leaf':
        for (const entry of node.entries) this.#entry(entry, number);
        break;
      case 'content-leaf':
        this.#items(node.items, number);
        break;
      case 'interior':
        for (const { id, lastName } of node.children) this.#node(id, number, { depth: depth + 1, lastName, sizeBytes: undefined });
        break;
      case 'content-interior':
        for (const { id, sizeBytes } of node.children) this.#node(id, number, { depth: depth + 1, lastName: undefined, sizeBytes });
        break;
    }
  }

  #entry({ content, xattrs, contentNode, directoryNode, sizeBytes = 0 }: Entry, parent: number): void {
    if (content !== undefined) this.#items(content, parent);
    if (xattrs !== undefined) for (const { value } of xattrs) if (!(value instanceof Uint8Array)) this.#items(value, parent);
    if (contentNode !== undefined) this.#node(contentNode, parent, { depth: 0, lastName: undefined, sizeBytes });
    if (directoryNode !== undefined) this.#node(directoryNode, parent, { depth: 0, lastName: undefined, sizeBytes: undefined });
  }

  #items(items: readonly ContentItem[], parent: number): void {
    for (const { id } of items) if (id !== undefined) this.#find(id, location => void this.#reachAt(location, parent));
  }

  #node(id: ChunkId, parent: number, place: Pick<PendingNode, 'depth' | 'lastName' | 'sizeBytes'>): void {
    this.#find(id, location => {
      const number = this.#reachAt(location, parent);
      if (number !== undefined) this.#pending.push({ id, number, location, ...place });
    });
  }

  #find(id: ChunkId, found: (location: ChunkLocation) => void): void {
    const location = this.#session.repository.cache.chunks.find(id);
    if (location === undefined) this.#missing.push({ id, found });
    else found(location);
  }

  /** A prune may have moved them while this session began. @throws CHUNK_MISSING */
  async #lookForMissing(): Promise<void> {
    if (this.#missing.length === 0) return;
    if (this.#session.looks === 1) await this.#session.lookAgain(1, this.#options);
    const missing = this.#missing;
    this.#missing = [];
    for (const { id, found } of missing) {
      const location = this.#session.repository.cache.chunks.find(id);
      if (location === undefined) throw missingChunk(id);
      found(location);
    }
  }

  /** Its number, for the first time. */
  #reachAt(location: ChunkLocation, parent: number): number | undefined {
    const number = this.#numbers.of(location);
    if (!this.reached.reach(number, parent, this.#snapshot)) return undefined;
    const storedBytes = this.#shares.of(location);
    this.reached.setSize(number, storedBytes);
    this.chunks++;
    this.rawBytes += location.length;
    this.storedBytes += storedBytes;
    return number;
  }
}

function checkNode({ id, depth, lastName, sizeBytes }: PendingNode, node: TreeNode): TreeNode {
  return sizeBytes === undefined ? checkDirectoryNode(id, node, lastName, depth) : checkContentNode(id, node, sizeBytes, depth);
}

function byFrame(nodes: readonly PendingNode[]): PendingNode[][] {
  const groups = new Map<string, PendingNode[]>();
  for (const node of nodes) {
    const frame = `${node.location.pack}/${node.location.frame}`;
    const group = groups.get(frame);
    if (group === undefined) groups.set(frame, [node]);
    else group.push(node);
  }
  return [...groups.values()];
}
