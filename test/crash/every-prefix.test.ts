/**
 * Crash replay: a scenario runs once on a recording backend; then, for every number of finished writes, a fresh store gets
 * exactly these (and seeded subsets of what was under way). Whatever was reported as done must be there, every listed
 * snapshot must be complete, and a new backup must work.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { hasCode } from '../../src/base/errors.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { backupPath, makeRepository, memoryBackend, reopen, SMALL_CHUNKS, temporaryDirectory } from '../support/memory-repository.ts';
import { readAllSnapshots, type SnapshotContent } from '../support/read-snapshot.ts';
import { SeededRandom } from '../support/seeded-random.ts';

function writeTree(root: string, generation: number): void {
  for (let directory = 0; directory < 3; directory++) {
    mkdirSync(join(root, `d${directory}`), { recursive: true });
    for (let file = 0; file < 4; file++) {
      if ((file + generation) % 4 === 0) writeFileSync(join(root, `d${directory}/f${file}`), Buffer.alloc(20_000 * (file + 1), `${generation}.${directory}.${file}.`));
    }
  }
  if (generation === 2) rmSync(join(root, 'd1'), { recursive: true });
}

test('after every prefix of the writes each listed snapshot is complete and the next backup works', { timeout: 120_000 }, async () => {
  const root = temporaryDirectory();
  const recording = new RecordingBackend(memoryBackend(), { clock: systemClock });
  const repository = await makeRepository(recording, { chunker: SMALL_CHUNKS });
  const expected = new Map<string, SnapshotContent>();
  const reported: { snapshotId: string; afterChanges: number }[] = [];
  for (let generation = 0; generation < 4; generation++) {
    writeTree(root, generation);
    const { snapshotId } = await backupPath(repository, root, { kind: generation === 3 ? 'full' : 'incremental' });
    reported.push({ snapshotId: snapshotId!, afterChanges: recording.changes.filter(change => change.name.startsWith('snapshots/')).length });
    expected.set(snapshotId!, (await readAllSnapshots(repository)).get(snapshotId!)!);
  }
  const random = new SeededRandom(11);
  const commits = recording.changes.map((change, i) => ({ change, i })).filter(({ change }) => change.name.startsWith('snapshots/'));
  let snapshotsSeen = 0;
  for (let count = 0; count <= recording.changes.length; count++) {
    for (const subset of [[], recording.inFlightAfter(count).filter(() => random.oneIn(2))]) {
      const store = await recording.replayPrefix(count, subset);
      let survivor;
      try {
        survivor = await reopen(store);
      } catch (error) {
        // Before config exists there is no repository, and nothing was promised.
        expect(hasCode(error, 'REPOSITORY_NOT_FOUND')).toBe(true);
        continue;
      }
      const found = await readAllSnapshots(survivor);
      for (const [id, content] of found) expect(content).toEqual(expected.get(id));
      const committedBy = commits.filter(({ i }) => i < count).length;
      expect(found.size).toBeGreaterThanOrEqual(committedBy);
      snapshotsSeen += found.size;
      if (count % 3 !== 0) continue;
      const report = await backupPath(survivor, root);
      expect((await readAllSnapshots(await reopen(store))).get(report.snapshotId!)).toEqual(expected.get(reported.at(-1)!.snapshotId));
    }
  }
  expect(snapshotsSeen).toBeGreaterThan(20);
});
