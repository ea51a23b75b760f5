/** Healing from what is not the damaged pack itself: a replica, parity, other copies. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock, systemRandom, type Random } from '../../../src/base/ambient.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { encodeDone, encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parsePackId, parseRunId } from '../../../src/format/ids.ts';
import { gcDoneName, gcPlanName, gcSweepName } from '../../../src/format/object-names.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { createRepository } from '../../../src/repository/create-repository.ts';
import { addParity } from '../../../src/usecases/parity.ts';
import { repairIndex } from '../../../src/usecases/repair/repair-index.ts';
import { backupPath, engines, KEY, kernel, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile } from '../../support/read-jobs.ts';
import { readAllSnapshots, type SnapshotContent } from '../../support/read-snapshot.ts';
import { damages, namesBelow, overwrite, recordSteps, runRepairPacks, runRepairSnapshots, verifyData } from '../../support/repair-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(15);
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
afterAll(() => { rmSync(root, { recursive: true }); });

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  /** A whole copy. */
  readonly copy: MemoryBackend;
  readonly content: Map<string, SnapshotContent>;
}
let made: { readonly state: MemoryState; readonly content: Map<string, SnapshotContent> } | undefined;

async function sample(): Promise<Sample> {
  made ??= await makeSample();
  const [backend, copy] = [0, 1].map(() => MemoryBackend.fromState(made!.state, { clock: systemClock })) as [MemoryBackend, MemoryBackend];
  return { backend, copy, repository: await reopen(backend), content: made.content };
}

async function makeSample(): Promise<NonNullable<typeof made>> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  mkdirSync(join(root, 'folder'));
  for (let i = 0; i < 6; i++) writeFileSync(join(root, `folder/small-${i}`), random.bytes(900 + 170 * i));
  writeFileSync(join(root, 'folder/large'), random.bytes(600_000));
  await backupPath(repository, root);
  writeFileSync(join(root, 'late'), random.bytes(150_000));
  await backupPath(repository, root);
  const content = await readAllSnapshots(await reopen(backend));
  // What the source has no more cannot be healed by a backup.
  return { state: backend.snapshotState(), content };
}

async function expectWhole({ backend, content }: Sample): Promise<void> {
  const fresh = await reopen(backend);
  expect(damages(await verifyData(fresh))).toEqual([]);
  expect(await readAllSnapshots(fresh)).toEqual(content);
}

describe('repair packs --from a copy of the repository', () => {
  test('heals damaged frames of data and trees', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(root, 'folder/large'), 60));
    await flipBit(all.backend, await frameOfDirectory(all.repository, join(root, 'folder')));
    const before = all.copy.snapshotState();
    const report = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy) });
    expect(report).toMatchObject({ status: 'complete', counts: { chunksLost: 0, packsQuarantined: 2 } });
    expect(report.counts.chunksHealed).toBeGreaterThan(1);
    expect(report.counts.chunksMoved).toBeGreaterThan(1);
    expect(all.copy.snapshotState()).toEqual(before);
    await expectWhole(all);
  });

  test('puts missing packs back under their own IDs, byte for byte, whether the index still lists them or not', async () => {
    for (const dropsEntries of [false, true]) {
      const all = await sample();
      const victims = [...namesBelow(all.backend, 'packs/')];
      for (const name of victims) await all.backend.remove(name);
      if (dropsEntries) await repairIndex(await reopen(all.backend), { owner: OWNER, engines, full: false, dryRun: false });
      const report = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy) });
      expect(report).toMatchObject({ status: 'complete', counts: { packsRestored: victims.length, packsWritten: 0, chunksHealed: 0, chunksLost: 0 } });
      for (const name of victims) expect(Buffer.compare(await all.backend.read(name), await all.copy.read(name))).toBe(0);
      await expectWhole(all);
    }
  });

  test('stores chunks in new packs where the ID of a missing pack is in a sweep', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    const packs = packPackIds([parsePackId(victim!.split('/').at(-1)!)]);
    await all.backend.remove(victim!);
    const { objects, kernel } = all.repository;
    await objects.save(all.backend, gcPlanName(1), OBJECT_TYPES.plan, encodePlan({ packs, createdAt: 1, runId: parseRunId('12'.repeat(16)) }));
    const planDigest = kernel.blake3(await all.backend.read(gcPlanName(1)));
    await objects.save(all.backend, gcSweepName(1), OBJECT_TYPES.sweep, encodeSweep({ packs, planDigest, createdAt: 2 }));
    await objects.save(all.backend, gcDoneName(1), OBJECT_TYPES.done, encodeDone({ createdAt: 3 }));
    const report = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy) });
    expect(report).toMatchObject({ status: 'complete', counts: { packsRestored: 0, chunksLost: 0 } });
    expect(report.counts.chunksHealed).toBeGreaterThan(5);
    expect(namesBelow(all.backend, 'packs/')).not.toContain(victim);
    await expectWhole(all);
  });

  test('foretells in a dry run what it would heal and changes neither repository', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(root, 'folder/large'), 60));
    await all.backend.remove(namesBelow(all.backend, 'packs/t/')[0]!);
    const [before, replicaBefore] = [all.backend.snapshotState(), all.copy.snapshotState()];
    const [dry, wet] = [recordSteps(), recordSteps()];
    const planned = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy), dryRun: true }, dry.context);
    expect([all.backend.snapshotState(), all.copy.snapshotState()]).toEqual([before, replicaBefore]);
    const done = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy) }, wet.context);
    expect(dry.steps.map(({ action, name }) => `${action} ${name}`)).toEqual(wet.steps.map(({ action, name }) => `${action} ${name}`));
    for (const key of ['packsRestored', 'chunksMoved', 'chunksHealed', 'chunksLost', 'packsQuarantined'] as const) expect(planned.counts[key], key).toBe(done.counts[key]);
  });

  test('takes nothing that is damaged in the copy as well, and says what stays lost', async () => {
    const all = await sample();
    for (const backend of [all.backend, all.copy]) await flipBit(backend, await frameOfFile(all.repository, join(root, 'late'), 3));
    const report = await runRepairPacks(await reopen(all.backend), { replica: await reopen(all.copy) });
    expect(damages(report).map(({ files }) => Buffer.from(files[0]!.path).toString())).toEqual([join(root, 'late')]);
  });

  test('heals from a repository of its own that shares the deduplication secret, chunk by chunk', async () => {
    const all = await sample();
    const other = memoryBackend();
    await makeSister(all.repository, other);
    await backupPath(await reopen(other), root);
    for (const name of namesBelow(all.backend, 'packs/d/')) await all.backend.remove(name);
    const report = await runRepairPacks(await reopen(all.backend), { replica: await reopen(other) });
    expect(report).toMatchObject({ status: 'complete', counts: { packsRestored: 0, chunksLost: 0 } });
    await expectWhole(all);
  });

  test('refuses a repository with another secret before anything is written', async () => {
    const all = await sample();
    const other = memoryBackend();
    await makeRepository(other);
    const before = namesBelow(all.backend, '');
    await expect(runRepairPacks(await reopen(all.backend), { replica: await reopen(other) })).rejects.toMatchObject({ code: 'UNRELATED_REPOSITORY' });
    expect(namesBelow(all.backend, '')).toEqual(before);
  });
});

