/** What a prune frees, keeps and says. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import type { Backend } from '../../../src/backend/backend.ts';
import { withoutRemove } from '../../../src/backend/without-remove.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { encodePlan, packPackIds } from '../../../src/format/gc-documents.ts';
import { parseRunId } from '../../../src/format/ids.ts';
import { gcPlanName, numberedObjectId, packName, parityName } from '../../../src/format/object-names.ts';
import { sealObject, signBody } from '../../../src/format/sealed-object.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { systemClock } from '../../../src/base/ambient.ts';
import { loadGcPlans } from '../../../src/repository/gc-plans.ts';
import { writeLedger } from '../../../src/repository/ledger.ts';
import { rotateKeyring } from '../../../src/repository/key-rotation.ts';
import { listPacks } from '../../../src/repository/session-view.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { closePlans } from '../../../src/usecases/prune/prune.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { Gate, HookedBackend } from '../../support/hooked-backend.ts';
import { forget, generations, namesBelow, packBytes, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { memoryDirectory } from '../../support/read-jobs.ts';
import { readAllSnapshots } from '../../support/read-snapshot.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { TestClock } from '../../support/test-clock.ts';
import { verify } from '../../../src/usecases/verify/verify.ts';

const HOUR = 3_600_000;
const FIGURES = ['packsTotal', 'bytesTotal', 'packsDropped', 'bytesDropped', 'packsRewritten', 'bytesRewritten', 'bytesWritten', 'packsKept', 'bytesFreed', 'unusedBytesLeft', 'isPending', 'pendingReason'] as const;

type Contents = ReadonlyMap<string, ReadonlyMap<string, string>>;

async function expectReadable(backend: Backend, contents: Contents, ...ids: readonly string[]): Promise<void> {
  const found = await readAllSnapshots(await reopen(backend));
  expect([...found.keys()].sort()).toEqual([...ids].sort());
  for (const id of ids) expect(found.get(id)).toEqual(contents.get(id));
}

/** And a check of everything finds nothing. */
async function expectWhole(backend: Backend, contents: Contents, ...ids: readonly string[]): Promise<void> {
  await expectReadable(backend, contents, ...ids);
  const repository = await reopen(backend);
  const report = await verify(repository, { engines, owner: OWNER, readData: true });
  expect(report.findings).toEqual([]);
}

