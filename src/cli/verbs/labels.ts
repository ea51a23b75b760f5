import { SnapError } from '../../base/errors.ts';
import { changeTags, setPinned, type Relabelled, type TagChange } from '../../usecases/labels.ts';
import { sessionOwner, withRepository, type OpenRepository, type SnapshotRecord } from '../compose.ts';
import type { FILTER_FLAGS } from '../flags.ts';
import type { PIN_FLAGS, TAG_FLAGS } from '../upkeep-flags.ts';
import { runJob, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { shortId } from '../render-text.ts';
import { findSnapshots } from '../snapshot-choice.ts';
import type { RunVerb, VerbContext } from '../verb.ts';
import { tagsOf } from './tags.ts';

export const runTag: RunVerb<typeof TAG_FLAGS> = async context => {
  const change = tagChange(context);
  return relabel(context, (repository, records, job) => changeTags(repository, sessionOwner(context), records, change, job.context));
};

export const runPin: RunVerb<typeof PIN_FLAGS> = context =>
  relabel(context, (repository, records, job) => setPinned(repository, sessionOwner(context), records, true, job.context));

export const runUnpin: RunVerb<typeof PIN_FLAGS> = context =>
  relabel(context, (repository, records, job) => setPinned(repository, sessionOwner(context), records, false, job.context));

/** @throws USAGE when nothing or too much would change */
function tagChange({ flags, operands }: VerbContext<typeof TAG_FLAGS>): TagChange {
  const { set, add, remove, host, tag, path, kind, series } = flags;
  if (set.length + add.length + remove.length === 0) {
    throw new SnapError('USAGE', 'No change was named', { hint: 'Give --add, --remove or --set' });
  }
  if (operands.length + host.length + tag.length + path.length + kind.length + series.length === 0) {
    throw new SnapError('USAGE', 'No snapshots were named', { hint: 'Name snapshots or give a filter such as --host' });
  }
  const replaced = set.every(each => each === '') ? [] : tagsOf(set);
  return { set: set.length === 0 ? undefined : replaced, add: tagsOf(add), remove: tagsOf(remove) };
}

type Change = (repository: OpenRepository, records: readonly SnapshotRecord[], job: Job) => Promise<Relabelled[]>;

function relabel(context: VerbContext<typeof FILTER_FLAGS>, change: Change): Promise<Result> {
  return runJob(context, job => withRepository(context, job.context, async repository => {
    const records = await findSnapshots(repository, context.operands, context.flags, job.context);
    const changed = (await change(repository, records, job)).filter(({ from, to }) => from !== to);
    print(context, changed);
    return job.result();
  }));
}

function print({ globals, terminal }: VerbContext<typeof FILTER_FLAGS>, changed: readonly Relabelled[]): void {
  if (globals.json) {
    for (const { from, to } of changed) terminal.out(JSON.stringify({ message_type: 'changed', old_snapshot_id: from, new_snapshot_id: to }));
    terminal.out(JSON.stringify({ message_type: 'label_summary', changed_snapshots: changed.length }));
  } else if (!globals.quiet) {
    for (const { from, to } of changed) terminal.out(`Snapshot ${shortId(from)} is now ${shortId(to)}`);
    terminal.out(`${changed.length} ${changed.length === 1 ? 'snapshot' : 'snapshots'} changed`);
  }
}
