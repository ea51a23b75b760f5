/** What a host notices by what it has seen, in every job that looks: snapshots hidden, gc documents hidden, an older copy put back. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { idBytes, type SnapshotId } from '../../src/format/ids.ts';
import { forgottenName } from '../../src/format/object-names.ts';
import { sealObject, signBody } from '../../src/format/sealed-object.ts';
import { encodeForgotten } from '../../src/format/tombstone.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { acceptRollback } from '../../src/usecases/rollback-check.ts';
import { DEFAULT_THRESHOLDS } from '../../src/usecases/status/status-checks.ts';
import { status } from '../../src/usecases/status/status.ts';
import { backupPath, makeRepository, reopen, SMALL_CHUNKS, temporaryDirectory } from '../support/memory-repository.ts';
import { forget, runPrune } from '../support/prune-jobs.ts';
import { runVerify } from '../support/verify-jobs.ts';
import { TestClock } from '../support/test-clock.ts';

let clock: TestClock;
let backend: MemoryBackend;
let root: string;
let ids: string[];
/** Of a host that backed up, and of one that only ever looked. */
let caches: { writer: Cache; looker: Cache };
let older: MemoryState;

const open = (cache: Cache, state: MemoryState = backend.snapshotState()): Promise<OpenRepository> => {
  backend = MemoryBackend.fromState(state, { clock });
  return reopen(backend, { clock, cache: async () => cache });
};

const look = async (repository: OpenRepository): Promise<{ level: string; message: string }> => {
  const place = { location: '', medium: '', isOffSite: false, reason: '' };
  const report = await status(repository, { thresholds: DEFAULT_THRESHOLDS, placeOf: () => place });
  return report.checks.find(({ name }) => name === 'roll-back')!;
};

const change = (text: string): void => writeFileSync(join(root, 'file'), text.repeat(2000));

beforeEach(async () => {
  clock = new TestClock();
  backend = new MemoryBackend({ clock });
  caches = { writer: openMemoryCache(), looker: openMemoryCache() };
  root = temporaryDirectory();
  await makeRepository(backend, { clock, chunker: SMALL_CHUNKS });
  const repository = await reopen(backend, { clock, cache: async () => caches.writer });
  ids = [];
  for (const text of ['first', 'second', 'third']) {
    change(text);
    ids.push((await backupPath(repository, root)).snapshotId!);
    clock.advance(3_600_000);
    if (ids.length === 1) older = backend.snapshotState();
  }
  await look(await reopen(backend, { clock, cache: async () => caches.looker }));
});

/** By somebody who knows the keys of the repository, but not the one of its administrator. */
function forged({ keys, kernel, id }: OpenRepository, snapshot: SnapshotId): Uint8Array<ArrayBuffer> {
  const [type, objectId, epoch] = [OBJECT_TYPES.forgotten, idBytes(snapshot), keys.currentEpoch];
  const payload = signBody(kernel, new Uint8Array(32).fill(9), { type, repositoryId: id, objectId }, encodeForgotten({ reason: 'x', createdAt: 1 }));
  return sealObject({ kernel, type, epoch, objectId, suite: 3, secret: keys.secretOf(epoch)!, repositoryId: id, payload, random: new Uint8Array(24).fill(5), compressor: undefined });
}

function without(...names: readonly string[]): MemoryState {
  return new Map([...backend.snapshotState()].filter(([name]) => !names.includes(name)));
}