describe('a prune', () => {
  test('frees exactly what its dry run says, keeps every snapshot whole, and leaves nothing for a second one', async () => {
    const { backend, repository, ids, contents } = await storedGenerations(5);
    await forget(repository, ids[0]!, ids[2]!, ids[3]!);
    const before = await packBytes(backend);
    const dry = await runPrune(await reopen(backend), { dryRun: true });
    const report = await runPrune(await reopen(backend));
    for (const figure of FIGURES) expect(report[figure], figure).toEqual(dry[figure]);
    expect(report).toMatchObject({ dryRun: false, planNumber: 1, packsRescued: 0, findings: [], unusedBytesLeft: 0 });
    expect(report.bytesFreed).toBeGreaterThan(300_000);
    expect(before - await packBytes(backend)).toBe(report.bytesFreed);
    await expectWhole(backend, contents, ids[1]!, ids[4]!);
    const names = await namesBelow(backend, '');
    const second = await runPrune(await reopen(backend));
    expect(second).toMatchObject({ packsDropped: 0, packsRewritten: 0, bytesWritten: 0, bytesFreed: 0, planNumber: undefined, segmentsMerged: 0 });
    expect(await namesBelow(backend, '')).toEqual(names);
  });

  test('frees everything when everything was forgotten', async () => {
    const { backend, repository, ids } = await storedGenerations(2);
    await forget(repository, ...ids);
    const report = await runPrune(repository);
    expect(report).toMatchObject({ packsKept: 0, bytesWritten: 0, bytesFreed: report.bytesTotal });
    expect(await namesBelow(backend, 'packs/')).toEqual([]);
    expect(await namesBelow(backend, 'index/')).toEqual([]);
  });

  test('changes nothing in a dry run', async () => {
    const { backend, repository, ids } = await storedGenerations(2);
    await forget(repository, ids[0]!);
    const recording = new RecordingBackend(backend, { clock: new TestClock() });
    await runPrune(await reopen(recording), { dryRun: true });
    expect(recording.changes).toEqual([]);
  });

  test('tells in a dry run what forgetting snapshots would free', async () => {
    const { backend, repository, ids } = await storedGenerations(3);
    const dry = await runPrune(repository, { dryRun: true, without: new Set([ids[0]!, ids[1]!] as never[]) });
    await forget(repository, ids[0]!, ids[1]!);
    const report = await runPrune(await reopen(backend));
    for (const figure of FIGURES) expect(report[figure], figure).toEqual(dry[figure]);
    expect(report.bytesFreed).toBeGreaterThan(0);
  });

  test('leaves packs that are partly needed alone as long as the waste is within its limit', async () => {
    const { backend, repository, ids } = await storedGenerations(3);
    await forget(repository, ids[0]!);
    const report = await runPrune(repository, { limits: { maxUnusedShare: 1, repackSmall: false } });
    expect(report).toMatchObject({ packsRewritten: 0, bytesWritten: 0 });
    expect(report.unusedBytesLeft).toBeGreaterThan(10_000);
    expect((await runPrune(await reopen(backend), { limits: { maxUnusedShare: 0, repackSmall: false } })).bytesRewritten).toBeGreaterThan(0);
  });

  test('merges small packs when there are ten', async () => {
    const { backend, repository, root, ids, contents } = await generations(2);
    const more = new Map(contents);
    const all = [...ids];
    for (let i = 0; i < 10; i++) {
      writeFileSync(join(root, `nightly-${i}`), new SeededRandom(100 + i).bytes(3000));
      all.push((await backupPath(repository, root)).snapshotId!);
    }
    for (const [id, content] of await readAllSnapshots(await reopen(backend))) more.set(id, content);
    const report = await runPrune(await reopen(backend), { limits: { maxUnusedShare: 1, repackSmall: true } });
    expect(report.packsRewritten).toBeGreaterThanOrEqual(20);
    expect(await listPacks(backend)).toHaveLength(2);
    await expectWhole(backend, more, ...all);
    expect(await runPrune(await reopen(backend))).toMatchObject({ packsRewritten: 0 });
  });

  test('keeps one copy of what two backups stored at the same time', async () => {
    const { backend, ids, contents } = await twins();
    const before = await packBytes(backend);
    await runPrune(await reopen(backend));
    expect(await packBytes(backend)).toBeLessThan(0.55 * before);
    await expectWhole(backend, contents, ...ids);
  });

  test('keeps the copy that can be read when the other one is damaged', async () => {
    const { backend, ids, contents } = await twins();
    const trees = (await listPacks(backend)).filter(({ type }) => type === 'tree').map(({ id }) => id as string);
    for (const victim of trees) {
      const store = MemoryBackend.fromState(backend.snapshotState(), { clock: new TestClock() });
      const name = (await namesBelow(store, 'packs/')).find(each => each.endsWith(victim))!;
      const bytes = await store.read(name);
      await store.remove(name);
      await store.create(name, [bytes.map((byte, i) => (i > 4200 && i < bytes.length - 4200 && i % 50 === 0 ? byte ^ 1 : byte))]);
      const { findings } = await runPrune(await reopen(store));
      for (const finding of findings) expect(finding).toMatchObject({ severity: 'damage', name });
      await expectReadable(store, contents, ...ids);
    }
  });

  test('does not count on a copy in which a verification found damage', async () => {
    const { backend, ids, contents } = await twins();
    for (const { id, type } of await listPacks(backend)) {
      const store = MemoryBackend.fromState(backend.snapshotState(), { clock: systemClock });
      await writeLedger(await reopen(store), [{ packId: id, checkedAt: 1, result: 'damaged', detail: 'data' }]);
      await runPrune(await reopen(store));
      const left = await listPacks(store);
      expect(left.some(each => each.id === id)).toBe(false);
      expect(left.some(each => each.type === type)).toBe(true);
      await expectReadable(store, contents, ...ids);
    }
  });

  test('keeps the other copy when the one that it counted on vanishes meanwhile', async () => {
    const { backend, ids, contents } = await twins();
    const hooked = new HookedBackend(backend);
    const before = await listPacks(backend);
    hooked.before('list', /^packs\//, async () => {
      const condemned = (await loadGcPlans(await reopen(backend))).plans[0]!.condemned!.packs;
      expect(condemned.size).toBe(2);
      for (const { type, id } of before) if (!condemned.has(id)) await backend.remove(packName(type, id));
    }, 1);
    expect(await runPrune(await reopen(hooked))).toMatchObject({ packsRescued: 2 });
    hooked.assertAllStruck();
    await expectReadable(backend, contents, ...ids);
  });

  test('stores anew what is left of frames of small files that compress well', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const root = memoryDirectory();
    const write = (i: number, version: number): void => writeFileSync(join(root, `file-${i}`), `${version}.${i} some words `.repeat(400));
    for (let i = 0; i < 300; i++) write(i, 1);
    const { snapshotId: first } = await backupPath(repository, root);
    for (let i = 0; i < 300; i += 2) write(i, 2);
    const { snapshotId } = await backupPath(repository, root);
    const contents = await readAllSnapshots(repository);
    await forget(repository, first!);
    const report = await runPrune(await reopen(backend));
    expect(report.packsRewritten).toBeGreaterThan(0);
    await expectWhole(backend, contents, snapshotId!);
  });

  test('renews old keys as far as it is told to', async () => {
    const { backend, repository, ids, contents } = await storedGenerations(2);
    await rotateKeyring(repository);
    const again = await reopen(backend);
    expect(await runPrune(again)).toMatchObject({ packsRewritten: 0 });
    const [largest] = (await listPacks(backend)).map(({ sizeBytes }) => sizeBytes).sort((a, b) => b - a);
    expect(await runPrune(again, { limits: { repackSmall: false, resealBytes: largest! } })).toMatchObject({ isPending: false });
    const report = await runPrune(await reopen(backend), { limits: { repackSmall: false, resealBytes: 1e9 } });
    expect(report.packsRewritten).toBeGreaterThan(0);
    const last = await reopen(backend);
    expect(await runPrune(last, { limits: { repackSmall: false, resealBytes: 1e9 } })).toMatchObject({ packsRewritten: 0 });
    for (const { epoch } of last.cache.chunks.packs()) expect(epoch).toBe(2);
    await expectWhole(backend, contents, ...ids);
  });

  test('removes the parity of packs with them', async () => {
    const { backend, repository, ids } = await storedGenerations(2);
    const packs = await listPacks(backend);
    for (const { id } of packs) await repository.backend.create(parityName(id), [new Uint8Array(10)]);
    await forget(repository, ids[0]!);
    await runPrune(repository);
    const left = new Set((await listPacks(backend)).map(({ id }) => parityName(id)));
    expect(await namesBelow(backend, 'parity/')).toEqual(packs.map(({ id }) => parityName(id)).filter(name => left.has(name)).sort());
    expect(left.size).toBeGreaterThan(0);
  });

  test('tells what it does', async () => {
    const { repository, ids } = await storedGenerations(2);
    await forget(repository, ids[0]!);
    const events: SnapEvent[] = [];
    const { bytesWritten } = await runPrune(repository, {}, { onEvent: event => events.push(event) });
    expect(events[0]).toMatchObject({ type: 'run-started', job: 'prune' });
    expect(events.reduce((sum, event) => sum + (event.type === 'pack-written' ? event.sizeBytes : 0), 0)).toBe(bytesWritten);
  });
});

