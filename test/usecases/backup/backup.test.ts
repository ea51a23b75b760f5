import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { gcPlanName, forgottenName, packName } from '../../../src/format/object-names.ts';
import { encodePlan, packPackIds } from '../../../src/format/gc-documents.ts';
import { encodeForgotten, encodeTombstone } from '../../../src/format/tombstone.ts';
import { parseRunId, type PackId, type SnapshotId } from '../../../src/format/ids.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { forgetSnapshot } from '../../../src/repository/forget.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { establishView, listPacks } from '../../../src/repository/session-view.ts';
import { backup } from '../../../src/usecases/backup/backup.ts';
import { acceptRollback } from '../../../src/usecases/rollback-check.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { backupOptions, backupPath, makeRepository, memoryBackend, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { readAllSnapshots, readSnapshot } from '../../support/read-snapshot.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';

const sha = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

function sampleTree(): string {
  const root = temporaryDirectory();
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/one.txt'), 'one');
  writeFileSync(join(root, 'a/b/two.bin'), Buffer.alloc(300_000, 'two '));
  writeFileSync(join(root, 'empty'), '');
  symlinkSync('a/one.txt', join(root, 'link'));
  return root;
}

async function newestContent(repository: OpenRepository): Promise<Map<string, string>> {
  const { snapshots } = await loadSnapshots(repository);
  return readSnapshot(repository, snapshots.at(-1)!.id);
}

describe('a backup', () => {
  test('stores every entry so that another process reads the same content', async () => {
    const backend = memoryBackend();
    const root = sampleTree();
    const report = await backupPath(await makeRepository(backend), root);
    expect(report).toMatchObject({ status: 'complete', kind: 'full', filesNew: 3, filesTotal: 3, bytesTotal: 300_003 });
    const content = (await readAllSnapshots(await reopen(backend))).get(report.snapshotId!)!;
    expect(content.get(`${root}/a/one.txt`)).toBe(`file:3:${sha(join(root, 'a/one.txt'))}`);
    expect(content.get(`${root}/a/b/two.bin`)).toBe(`file:300000:${sha(join(root, 'a/b/two.bin'))}`);
    expect(content.get(`${root}/link`)).toBe('symlink:a/one.txt');
    expect([...content.keys()].sort()).toEqual([root, ...['a', 'a/b', 'a/b/two.bin', 'a/one.txt', 'empty', 'link'].map(path => `${root}/${path}`)].sort());
  });

  test('of an unchanged tree reads nothing and adds nothing', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    await new Promise(resolve => { setTimeout(resolve, 2100); }); // entries younger than two seconds are not trusted
    await backupPath(repository, root);
    const report = await backupPath(repository, root);
    expect(report).toMatchObject({ filesUnmodified: 3, filesNew: 0, filesChanged: 0, bytesRead: 0, dataChunksAdded: 0, treeChunksAdded: 0, unchanged: true, kind: 'incremental' });
    expect(report.snapshotId).toBeDefined();
  });

  test('reads an entry again that is younger than two seconds before the earlier run', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    expect(await backupPath(repository, root)).toMatchObject({ filesUnmodified: 0, filesChanged: 3 });
  });

  test('takes over what did not change when another file of the directory did', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    await new Promise(resolve => { setTimeout(resolve, 2100); });
    await backupPath(repository, root);
    writeFileSync(join(root, 'a/one.txt'), 'changed');
    writeFileSync(join(root, 'a/three.txt'), 'three');
    rmSync(join(root, 'empty'));
    const report = await backupPath(repository, root);
    expect(report).toMatchObject({ filesNew: 1, filesChanged: 1, filesUnmodified: 1, bytesRead: 12 });
    const content = await newestContent(repository);
    expect(content.get(`${root}/a/one.txt`)).toContain(sha(join(root, 'a/one.txt')));
    expect(content.get(`${root}/a/b/two.bin`)).toContain(sha(join(root, 'a/b/two.bin')));
    expect(content.has(`${root}/empty`)).toBe(false);
  });

  test('finds the parent when the cache is lost', async () => {
    const backend = memoryBackend();
    const root = sampleTree();
    await backupPath(await makeRepository(backend), root);
    await new Promise(resolve => { setTimeout(resolve, 2100); });
    await backupPath(await reopen(backend), root);
    expect(await backupPath(await reopen(backend), root)).toMatchObject({ filesUnmodified: 3, bytesRead: 0, dataChunksAdded: 0 });
  });

  test('of kind full reads everything and stores nothing twice', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    await new Promise(resolve => { setTimeout(resolve, 2100); });
    await backupPath(repository, root);
    expect(await backupPath(repository, root, { kind: 'full' })).toMatchObject({ kind: 'full', bytesRead: 300_003, dataChunksAdded: 0 });
  });

  test('that makes no snapshot when nothing changed says so', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    expect(await backupPath(repository, root, { skipIfUnchanged: true })).toMatchObject({ snapshotId: undefined, unchanged: true });
  });

  test('as a dry run leaves the repository as it was', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const before = [...backend.snapshotState().keys()];
    expect(await backupPath(repository, sampleTree(), { dryRun: true })).toMatchObject({ dryRun: true, snapshotId: undefined, filesNew: 3, dataChunksAdded: expect.any(Number) });
    expect([...backend.snapshotState().keys()]).toEqual(before);
  });

  test('encodes a directory only when every one of its files has its answer', async () => {
    // Answers for the first batch of files arrive while the walk is still handing out the others.
    const repository = await makeRepository();
    const root = temporaryDirectory();
    for (let i = 0; i < 2_000; i++) writeFileSync(join(root, `file-${i}`), `content ${i}`);
    expect(await backupPath(repository, root)).toMatchObject({ filesTotal: 2_000, status: 'complete' });
    expect((await newestContent(repository)).size).toBe(2_001);
  });

  test('leaves no session behind', async () => {
    const backend = memoryBackend();
    await backupPath(await makeRepository(backend), sampleTree());
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith('sessions/'))).toEqual([]);
  });

  test('of an empty source whose parent had files is refused', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    await backupPath(repository, root);
    for (const name of ['a', 'empty', 'link']) rmSync(join(root, name), { recursive: true });
    await expect(backupPath(repository, root)).rejects.toMatchObject({ code: 'SOURCE_EMPTY', kind: 'guard' });
    expect((await loadSnapshots(repository)).snapshots).toHaveLength(1);
    expect(await backupPath(repository, root, { allowEmpty: true })).toMatchObject({ filesTotal: 0 });
  });

  test('of a path that is a file has that file as its root', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    const path = join(root, 'a/b/two.bin');
    await backupPath(repository, path);
    expect(await newestContent(repository)).toEqual(new Map([[path, `file:300000:${sha(path)}`]]));
  });

  test('of a missing path fails before anything is stored', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const before = backend.snapshotState().size;
    await expect(backupPath(repository, '/no/such/path')).rejects.toMatchObject({ code: 'SOURCE_MISSING' });
    expect(backend.snapshotState().size).toBe(before);
  });

  test('stops with the error of the repository, and makes no snapshot', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const faulty = new FaultyBackend(backend, [{ verb: 'create', name: /^packs\/d\//, effect: 'no-space' }]);
    await expect(backupPath(await reopen(faulty), sampleTree())).rejects.toMatchObject({ code: 'NO_SPACE' });
    faulty.assertAllHit();
    expect((await loadSnapshots(await reopen(backend))).snapshots).toEqual([]);
  });
});

