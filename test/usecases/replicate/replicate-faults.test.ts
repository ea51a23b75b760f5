/** Targets that fail, sources that are damaged, and what replicas are for: the day when something is gone. */
import { describe, expect, test } from 'vitest';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { SnapError } from '../../../src/base/errors.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import { readReplicaRecords } from '../../../src/repository/replicas.ts';
import { rotateKeys } from '../../../src/usecases/rotate-keys.ts';
import { FaultyBackend, type PlannedFault } from '../../support/faulty-backend.ts';
import { memoryBackend, OWNER, reopen } from '../../support/memory-repository.ts';
import { forget, namesBelow, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { damages, flipped, overwrite, runRepairIndex, runRepairPacks, verifyData } from '../../support/repair-jobs.ts';
import { contentsByFirst, copyOf, makeReplica, runReplicate, type ReplicaKind } from '../../support/replicate-jobs.ts';
import { withoutRemove } from '../../../src/backend/without-remove.ts';

const KINDS: readonly ReplicaKind[] = ['same', 'shared', 'foreign'];

describe('a target that fails', () => {
  const faults: readonly (readonly [string, PlannedFault, string])[] = [
    ['is full', { verb: 'create', name: /^packs\//, effect: 'no-space', after: 1, times: 99 }, 'NO_SPACE'],
    ['is full when packs are taken over', { verb: 'createIfAbsent', name: /^packs\//, effect: 'no-space', after: 1, times: 99 }, 'NO_SPACE'],
    ['refuses the index', { verb: 'create', name: /^index\//, effect: 'fail-before', code: 'DENIED', times: 99 }, 'DENIED'],
    ['becomes read-only before the commit', { verb: 'createIfAbsent', name: /^snapshots\//, effect: 'fail-before', code: 'DENIED', times: 99 }, 'DENIED'],
    ['cannot be listed', { verb: 'list', name: /^packs\//, effect: 'fail-before', code: 'UNAVAILABLE', times: 99 }, 'UNAVAILABLE'],
    ['refuses the registration', { verb: 'createIfAbsent', name: /^sessions\//, effect: 'fail-before', code: 'DENIED', times: 99 }, 'DENIED'],
  ];

  test.each(faults)('since it %s stops only itself, and the next run makes up for it', async (_, fault, code) => {
    const { repository, contents } = await storedGenerations(2);
    for (const kind of fault.verb === 'createIfAbsent' && String(fault.name).includes('packs') ? ['same'] as const : ['shared', 'foreign'] as const) {
      const [bad, good] = [memoryBackend(), memoryBackend()];
      await makeReplica(repository, kind, bad);
      const report = await runReplicate(repository, [await reopen(new FaultyBackend(bad, [fault])), await makeReplica(repository, 'same', good)]);
      expect(report).toMatchObject({ status: 'partial', replicas: [{ status: 'failed', error: { code } }, { status: 'complete', snapshotsCopied: 2 }] });
      expect(await contentsByFirst(good)).toEqual(contents);
      expect((await readReplicaRecords(repository))[0]).toMatchObject({ location: '/replica-0', error: { code } });
      for (const [first, content] of await contentsByFirst(bad)) expect(content).toEqual(contents.get(first));
      expect(await runReplicate(repository, [await reopen(bad)])).toMatchObject({ status: 'complete' });
      expect(await contentsByFirst(bad)).toEqual(contents);
      expect((await readReplicaRecords(repository))[0]).toMatchObject({ location: '/replica-0', error: undefined });
    }
  });

  test('ends the run with its error when it is the only one', async () => {
    const { repository } = await storedGenerations(1);
    await expect(runReplicate(repository, [new SnapError('WRONG_PASSWORD', 'Wrong password')])).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
    expect(await readReplicaRecords(repository)).toMatchObject([{ error: { code: 'WRONG_PASSWORD' }, snapshots: 0 }]);
  });

  test('for a moment, with an answer that was lost, does not fail at all', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await makeReplica(repository, 'same', store);
    const faulty = new FaultyBackend(store, [/^sessions\//, /^packs\//, /^snapshots\//].map(name => ({ verb: 'createIfAbsent', name, effect: 'fail-after' })));
    expect(await runReplicate(repository, [await reopen(faulty)])).toMatchObject({ status: 'complete' });
    faulty.assertAllHit();
    expect(await contentsByFirst(store)).toEqual(contents);
  });

  test('that is the source itself, by another name, is refused; a copy that was made byte by byte is not', async () => {
    const { repository, backend } = await storedGenerations(1);
    await expect(runReplicate(repository, [await reopen(backend)])).rejects.toMatchObject({ code: 'USAGE', message: expect.stringContaining('is the repository itself') });
    expect(await namesBelow(backend, PREFIXES.probe)).toEqual([]);
    expect(await runReplicate(repository, [await reopen(copyOf(backend))])).toMatchObject({ status: 'complete', replicas: [{ snapshotsHeld: 1 }] });
  });
});

describe('a source that cannot be written', () => {
  test('is replicated all the same, with a warning', async () => {
    const { backend, contents } = await storedGenerations(2);
    const source = await reopen(new FaultyBackend(backend, [{ verb: 'create', effect: 'fail-before', code: 'DENIED', times: 99 }, { verb: 'createIfAbsent', effect: 'fail-before', code: 'DENIED', times: 99 }]));
    const store = memoryBackend();
    const report = await runReplicate(source, [await makeReplica(await reopen(backend), 'same', store)]);
    expect(report).toMatchObject({ status: 'complete', findings: [{ object: 'replica record', severity: 'warning' }] });
    expect(await contentsByFirst(store)).toEqual(contents);
  });

  test('but fails otherwise ends the run, and leaves nothing that is not whole', async () => {
    for (const kind of KINDS) {
      const { backend, repository, contents } = await storedGenerations(2);
      const store = memoryBackend();
      await makeReplica(repository, kind, store);
      const source = await reopen(new FaultyBackend(backend, [{ verb: 'read', name: /^packs\/d/, effect: 'fail-before', code: 'UNAVAILABLE', times: 99, after: 1 }]));
      await expect(runReplicate(source, [await reopen(store)])).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      for (const [first, content] of await contentsByFirst(store)) expect(content).toEqual(contents.get(first));
      expect(await namesBelow(store, PREFIXES.sessions)).toEqual([]);
    }
  });
});

test('a record of a replica that is damaged is a warning, and the next run writes a new one', async () => {
  const { repository, backend } = await storedGenerations(1);
  const store = memoryBackend();
  await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
  const [name] = await namesBelow(backend, PREFIXES.replicas);
  await overwrite(backend, name!, flipped());
  expect((await verifyData(await reopen(backend))).findings).toMatchObject([{ object: 'replica record', severity: 'warning', name, hint: expect.stringContaining('may be removed') as string }]);
  expect(await runReplicate(await reopen(backend), [await reopen(store)])).toMatchObject({ status: 'complete', findings: [{ object: 'replica record', severity: 'warning' }] });
  expect(await readReplicaRecords(await reopen(backend))).toMatchObject([{ location: '/replica-0', snapshots: 1 }]);
});

describe('damage in the source', () => {
  test.each(KINDS)('keeps back the snapshots that it hits, and no others (%s)', async kind => {
    const { backend, contents, ids } = await storedGenerations(3);
    const lastPack = await packOfLast(backend);
    await overwrite(backend, lastPack, flipped());
    const store = memoryBackend();
    const source = await reopen(backend);
    const report = await runReplicate(source, [await makeReplica(source, kind, store)]);
    expect(damages(report).map(({ object }) => object)).toContain('snapshot');
    expect(report.status).toBe('partial');
    expect(report.snapshotsDamaged).toBeGreaterThan(0);
    expect(report.snapshotsDamaged).toBeLessThan(3);
    const found = await contentsByFirst(store);
    expect(found.size).toBe(3 - report.snapshotsDamaged);
    expect(found.has(ids[0]!)).toBe(true);
    for (const [first, content] of found) expect(content).toEqual(contents.get(first));
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
    expect(await readReplicaRecords(source)).toMatchObject([{ succeededAt: undefined, error: { code: 'DAMAGE_FOUND' } }]);
  });

  test.each(KINDS)('of a pack that is gone is the same (%s)', async kind => {
    const { backend, contents } = await storedGenerations(3);
    await backend.remove(await packOfLast(backend));
    const store = memoryBackend();
    const source = await reopen(backend);
    const report = await runReplicate(source, [await makeReplica(source, kind, store)]);
    expect(report.snapshotsDamaged).toBeGreaterThan(0);
    for (const [first, content] of await contentsByFirst(store)) expect(content).toEqual(contents.get(first));
  });

  test('of the tables at one end of a pack hides nothing', async () => {
    const { backend, contents } = await storedGenerations(2);
    for (const name of await namesBelow(backend, PREFIXES.dataPacks)) await overwrite(backend, name, flipped(80));
    const store = memoryBackend();
    const source = await reopen(backend);
    const report = await runReplicate(source, [await makeReplica(source, 'same', store)]);
    expect(damages(report).every(({ object }) => object === 'pack')).toBe(true);
    expect(await contentsByFirst(store)).toEqual(contents);
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
  });

  test.each(KINDS)('of which nothing can be read any more keeps back what only it held (%s)', async kind => {
    const { backend, contents } = await storedGenerations(3);
    await overwrite(backend, await packOfLast(backend), bytes => bytes.fill(0));
    const store = memoryBackend();
    const source = await reopen(backend);
    const report = await runReplicate(source, [await makeReplica(source, kind, store)]);
    expect(damages(report).map(({ object }) => object)).toContain('snapshot');
    expect([report.snapshotsDamaged, (await contentsByFirst(store)).size]).toEqual([report.snapshotsDamaged, 3 - report.snapshotsDamaged]);
    for (const [first, content] of await contentsByFirst(store)) expect(content).toEqual(contents.get(first));
  });

  test('does not matter where the replica has the chunks already', async () => {
    const { backend, contents, ids } = await storedGenerations(3);
    const store = memoryBackend();
    const source = await reopen(backend);
    await runReplicate(source, [await makeReplica(source, 'same', store)], { names: ids.slice(0, 2) });
    const [first] = await namesBelow(backend, PREFIXES.dataPacks);
    await overwrite(backend, first!, flipped());
    const report = await runReplicate(await reopen(backend), [await reopen(store)]);
    for (const [id, content] of await contentsByFirst(store)) expect(content).toEqual(contents.get(id));
    expect(report.replicas[0]!.snapshotsCopied + report.snapshotsDamaged).toBe(1);
  });
});

describe('the day when something is gone', () => {
  test('one pack in ten of the source: the replica heals it', async () => {
    for (const kind of ['same', 'shared'] as const) {
      const { backend, contents, repository } = await storedGenerations(5);
      const replica = await makeReplica(repository, kind);
      await runReplicate(repository, [replica]);
      const packs = await namesBelow(backend, PREFIXES.packs);
      for (const name of packs.filter((_, i) => i % 10 === 0)) await overwrite(backend, name, flipped());
      const source = await reopen(backend);
      expect(damages(await verifyData(source)).length).toBeGreaterThan(0);
      await runRepairPacks(source, { replica });
      await runRepairIndex(await reopen(backend));
      expect(damages(await verifyData(await reopen(backend)))).toEqual([]);
      expect(await contentsByFirst(backend)).toEqual(contents);
    }
  });

  test('a pack of the replica: the source heals it, and the pack comes back as it was', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
    const [lost] = await namesBelow(store, PREFIXES.dataPacks);
    const before = await store.read(lost!);
    await store.remove(lost!);
    await runRepairPacks(await reopen(store), { replica: repository });
    expect(await store.read(lost!)).toEqual(before);
    expect(await contentsByFirst(store)).toEqual(contents);
  });

  test('the source itself: the replica is a whole repository, from which a new one is made', async () => {
    for (const kind of KINDS) {
      const { repository, contents } = await storedGenerations(2);
      const store = memoryBackend();
      await runReplicate(repository, [await makeReplica(repository, kind, store)]);
      const again = memoryBackend();
      const replica = await reopen(copyOf(store));
      await runReplicate(replica, [await makeReplica(replica, 'same', again)]);
      expect(await contentsByFirst(again)).toEqual(contents);
    }
  });

  test('keys were rotated in the source: the replica gets them, and packs as they are', async () => {
    const { backend, repository } = await storedGenerations(2);
    const store = memoryBackend();
    await makeReplica(repository, 'same', store);
    await rotateKeys(repository, { owner: OWNER, graceMs: 0 });
    const source = await reopen(backend);
    const report = await runReplicate(source, [await reopen(store)]);
    expect(report.status).toBe('complete');
    expect((await reopen(store)).keyringNumber).toBe(source.keyringNumber);
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
  });

  test('gc documents and markers of the source that somebody copies over the replica say nothing there', async () => {
    const { repository, backend, contents, ids } = await storedGenerations(3);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
    await forget(repository, ids[0]!, ids[1]!);
    await runPrune(repository);
    const documents = [...await namesBelow(backend, PREFIXES.gc), ...await namesBelow(backend, PREFIXES.forgotten)];
    expect(documents.length).toBeGreaterThan(3);
    for (const name of documents) await store.create(name, [await backend.read(name)]);
    await runPrune(await reopen(store));
    expect(await contentsByFirst(store)).toEqual(contents);
    expect(damages(await verifyData(await reopen(store)))).toEqual([]);
    expect((await contentsByFirst(backend)).has(ids[2]!)).toBe(true);
  });

  test('the right to delete: a replica that nobody can remove from is kept up to date', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await makeReplica(repository, 'same', store);
    expect(await runReplicate(repository, [await reopen(withoutRemove(store))])).toMatchObject({ status: 'complete' });
    expect(await contentsByFirst(store)).toEqual(contents);
  });
});

/** A data pack that the newest snapshot brought. */
async function packOfLast(backend: MemoryBackend): Promise<string> {
  let newest: { name: string; storedAt: number } | undefined;
  for await (const { name, storedAt } of backend.list(PREFIXES.dataPacks)) if (newest === undefined || storedAt >= newest.storedAt) newest = { name, storedAt };
  return newest!.name;
}
