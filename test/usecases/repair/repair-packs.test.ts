import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import type { RepairReport } from '../../../src/usecases/reports.ts';
import { describeTree } from '../../support/describe-tree.ts';
import { backupPath, makeRepository, memoryBackend, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile, memoryDirectory, restoreTo } from '../../support/read-jobs.ts';
import { readAllSnapshots, readSnapshot, type SnapshotContent } from '../../support/read-snapshot.ts';
import { damages, namesBelow, overwrite, recordSteps, runRepairPacks, verifyData } from '../../support/repair-jobs.ts';
import { ScriptedBackend } from '../../support/scripted-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(13);

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
  readonly snapshotIds: readonly string[];
  readonly content: Map<string, SnapshotContent>;
}

const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
afterAll(() => { rmSync(root, { recursive: true }); });

let made: { readonly state: MemoryState; readonly snapshotIds: readonly string[]; readonly content: Map<string, SnapshotContent> } | undefined;

/** A copy of one repository for all tests, since making it takes longer than most of them. */
async function sample(): Promise<Sample> {
  made ??= await makeSample();
  const backend = MemoryBackend.fromState(made.state, { clock: systemClock });
  return { ...made, backend, repository: await reopen(backend), root };
}

/** Two snapshots: small files that share frames, one large file, nested folders. */
async function makeSample(): Promise<NonNullable<typeof made>> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  mkdirSync(join(root, 'deep/deeper'), { recursive: true });
  for (let i = 0; i < 8; i++) writeFileSync(join(root, `deep/small-${i}`), random.bytes(300 + 170 * i));
  writeFileSync(join(root, 'deep/deeper/large'), random.bytes(900_000));
  const first = await backupPath(repository, root);
  writeFileSync(join(root, 'late'), random.bytes(200_000));
  const second = await backupPath(repository, root);
  return { state: backend.snapshotState(), snapshotIds: [first.snapshotId!, second.snapshotId!], content: await readAllSnapshots(await reopen(backend)) };
}

async function expectWhole({ backend, content }: Pick<Sample, 'backend' | 'content'>): Promise<void> {
  const fresh = await reopen(backend);
  expect(damages(await verifyData(fresh))).toEqual([]);
  expect(await readAllSnapshots(fresh)).toEqual(content);
}

function hitPaths(report: RepairReport, root: string): string[] {
  return [...new Set(damages(report).flatMap(({ files }) => files.map(({ path }) => Buffer.from(path).toString().slice(root.length))))].sort();
}

/** Where the data lies that a file begins with. */
async function packOfFile({ repository, root }: Sample, path: string): Promise<string> {
  return (await frameOfFile(repository, join(root, path))).object;
}

