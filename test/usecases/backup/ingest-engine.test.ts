import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PackNumber } from '../../../src/cache/cache.ts';
import type { Engine } from '../../../src/engine/engine.ts';
import { backupPath, inlineEngine, makeRepository, temporaryDirectory } from '../../support/memory-repository.ts';

test('The engine of a backup is told of every pack as soon as the index finds its chunks', async () => {
  const root = temporaryDirectory();
  for (let i = 0; i < 3; i++) writeFileSync(join(root, `file-${i}`), Buffer.alloc(50_000, `content ${i}`));
  const repository = await makeRepository();
  const indexed: PackNumber[] = [];
  const open = (): Engine => {
    const engine = inlineEngine();
    const { packIndexed } = engine;
    engine.packIndexed = pack => {
      expect(repository.cache.chunks.pack(pack)).toBeDefined();
      indexed.push(pack);
      packIndexed.call(engine, pack);
    };
    return engine;
  };
  await backupPath(repository, root, { engines: { capacity: 1, open } });
  expect(indexed.toSorted()).toEqual([...repository.cache.chunks.packs()].map(pack => pack.number).toSorted());
});
