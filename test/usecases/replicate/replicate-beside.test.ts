/** Replications beside backups, prunes and other replications, on both sides: whoever comes first, every snapshot that is there can be read. */
import { afterEach, describe, expect, test } from 'vitest';
import type { Backend } from '../../../src/backend/backend.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import { forgetSnapshot } from '../../../src/repository/forget.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { systemClock } from '../../../src/base/ambient.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { HookedBackend } from '../../support/hooked-backend.ts';
import { memoryBackend, reopen } from '../../support/memory-repository.ts';
import { forget, namesBelow, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { damages, verifyData } from '../../support/repair-jobs.ts';
import { contentsByFirst, copyOf, makeReplica, runReplicate, type ReplicaKind } from '../../support/replicate-jobs.ts';

const KINDS: readonly ReplicaKind[] = ['same', 'shared', 'foreign'];
let hooked: HookedBackend | undefined;
afterEach(() => {
  hooked?.assertAllStruck();
  hooked = undefined;
});

/** Something else happens once, before an operation on the store. */
function meeting(inner: Backend, verb: 'read' | 'list' | 'create' | 'createIfAbsent', name: RegExp, action: () => Promise<unknown>, after = 0): HookedBackend {
  hooked = new HookedBackend(inner);
  hooked.before(verb, name, async () => { await action(); }, after);
  return hooked;
}

async function forgetOldest(repository: OpenRepository, count = 1): Promise<void> {
  for (const { id } of (await loadSnapshots(repository)).snapshots.slice(0, count)) await forgetSnapshot(repository, id, 'policy', { keepsRecord: true });
}

async function expectWhole(store: MemoryBackend, contents: ReadonlyMap<string, unknown>, least = 1): Promise<void> {
  const found = await contentsByFirst(store);
  expect(found.size).toBeGreaterThanOrEqual(least);
  for (const [first, content] of found) expect(content).toEqual(contents.get(first));
  expect(damages(await verifyData(await reopen(store)))).toEqual([]);
}

/** Of the replica: where a prune of it may come in between. */
const STEPS: readonly (readonly ['create' | 'createIfAbsent' | 'list', RegExp])[] = [
  ['createIfAbsent', /^sessions\//], ['list', /^gc\//], ['list', /^index\//], ['list', /^packs\//], ['create', /^index\//], ['createIfAbsent', /^snapshots\//],
];

describe.each(KINDS)('a prune of the replica (%s keys)', kind => {
  test.each(STEPS)('that runs before its %s %s takes nothing that a new snapshot needs', async (verb, name) => {
    const { repository, contents, ids } = await storedGenerations(3);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, kind, store)], { names: ids.slice(0, 2) });
    const meets = meeting(store, verb, name, async () => {
      const other = await reopen(store);
      await forgetOldest(other, 2);
      await runPrune(other);
    });
    const report = await runReplicate(repository, [await reopen(meets)]);
    expect(report.status).toBe('complete');
    expect(damages(await verifyData(await reopen(store)))).toEqual([]);
    await runPrune(await reopen(store)); // ends the plan that waited for the replication
    await expectWhole(store, contents);
    expect((await contentsByFirst(store)).has(ids[2]!)).toBe(true);
  });

  test('that took the run for dead is noticed: it commits anew, with everything', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await makeReplica(repository, kind, store);
    const meets = meeting(store, 'createIfAbsent', /^snapshots\//, async () => {
      const pruner = await reopen(store);
      await runPrune(pruner, { isProcessAlive: () => false });
      await runPrune(await reopen(store), { isProcessAlive: () => false });
    });
    expect(await runReplicate(repository, [await reopen(meets)])).toMatchObject({ status: 'complete', replicas: [{ snapshotsCopied: 2 }] });
    await expectWhole(store, contents, 2);
  });
});

