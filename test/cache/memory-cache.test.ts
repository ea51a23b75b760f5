import { expect, it } from 'vitest';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { describeCache } from '../conformance/cache.ts';

describeCache('memory', { open: async maxObjectBytes => openMemoryCache(maxObjectBytes === undefined ? {} : { maxObjectBytes }) });

it('refuses the access of a memory cache that came through a message', async () => {
  const access = structuredClone(openMemoryCache().chunks.access());
  await expect(openKnownChunks(access)).rejects.toThrow(TypeError);
});
