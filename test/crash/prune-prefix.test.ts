/**
 * Crash replay of forgetting and pruning: after every prefix of the writes each listed snapshot is whole, a full check finds no
 * damage, and the next prune, by a host that knows nothing, finishes the job without losing a byte.
 */
import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { listPacks } from '../../src/repository/session-view.ts';
import { verify } from '../../src/usecases/verify/verify.ts';
import { engines, memoryBackend, OWNER, reopen } from '../support/memory-repository.ts';
import { forget, generations, packBytes, runPrune } from '../support/prune-jobs.ts';
import { readAllSnapshots, type SnapshotContent } from '../support/read-snapshot.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';

test('after every prefix of the writes of forget and prune nothing is lost, and the next prune finishes the job', { timeout: 120_000 }, async () => {
  const backend = memoryBackend();
  const { ids, contents } = await generations(5, backend);
  const recording = new RecordingBackend(backend, { clock: systemClock, initial: backend.snapshotState() });
  const repository = await reopen(recording);
  await forget(repository, ids[1]!, ids[3]!);
  const forgotten = recording.changes.length;
  const report = await runPrune(repository);
  expect(report).toMatchObject({ isPending: false, findings: [] });
  expect(report.packsRewritten).toBeGreaterThan(0);
  const [bytes, packs] = [await packBytes(backend), (await listPacks(backend)).length];
  const random = new SeededRandom(7);
  let resumed = 0;
  for (let count = 0; count <= recording.changes.length; count++) {
    const inFlight = recording.inFlightAfter(count).filter(() => random.oneIn(2));
    for (const subset of inFlight.length === 0 ? [[]] : [[], inFlight]) {
      const store = await recording.replayPrefix(count, subset);
      const check = await verify(await reopen(store), { engines, owner: OWNER, readData: true });
      expect(check.findings.filter(({ severity }) => severity === 'damage'), `after ${count}`).toEqual([]);
      const { planNumber, isPending } = await runPrune(await reopen(store));
      expect(isPending).toBe(false);
      if (planNumber !== undefined) resumed++;
      await expectWhole(store, contents, ids, count);
      // Once both are forgotten the outcome is the same, whatever was interrupted.
      if (count < forgotten) continue;
      expect(Math.abs(await packBytes(store) - bytes), `after ${count}`).toBeLessThan(0.05 * bytes);
      expect(Math.abs((await listPacks(store)).length - packs)).toBeLessThanOrEqual(2);
      expect(await runPrune(await reopen(store)), `after ${count}`).toMatchObject({ packsDropped: 0, packsRewritten: 0, planNumber: undefined });
      await expectWhole(store, contents, ids, count);
    }
  }
  expect(resumed).toBeGreaterThan(10);
});

async function expectWhole(store: Awaited<ReturnType<RecordingBackend['replayPrefix']>>, contents: ReadonlyMap<string, SnapshotContent>, ids: readonly string[], count: number): Promise<void> {
  const found = await readAllSnapshots(await reopen(store));
  for (const id of [ids[0]!, ids[2]!, ids[4]!]) expect(found.get(id), `after ${count}`).toEqual(contents.get(id));
}
