import { SnapError } from '../../base/errors.ts';
import { listForgotten, undelete, type BroughtBack, type Restorable } from '../../usecases/retention/undelete.ts';
import { sessionOwner, withRepository } from '../compose.ts';
import type { FILTER_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import { jsonMoment, jsonTime, localTime, printable, shortId } from '../printable.ts';
import { filterOf } from '../snapshot-choice.ts';
import { formatTable } from '../text-table.ts';
import type { UNDELETE_FLAGS } from '../upkeep-flags.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type Context = VerbContext<typeof FILTER_FLAGS>;

export const runUndelete: RunVerb<typeof UNDELETE_FLAGS> = async context => {
  const { operands, flags } = context;
  const filters = [flags.host, flags.tag, flags.path, flags.kind, flags.series];
  if (operands.length > 0 && filters.some(each => each.length > 0)) {
    throw new SnapError('USAGE', 'Filters are for the list of what was forgotten', { hint: 'Name the snapshots without filters' });
  }
  return runJob(context, job => withRepository(context, job.context, async repository => {
    if (operands.length === 0) printList(context, await listForgotten(repository, filterOf(flags), job.context));
    else printBack(context, await undelete(repository, sessionOwner(context), operands, job.context));
    return job.result();
  }));
};

function printList({ globals, terminal }: Context, found: readonly Restorable[]): void {
  if (globals.json) {
    for (const { id, snapshot, forgottenAt, reason, isComplete } of found) {
      terminal.out(JSON.stringify({
        message_type: 'forgotten_snapshot', id, short_id: shortId(id), time: jsonMoment(snapshot.startedAt), hostname: snapshot.host,
        kind: snapshot.kind, series: snapshot.series, tags: snapshot.tags, forgotten_at: jsonTime(forgottenAt), reason, complete: isComplete,
      }));
    }
    return;
  }
  const shown = globals.verbose > 0 ? found : found.filter(({ isComplete }) => isComplete);
  const rows = shown.map(({ id, snapshot: { startedAt, kind, series }, forgottenAt, reason, isComplete }) => [
    shortId(id), localTime(startedAt), kind, printable(series), localTime([Math.floor(forgottenAt / 1000), 0]), printable(reason),
    isComplete ? 'complete' : 'not complete any more',
  ]);
  const table = rows.length === 0 ? [] : formatTable(['ID', 'Time', 'Kind', 'Series', 'Forgotten', 'Reason', 'Data'].map(title => ({ title })), rows);
  const complete = found.filter(({ isComplete }) => isComplete).length;
  const lost = found.length - complete;
  const others = lost === 0 ? '' : `, ${lost} not any more${globals.verbose > 0 ? '' : ' (-v shows them)'}`;
  for (const line of [...table, `${complete} forgotten ${complete === 1 ? 'snapshot' : 'snapshots'} can be brought back${others}`]) terminal.out(line);
}

function printBack({ globals, terminal }: Context, results: readonly BroughtBack[]): void {
  for (const { from, to, wasThere } of results) {
    if (globals.json) terminal.out(JSON.stringify({ message_type: 'undeleted', old_snapshot_id: from, new_snapshot_id: to, was_there: wasThere }));
    else if (!globals.quiet) terminal.out(`Snapshot ${shortId(from)} is back ${wasThere ? 'already ' : ''}as ${shortId(to)}`);
  }
}
