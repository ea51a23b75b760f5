/** Stored bytes that snapshots reach together, one after the other (see `StoredShares`). Memory: some 2 to 6 bytes a chunk. */
import type { CallOptions } from '../../base/call-options.ts';
import type { ChunkIndex, ChunkLocation } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { ChunkMap } from './chunk-map.ts';
import { ReachWalk, type ReachedNode } from './reach-walk.ts';
import { NO_PARENT } from './reached-chunks.ts';
import { SessionSink } from './session-sink.ts';
import { StoredShares } from './stored-shares.ts';

const REACHED = 1;

export class StoredReach extends SessionSink {
  readonly #chunks: ChunkIndex;
  readonly #walk: ReachWalk;
  readonly #met: ChunkMap;
  readonly #shares: StoredShares;
  #bytes = 0;

  /** The session pins the snapshots. */
  constructor(session: ReadingSession, options: CallOptions) {
    super(session, options);
    this.#chunks = session.repository.cache.chunks;
    this.#met = new ChunkMap(this.#chunks);
    this.#shares = new StoredShares(this.#chunks);
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

  #reach(id: ChunkId): ChunkLocation | 'known' | undefined {
    const location = this.#chunks.find(id);
    if (location === undefined) return undefined;
    if (this.#met.get(location) === REACHED) return 'known';
    this.#met.set(location, REACHED);
    this.#bytes += this.#shares.of(location);
    return location;
  }
}