describe('a stream', () => {
  const stream = (bytes: Uint8Array[], finish: () => Promise<void> = async () => {}) => ({
    kind: 'stream' as const, name: utf8('dump.sql'), finish,
    async *content() { yield* bytes; },
  });

  test('becomes a snapshot with one file', async () => {
    const repository = await makeRepository();
    const pieces = Array.from({ length: 30 }, (_, i) => new Uint8Array(333_333).fill(i));
    const report = await backup(repository, stream(pieces), backupOptions());
    expect(report).toMatchObject({ filesTotal: 1, bytesTotal: 30 * 333_333 });
    const hash = createHash('sha256');
    for (const piece of pieces) hash.update(piece);
    expect(await newestContent(repository)).toEqual(new Map([['/dump.sql', `file:${30 * 333_333}:${hash.digest('hex')}`]]));
  });

  test('whose producer failed makes no snapshot', async () => {
    const repository = await makeRepository();
    const failing = stream([utf8('half')], async () => { throw new Error('exit status 1'); });
    await expect(backup(repository, failing, backupOptions())).rejects.toMatchObject({ code: 'SOURCE_FAILED' });
    expect((await loadSnapshots(repository)).snapshots).toEqual([]);
  });
});

describe('a repository that was rolled back', () => {
  test('is noticed: the snapshot is made, and what is missing is a problem', async () => {
    const backend = memoryBackend();
    const root = sampleTree();
    const repository = await makeRepository(backend);
    const { snapshotId } = await backupPath(repository, root);
    await backend.remove(`snapshots/${snapshotId}`);
    const report = await backupPath(repository, root);
    expect(report).toMatchObject({ status: 'partial', snapshotId: expect.any(String) });
    expect(report.problems).toEqual([expect.objectContaining({ code: 'ROLLBACK_SUSPECTED', message: expect.stringContaining(snapshotId!) })]);
    // Told with every run, until it is back or the loss is accepted.
    expect(await backupPath(repository, root)).toMatchObject({ status: 'partial' });
    await acceptRollback(repository);
    expect(await backupPath(repository, root)).toMatchObject({ status: 'complete' });
  });

  test('is not suspected when the snapshot was forgotten', async () => {
    const repository = await makeRepository();
    const root = sampleTree();
    const { snapshotId } = await backupPath(repository, root);
    await forgetSnapshot(repository, snapshotId as SnapshotId, 'test');
    expect(await backupPath(repository, root)).toMatchObject({ status: 'complete' });
  });
});

