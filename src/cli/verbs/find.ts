import type { EntryType } from '../../format/entry.ts';
import { findEntries, type FindOptions, type FoundEntry } from '../../usecases/browse/find-entries.ts';
import { sessionOwner, withRepository, type SnapshotRecord } from '../compose.ts';
import { entryMatcher } from '../compose-files.ts';
import { entryFields, entryName, longLine } from '../describe-entry.ts';
import type { FIND_FLAGS } from '../flags.ts';
import type { ValuesOf } from '../flag.ts';
import { runJob } from '../job.ts';
import { localTime, printable } from '../printable.ts';
import { shortId } from '../render-text.ts';
import { findSnapshots } from '../snapshot-choice.ts';
import { flushedAtEnd, LineWriter } from '../terminal.ts';
import type { Moment } from '../values.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

const TYPES: Readonly<Record<'file' | 'dir' | 'symlink' | 'other', readonly EntryType[]>> = {
  file: ['file'], dir: ['directory'], symlink: ['symlink'], other: ['fifo', 'socket', 'character-device', 'block-device'],
};

export const runFind: RunVerb<typeof FIND_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const { flags, operands } = context;
  const records = await findSnapshots(repository, flags.snapshot, flags, job.context);
  const options: FindOptions = { owner: sessionOwner(context), matches: entryMatcher(operands, flags.ignoreCase), ...conditionsOf(flags) };
  await print(context, new Map(records.map(record => [record.id, record])), findEntries(repository, records, options, job.context));
  return job.result();
}));

function conditionsOf(flags: ValuesOf<typeof FIND_FLAGS>): Omit<FindOptions, 'owner' | 'matches'> {
  return {
    types: flags.type.length === 0 ? undefined : flags.type.flatMap(word => TYPES[word]),
    modifiedSince: milliseconds(flags.newerThan), modifiedBefore: milliseconds(flags.olderThan),
    minBytes: flags.largerThan, belowBytes: flags.smallerThan,
  };
}

function milliseconds(moment: Moment | undefined): number | undefined {
  return moment === undefined ? undefined : moment[0] * 1000 + moment[1] / 1e6;
}

async function print(
  { flags, globals, terminal }: VerbContext<typeof FIND_FLAGS>, records: ReadonlyMap<SnapshotRecord['id'], SnapshotRecord>, found: AsyncGenerator<FoundEntry>,
): Promise<void> {
  const lines = new LineWriter(terminal);
  let current = '';
  for await (const { snapshotId, path, entry } of flushedAtEnd(lines, found)) {
    if (!globals.json && snapshotId !== current) {
      const { snapshot } = records.get(snapshotId)!;
      await lines.add(`${current === '' ? '' : '\n'}Snapshot ${shortId(snapshotId)} of ${localTime(snapshot.startedAt)}, ${printable(snapshot.host)}:`);
      current = snapshotId;
    }
    const line = globals.json ? JSON.stringify({ message_type: 'match', snapshot_id: snapshotId, ...entryFields(path, entry) })
      : flags.long ? longLine(path, entry) : entryName(path, entry);
    if (!await lines.add(line)) break;
  }
}
