/** Copies snapshots to a target that shares nothing with the source, one after the other. */
import { throwIfAborted } from '../../base/errors.ts';
import { isDamage, isUnreadable } from '../../repository/damage.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { ForeignCopy } from './foreign-copy.ts';
import { firstId } from './replica-lag.ts';
import type { ReplicaTarget } from './replica-target.ts';
import { MAX_ROUNDS, type CopyOrder, type ReplicationRun } from './replication-run.ts';

/** @throws every error of the source that is no damage */
export async function copyToForeign(run: ReplicationRun, order: CopyOrder, target: ReplicaTarget): Promise<void> {
  let copy: ForeignCopy | undefined;
  const once = async (record: SnapshotRecord): Promise<boolean | undefined> => target.attempt(async () => {
    copy ??= new ForeignCopy(order.reading, target, { ...run.call, onRead: bytes => { run.countRead(bytes); } });
    const base = order.baseOf(record, target);
    const pair = base === undefined ? undefined : { source: base.snapshot, target: target.snapshotOf(firstId(base))! };
    const components = await copy.components(record.snapshot, pair);
    await target.flush();
    return target.commit(record, order.parentOf(record), components);
  });
  for (const record of order.records) {
    for (let round = 1; target.wants(record) && !run.damaged.has(record.id); round++) {
      if (round > MAX_ROUNDS) throw run.vanishes();
      throwIfAborted(run.call.signal);
      run.counters.phase = 'writing';
      try {
        if (await once(record) !== true) copy = undefined;
      } catch (error) {
        if (!isDamage(error) && !isUnreadable(error)) throw error;
        run.giveUp(record, error);
        copy = undefined;
      }
    }
    run.counters.entriesDone++;
  }
}
