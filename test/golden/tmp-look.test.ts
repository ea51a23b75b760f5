import { test } from 'vitest';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { systemClock } from '../../src/base/ambient.ts';
import { Secret } from '../../src/base/secret.ts';
import { kernel, OWNER } from '../support/memory-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { systemRandom } from '../../src/base/ambient.ts';
import { resolveSnapshot } from '../../src/usecases/select-snapshots.ts';
import { ReadingSession } from '../../src/repository/reading-session.ts';
import { frameRecordAt } from '../../src/format/frame.ts';
test('x', async () => {
  const root = 'test/golden/repositories/format-1-suite-1';
  const record = JSON.parse(readFileSync(root + '.json', 'utf8'));
  const state = new Map(Object.keys(record.objects).map(name => [name, { bytes: new Uint8Array(readFileSync(join(root, name))), storedAt: 1 }]));
  const backend = MemoryBackend.fromState(state, { clock: systemClock });
  const repo = await openRepository(backend, { kind: 'keyfile', key: new Secret(new Uint8Array(Buffer.from(record.key, 'hex'))) }, { kernel, clock: systemClock, random: systemRandom }, async () => openMemoryCache());
  const rec = await resolveSnapshot(repo, 'latest');
  const session = await ReadingSession.begin(repo, OWNER, [rec]);
  const walk = async (id: any, path: string, depth: number) => {
    const node = await session.trees.node(id);
    if (node.kind === 'interior') { console.log(path, 'interior', depth, node.children.length); for (const c of node.children) await walk(c.id, path, depth + 1); }
    else if (node.kind === 'leaf') for (const e of node.entries) {
      const n = path + '/' + Buffer.from(e.name).toString('latin1');
      if (e.directoryNode) await walk(e.directoryNode, n, 0);
      if (e.contentNode) await walk(e.contentNode, n, 0);
      if (e.type === 'file') console.log(n, e.sizeBytes, 'inline', e.content?.length, e.content?.filter(i => i.id === undefined).length, e.uid, e.userName, e.flags, e.xattrs?.map(x => Buffer.from(x.name) + ':' + (x.value instanceof Uint8Array ? 'inline' : 'chunks')).join());
    } else if (node.kind === 'content-interior') { console.log(path, 'content interior', node.children.length); for (const c of node.children) await walk(c.id, path, depth+1); }
    else console.log(path, 'content leaf', node.items.length);
  };
  console.log(rec.snapshot);
  await walk(rec.snapshot.components[0]!.root.directoryNode, '', 0);
  for (const p of repo.cache.chunks.packs()) { console.log(p.type, p.id, p.sizeBytes, p.chunkCount); for (let i = 0; i < p.frames.length / 16; i++) console.log('   ', JSON.stringify(frameRecordAt(p.frames, i))); }
});
