/** Brings the local cache up to date with the index of the repository, for people who want that done before a backup. */
import type { CallOptions } from '../base/call-options.ts';
import { loadIndex } from '../repository/index-loader.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';

export interface CacheFilled {
  /** Chunk records in the cache. */
  readonly chunks: number;
}

/** @throws OBJECT_CORRUPT for a damaged index segment, and every repository error */
export async function fillCache({ backend, objects, cache }: OpenRepository, options: CallOptions = {}): Promise<CacheFilled> {
  await loadIndex(backend, objects, cache.chunks, options);
  return { chunks: cache.chunks.chunkCount() };
}
