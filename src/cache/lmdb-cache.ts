/** The cache of one repository in LMDB. */
import { systemClock, type Clock } from '../base/ambient.ts';
import { MiB } from '../base/units.ts';
import type { Cache, HostMemory } from './cache.ts';
import { decodeMemory, encodeMemory, mergeMemory, NO_MEMORY } from './host-memory.ts';
import { LmdbChunkIndex } from './lmdb-chunk-index.ts';
import { HOST_MEMORY, openEnvironment, type EnvironmentOptions, type LmdbEnvironment } from './lmdb-environment.ts';
import { LmdbFileCache } from './lmdb-file-cache.ts';
import { LmdbObjectCache } from './lmdb-object-cache.ts';

export interface LmdbCacheOptions extends EnvironmentOptions {
  readonly clock?: Clock;
  /** Bound of the object cache. */
  readonly maxObjectBytes?: number;
  /** What one transaction of the chunk index writes; bounds memory and the time for which other processes wait. */
  readonly batchBytes?: number;
}

const MAX_OBJECT_BYTES = 256 * MiB;

/**
 * Opens the cache of a repository, or begins a new one where there is none or none that can be trusted. Several processes
 * may use one cache at the same time.
 *
 * @throws DENIED, NO_SPACE, UNAVAILABLE, CACHE_BUSY
 */
export async function openLmdbCache(options: LmdbCacheOptions): Promise<Cache> {
  const clock = options.clock ?? systemClock;
  const environment = await openEnvironment(options);
  return new LmdbCache(environment, await LmdbChunkIndex.open(environment, clock, options.batchBytes), clock, options.maxObjectBytes ?? MAX_OBJECT_BYTES);
}

class LmdbCache implements Cache {
  readonly chunks: LmdbChunkIndex;
  readonly files: LmdbFileCache;
  readonly objects: LmdbObjectCache;
  readonly #environment: LmdbEnvironment;
  #closing: Promise<void> | undefined;

  constructor(environment: LmdbEnvironment, chunks: LmdbChunkIndex, clock: Clock, maxObjectBytes: number) {
    this.#environment = environment;
    this.chunks = chunks;
    this.files = new LmdbFileCache(environment.store, clock);
    this.objects = new LmdbObjectCache(environment.store, clock, maxObjectBytes);
  }

  memory(): HostMemory {
    const bytes = this.#environment.store.get(HOST_MEMORY);
    return bytes === undefined ? NO_MEMORY : decodeMemory(bytes);
  }

  async remember(memory: Partial<HostMemory>): Promise<void> {
    const { store } = this.#environment;
    store.write(() => store.put(HOST_MEMORY, encodeMemory(mergeMemory(this.memory(), memory))));
  }

  async replaceMemory(memory: HostMemory): Promise<void> {
    const { store } = this.#environment;
    store.write(() => store.put(HOST_MEMORY, encodeMemory(memory)));
  }

  describe(): { location: string; sizeBytes: number } {
    return { location: this.#environment.folder, sizeBytes: this.#environment.sizeBytes() };
  }

  /** Stores what is not stored yet, and closes. A second call waits for the first one. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.chunks.close();
      await this.files.flush();
      this.files.tidy();
      this.objects.flush();
      this.#environment.noteState();
    } finally {
      await this.#environment.store.close();
    }
  }
}