describe.each(['writer', 'looker'] as const)('the newest snapshot is hidden from the %s', who => {
  const hidden = (): Promise<OpenRepository> => open(caches[who], without(`snapshots/${ids[2]}`));

  test('status is critical, with every look and after backups', async () => {
    expect(await look(await hidden())).toMatchObject({ level: 'critical', message: expect.stringContaining(ids[2]!) });
    const repository = await open(caches[who]);
    const report = await backupPath(repository, root);
    expect(report.status).toBe('partial');
    expect(report.problems).toMatchObject([{ code: 'ROLLBACK_SUSPECTED', message: expect.stringContaining(ids[2]!) }]);
    expect((await backupPath(repository, root)).status).toBe('partial');
    expect((await look(repository)).level).toBe('critical');
  });

  test('verify warns at every level', async () => {
    for (const level of ['structure', 'metadata'] as const) {
      const { findings } = await runVerify(await hidden(), { level });
      expect(findings.map(({ message }) => message)).toContainEqual(expect.stringContaining(ids[2]!));
    }
  });

  test('prune refuses, deletes nothing, and goes on when the snapshot is back or the loss is accepted', async () => {
    const before = backend.snapshotState();
    const repository = await hidden();
    await forget(repository, ids[0]!);
    const packs = [...backend.snapshotState().keys()].filter(name => name.startsWith('packs/'));
    await expect(runPrune(repository)).rejects.toMatchObject({ code: 'ROLLBACK_SUSPECTED', kind: 'guard', message: expect.stringContaining(ids[2]!) });
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith('packs/') || name.startsWith('gc/'))).toEqual(packs);
    expect((await runPrune(repository, { dryRun: true })).findings).toMatchObject([{ severity: 'warning' }]);
    const back = await open(caches[who], before);
    expect((await runPrune(back)).findings).toEqual([]);
    const again = await open(caches[who], without(`snapshots/${ids[2]}`));
    await acceptRollback(again);
    expect((await look(again)).level).toBe('ok');
    expect((await runPrune(again)).findings).toEqual([]);
  });

  test('a marker that no admin key signed explains nothing', async () => {
    const repository = await hidden();
    const name = forgottenName(ids[2] as SnapshotId);
    await backend.create(name, [forged(repository, ids[2] as SnapshotId)]);
    expect((await look(repository)).level).toBe('critical');
  });

  test('one that was forgotten, or relabelled by another host, is not missed', async () => {
    const other = await open(openMemoryCache());
    await forget(other, ids[2]!);
    expect((await look(await open(caches[who]))).level).toBe('ok');
  });
});

describe('the whole repository is replaced by an older copy', () => {
  test.each(['writer', 'looker'] as const)('the %s notices it in status, backup, verify and prune', async who => {
    expect((await look(await open(caches[who], older))).level).toBe('critical');
    expect((await runVerify(await open(caches[who], older))).findings.filter(({ object }) => object === 'repository').length).toBeGreaterThan(0);
    await expect(runPrune(await open(caches[who], older))).rejects.toMatchObject({ code: 'ROLLBACK_SUSPECTED' });
    const { status: outcome, problems } = await backupPath(await open(caches[who], older), root);
    expect([outcome, new Set(problems.map(({ code }) => code))]).toEqual(['partial', new Set(['ROLLBACK_SUSPECTED'])]);
  });

  test('a host that has never been here cannot notice it', async () => {
    expect((await look(await open(openMemoryCache(), older))).level).toBe('ok');
  });
});

test('gc documents that are hidden are noticed in status, backup, verify and prune, and their numbers are not used again', async () => {
  const repository = await open(caches.writer);
  await forget(repository, ids[0]!);
  await runPrune(repository);
  expect((await look(await open(caches.looker))).level).toBe('ok');
  const pruner = openMemoryCache();
  await look(await open(pruner));
  const hidden = without(...[...backend.snapshotState().keys()].filter(name => name.startsWith('gc/')));
  for (const cache of [caches.writer, caches.looker]) {
    expect(await look(await open(cache, hidden))).toMatchObject({ level: 'critical', message: expect.stringContaining('gc plan') });
    expect((await runVerify(await open(cache, hidden))).findings).toMatchObject([{ message: expect.stringContaining('gc plan') }]);
    expect((await backupPath(await open(cache, hidden), root)).problems).toMatchObject([{ code: 'ROLLBACK_SUSPECTED' }]);
  }
  const again = await open(pruner, hidden);
  await forget(again, ids[1]!);
  expect(await runPrune(again)).toMatchObject({ planNumber: 2, findings: [{ severity: 'warning' }] });
});

test('what was seen survives, bounded, however many series there are', async () => {
  const cache = openMemoryCache();
  await cache.remember({ seen: Array.from({ length: 1024 }, (_, i) => i.toString(16).padStart(32, '0')) });
  const repository = await open(cache);
  const { message } = await look(repository);
  expect(message).toContain('1024 snapshots that this host has seen');
  expect(cache.memory().seen.length).toBe(1024);
});