describe('beside a prune', () => {
  async function condemn(repository: OpenRepository, packs: PackId[]): Promise<void> {
    const name = gcPlanName(1);
    const body = encodePlan({ packs: packPackIds(packs), createdAt: 1, runId: parseRunId('22'.repeat(16)) });
    await repository.objects.save(repository.backend, name, OBJECT_TYPES.plan, body);
  }

  test('a condemned pack is not referred to: its chunks are stored again', async () => {
    const backend = memoryBackend();
    const root = sampleTree();
    const repository = await makeRepository(backend);
    await backupPath(repository, root);
    const old = (await listPacks(backend)).map(pack => pack.id);
    await condemn(repository, old);
    const report = await backupPath(repository, root);
    expect(report.dataChunksAdded).toBeGreaterThan(0);
    for (const pack of await listPacks(backend)) if (old.includes(pack.id)) await backend.remove(packName(pack.type, pack.id));
    const reader = await reopen(backend);
    await establishView(reader);
    expect((await readSnapshot(reader, report.snapshotId!)).get(`${root}/a/one.txt`)).toContain(sha(join(root, 'a/one.txt')));
  });

  test('a missing pack is healed by the next backup', async () => {
    const backend = memoryBackend();
    const root = sampleTree();
    const repository = await makeRepository(backend);
    await backupPath(repository, root);
    for (const pack of await listPacks(backend)) await backend.remove(packName(pack.type, pack.id));
    await backupPath(repository, root);
    expect((await readAllSnapshots(await reopen(backend))).size).toBe(2);
  });

  test('a session that was revoked commits again under a new ID', async () => {
    const backend = new RevokingBackend(1);
    const root = sampleTree();
    const revoked: string[] = [];
    const report = await backupPath(await backend.makeRepository(), root, {}, { onEvent: event => { if (event.type === 'session-revoked') revoked.push(event.sessionId); } });
    expect(revoked).toHaveLength(1);
    expect(revoked).not.toContain(report.snapshotId);
    expect([...(await readAllSnapshots(await reopen(backend.inner))).keys()]).toEqual([report.snapshotId]);
  });

  test('a session that is revoked again and again gives up and says so', async () => {
    const backend = new RevokingBackend(99);
    await expect(backupPath(await backend.makeRepository(), sampleTree())).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
  });

  test('a snapshot that is forgotten at once is not reported as success', async () => {
    const backend = new RevokingBackend(1, 'forget');
    const report = await backupPath(await backend.makeRepository(), sampleTree());
    const valid = [...(await readAllSnapshots(await reopen(backend.inner))).keys()];
    expect(valid).toEqual([report.snapshotId]);
  });
});

/** A store in which a prune revokes, or forgets, the first commits of a session. */
class RevokingBackend extends FaultyBackend {
  readonly inner: MemoryBackend;
  #left: number;
  readonly #how: 'revoke' | 'forget';
  #repository: OpenRepository | undefined;

  constructor(times: number, how: 'revoke' | 'forget' = 'revoke') {
    const inner = memoryBackend();
    super(inner);
    this.inner = inner;
    this.#left = times;
    this.#how = how;
  }

  async makeRepository(): Promise<OpenRepository> {
    await makeRepository(this.inner);
    return this.#repository = await reopen(this);
  }

  override async createIfAbsent(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    if (!name.startsWith('snapshots/') || this.#left === 0) return super.createIfAbsent(name, bytes);
    this.#left--;
    const { objects } = this.#repository!;
    if (this.#how === 'revoke') {
      await this.inner.createIfAbsent(name, objects.seal(name, OBJECT_TYPES.tombstone, encodeTombstone({ planNumber: 1, createdAt: 1 })));
      return super.createIfAbsent(name, bytes);
    }
    const result = await super.createIfAbsent(name, bytes);
    const marker = forgottenName(name.slice('snapshots/'.length) as SnapshotId);
    await this.inner.createIfAbsent(marker, objects.seal(marker, OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'test', createdAt: 1 })));
    return result;
  }
}
