import { withRepository, type SnapshotRecord } from '../compose.ts';
import { snapshotDetails, snapshotMessage, snapshotTable } from '../describe-snapshot.ts';
import type { SNAPSHOTS_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import { findSnapshots } from '../snapshot-choice.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

export const runSnapshots: RunVerb<typeof SNAPSHOTS_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async repository => {
    const records = await findSnapshots(repository, context.operands, context.flags, job.context);
    print(context, newestOfSeries(records, context.flags.latest));
    return job.result();
  }));

function newestOfSeries(records: readonly SnapshotRecord[], latest: number | undefined): SnapshotRecord[] {
  const left = new Map<string, number>();
  return records.toReversed().filter(({ snapshot }) => {
    const room = left.get(snapshot.series) ?? latest ?? Number.POSITIVE_INFINITY;
    left.set(snapshot.series, room - 1);
    return room > 0;
  }).reverse();
}

function print({ globals, flags, terminal }: VerbContext<typeof SNAPSHOTS_FLAGS>, records: readonly SnapshotRecord[]): void {
  const snapshots = records.map(record => record.snapshot);
  const lines = globals.json ? snapshots.map(snapshot => JSON.stringify(snapshotMessage(snapshot)))
    : flags.details ? snapshots.flatMap(snapshotDetails)
    : [...snapshots.length === 0 ? [] : snapshotTable(snapshots), `${snapshots.length} ${snapshots.length === 1 ? 'snapshot' : 'snapshots'}`];
  for (const line of lines) terminal.out(line);
}
