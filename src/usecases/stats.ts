/**
 * What snapshots take: to restore, deduplicated, stored, and what each of them alone holds. Every distinct tree node is read
 * at most twice: once for the first snapshot that reaches it, and once when a second one does.
 */
import { throwIfAborted } from '../base/errors.ts';
import type { ChunkLocation } from '../cache/cache.ts';
import { frameRecordAt } from '../format/frame.ts';
import type { ChunkId } from '../format/ids.ts';
import type { ContentItem, Entry } from '../format/tree-node.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { ReadingSession } from '../repository/reading-session.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import type { BrowseOptions } from './browsing.ts';
import { salvageChunk } from './chunk-salvage.ts';
import { ChunkMap } from './chunk-map.ts';
import { newCounters, type Counters, type JobContext } from './events.ts';
import { missingChunk } from './frame-loader.ts';
import type { StatsReport } from './reports.ts';

/** Owner of what several snapshots reach; smaller numbers are that of one snapshot, from 1. */
const SHARED = 0xffff;

/** @throws CHUNK_MISSING, ... for a damaged repository, whose figures would mean nothing */
export async function stats(repository: OpenRepository, records: readonly SnapshotRecord[], options: BrowseOptions, context: JobContext = {}): Promise<StatsReport> {
  const counters = context.counters ?? newCounters();
  counters.phase = 'reading';
  counters.totalEntries = records.length;
  const session = await ReadingSession.begin(repository, options.owner, records, { signal: context.signal });
  try {
    const count = new ReachedChunks(session, records.length, counters, context.signal);
    for (const [i, { snapshot }] of records.entries()) {
      // Snapshots beyond the last number share whatever they reach.
      for (const { root } of snapshot.components) await count.reach(root, Math.min(i + 1, SHARED));
      counters.entriesDone = i + 1;
    }
    const statistics = records.map(({ snapshot }) => snapshot.statistics);
    return {
      job: 'stats', snapshots: records.length, restoreBytes: statistics.reduce((sum, { bytes }) => sum + bytes, 0),
      files: statistics.reduce((sum, { files }) => sum + files, 0), rawBytes: count.rawBytes, storedBytes: Math.round(count.storedBytes), chunks: count.chunks,
      packs: session.view.packs.length, repositoryBytes: session.view.packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      perSnapshot: records.map(({ id, snapshot }, i) => ({
        snapshotId: id, restoreBytes: snapshot.statistics.bytes, files: snapshot.statistics.files, uniqueBytes: Math.max(0, Math.round(count.uniqueBytes[i + 1] ?? 0)),
      })),
    };
  } finally {
    await session.end();
  }
}

class ReachedChunks {
  readonly #session: ReadingSession;
  readonly #owners: ChunkMap;
  readonly #counters: Counters;
  readonly #signal: AbortSignal | undefined;
  /** By owner. Shares of frames are fractions. */
  readonly uniqueBytes: Float64Array;
  rawBytes = 0;
  storedBytes = 0;
  chunks = 0;

  constructor(session: ReadingSession, snapshots: number, counters: Counters, signal: AbortSignal | undefined) {
    this.#session = session;
    this.#owners = new ChunkMap(session.repository.cache.chunks);
    this.#counters = counters;
    this.#signal = signal;
    this.uniqueBytes = new Float64Array(snapshots + 1);
  }

  async reach(entry: Entry, owner: number): Promise<void> {
    const pending = this.#entry(entry, owner);
    if (pending !== undefined) await pending;
    if (entry.directoryNode !== undefined) await this.#node(entry.directoryNode, owner);
  }

  /** The promise, if there is one, must be awaited before the next entry. */
  #entry(entry: Entry, owner: number): Promise<void> | undefined {
    const pending: Promise<void>[] = [];
    const items = (list: readonly ContentItem[]): void => {
      for (const item of list) {
        const missing = this.#chunk(item, owner);
        if (missing !== undefined) pending.push(missing);
      }
    };
    if (entry.content !== undefined) items(entry.content);
    if (entry.xattrs !== undefined) for (const { value } of entry.xattrs) if (!(value instanceof Uint8Array)) items(value);
    if (entry.contentNode !== undefined) pending.push(this.#node(entry.contentNode, owner));
    return pending.length === 0 ? undefined : Promise.all(pending).then(() => undefined);
  }

  async #node(id: ChunkId, owner: number): Promise<void> {
    throwIfAborted(this.#signal);
    const { chunks } = this.#session.repository.cache;
    const location = chunks.find(id);
    // A node that has the owner already has it with everything below it.
    if (location !== undefined && !this.#take(location, owner)) return;
    const node = await this.#session.trees.node(id, { signal: this.#signal });
    if (node.kind === 'interior' || node.kind === 'content-interior') for (const child of node.children) await this.#node(child.id, owner);
    else if (node.kind === 'leaf') for (const entry of node.entries) await this.reach(entry, owner);
    else for (const item of node.items) await this.#chunk(item, owner);
  }

  #chunk({ id, lengthBytes }: ContentItem, owner: number): Promise<void> | undefined {
    if (id === undefined) return undefined;
    const location = this.#session.repository.cache.chunks.find(id);
    if (location === undefined) return this.#refuse(id, lengthBytes);
    this.#take(location, owner);
    return undefined;
  }

  /** Looks again before it gives up, since a prune may have moved the chunk. */
  async #refuse(id: ChunkId, lengthBytes: number): Promise<void> {
    const found = await salvageChunk(this.#session, id, lengthBytes, { signal: this.#signal });
    if (!(found instanceof Uint8Array)) throw missingChunk(id);
  }

  /** Notes who reaches the chunk. False when nothing changed. */
  #take(location: ChunkLocation, owner: number): boolean {
    const known = this.#owners.get(location);
    if (known === owner || known === SHARED) return false;
    const storedBytes = this.#storedShare(location);
    this.#owners.set(location, known === 0 ? owner : SHARED);
    if (known === 0) {
      this.chunks++;
      this.rawBytes += location.length;
      this.storedBytes += storedBytes;
      this.#counters.bytesDone += location.length;
      if (owner !== SHARED) this.uniqueBytes[owner]! += storedBytes;
    } else this.uniqueBytes[known]! -= storedBytes;
    return true;
  }

  /** The share of a chunk in the stored bytes of its frame. */
  #storedShare({ pack, frame, length }: ChunkLocation): number {
    const record = this.#session.repository.cache.chunks.pack(pack)!;
    const { storedLength, rawLength } = frameRecordAt(record.frames, frame);
    return storedLength * length / rawLength;
  }
}
