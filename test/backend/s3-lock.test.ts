import { expect, onTestFinished, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import type { Backend, ObjectLocks } from '../../src/backend/backend.ts';
import { openBackend } from '../../src/backend/open.ts';
import { gcDoneName } from '../../src/format/object-names.ts';
import { extendLocks } from '../../src/usecases/extend-locks.ts';
import { codeOf } from '../conformance/backend.ts';
import { FakeS3 } from '../support/fake-s3.ts';
import { backupPath, makeRepository, reopen, SMALL_CHUNKS } from '../support/memory-repository.ts';
import { memoryDirectory } from '../support/read-jobs.ts';
import { changeTree, forget, runPrune } from '../support/prune-jobs.ts';

const DAY = 24 * 60 * 60 * 1000;

async function open(objectLock = true): Promise<{ server: FakeS3; backend: Backend; locks: ObjectLocks }> {
  const server = await FakeS3.start({ versions: true, objectLock });
  onTestFinished(() => server.close());
  const { backend, locks } = await openBackend(server.location(''), { clock: systemClock, random: systemRandom, s3: { objectLock: { mode: 'compliance', days: 30 } } });
  onTestFinished(() => backend.close());
  return { server, backend, locks: locks! };
}

test('what stays is locked when it is stored, what passes is not', async () => {
  const { server, backend } = await open();
  for (const name of ['config', 'keys/1', 'packs/d/00/1', 'packs/t/00/1', 'index/1', 'snapshots/1', 'forgotten/1', 'gc/0000000001', 'parity/1']) await backend.create(name, [utf8(name)]);
  expect([...server.locks.keys()].sort()).toEqual(server.keys());
  for (const { mode, until } of server.locks.values()) {
    expect(mode).toBe('COMPLIANCE');
    expect(Math.abs(until.getTime() - Date.now() - 30 * DAY)).toBeLessThan(60_000);
  }
  server.locks.clear();
  for (const name of ['sessions/1', 'probe/1', 'ledger/1', 'replicas/1']) await backend.create(name, [utf8(name)]);
  expect(server.locks.size).toBe(0);
});

test('a bucket without Object Lock refuses, and says so', async () => {
  const { server, backend, locks } = await open(false);
  await expect(backend.create('index/1', [utf8('x')])).rejects.toMatchObject({ code: 'DENIED', message: expect.stringContaining('missing Object Lock') });
  server.plant('index/2', 'x');
  expect(await codeOf(locks.extend('index/2', Date.now() + DAY))).toBe('DENIED');
});

test('the locks of what is needed are extended, those of condemned packs and of what is young are not', async () => {
  const { server, backend, locks } = await open();
  const root = memoryDirectory();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  changeTree(root, 0);
  const { snapshotId } = await backupPath(repository, root);
  changeTree(root, 1);
  await backupPath(repository, root);
  expect(await extendLocks(repository, locks)).toMatchObject({ extended: 0, condemned: 0 });
  const before = new Map(server.locks);
  await forget(repository, snapshotId!);
  await runPrune(repository, { graceMs: DAY });
  // Sixteen days later, more than half of thirty.
  const later = { ...systemClock, now: () => Date.now() + 16 * DAY };
  const report = await extendLocks(await reopen(backend, { clock: later }), locks);
  expect(report.condemned).toBeGreaterThan(0);
  expect(report.young).toBe(0);
  const longer = [...server.locks].filter(([key, { until }]) => until.getTime() > (before.get(key)?.until.getTime() ?? 0) + 15 * DAY).map(([key]) => key);
  expect(longer).toHaveLength(report.extended);
  expect(longer).toEqual(expect.arrayContaining(['config']));
  expect(server.keys().filter(key => key.startsWith('packs/') && !longer.includes(key))).toHaveLength(report.condemned);
  expect(longer.some(key => key.startsWith('sessions/') || key === gcDoneName(1))).toBe(false);
  // A shorter lock is never asked for: a second run changes nothing.
  await extendLocks(await reopen(backend, { clock: later }), locks);
});
