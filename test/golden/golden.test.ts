/** Repositories of every released format, as they were stored then: each later version must read them and go on with them. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { Secret } from '../../src/base/secret.ts';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { verify } from '../../src/usecases/verify/verify.ts';
import { describeTree } from '../support/describe-tree.ts';
import { digestsBelow, GOLDEN_NAMES, goldenBackend, goldenCredential, goldenFolder, goldenRecord, type GoldenName, type GoldenRecord } from '../support/golden.ts';
import { backupPath, engines, kernel, OWNER } from '../support/memory-repository.ts';
import { entryOf, memoryDirectory, restoreTo } from '../support/read-jobs.ts';
import { snap } from '../support/snap-cli.ts';
import { recordTree, type RecordedTree } from './generate/record-tree.mjs';

function open(backend: MemoryBackend, record: GoldenRecord, cache = openMemoryCache()): Promise<OpenRepository> {
  return openRepository(backend, goldenCredential(record), { kernel, clock: systemClock, random: systemRandom }, async () => cache);
}

/** As a restore leaves it that does not set owners: the rights of somebody else are not given to the one who restores. */
function withoutSetId(tree: RecordedTree): RecordedTree {
  return Object.fromEntries(Object.entries(tree).map(([path, entry]) => [path, { ...entry, mode: String(entry['mode']).replace(/^0[4567](?=...$)/, '0') }]));
}

function verifyAll(repository: OpenRepository): ReturnType<typeof verify> {
  return verify(repository, { engines, owner: OWNER, readData: true });
}

/** A copy that commands may change; as from version control, which keeps no empty folders. */
function copyOf(name: GoldenName): { repository: string; cache: string; key: string; place: string } {
  const place = memoryDirectory();
  const paths = { place, repository: join(place, 'repository'), cache: join(place, 'cache'), key: join(place, 'key') };
  cpSync(goldenFolder(name), paths.repository, { recursive: true });
  writeFileSync(paths.key, Buffer.from(goldenRecord(name).key, 'hex'));
  return paths;
}

/** Long attributes of users: most file systems on disks take only short ones, older kernels none in memory. */
function takesAttributes(): boolean {
  const path = join(memoryDirectory(), 'probe');
  writeFileSync(path, '');
  return spawnSync('python3', ['-c', 'import os, sys; os.setxattr(sys.argv[1], "user.long", bytes(10240))', path]).status === 0;
}

