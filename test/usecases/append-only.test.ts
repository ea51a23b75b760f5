/**
 * A writer needs no right to remove anything, neither where the backend knows that (append-only) nor where it learns it only from
 * the answer of the storage, as under the policy of a bucket; and it needs no admin key.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SnapError } from '../../src/base/errors.ts';
import { Secret } from '../../src/base/secret.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { PREFIXES } from '../../src/format/object-names.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Credential, OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { systemRandom } from '../../src/base/ambient.ts';
import { addKey } from '../../src/usecases/keys.ts';
import { stats } from '../../src/usecases/browse/stats.ts';
import { DEFAULT_THRESHOLDS } from '../../src/usecases/status/status-checks.ts';
import { status } from '../../src/usecases/status/status.ts';
import { backupPath, KEY, kernel, makeRepository, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../support/memory-repository.ts';
import { changeTree, forget, namesBelow, runPrune } from '../support/prune-jobs.ts';
import { restoreTo } from '../support/read-jobs.ts';
import { TestClock } from '../support/test-clock.ts';
import { damage, runVerify } from '../support/verify-jobs.ts';

/** The policy of a bucket: nothing tells before the answer, and nothing is replaced. */
function refusing(inner: MemoryBackend): Backend & { refused: string[] } {
  const refused: string[] = [];
  return {
    refused, location: inner.location, capabilities: inner.capabilities,
    read: (name, range, options) => inner.read(name, range, options), stat: (name, options) => inner.stat(name, options),
    list: (prefix, options) => inner.list(prefix, options), create: (name, parts, options) => inner.create(name, parts, options),
    createIfAbsent: (name, bytes, options) => inner.createIfAbsent(name, bytes, options), close: () => inner.close(),
    remove: async name => {
      refused.push(name);
      throw new SnapError('DENIED', `Cannot remove '${name}' in 'memory:': Access Denied (403 AccessDenied)`);
    },
  };
}

const WRITER_KEY: Credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32).fill(8)) };

interface Place {
  readonly clock: TestClock;
  readonly store: MemoryBackend;
  readonly root: string;
  readonly admin: OpenRepository;
  /** Opened with a key slot without the admin key, on a backend that removes nothing. */
  readonly writer: OpenRepository;
}

async function place(restrict: (store: MemoryBackend) => Backend): Promise<Place> {
  const clock = new TestClock();
  const store = new MemoryBackend({ clock });
  const admin = await makeRepository(store, { clock, chunker: SMALL_CHUNKS });
  await addKey(admin, { current: KEY, added: WRITER_KEY, label: 'writer', isWriter: true });
  const cache = openMemoryCache();
  const writer = await openRepository(restrict(store), WRITER_KEY, { kernel, clock, random: systemRandom }, async () => cache);
  return { clock, store, root: temporaryDirectory(), admin, writer };
}

const RESTRICTIONS = [['append-only', withoutRemove], ['refused by a policy', refusing]] as const;

describe.each(RESTRICTIONS)('a writer without the right to delete, %s', (_, restrict) => {
  test('backs up, restores, checks, and looks at everything; an administrator clears up', async () => {
    const { clock, store, root, admin, writer } = await place(restrict);
    for (let i = 0; i < 3; i++) {
      changeTree(root, i);
      const report = await backupPath(writer, root, { kind: i === 1 ? 'full' : 'incremental' });
      expect([report.snapshotId === undefined, report.problems]).toEqual([false, []]);
      clock.advance(3_600_000);
    }
    expect((await backupPath(writer, root, { skipIfUnchanged: true })).unchanged).toBe(true);
    expect((await backupPath(writer, root, { dryRun: true })).status).toBe('complete');
    const target = temporaryDirectory();
    await restoreTo(writer, target, { path: root });
    expect(readFileSync(join(target, 'kept/long')).equals(readFileSync(join(root, 'kept/long')))).toBe(true);
    const checked = await runVerify(writer, { readData: true });
    expect([checked.status, damage(checked), checked.coverage.packsNever]).toEqual(['complete', [], 0]);
    // What was checked is written down all the same.
    expect(await namesBelow(store, PREFIXES.ledger)).toHaveLength(1);
    await stats(writer, (await loadSnapshots(writer)).snapshots, { owner: OWNER });
    const somewhere = { location: '', medium: '', isOffSite: false, reason: '' };
    expect((await status(writer, { thresholds: DEFAULT_THRESHOLDS, placeOf: () => somewhere })).checks.find(({ name }) => name === 'roll-back')!.level).toBe('ok');
    expect((await namesBelow(store, PREFIXES.sessions)).length).toBeGreaterThan(0);
    clock.advance(25 * 3_600_000);
    expect((await runPrune(admin)).status).toBe('complete');
    expect(await namesBelow(store, PREFIXES.sessions)).toEqual([]);
    expect((await loadSnapshots(admin)).snapshots).toHaveLength(3);
  });

  test('can neither forget nor prune, and leaves nothing behind when it tries', async () => {
    const { store, root, writer } = await place(restrict);
    const { snapshotId } = await backupPath(writer, root, { allowEmpty: true });
    await expect(forget(writer, snapshotId!)).rejects.toMatchObject({ code: 'DENIED' });
    expect(await namesBelow(store, PREFIXES.forgotten)).toEqual([]);
    await expect(runPrune(writer)).rejects.toMatchObject({ code: 'DENIED' });
    expect(await namesBelow(store, PREFIXES.gc)).toEqual([]);
    expect(await namesBelow(store, PREFIXES.snapshots)).toHaveLength(1);
  });
});

test('a key slot of a writer stays one when its password changes', async () => {
  const { store, writer, clock } = await place(refusing);
  const next: Credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32).fill(9)) };
  await addKey(writer, { current: WRITER_KEY, added: next, label: 'next' });
  const opened = await openRepository(store, next, { kernel, clock, random: systemRandom }, async () => openMemoryCache());
  expect(() => opened.keys.adminSeed()).toThrow('does not hold the admin key');
  expect((await reopen(store, { clock })).keys.adminSeed()).toHaveLength(32);
});