describe('repair packs', () => {
  test('does nothing when nothing is damaged', async () => {
    const { backend, repository } = await sample();
    const before = namesBelow(backend, '');
    for (const kind of ['all', 'suspected'] as const) {
      expect(await runRepairPacks(repository, { choice: { kind } })).toMatchObject({ status: 'complete', damagedObjects: 0, findings: [], counts: { packsWritten: 0, packsQuarantined: 0 } });
    }
    expect(namesBelow(backend, '')).toEqual(before);
  });

  test('moves what is left of a pack with a damaged frame, names what is lost with its ranges, and puts the pack aside', async () => {
    const all = await sample();
    const frame = await frameOfFile(all.repository, join(all.root, 'deep/deeper/large'), 120);
    await flipBit(all.backend, frame);
    const bytes = await all.backend.read(frame.object);
    const report = await runRepairPacks(await reopen(all.backend));
    expect(report).toMatchObject({ damagedObjects: expect.any(Number) as number, counts: { packsQuarantined: 1 } });
    expect(report.counts.chunksMoved).toBeGreaterThan(20);
    expect(report.counts.chunksLost).toBeGreaterThan(0);
    expect(hitPaths(report, all.root)).toEqual(['/deep/deeper/large']);
    expect(damages(report)[0]!.files).toHaveLength(2);
    expect(damages(report)[0]!.files[0]!.ranges!.every(([offset, length]) => offset > 0 && offset + length < 900_000)).toBe(true);
    // The pack lies in quarantine as it was, and nothing else does.
    expect(namesBelow(all.backend, 'packs/')).not.toContain(frame.object);
    const copy = `quarantine/${frame.object.split('/').at(-1)}`;
    expect(namesBelow(all.backend, 'quarantine/')).toEqual([copy]);
    expect(Buffer.compare(await all.backend.read(copy), bytes)).toBe(0);
    expect(namesBelow(all.backend, 'sessions/')).toEqual([]);
    // What is lost is missing now, and nothing but it.
    const after = damages(await verifyData(await reopen(all.backend)));
    expect([...new Set(after.map(({ object }) => object))]).toEqual(['chunk']);
  });

  test('costs nothing when only tables, padding or the header of a pack are damaged', async () => {
    for (const at of [30, 200, -50]) {
      const all = await sample();
      const [victim] = namesBelow(all.backend, 'packs/d/');
      await overwrite(all.backend, victim!, bytes => {
        bytes[at < 0 ? bytes.length + at : at]! ^= 1;
        return bytes;
      });
      const report = await runRepairPacks(await reopen(all.backend), { choice: { kind: 'suspected' } });
      expect(report, String(at)).toMatchObject({ status: 'complete', counts: { packsQuarantined: 1, chunksLost: 0 } });
      await expectWhole(all);
    }
  });

  test('uses the index for a pack whose tables are both damaged', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    await overwrite(all.backend, victim!, bytes => {
      bytes[200]! ^= 1;
      bytes[bytes.length - 200]! ^= 1;
      return bytes;
    });
    expect(await runRepairPacks(await reopen(all.backend), { choice: { kind: 'suspected' } })).toMatchObject({ status: 'complete', counts: { chunksLost: 0, packsQuarantined: 1 } });
    await expectWhole(all);
  });

  test('saves the frames before the cut of a truncated pack', async () => {
    const all = await sample();
    const victim = await packOfFile(all, 'deep/deeper/large');
    await overwrite(all.backend, victim, bytes => bytes.slice(0, bytes.length >> 1));
    const report = await runRepairPacks(await reopen(all.backend), { choice: { kind: 'suspected' } });
    expect(report.counts.chunksMoved).toBeGreaterThan(5);
    expect(report.counts.chunksLost).toBeGreaterThan(5);
    expect(report.counts.packsQuarantined).toBe(1);
  });

  test('finds damaged tree packs by itself, and saves the nodes beside the damaged frame', async () => {
    const all = await sample();
    const frame = await frameOfDirectory(all.repository, join(all.root, 'deep/deeper'));
    await flipBit(all.backend, frame);
    const report = await runRepairPacks(await reopen(all.backend), { choice: { kind: 'suspected' } });
    expect(report).toMatchObject({ counts: { packsQuarantined: 1 } });
    expect(damages(report).length).toBeGreaterThan(0);
    expect(damages(report).every(({ object }) => object === 'tree')).toBe(true);
    await backupPath(await reopen(all.backend), all.root);
    // The root of the first snapshot is no part of the source any more.
    const hit = damages(await verifyData(await reopen(all.backend))).flatMap(({ files }) => files.map(({ snapshotId }) => snapshotId));
    expect([...new Set(hit)]).toEqual([all.snapshotIds[0]]);
  });

  test('leaves alone what another pack holds', async () => {
    const all = await sample();
    const victim = await packOfFile(all, 'deep/deeper/large');
    await all.backend.remove(victim);
    await backupPath(await reopen(all.backend), all.root, { kind: 'full' });
    const bytes = await all.repository.backend.read(namesBelow(all.backend, 'packs/d/')[0]!);
    expect(bytes.length).toBeGreaterThan(0);
    const report = await runRepairPacks(await reopen(all.backend));
    expect(report).toMatchObject({ status: 'complete', counts: { chunksMoved: 0, chunksLost: 0, packsDropped: 0 } });
    await expectWhole({ ...all, content: await readAllSnapshots(await reopen(all.backend)) });
  });

  test('says in a dry run exactly what it would do and lose, and changes nothing', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'deep/deeper/large'), 120));
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'late'), 2));
    const before = all.backend.snapshotState();
    const dry = recordSteps();
    const planned = await runRepairPacks(await reopen(all.backend), { dryRun: true }, dry.context);
    expect(all.backend.snapshotState()).toEqual(before);
    const wet = recordSteps();
    const done = await runRepairPacks(await reopen(all.backend), {}, wet.context);
    expect(dry.steps.map(step => ({ ...step, isDryRun: false }))).toEqual(wet.steps);
    const { bytesRead: _, bytesWritten: __, segmentsRemoved, segmentsWritten, packsIndexed, ...counts } = done.counts;
    expect(planned.counts).toMatchObject(counts);
    expect([segmentsRemoved, segmentsWritten, packsIndexed]).not.toContain(undefined);
    expect(planned.findings).toEqual(done.findings);
  });

  test('repairs only the packs that are named, by their first digits too, and refuses other names', async () => {
    const all = await sample();
    const [one, two] = [await frameOfFile(all.repository, join(all.root, 'deep/deeper/large')), await frameOfFile(all.repository, join(all.root, 'late'))];
    await flipBit(all.backend, one);
    await flipBit(all.backend, two);
    const id = one.object.split('/').at(-1)!;
    await expect(runRepairPacks(await reopen(all.backend), { choice: { kind: 'named', names: ['ffffffff'] } })).rejects.toMatchObject({ code: 'USAGE' });
    await runRepairPacks(await reopen(all.backend), { choice: { kind: 'named', names: [id.slice(0, 8)] } });
    expect(namesBelow(all.backend, 'quarantine/')).toEqual([`quarantine/${id}`]);
  });

  test('names what must be named before anything is removed', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'late'), 2));
    const told: string[] = [];
    const backend = new ScriptedBackend(all.backend, async (verb, name) => {
      if (verb === 'remove' && !name.startsWith('sessions/')) told.push(`remove ${name}`);
    });
    await runRepairPacks(await reopen(backend), {}, { onEvent: event => {
      if (event.type === 'damage-found' && event.finding.severity === 'damage') told.push('loss');
      if (event.type === 'repair-step' && ['remove', 'drop'].includes(event.step.action)) told.push(`say ${event.step.name}`);
    } });
    const removals = told.filter(each => each.startsWith('remove '));
    expect(removals.length).toBeGreaterThan(1);
    expect(told.lastIndexOf('loss')).toBeLessThan(told.indexOf(removals[0]!));
    for (const removal of removals) expect(told.indexOf(removal.replace('remove', 'say'))).toBeLessThan(told.indexOf(removal));
  });
});

