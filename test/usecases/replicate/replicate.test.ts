import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { SnapError } from '../../../src/base/errors.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import { forgetSnapshot } from '../../../src/repository/forget.ts';
import { readReplicaRecords } from '../../../src/repository/replicas.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { systemClock } from '../../../src/base/ambient.ts';
import { backupPath, makeRepository, memoryBackend, reopen, temporaryDirectory } from '../../support/memory-repository.ts';
import { namesBelow, packBytes, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { verifyData } from '../../support/repair-jobs.ts';
import { contentsByFirst, EVERYTHING, makeReplica, runReplicate, type ReplicaKind } from '../../support/replicate-jobs.ts';

describe.each<ReplicaKind>(['same', 'shared', 'foreign'])('a replica with %s keys', kind => {
  test('holds the same files after a replication, and nothing is wrong in it', async () => {
    const { repository, contents } = await storedGenerations(3);
    const store = memoryBackend();
    const report = await runReplicate(repository, [await makeReplica(repository, kind, store)]);
    expect(report).toMatchObject({ status: 'complete', snapshotsChosen: 3, replicas: [{ relation: kind, status: 'complete', snapshotsCopied: 3, snapshotsMissing: 0 }] });
    expect(await contentsByFirst(store)).toEqual(contents);
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
    expect(await namesBelow(store, PREFIXES.sessions)).toEqual([]);
  });

  test('gets content that many files of a folder share only once', async () => {
    const source = await makeRepository(memoryBackend());
    const folder = temporaryDirectory();
    for (const name of ['a', 'b', 'c']) writeFileSync(join(folder, name), 'the same in each of them');
    await backupPath(source, folder);
    const store = memoryBackend();
    await runReplicate(source, [await makeReplica(source, kind, store)]);
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
  });

  test('gets only what is new the next time, and nothing the time after that', async () => {
    const { repository, ids, contents } = await storedGenerations(3);
    const store = memoryBackend();
    const replica = await makeReplica(repository, kind, store);
    await runReplicate(repository, [replica], { names: ids.slice(0, 2) });
    const before = await packBytes(store);
    const second = await runReplicate(repository, [await reopen(store)]);
    expect(second.replicas).toMatchObject([{ snapshotsHeld: 2, snapshotsCopied: 1 }]);
    expect(await packBytes(store)).toBe(before + second.replicas[0]!.bytesWritten);
    expect(second.bytesRead).toBeLessThan(before);
    const third = await runReplicate(repository, [await reopen(store)]);
    expect(third).toMatchObject({ status: 'complete', bytesRead: 0, replicas: [{ snapshotsHeld: 3, snapshotsCopied: 0, bytesWritten: 0 }] });
    expect(await contentsByFirst(store)).toEqual(contents);
  });

  test('is told exactly in a dry run, which stores nothing', async () => {
    const { repository } = await storedGenerations(3);
    const store = memoryBackend();
    const replica = await makeReplica(repository, kind, store);
    const [before, sourceBefore] = [store.snapshotState(), (repository.backend as MemoryBackend).snapshotState()];
    const dry = await runReplicate(repository, [replica], { dryRun: true });
    expect(store.snapshotState()).toEqual(before);
    expect([...(repository.backend as MemoryBackend).snapshotState().keys()]).toEqual([...sourceBefore.keys()]);
    const real = await runReplicate(repository, [await reopen(store)]);
    const figures = (report: typeof dry): unknown => report.replicas.map(({ packsCopied, packsSealed, bytesWritten, snapshotsCopied }) => ({ packsCopied, packsSealed, bytesWritten, snapshotsCopied }));
    expect(figures(dry)).toEqual(figures(real));
  });

  test('keeps what its own retention keeps: what it forgot does not come back, unless it is asked for', async () => {
    const { repository, contents, ids } = await storedGenerations(3);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, kind, store)]);
    const replica = await reopen(store);
    const { snapshots } = await loadSnapshots(replica);
    await forgetSnapshot(replica, snapshots[0]!.id, 'policy', { keepsRecord: true });
    await runPrune(replica);
    expect((await runReplicate(repository, [await reopen(store)])).replicas).toMatchObject([{ status: 'complete', snapshotsCopied: 0, snapshotsForgotten: 1, snapshotsMissing: 0 }]);
    expect((await contentsByFirst(store)).has(ids[0]!)).toBe(false);
    expect((await runReplicate(repository, [await reopen(store)], { again: true })).replicas).toMatchObject([{ snapshotsCopied: 1 }]);
    expect(await contentsByFirst(store)).toEqual(contents);
    expect((await verifyData(await reopen(store))).findings).toEqual([]);
  });

  test('names its snapshots after their first IDs, and their parents as they are called there', async () => {
    const { repository, ids } = await storedGenerations(3);
    const store = memoryBackend();
    await runReplicate(repository, [await makeReplica(repository, kind, store)]);
    const { snapshots } = await loadSnapshots(await reopen(store));
    expect(snapshots.map(({ snapshot }) => snapshot.originalId)).toEqual(ids);
    expect(snapshots.map(({ snapshot }) => snapshot.parent)).toEqual([undefined, snapshots[0]!.id, snapshots[1]!.id]);
  });

  test('is read back when that is asked for', async () => {
    const { repository } = await storedGenerations(2);
    const store = memoryBackend();
    const report = await runReplicate(repository, [await makeReplica(repository, kind, store)], { verify: true });
    const bytes = await packBytes(store);
    expect(report.replicas).toMatchObject([{ verified: { bytes, ofBytes: bytes } }]);
    expect(await readReplicaRecords(repository)).toMatchObject([{ location: '/replica-0', verified: { bytes, ofBytes: bytes } }]);
    const sample = await runReplicate(repository, [await reopen(store)], { verifyShare: 0.01 });
    expect(sample.replicas[0]!.verified!.bytes).toBeGreaterThan(0);
    expect(sample.replicas[0]!.verified!.bytes).toBeLessThan(bytes);
  });
});

