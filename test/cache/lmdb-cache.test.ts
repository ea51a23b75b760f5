import { onTestFinished } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { openLmdbCache, type LmdbCacheOptions } from '../../src/cache/lmdb-cache.ts';
import { describeCache } from '../conformance/cache.ts';
import { REPOSITORY, temporaryFolder } from './cache-data.ts';

const optionsOf = new WeakMap<Cache, LmdbCacheOptions>();

async function open(options: LmdbCacheOptions): Promise<Cache> {
  const cache = await openLmdbCache(options);
  optionsOf.set(cache, options);
  onTestFinished(() => cache.close());
  return cache;
}

describeCache('LMDB', {
  open: maxObjectBytes => open({
    directory: temporaryFolder(), repositoryId: REPOSITORY, random: systemRandom, ...(maxObjectBytes === undefined ? {} : { maxObjectBytes }),
  }),
  reopen: async cache => {
    await cache.close();
    return open(optionsOf.get(cache)!);
  },
});