/** Two backups of one tree that ran at the same time: everything is stored twice. */
async function twins(): Promise<{ backend: MemoryBackend; ids: string[]; contents: Contents }> {
  const backend = memoryBackend();
  const first = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = memoryDirectory();
  writeFileSync(join(root, 'file'), new SeededRandom(3).bytes(300_000));
  const gate = new Gate();
  const hooked = new HookedBackend(backend);
  hooked.before('create', /^packs\//, () => gate.passed);
  const slow = backupPath(await reopen(hooked), root);
  const { snapshotId } = await backupPath(first, root);
  gate.open();
  return { backend, ids: [snapshotId!, (await slow).snapshotId!], contents: await readAllSnapshots(await reopen(backend)) };
}

describe('a grace period', () => {
  test('lets one run condemn and the next one delete, by the clock of the storage', async () => {
    const clock = new TestClock();
    const { backend, repository, ids, contents } = await storedGenerations(2, clock);
    await forget(repository, ids[0]!);
    const before = await packBytes(backend);
    const dry = await runPrune(await reopen(backend), { dryRun: true, graceMs: 24 * HOUR });
    const first = await runPrune(await reopen(backend), { graceMs: 24 * HOUR });
    for (const figure of FIGURES) expect(first[figure], figure).toEqual(dry[figure]);
    expect(first).toMatchObject({ isPending: true, pendingReason: expect.stringContaining('1 d 0 h after they were condemned') as string, planNumber: 1 });
    expect(await packBytes(backend)).toBe(before + first.bytesWritten);
    clock.advance(23 * HOUR);
    expect(await runPrune(await reopen(backend), { graceMs: 24 * HOUR })).toMatchObject({ isPending: true, planNumber: 1, bytesFreed: first.bytesDropped + first.bytesRewritten });
    clock.advance(2 * HOUR);
    const last = await runPrune(await reopen(backend), { graceMs: 24 * HOUR });
    expect(last).toMatchObject({ isPending: false, packsDropped: first.packsDropped + first.packsRewritten });
    expect(await packBytes(backend)).toBe(before - first.bytesFreed);
    await expectWhole(backend, contents, ids[1]!);
  });

  test('can be waited for', async () => {
    const clock = new TestClock({ runsByItself: true });
    const { backend, repository, ids } = await storedGenerations(2, clock);
    await forget(repository, ids[0]!);
    expect(await runPrune(await reopen(backend, { clock }), { graceMs: 2 * HOUR, waitMs: 3 * HOUR })).toMatchObject({ isPending: false });
    expect(clock.sleeps.some(ms => ms > HOUR)).toBe(true);
  });

  test('is not possible without a wait where a prune must end in one run', async () => {
    const { repository } = await generations(1, new MemoryBackend({ clock: new TestClock(), createIfAbsent: 'none' }));
    await expect(runPrune(repository, { graceMs: HOUR })).rejects.toMatchObject({ code: 'USAGE', hint: expect.stringContaining('--grace 0') as string });
  });
});

describe('the documents of a prune', () => {
  test('are removed when they are a day old, but never those with the highest number', async () => {
    const clock = new TestClock();
    const { backend, repository, ids } = await storedGenerations(4, clock);
    for (let i = 0; i < 3; i++) {
      await forget(repository, ids[i]!);
      await runPrune(repository);
      clock.advance(10 * HOUR);
    }
    const documents = (number: number): string[] => ['', '.done', '.sweep'].map(end => `gc/${String(number).padStart(10, '0')}${end}`);
    expect(await namesBelow(backend, 'gc/')).toEqual([1, 2, 3].flatMap(documents));
    await runPrune(repository);
    expect(await namesBelow(backend, 'gc/')).toEqual([2, 3].flatMap(documents));
    clock.advance(1000 * HOUR);
    await runPrune(repository);
    expect(await namesBelow(backend, 'gc/')).toEqual(documents(3));
  });

  test('that this host has seen are missed when the repository was rolled back, and their numbers are not used again', async () => {
    const { repository, ids } = await storedGenerations(2);
    await repository.cache.remember({ highestGc: 9 });
    await forget(repository, ids[0]!);
    expect(await runPrune(repository)).toMatchObject({ planNumber: 10, findings: [{ severity: 'warning', message: expect.stringContaining('number 9') as string }] });
  });

  test('that no admin key signed do not count and are told', async () => {
    const { backend, repository, ids, contents } = await storedGenerations(2);
    const packs = packPackIds((await listPacks(backend)).map(({ id }) => id));
    await backend.create(gcPlanName(7), [forged(repository, 7, encodePlan({ packs, createdAt: 1, runId: parseRunId('ab'.repeat(16)) }))]);
    await forget(repository, ids[0]!);
    const report = await runPrune(await reopen(backend));
    expect(report).toMatchObject({ planNumber: 8, isPending: false, findings: [{ severity: 'warning', name: gcPlanName(7) }] });
    await expectReadable(backend, contents, ids[1]!);
  });

  test('of a plan that nobody ends can be closed, and its packs are usable again', async () => {
    const { backend, repository, ids, root } = await generations(2);
    await forget(repository, ids[0]!);
    await runPrune(repository, { graceMs: HOUR });
    expect(await closePlans(await reopen(backend))).toEqual([1]);
    expect(await closePlans(await reopen(backend))).toEqual([]);
    const before = await listPacks(backend);
    await backupPath(await reopen(backend), root);
    expect((await listPacks(backend)).length - before.length).toBeLessThanOrEqual(2);
    expect(await runPrune(await reopen(backend))).toMatchObject({ planNumber: 2, isPending: false });
  });
});

describe('packs that no segment lists', () => {
  async function withUnindexed(): Promise<{ backend: MemoryBackend; unindexed: string[]; ids: readonly string[] }> {
    const made = await generations(2);
    const backend = made.backend as MemoryBackend;
    const before = new Set(await namesBelow(backend, ''));
    writeFileSync(join(made.root, 'new'), new SeededRandom(77).bytes(200_000));
    const { snapshotId } = await backupPath(made.repository, made.root);
    const added = (await namesBelow(backend, '')).filter(name => !before.has(name));
    for (const name of added) if (!name.startsWith('packs/')) await backend.remove(name);
    expect(snapshotId).toBeDefined();
    return { backend, unindexed: added.filter(name => name.startsWith('packs/')), ids: made.ids };
  }

  test('go when their session is over', async () => {
    const { backend, unindexed } = await withUnindexed();
    expect(unindexed.length).toBeGreaterThan(1);
    expect(await runPrune(await reopen(backend))).toMatchObject({ packsDropped: unindexed.length, findings: [] });
    for (const name of unindexed) expect(await namesBelow(backend, name)).toEqual([]);
  });

  test('stay and are told when both their tables cannot be read', async () => {
    const { backend, unindexed } = await withUnindexed();
    const [victim] = unindexed;
    const bytes = await backend.read(victim!);
    await backend.remove(victim!);
    await backend.create(victim!, [new Uint8Array(bytes.length)]);
    const report = await runPrune(await reopen(backend));
    expect(report.packsDropped).toBe(unindexed.length - 1);
    expect(report.findings).toMatchObject([{ severity: 'warning', name: victim }]);
    expect(await namesBelow(backend, victim!)).toEqual([victim]);
  });
});

describe('a damaged pack that should be stored anew', () => {
  test('stays, with every other pack that holds something of it, and is told; nothing else is lost', async () => {
    const { backend, repository, ids, contents } = await storedGenerations(3);
    await forget(repository, ids[0]!);
    // The largest data pack is that of the first backup: partly needed.
    const [victim] = (await listPacks(backend)).filter(({ type }) => type === 'data').sort((a, b) => b.sizeBytes - a.sizeBytes);
    const name = (await namesBelow(backend, 'packs/')).find(each => each.endsWith(victim!.id))!;
    const bytes = await backend.read(name);
    for (let at = bytes.length >> 2; at < bytes.length - 20_000; at += 20_000) bytes[at]! ^= 1;
    await backend.remove(name);
    await backend.createIfAbsent(name, bytes);
    const report = await runPrune(await reopen(backend));
    expect(report.findings).toMatchObject([{ severity: 'damage', object: 'pack', name }]);
    expect(await namesBelow(backend, name)).toEqual([name]);
    expect(contents.size).toBe(3);
    const again = await runPrune(await reopen(backend));
    expect(again).toMatchObject({ findings: [{ severity: 'damage', name }] });
  });
});

test('a pack that is not needed stays when it holds the only good copy of something', async () => {
  const { backend, ids, contents } = await twins();
  const repository = await reopen(backend);
  await rotateKeyring(repository); // so that the packs that count are to be stored anew
  const [counted, copy] = (await listPacks(backend)).filter(({ type }) => type === 'data').sort((a, b) => (a.id < b.id ? -1 : 1));
  const name = packName('data', counted!.id);
  const bytes = await backend.read(name);
  await backend.remove(name);
  await backend.create(name, [bytes.map((byte, i) => (i > 9000 && i < bytes.length - 9000 && i % 500 === 0 ? byte ^ 1 : byte))]);
  const { findings } = await runPrune(await reopen(backend), { limits: { repackSmall: false, resealBytes: 1e9 } });
  expect(findings).toMatchObject([{ severity: 'damage', name }]);
  expect(await namesBelow(backend, packName('data', copy!.id))).toHaveLength(1);
  await backend.remove(name);
  await expectReadable(backend, contents, ...ids);
});

describe('a prune on a storage that is full', () => {
  test('still removes what nothing needs', async () => {
    const { backend, repository, ids, contents } = await storedGenerations(3);
    await forget(repository, ids[0]!, ids[2]!);
    const faulty = new FaultyBackend(backend, [{ verb: 'create', name: /^packs\//, effect: 'no-space' }]);
    const report = await runPrune(await reopen(faulty));
    faulty.assertAllHit();
    expect(report).toMatchObject({ packsRewritten: 0, findings: [{ object: 'storage', severity: 'warning' }] });
    expect(report.packsDropped).toBeGreaterThan(0);
    await expectWhole(backend, contents, ids[1]!);
  });
});

describe('a prune that may not', () => {
  test('write or remove is refused before it does anything', async () => {
    const { backend, repository } = await storedGenerations(1);
    const recording = new RecordingBackend(backend, { clock: new TestClock() });
    await expect(runPrune(await reopen(withoutRemove(recording)))).rejects.toMatchObject({ code: 'DENIED', hint: expect.stringContaining('append-only') as string });
    expect(recording.changes).toEqual([]);
    await expect(runPrune(await reopen(new FaultyBackend(backend, [{ verb: 'remove', effect: 'fail-before', code: 'DENIED' }])))).rejects.toMatchObject({ code: 'DENIED', message: expect.stringContaining('write and delete') as string });
    const keys = Object.create(repository.keys, { adminSeed: { value: () => { throw Object.assign(new Error(), { code: 'DENIED' }); } } }) as typeof repository.keys;
    await expect(runPrune({ ...repository, keys })).rejects.toMatchObject({ code: 'DENIED' });
  });

  test('delete single packs yet says so, and the next one goes on', async () => {
    const { backend, repository, ids } = await storedGenerations(3);
    await forget(repository, ids[0]!, ids[1]!);
    const faulty = new FaultyBackend(backend, [{ verb: 'remove', name: /^packs\//, effect: 'fail-before', code: 'DENIED', times: 2 }]);
    const report = await runPrune(await reopen(faulty));
    expect(report).toMatchObject({ status: 'partial', isPending: true, pendingReason: expect.stringContaining('refused to delete 2 packs') as string });
    expect(await namesBelow(backend, 'gc/')).toEqual(['gc/0000000001', 'gc/0000000001.sweep']);
    expect(await runPrune(await reopen(backend))).toMatchObject({ status: 'complete', isPending: false, packsDropped: 2 });
  });

  test('rely on create-only writes any more stops', async () => {
    const { backend } = await storedGenerations(1);
    const weaker = MemoryBackend.fromState(backend.snapshotState(), { clock: new TestClock(), createIfAbsent: 'none' });
    await expect(runPrune(await reopen(weaker))).rejects.toMatchObject({ code: 'UNSUPPORTED_STORE' });
  });
});

/** A plan in every way, but signed with a key of its own: what somebody with a password but without the admin key can write. */
function forged({ keys, kernel, id }: OpenRepository, number: number, body: Uint8Array): Uint8Array {
  const [type, objectId, epoch] = [OBJECT_TYPES.plan, numberedObjectId(number), keys.currentEpoch];
  const payload = signBody(kernel, new Uint8Array(32).fill(9), { type, repositoryId: id, objectId }, body);
  return sealObject({ kernel, type, epoch, objectId, suite: 3, secret: keys.secretOf(epoch)!, repositoryId: id, payload, random: new Uint8Array(24).fill(5), compressor: undefined });
}