describe('repair packs with parity', () => {
  test('heals a damaged frame without any other copy', async () => {
    const all = await sample();
    await addParity(all.repository, { share: 0.2, dryRun: false, verify: false });
    await flipBit(all.backend, await frameOfFile(all.repository, join(root, 'folder/large'), 60));
    const report = await runRepairPacks(await reopen(all.backend));
    expect(report).toMatchObject({ status: 'complete', counts: { chunksLost: 0, packsQuarantined: 1 } });
    expect(report.counts.chunksHealed).toBeGreaterThan(0);
    await expectWhole(all);
  });

  test('heals both tables of a pack that no index segment lists', async () => {
    const all = await sample();
    await addParity(all.repository, { share: 0.4, dryRun: false, verify: false });
    const [victim] = namesBelow(all.backend, 'packs/d/');
    for (const name of namesBelow(all.backend, 'index/')) await all.backend.remove(name);
    await overwrite(all.backend, victim!, bytes => {
      bytes[200]! ^= 1;
      bytes[bytes.length - 200]! ^= 1;
      return bytes;
    });
    await repairIndex(await reopen(all.backend), { owner: OWNER, engines, full: false, dryRun: false });
    expect(await runRepairPacks(await reopen(all.backend), { choice: { kind: 'suspected' } })).toMatchObject({ status: 'complete', counts: { chunksLost: 0 } });
    await expectWhole(all);
  });
});

test('what neither has is lost, and repair snapshots then leaves a clean repository', async () => {
  const all = await sample();
  await flipBit(all.backend, await frameOfFile(all.repository, join(root, 'folder/large'), 60));
  const report = await runRepairPacks(await reopen(all.backend));
  expect(damages(report)).not.toEqual([]);
  await runRepairSnapshots(await reopen(all.backend), { forget: true });
  expect(damages(await verifyData(await reopen(all.backend)))).toEqual([]);
});

/** A new repository with the deduplication secret of another one: the same 32 bytes wherever a secret is drawn. */
async function makeSister({ keys }: OpenRepository, backend: MemoryBackend): Promise<void> {
  const secret = new Uint8Array(keys.keyring.dedupSecret);
  const chance: Random = { ...systemRandom, bytes: count => (count === secret.length ? secret.slice() : systemRandom.bytes(count)) };
  await createRepository(backend, { kernel, clock: systemClock, random: chance }, { credential: KEY, suite: 1, chunker: SMALL_CHUNKS, label: 'sister' });
}

test('two packs that were exchanged are both saved by repair packs, since each says what it is', async () => {
  for (const prefix of ['packs/d/', 'packs/t/']) {
    const all = await sample();
    const [one, two] = namesBelow(all.backend, prefix) as [string, string];
    const [first, second] = [await all.backend.read(one), await all.backend.read(two)];
    await overwrite(all.backend, one, () => second);
    await overwrite(all.backend, two, () => first);
    expect(await runRepairPacks(await reopen(all.backend))).toMatchObject({ status: 'complete', counts: { chunksLost: 0, packsQuarantined: 2 } });
    await expectWhole(all);
  }
});
