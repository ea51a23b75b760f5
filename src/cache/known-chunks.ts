/** The engine's view of the chunk index; in a worker thread it reads LMDB itself and shares the rest. */
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { IndexAccess, KnownChunks, PackNumber } from './cache.ts';
import { ChunkLookup } from './chunk-lookup.ts';
import { isSameRuns } from './index-sharing.ts';
import { generationOf } from './lmdb-environment.ts';
import type { LmdbIndexAccess } from './lmdb-chunk-index.ts';
import { LmdbStore } from './lmdb-store.ts';
import { MemoryChunkIndex } from './memory-cache.ts';
import { readRuns } from './run-table.ts';
import { NO_FILTER, SharedIndexReader, type SharedRun } from './shared-index.ts';

export interface OpenedKnownChunks extends KnownChunks {
  close(): Promise<void>;
}

/**
 * Opens the view that `ChunkIndex.access` describes; the cache it comes from must stay open meanwhile. Data chunks and tree
 * chunks have IDs under different keys, and a view finds those of one type only, so that a file with the bytes of a tree node
 * is never taken for one.
 *
 * @throws CACHE_BUSY when another process wiped the cache since then
 */
export async function openKnownChunks(access: IndexAccess, type: 'data' | 'tree' = 'data'): Promise<OpenedKnownChunks> {
  if (access instanceof MemoryChunkIndex) return access.known(type);
  if (!isLmdbAccess(access)) throw new TypeError('Not the access of a chunk index that this thread can open');
  const store = await LmdbStore.open(access.folder, 'read');
  if (generationOf(store) === access.generation) return new LmdbKnownChunks(store, access, type);
  await store.close();
  throw new SnapError('CACHE_BUSY', `Another process replaced the local cache in '${access.folder}'`, { hint: 'Run the command again' });
}

function isLmdbAccess(access: unknown): access is LmdbIndexAccess {
  return typeof access === 'object' && access !== null && 'kind' in access && access.kind === 'lmdb';
}

class LmdbKnownChunks implements OpenedKnownChunks {
  readonly #store: LmdbStore;
  readonly #lookup: ChunkLookup;
  readonly #type: 'data' | 'tree';

  constructor(store: LmdbStore, access: LmdbIndexAccess, type: 'data' | 'tree') {
    this.#store = store;
    this.#type = type;
    this.#lookup = new ChunkLookup(store, new SharedIndexReader(access.memory), known => renewRuns(store, known));
    this.#lookup.refresh();
  }

  find(id: Bytes): PackNumber {
    return this.#lookup.findPack(id, this.#type);
  }

  refresh(): void {
    this.#store.refresh();
    this.#lookup.refresh();
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}

/** Runs that another process merged have no filter in the shared memory until the main thread notices them. */
function renewRuns(store: LmdbStore, known: readonly SharedRun[]): readonly SharedRun[] | undefined {
  const runs = readRuns(store);
  if (isSameRuns(known, runs)) return undefined;
  return runs.map(run => known.find(each => each.number === run.number) ?? { ...run, filterAt: NO_FILTER });
}