describe('several replicas', () => {
  test('of different kinds are served by reading each pack once', async () => {
    const { backend, contents } = await storedGenerations(3);
    const recording = new RecordingBackend(backend, { clock: systemClock });
    const source = await reopen(recording);
    const stores = [memoryBackend(), memoryBackend(), memoryBackend()];
    const replicas = [await makeReplica(source, 'same', stores[0]), await makeReplica(source, 'shared', stores[1]), await makeReplica(source, 'same', stores[2])];
    const report = await runReplicate(source, replicas);
    expect(report.status).toBe('complete');
    for (const store of stores) expect(await contentsByFirst(store)).toEqual(contents);
    const whole = recording.operations.filter(({ verb, name, sizeBytes }) => verb === 'read' && name.startsWith('packs/') && sizeBytes > 0);
    for (const pack of await namesBelow(backend, PREFIXES.dataPacks)) expect(whole.filter(({ name }) => name === pack).length).toBeLessThanOrEqual(1);
  });

  test('that hold different snapshots each get what they lack', async () => {
    const { repository, ids, contents } = await storedGenerations(3);
    const stores = [memoryBackend(), memoryBackend()];
    const replicas = [await makeReplica(repository, 'same', stores[0]), await makeReplica(repository, 'shared', stores[1])];
    await runReplicate(repository, [replicas[0]!], { names: [ids[0]!] });
    await runReplicate(repository, [replicas[1]!], { names: [ids[2]!] });
    const report = await runReplicate(repository, replicas);
    expect(report.replicas.map(({ snapshotsHeld, snapshotsCopied }) => [snapshotsHeld, snapshotsCopied])).toEqual([[1, 2], [1, 2]]);
    for (const store of stores) expect(await contentsByFirst(store)).toEqual(contents);
  });

  test('of which one cannot be opened: the others are served, and the record says why', async () => {
    const { repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    const report = await runReplicate(repository, [new SnapError('UNAVAILABLE', 'The server is down'), await makeReplica(repository, 'same', store)]);
    expect(report).toMatchObject({ status: 'partial', replicas: [{ status: 'failed', error: { code: 'UNAVAILABLE' } }, { status: 'complete' }] });
    expect(await contentsByFirst(store)).toEqual(contents);
    expect(await readReplicaRecords(repository)).toMatchObject([
      { location: '/replica-0', error: { code: 'UNAVAILABLE' }, succeededAt: undefined }, { location: '/replica-1', error: undefined, snapshots: 2 },
    ]);
  });
});

test('what a replica forgot is read once by each host', async () => {
  const { repository } = await storedGenerations(2);
  const store = memoryBackend();
  await runReplicate(repository, [await makeReplica(repository, 'same', store)]);
  const [oldest] = (await loadSnapshots(await reopen(store))).snapshots;
  await forgetSnapshot(await reopen(store), oldest!.id, 'policy', { keepsRecord: true });
  const recording = new RecordingBackend(store, { clock: systemClock });
  const replica = await reopen(recording);
  for (let run = 0; run < 3; run++) expect((await runReplicate(repository, [replica])).replicas).toMatchObject([{ snapshotsCopied: 0, snapshotsForgotten: 1 }]);
  expect(recording.operations.filter(({ verb, name }) => verb === 'read' && name.startsWith(PREFIXES.forgotten))).toHaveLength(1);
});

describe('the choice of snapshots', () => {
  test('is by name, by filter, by number and by age', async () => {
    const { repository, ids } = await storedGenerations(3);
    const chosen = async (changes: Parameters<typeof runReplicate>[2]): Promise<number> =>
      (await runReplicate(repository, [await makeReplica(repository, 'shared')], { dryRun: true, ...changes })).snapshotsChosen;
    expect(await chosen({ names: [ids[1]!.slice(0, 8), 'latest'] })).toBe(2);
    expect(await chosen({ selection: { ...EVERYTHING, latest: 2 } })).toBe(2);
    expect(await chosen({ selection: { ...EVERYTHING, kind: ['full'] } })).toBe(1);
    expect(await chosen({ selection: { ...EVERYTHING, series: ['nobody'] } })).toBe(0);
    expect(await chosen({ selection: { ...EVERYTHING, withinMs: 0 } })).toBe(0);
    await expect(chosen({ names: ['ffffffff'] })).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });
});
