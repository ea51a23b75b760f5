/**
 * Crash replay of replications: after every prefix of the writes to the replica each snapshot that is listed there is whole, a check finds no
 * damage, and the next run, by a host that knows nothing, completes it with what the interrupted one stored.
 */
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { PREFIXES } from '../../src/format/object-names.ts';
import { memoryBackend, reopen } from '../support/memory-repository.ts';
import { namesBelow, packBytes, runPrune, storedGenerations } from '../support/prune-jobs.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { damages, verifyData } from '../support/repair-jobs.ts';
import { contentsByFirst, makeReplica, runReplicate, type ReplicaKind } from '../support/replicate-jobs.ts';
import { SeededRandom } from '../support/seeded-random.ts';

describe.each<ReplicaKind>(['same', 'shared', 'foreign'])('with %s keys', kind => {
  test('after every prefix of the writes the replica is whole and the next run completes it', { timeout: 120_000 }, async () => {
    const { backend, repository, contents } = await storedGenerations(2);
    const store = memoryBackend();
    await makeReplica(repository, kind, store);
    const recording = new RecordingBackend(store, { clock: systemClock, initial: store.snapshotState() });
    expect(await runReplicate(repository, [await reopen(recording)])).toMatchObject({ status: 'complete' });
    const whole = await packBytes(store);
    const random = new SeededRandom(5);
    let taken = 0;
    for (let count = 0; count <= recording.changes.length; count++) {
      const replayed = await recording.replayPrefix(count, recording.inFlightAfter(count).filter(() => random.oneIn(2)));
      const before = await packBytes(replayed);
      for (const [first, content] of await contentsByFirst(replayed)) expect(content, `after ${count}`).toEqual(contents.get(first));
      expect(damages(await verifyData(await reopen(replayed))), `after ${count}`).toEqual([]);
      const report = await runReplicate(await reopen(backend), [await reopen(replayed)]);
      expect(report, `after ${count}`).toMatchObject({ status: 'complete', findings: [] });
      expect(await contentsByFirst(replayed), `after ${count}`).toEqual(contents);
      if (kind === 'same' && before > 0) {
        // Every pack that was stored counts, whether its index segment was written or not.
        expect(report.replicas[0]!.bytesWritten, `after ${count}`).toBeLessThan(whole);
        taken++;
      }
      if (count % 3 !== 0) continue;
      await runPrune(await reopen(replayed), { isProcessAlive: () => false });
      expect(await namesBelow(replayed, PREFIXES.sessions), `after ${count}`).toEqual([]);
      expect(await contentsByFirst(replayed), `after ${count}`).toEqual(contents);
    }
    if (kind === 'same') expect(taken).toBeGreaterThan(2);
  });
});