describe.each(KINDS)('a prune of the source (%s keys)', kind => {
  test.each([['list', /^index\//, 0], ['list', /^packs\//, 0], ['read', /^packs\/t/, 0], ['read', /^packs\/d/, 0], ['read', /^packs\/d/, 2]] as const)(
    'that runs before its %s %s (%d) does not take what is being read', async (verb, name, after) => {
      const { backend, contents } = await storedGenerations(3);
      const store = memoryBackend();
      await makeReplica(await reopen(backend), kind, store);
      const meets = meeting(backend, verb, name, async () => {
        const other = await reopen(backend);
        await forget(other, (await loadSnapshots(other)).snapshots[0]!.id);
        await runPrune(other, { limits: { maxUnusedShare: 0, repackSmall: true } });
      }, after);
      const report = await runReplicate(await reopen(meets), [await reopen(store)]);
      expect(damages(report)).toEqual([]);
      await expectWhole(store, contents, 2);
    },
  );

  test('that moved packs after they were listed: what it moved is found', async () => {
    const { backend, contents } = await storedGenerations(3);
    const store = memoryBackend();
    await makeReplica(await reopen(backend), kind, store);
    // Without a pin, as in a source that cannot be written, packs vanish under the hands of the reader.
    const meets = meeting(backend, 'read', /^packs\/d/, async () => {
      for (const session of await namesBelow(backend, PREFIXES.sessions)) await backend.remove(session);
      const other = await reopen(backend);
      await forget(other, (await loadSnapshots(other)).snapshots[0]!.id);
      await runPrune(other, { limits: { maxUnusedShare: 0, repackSmall: true } });
    }, 1);
    await runReplicate(await reopen(meets), [await reopen(store)]);
    const found = await contentsByFirst(store);
    for (const [first, content] of found) expect(content).toEqual(contents.get(first));
    expect(found.size).toBeGreaterThanOrEqual(2);
  });
});

test('a snapshot that is forgotten after it was listed is left out, and nothing is missing', async () => {
  const { backend, repository, ids, contents } = await storedGenerations(3);
  const store = memoryBackend();
  await makeReplica(repository, 'same', store);
  const meets = meeting(backend, 'createIfAbsent', /^sessions\//, async () => forget(await reopen(backend), ids[1]!));
  expect(await runReplicate(await reopen(meets), [await reopen(store)])).toMatchObject({ status: 'complete', snapshotsChosen: 2, snapshotsDamaged: 0, findings: [] });
  await expectWhole(store, contents, 2);
});

test.each(KINDS)('on the wire a replica sees a writer: registrations, gc documents, index, packs; then packs, segments, snapshots (%s keys)', async kind => {
  const { repository } = await storedGenerations(3);
  const store = memoryBackend();
  await makeReplica(repository, kind, store);
  const recording = new RecordingBackend(store, { clock: systemClock });
  await runReplicate(repository, [await reopen(recording)]);
  const { operations } = recording;
  const all = (verbs: readonly string[], prefix: string): number[] => operations.flatMap(({ verb, name, startedAt }) => (verbs.includes(verb) && name.startsWith(prefix) ? [startedAt] : []));
  const ends = (prefix: string): number[] => operations.flatMap(({ verb, name, finishedAt }) => (verb.startsWith('create') && name.startsWith(prefix) ? [finishedAt!] : []));
  const [registered, gc, index, packs] = [Math.max(...ends('sessions/')), all(['list'], 'gc/')[0]!, all(['list'], 'index/')[0]!, all(['list'], 'packs/')[0]!];
  expect([registered, gc, index, packs]).toEqual([registered, gc, index, packs].toSorted((a, b) => a - b));
  const committed = all(['createIfAbsent'], 'snapshots/');
  expect(committed).toHaveLength(3);
  const firstCommit = Math.min(...committed);
  // Related replicas get everything of a batch first; a foreign one snapshot by snapshot.
  const stored = kind === 'foreign' ? ends('index/').slice(0, 1) : [...ends('packs/'), ...ends('index/')];
  expect(Math.max(...stored)).toBeLessThan(firstCommit);
  const created = operations.filter(({ verb, outcome }) => verb.startsWith('create') && outcome !== 'exists').map(({ name }) => name);
  expect(new Set(created).size).toBe(created.length);
});

describe('old names', () => {
  test('of packs that a sweep names are not used again', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
    const before = await namesBelow(store, PREFIXES.packs);
    const replica = await reopen(store);
    await forgetOldest(replica, 2);
    await runPrune(replica);
    expect(await namesBelow(store, PREFIXES.packs)).toEqual([]);
    expect((await runReplicate(repository, [await reopen(store)], { again: true })).replicas).toMatchObject([{ packsCopied: 0, snapshotsCopied: 2 }]);
    expect((await namesBelow(store, PREFIXES.packs)).filter(name => before.includes(name))).toEqual([]);
    await expectWhole(store, contents, 2);
  });

  test('of packs that an older plan may have deleted are not used again either, when its documents are gone', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
    const before = await namesBelow(store, PREFIXES.packs);
    const replica = await reopen(store);
    await forgetOldest(replica, 1);
    await runPrune(replica);
    await forgetOldest(await reopen(store), 1);
    await runPrune(await reopen(store));
    for (const name of await namesBelow(store, PREFIXES.gc)) if (name.startsWith('gc/0000000001')) await store.remove(name);
    expect((await runReplicate(repository, [await reopen(store)], { again: true })).status).toBe('complete');
    expect((await namesBelow(store, PREFIXES.packs)).filter(name => before.includes(name))).toEqual([]);
    await expectWhole(store, contents, 2);
  });
});

describe('two replications', () => {
  test.each(KINDS)('into one replica at once both end well (%s keys)', async kind => {
    const { repository, backend, contents } = await storedGenerations(3);
    const store = memoryBackend();
    await makeReplica(repository, kind, store);
    const reports = await Promise.all([1, 2].map(async () => runReplicate(await reopen(backend), [await reopen(store)])));
    for (const report of reports) expect(report.status).toBe('complete');
    await expectWhole(store, contents, 3);
    await runPrune(await reopen(store));
    await expectWhole(store, contents, 3);
  });

  test('in both directions at once give both everything', async () => {
    const { backend, contents, ids } = await storedGenerations(3);
    const other = copyOf(backend);
    await forget(await reopen(backend), ids[0]!);
    await forget(await reopen(other), ids[2]!);
    await Promise.all([
      reopen(backend).then(async source => runReplicate(source, [await reopen(other)])), reopen(other).then(async source => runReplicate(source, [await reopen(backend)])),
    ]);
    for (const store of [backend, other]) await expectWhole(store, contents, 3);
  });
});
