/**
 * What snapshots take: to restore, deduplicated, stored, and what each of them alone holds. Every distinct tree node is read
 * once. Memory: about 20 bytes for each chunk of the packs that are looked at (see `ReachedChunks` and `ChunkNumbers`).
 */
import type { CallOptions } from '../../base/call-options.ts';
import type { ChunkIndex, ChunkLocation } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { BrowseOptions } from './browsing.ts';
import { ChunkNumbers } from '../reach/chunk-numbers.ts';
import { newCounters, type JobContext } from '../events.ts';
import { ReachWalk, type ReachedNode } from '../reach/reach-walk.ts';
import { ReachedChunks } from '../reach/reached-chunks.ts';
import { SessionSink } from '../reach/session-sink.ts';
import type { StatsReport } from '../reports.ts';
import { StoredShares } from '../reach/stored-shares.ts';

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
    const reached = new StatsSink(session, { signal });
    const walk = new ReachWalk(session.trees, reached, { signal });
    for (const [number, { snapshot }] of records.entries()) {
      reached.snapshot = number;
      await walk.reach(snapshot.components.map(({ root }) => root));
      counters.entriesDone++;
      counters.bytesDone = reached.rawBytes;
    }
    return makeReport(session, records, reached);
  } finally {
    await session.end();
  }
}

function makeReport({ view: { packs } }: ReadingSession, records: readonly SnapshotRecord[], sink: StatsSink): StatsReport {
  const uniqueBytes = sink.reached.uniqueBytes(records.length);
  const perSnapshot = records.map(({ id, snapshot: { statistics: { bytes, files } } }, number) => ({
    snapshotId: id, restoreBytes: bytes, files, uniqueBytes: Math.round(uniqueBytes[number]!),
  }));
  return {
    job: 'stats', snapshots: records.length, restoreBytes: sum(perSnapshot.map(({ restoreBytes }) => restoreBytes)), files: sum(perSnapshot.map(({ files }) => files)),
    rawBytes: sink.rawBytes, storedBytes: Math.round(sink.storedBytes), chunks: sink.chunks,
    packs: packs.length, repositoryBytes: sum(packs.map(({ sizeBytes }) => sizeBytes)), perSnapshot,
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Counts what the walk reaches, and remembers which snapshot reached it. */
class StatsSink extends SessionSink {
  readonly reached = new ReachedChunks();
  rawBytes = 0;
  storedBytes = 0;
  chunks = 0;
  /** Number of the snapshot that is walked through. */
  snapshot = 0;
  readonly #chunks: ChunkIndex;
  readonly #numbers: ChunkNumbers;
  readonly #shares: StoredShares;

  constructor(session: ReadingSession, options: CallOptions) {
    super(session, options);
    this.#chunks = session.repository.cache.chunks;
    this.#numbers = new ChunkNumbers(this.#chunks);
    this.#shares = new StoredShares(this.#chunks);
  }

  data(id: ChunkId, _lengthBytes: number | undefined, parent: number): boolean {
    const location = this.#chunks.find(id);
    if (location !== undefined) this.#reach(location, parent);
    return location !== undefined;
  }

  node(id: ChunkId, parent: number): ReachedNode | 'known' | undefined {
    const location = this.#chunks.find(id);
    return location === undefined ? undefined : this.#reach(location, parent);
  }

  #reach(location: ChunkLocation, parent: number): ReachedNode | 'known' {
    const number = this.#numbers.of(location);
    if (!this.reached.reach(number, parent, this.snapshot)) return 'known';
    const storedBytes = this.#shares.of(location);
    this.reached.setSize(number, storedBytes);
    this.chunks++;
    this.rawBytes += location.length;
    this.storedBytes += storedBytes;
    return { number, location };
  }
}