describe('the next backup after repair packs', () => {
  test('stores again what is lost, and older snapshots are whole again', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'deep/deeper/large'), 120));
    expect(damages(await verifyData(await reopen(all.backend))).length).toBeGreaterThan(0);
    await runRepairPacks(await reopen(all.backend));
    const report = await backupPath(await reopen(all.backend), all.root);
    expect(report).toMatchObject({ status: 'complete' });
    const fresh = await reopen(all.backend);
    expect(damages(await verifyData(fresh))).toEqual([]);
    for (const [id, content] of all.content) expect(await readSnapshot(fresh, id)).toEqual(content);
    const target = memoryDirectory();
    expect(await restoreTo(fresh, target, { snapshot: report.snapshotId!, path: all.root })).toMatchObject({ status: 'complete', findings: [] });
    const [original, restored] = await Promise.all([describeTree(all.root), describeTree(target)]);
    expect([...restored.keys()].sort()).toEqual([...original.keys()].sort());
    for (const [path, entry] of original) expect(restored.get(path), path).toMatchObject({ type: entry.type });
  });

  test('says that it brought content back which older snapshots lack', async () => {
    const all = await sample();
    // The files are younger than two seconds, so that a backup at this moment would not take them over the next time.
    const nowPair = (): [seconds: number, nanoseconds: number] => [systemClock.nowPair()[0] + 60, 0];
    const later = { ...await reopen(all.backend), clock: { ...systemClock, now: () => systemClock.now() + 60_000, nowPair } };
    const backup = async (): Promise<unknown> => {
      const events: SnapEvent[] = [];
      await backupPath(later, all.root, {}, { onEvent: event => events.push(event) });
      return events.flatMap(event => (event.type === 'damage-found' ? [event.finding] : []));
    };
    expect(await backup()).toEqual([]);
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'deep/deeper/large'), 120));
    await runRepairPacks(await reopen(all.backend));
    expect(await backup()).toMatchObject([
      { object: 'content', severity: 'warning', message: expect.stringMatching(/^Content of files that did not change \(1\) was gone; .* is stored again/) as string },
    ]);
    expect(await backup()).toEqual([]);
    expect(damages(await verifyData(await reopen(all.backend)))).toEqual([]);
  });

  test('does not refer to content that is known to be damaged, also with the cache of the host that made it', async () => {
    const all = await sample();
    const cached = await reopen(all.backend);
    await backupPath(cached, all.root);
    const frame = await frameOfFile(all.repository, join(all.root, 'deep/deeper/large'), 120);
    await flipBit(all.backend, frame);
    await runRepairPacks(await reopen(all.backend));
    const { snapshotId } = await backupPath(cached, all.root);
    const fresh = await reopen(all.backend);
    expect(damages(await verifyData(fresh))).toEqual([]);
    expect(await readSnapshot(fresh, snapshotId!)).toEqual(all.content.get(all.snapshotIds[1]!));
  });

  test('leaves what the source has no more to the list of losses', async () => {
    const all = await sample();
    await flipBit(all.backend, await frameOfFile(all.repository, join(all.root, 'late'), 2));
    const source = memoryDirectory();
    cpSync(join(all.root, 'deep'), join(source, 'deep'), { recursive: true });
    await runRepairPacks(await reopen(all.backend));
    const { snapshotId } = await backupPath(await reopen(all.backend), source);
    const found = damages(await verifyData(await reopen(all.backend)));
    expect([...new Set(found.flatMap(({ files }) => files.map(({ snapshotId: hit }) => hit)))]).toEqual([all.snapshotIds[1]]);
    expect(found.flatMap(({ files }) => files.map(({ snapshotId: hit }) => hit))).not.toContain(snapshotId);
  });
});
