import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import type { ChunkLocation } from '../../src/cache/cache.ts';
import type { ChunkId } from '../../src/format/ids.ts';
import { PackReader } from '../../src/repository/pack-reader.ts';
import { establishView } from '../../src/repository/session-view.ts';
import { backupPath, makeRepository, memoryBackend, reopen, temporaryDirectory } from '../support/memory-repository.ts';

test('frames that are opened at the same time do not overwrite each other', async () => {
  const backend = memoryBackend();
  const root = temporaryDirectory();
  // Compressible, of different lengths, each in a frame of its own.
  for (let i = 0; i < 6; i++) writeFileSync(join(root, `file-${i}`), `content of ${i} `.repeat(12_000 + 1_000 * i));
  await backupPath(await makeRepository(backend), root);
  const repository = await reopen(backend);
  await establishView(repository);
  const { chunks } = repository.cache;
  const stored = [...chunks.entries()] as { id: ChunkId; location: ChunkLocation }[];
  expect(new Set(stored.map(({ location }) => `${location.pack}/${location.frame}`)).size).toBeGreaterThan(5);
  const reader = new PackReader(repository);
  const read = await Promise.all(stored.map(({ id, location }) => reader.chunk(id, location)));
  const hasher = repository.kernel.createHasher(repository.keys.content.idKeyData);
  stored.forEach(({ id, location }, i) => {
    if (chunks.pack(location.pack)!.type === 'data') expect(toHex(hasher.hash(read[i]!))).toBe(toHex(id));
  });
});
