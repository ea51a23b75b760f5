/**
 * Crash replay of repairs: whatever prefix of its writes is stored, nothing that could be read before is lost, and running the repair
 * again ends where the uninterrupted one ended.
 */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { establishView } from '../../src/repository/session-view.ts';
import type { RepairReport } from '../../src/usecases/reports.ts';
import { backupPath, makeRepository, memoryBackend, reopen, SMALL_CHUNKS } from '../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile } from '../support/read-jobs.ts';
import { readableFiles, type ReadableFiles } from '../support/read-snapshot.ts';
import { damages, flipped, namesBelow, overwrite, runRepairIndex, runRepairPacks, runRepairSnapshots, verifyData } from '../support/repair-jobs.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(16);
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
afterAll(() => { rmSync(root, { recursive: true }); });

let base: MemoryState | undefined;

async function baseState(): Promise<MemoryState> {
  if (base !== undefined) return base;
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  mkdirSync(join(root, 'folder/below'), { recursive: true });
  for (let i = 0; i < 3; i++) writeFileSync(join(root, `folder/below/small-${i}`), random.bytes(700 + 90 * i));
  writeFileSync(join(root, 'folder/large'), random.bytes(420_000));
  await backupPath(repository, root);
  writeFileSync(join(root, 'late'), random.bytes(40_000));
  await backupPath(repository, root);
  return base = backend.snapshotState();
}

type Damage = (backend: MemoryBackend, repository: OpenRepository) => Promise<void>;
type Repair = (repository: OpenRepository) => Promise<RepairReport>;

const flipFrames: Damage = async (backend, repository) => {
  await flipBit(backend, await frameOfFile(repository, join(root, 'folder/large'), 70));
  await flipBit(backend, await frameOfDirectory(repository, root));
};

const SCENARIOS: readonly (readonly [title: string, damage: Damage, repair: Repair])[] = [
  ['repair index with a damaged segment and a missing pack', async backend => {
    await overwrite(backend, namesBelow(backend, 'index/')[0]!, flipped());
    await backend.remove(namesBelow(backend, 'packs/t/')[0]!);
  }, repository => runRepairIndex(repository)],
  ['repair index without any segment', async backend => {
    for (const name of namesBelow(backend, 'index/')) await backend.remove(name);
  }, repository => runRepairIndex(repository)],
  ['repair packs', flipFrames, repository => runRepairPacks(repository)],
  ['repair packs --from', async (backend, repository) => {
    await flipFrames(backend, repository);
    await backend.remove(namesBelow(backend, 'packs/t/')[0]!);
  }, async repository => runRepairPacks(repository, { replica: await reopen(MemoryBackend.fromState(await baseState(), { clock: systemClock })) })],
  ['repair snapshots --forget', async (backend, repository) => {
    await flipFrames(backend, repository);
    await runRepairPacks(await reopen(backend));
  }, repository => runRepairSnapshots(repository, { forget: true })],
];

describe('after every prefix of its writes nothing is worse, and running it again finishes:', () => {
  test.each(SCENARIOS)('%s', { timeout: 120_000 }, async (_, damage, repair) => {
    const backend = MemoryBackend.fromState(await baseState(), { clock: systemClock });
    await damage(backend, await reopen(backend));
    const initial = backend.snapshotState();
    const before = await look(MemoryBackend.fromState(initial, { clock: systemClock }));
    const recording = new RecordingBackend(MemoryBackend.fromState(initial, { clock: systemClock }), { clock: systemClock, initial });
    await repair(await reopen(recording));
    const { changes } = recording;
    const final = await outcome(await recording.replayPrefix(changes.length));
    expect(changes.length).toBeGreaterThanOrEqual(3);
    for (let count = 0; count < changes.length; count++) {
      for (const subset of [[], recording.inFlightAfter(count).filter(() => random.oneIn(2))]) {
        if (subset.length === 0 && count > 0 && recording.inFlightAfter(count).length > 0 && random.oneIn(2)) continue;
        const survivor = await recording.replayPrefix(count, subset);
        const after = changes[count - 1];
        noWorse(before, await look(survivor), `after ${count} writes: ${after?.verb} ${after?.name}`);
        // Where something is decided or removed always, elsewhere now and then: a repair takes its time.
        const matters = count === 0 || after!.verb === 'remove' || /^(gc|quarantine|snapshots|forgotten)\//.test(after!.name);
        if (!matters && !random.oneIn(3)) continue;
        await repair(await reopen(survivor));
        expect(await outcome(survivor), `again after ${count} writes: ${after?.verb} ${after?.name}`).toEqual(final);
      }
    }
  });
});

/** What can be read of every snapshot, by its original ID. */
async function look(backend: MemoryBackend): Promise<Map<string, ReadableFiles>> {
  const repository = await reopen(backend);
  await establishView(repository, { onDamagedObject: () => undefined });
  const seen = new Map<string, ReadableFiles>();
  const { snapshots } = await loadSnapshots(repository);
  for (const { id, snapshot } of snapshots) {
    const key = snapshot.originalId ?? id;
    const files = await readableFiles(repository, snapshot);
    seen.set(key, new Map([...seen.get(key) ?? [], ...files]));
  }
  return seen;
}

function noWorse(before: ReadonlyMap<string, ReadableFiles>, now: ReadonlyMap<string, ReadableFiles>, when: string): void {
  for (const [id, files] of before) for (const [path, digest] of files) expect(now.get(id)?.get(path), `${path}, ${when}`).toBe(digest);
}

/** What counts in the end; names of new objects differ from run to run. */
async function outcome(backend: MemoryBackend): Promise<unknown> {
  const repository = await reopen(backend);
  const found = damages(await verifyData(repository));
  const seen = await look(backend);
  return {
    damage: [...new Set(found.map(({ object }) => object))].sort(),
    files: [...seen].map(([id, files]) => [id, [...files].sort()]).sort(),
    quarantine: namesBelow(backend, 'quarantine/'),
    snapshots: (await loadSnapshots(repository)).snapshots.length,
    unfinished: namesBelow(backend, 'gc/').filter(name => name.endsWith('.done')).length === namesBelow(backend, 'gc/').filter(name => /\d$/.test(name)).length,
  };
}
