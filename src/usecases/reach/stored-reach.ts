/** Stored bytes that snapshots reach together, one after the other (see `StoredShares`). Memory: some 2 to 6 bytes a chunk. */
import type { CallOptions } from '../../base/call-options.ts';
import type { SnapError } from '../../base/errors.ts';
import type { ChunkLocation } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { ChunkMap } from './chunk-map.ts';
import { ReachWalk, type ReachedNode, type ReachSink } from './reach-walk.ts';
import { NO_PARENT } from './reached-chunks.ts';
import { StoredShares } from '../browse/stored-shares.ts';

const REACHED = 1;

export class StoredReach implements ReachSink {
  readonly #session: ReadingSession;
  readonly #options: CallOptions;
  readonly #walk: ReachWalk;
  readonly #met: ChunkMap;
  readonly #shares: StoredShares;
  #bytes = 0;

  /** The session pins the snapshots. */
  constructor(session: ReadingSession, options: CallOptions) {
    this.#session = session;
    this.#options = options;
    const { chunks } = session.repository.cache;
    this.#met = new ChunkMap(chunks);
    this.#shares = new StoredShares(chunks);
    this.#walk = new ReachWalk(session.trees, this, options);
  }

  /** What this snapshot and all given before take together. @throws CHUNK_MISSING and the like for a damaged repository */
  async add({ snapshot }: SnapshotRecord): Promise<number> {
    await this.#walk.reach(snapshot.components.map(({ root }) => root));
    return Math.round(this.#bytes);
  }

  /** @internal for the walk, like all below */
  data(id: ChunkId): boolean {
    return this.#reach(id) !== undefined;
  }

  node(id: ChunkId): ReachedNode | 'known' | undefined {
    const found = this.#reach(id);
    return found === undefined || found === 'known' ? found : { number: NO_PARENT, location: found };
  }

  async copies(id: ChunkId, error: SnapError): Promise<readonly ChunkLocation[]> {
    if (error.code === 'OBJECT_NOT_FOUND') await this.#session.lookAgain(this.#session.looks, this.#options);
    return this.#session.repository.cache.chunks.findAll(id);
  }

  foundAt(): void {
    // What a chunk takes is counted once, wherever it was first.
  }

  /** A prune may have moved chunks while the session began. */
  async lookAgain(): Promise<boolean> {
    if (this.#session.looks === 1) await this.#session.lookAgain(1, this.#options);
    return true;
  }

  #reach(id: ChunkId): ChunkLocation | 'known' | undefined {
    const location = this.#session.repository.cache.chunks.find(id);
    if (location === undefined) return undefined;
    if (this.#met.get(location) === REACHED) return 'known';
    this.#met.set(location, REACHED);
    this.#bytes += this.#shares.of(location);
    return location;
  }
}
