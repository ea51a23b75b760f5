import type { Cache } from './cache.ts';
import { NO_MEMORY } from './host-memory.ts';

/** The same cache for a repository that is looked at as it was: what is not there yet is no roll-back, and nothing is learned of the present. */
export function withoutMemory(inner: Cache): Cache {
  return {
    chunks: inner.chunks, files: inner.files, objects: inner.objects,
    memory: () => NO_MEMORY,
    remember: async () => undefined,
    replaceMemory: async () => undefined,
    describe: () => inner.describe(),
    close: () => inner.close(),
  };
}