describe.each(GOLDEN_NAMES)('%s', name => {
  const record = goldenRecord(name);

  test('is what was recorded, byte for byte', () => {
    expect(digestsBelow(goldenFolder(name))).toEqual(record.objects);
  });

  test('opens with its key file and with its password', async () => {
    const backend = goldenBackend(name);
    const byKey = await open(backend, record);
    expect(byKey).toMatchObject({ id: record.id, config: { defaultSuite: record.suite, chunker: { minBytes: 256, averageBytes: 512, maxBytes: 131_072 } } });
    const password = { kind: 'password', password: new Secret(record.password) } as const;
    const byPassword = await openRepository(backend, password, { kernel, clock: systemClock, random: systemRandom }, async () => openMemoryCache());
    expect(byPassword.id).toBe(record.id);
    expect(byPassword.slotId).not.toBe(byKey.slotId);
  });

  test('lists its snapshots as they were made', async () => {
    const { snapshots, unreadable } = await loadSnapshots(await open(goldenBackend(name), record));
    expect(unreadable).toEqual([]);
    expect(snapshots.map(({ snapshot }) => snapshot)).toEqual(record.snapshots.map(({ startedAt, kind, tags, description }) =>
      expect.objectContaining({ startedAt, kind, tags, description, host: 'golden', series: 'golden', protected: false })));
    expect(snapshots[1]!.snapshot.parent).toBe(snapshots[0]!.id);
  });

  test('has no damage, down to the last byte, and verifying it changes nothing but the ledger', async () => {
    const backend = goldenBackend(name);
    const before = backend.snapshotState();
    const report = await verifyAll(await open(backend, record));
    expect(report).toMatchObject({ status: 'complete', findings: [], snapshots: 2, packs: 5, packsRead: 5, segments: 2, unusedBytes: 0 });
    expect(new Map([...backend.snapshotState()].filter(([object]) => !object.startsWith('ledger/')))).toEqual(before);
  });

  test.each([['older', 0], ['newer', 1]] as const)('restores its %s snapshot to the recorded tree', async (_, index) => {
    const repository = await open(goldenBackend(name), record);
    const { snapshots } = await loadSnapshots(repository);
    const target = memoryDirectory();
    const report = await restoreTo(repository, target, { snapshot: snapshots[index]!.id, path: record.sourcePath, setsOwner: false });
    expect(report).toMatchObject({ findings: [], ...(takesAttributes() ? { status: 'complete', problems: [] } : {}) });
    expect(recordTree(target)).toEqual(withoutSetId(record.snapshots[index]!.tree));
  });

  test('has the owners, extended attributes and holes of its source', async () => {
    const repository = await open(goldenBackend(name), record);
    const target = memoryDirectory();
    await restoreTo(repository, target, { path: record.sourcePath, setsOwner: false });
    for (const path of ['', 'hello.txt', 'text/links/symlink']) {
      expect(await entryOf(repository, join(record.sourcePath, path))).toMatchObject({ uid: record.owner, gid: record.owner });
    }
    const restored = await describeTree(target);
    const isCompared = takesAttributes();
    for (const [path, attributes] of Object.entries(record.xattrs)) {
      const entry = await entryOf(repository, join(record.sourcePath, path));
      expect(entry.xattrs?.map(each => Buffer.from(each.name).toString())).toEqual(Object.keys(attributes));
      if (isCompared) expect(restored.get(path)!.xattrs).toEqual(attributes);
    }
    expect((await entryOf(repository, join(record.sourcePath, 'sparse.img'))).content).toContainEqual({ id: undefined, lengthBytes: 256 * 1024 });
    expect(restored.get('sparse.img')!.allocated).toBeLessThan(64 * 1024);
  });

  test('takes a new backup, which shares what is there, and stays whole', async () => {
    const backend = goldenBackend(name);
    const repository = await open(backend, record);
    const source = memoryDirectory();
    await restoreTo(repository, source, { path: record.sourcePath, setsOwner: false });
    writeFileSync(join(source, 'new'), 'new content\n');
    const report = await backupPath(repository, source);
    expect(report).toMatchObject({ status: 'complete', filesTotal: 14, dataChunksAdded: 1 });
    const again = await open(backend, record);
    expect(await verifyAll(again)).toMatchObject({ status: 'complete', findings: [], snapshots: 3 });
    const target = memoryDirectory();
    await restoreTo(again, target, { snapshot: report.snapshotId!, path: source, setsOwner: false });
    expect(recordTree(target)).toEqual(recordTree(source));
  });

  test('gives the same with an index that is built from nothing', async () => {
    const backend = goldenBackend(name);
    const cache = openMemoryCache();
    await verifyAll(await open(backend, record, cache));
    const used = await verifyAll(await open(backend, record, cache));
    const fresh = await verifyAll(await open(backend, record));
    const at = { durationMs: 0, coverage: undefined }; // which says when the last of them was
    expect({ ...fresh, ...at }).toEqual({ ...used, ...at });
  });
});

describe('the command line on a copy of a golden repository', () => {
  test('restores, backs up and verifies', async () => {
    const { repository, cache, key, place } = copyOf('format-1-suite-1');
    const record = goldenRecord('format-1-suite-1');
    const cli = { repository, cache, password: '', env: { SNAP_KEY_FILE: key } };
    const target = join(place, 'target');
    const restored = await snap(['restore', `latest:${record.sourcePath}`, '--target', target, '--no-owner'], cli);
    expect(restored, restored.stderr).toMatchObject({ code: takesAttributes() ? 0 : 3 });
    expect(recordTree(target)).toEqual(withoutSetId(record.snapshots[1]!.tree));
    const saved = await snap(['backup', target, '--validate'], cli);
    expect(saved, saved.stderr).toMatchObject({ code: 0 });
  });

  test('refuses a newer format and changes nothing', async () => {
    const { repository, cache, key, place } = copyOf('format-1-suite-1');
    const config = join(repository, 'config');
    const bytes = readFileSync(config);
    bytes[4] = 2;
    writeFileSync(config, bytes);
    mkdirSync(join(place, 'source'));
    const before = digestsBelow(repository);
    const cli = { repository, cache, password: '', env: { SNAP_KEY_FILE: key } };
    for (const words of [['snapshots'], ['verify'], ['backup', join(place, 'source')], ['restore', 'latest', '--target', join(place, 'target')]]) {
      const refused = await snap([...words, '--json', '--no-progress'], cli);
      expect(refused.code).toBe(1);
      expect(JSON.parse(refused.stdout)).toMatchObject({ message_type: 'exit_error', code: 1, error_code: 'UNSUPPORTED_FORMAT' });
    }
    expect(digestsBelow(repository)).toEqual(before);
  });
});
