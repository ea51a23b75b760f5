import { parseSnapshotId } from '../../format/ids.ts';
import { forgetByPolicy, forgetNamed, forgetRefused } from '../../usecases/retention/forget.ts';
import { prune } from '../../usecases/prune/prune.ts';
import type { ForgetReport } from '../../usecases/reports.ts';
import { sessionOwner, withRepository, type OpenRepository } from '../compose.ts';
import { runJob, worst, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { policyOf } from '../retention-flags.ts';
import { filterOf } from '../snapshot-choice.ts';
import type { FORGET_FLAGS } from '../upkeep-flags.ts';
import type { RunVerb, VerbContext } from '../verb.ts';
import { pruneOptions } from './prune.ts';

type Context = VerbContext<typeof FORGET_FLAGS>;

export const runForget: RunVerb<typeof FORGET_FLAGS> = context => runJob(context, job => {
  // What is wrong with the flags is said before anybody is asked for a password.
  const forget = context.operands.length > 0 ? forgetTheseOf(context) : forgetByPolicyOf(context, job);
  return withRepository(context, job.context, async repository => {
    const report = await forget(repository, job);
    const result = worst(job.result(), job.show(report));
    if (report.status === 'failed') throw forgetRefused(report.objections);
    return worst(result, await freeSpace(context, repository, report, job));
  }, { tidies: !context.flags.dryRun });
});

type Forget = (repository: OpenRepository, job: Job) => Promise<ForgetReport>;

function forgetTheseOf({ operands, flags }: Context): Forget {
  const { force, dryRun } = flags;
  const filter = filterOf(flags);
  return (repository, job) => forgetNamed(repository, operands, { filter, force, dryRun }, job.context);
}

function forgetByPolicyOf(context: Context, job: Job): Forget {
  const { flags, globals, terminal } = context;
  const { policy, maxBytes, isDefaultLimit, note } = policyOf(flags);
  if (note !== undefined) {
    if (globals.json) terminal.out(JSON.stringify({ message_type: 'forget_policy', text: note }));
    else job.note(note);
  }
  const { force, dryRun, maxForget } = flags;
  const filter = filterOf(flags);
  return repository => forgetByPolicy(repository, {
    owner: sessionOwner(context), policy, filter, maxBytes, isDefaultLimit, maxForgetShare: maxForget, zone: localOffset, force, dryRun,
  }, job.context);
}

function localOffset(atMs: number): number {
  return -new Date(atMs).getTimezoneOffset() * 60_000;
}

/** A dry run says what a prune would free; a real one frees it when asked to. */
async function freeSpace(context: Context, repository: OpenRepository, report: ForgetReport, job: Job): Promise<Result> {
  const { dryRun } = report;
  if (!context.flags.prune && (!dryRun || report.forgotten === 0)) {
    if (report.forgotten > 0) job.note('`snap prune` frees their space; until then `snap undelete` brings them back');
    return 'complete';
  }
  job.begin();
  const without = new Set(report.decisions.filter(({ keeps }) => !keeps).map(({ snapshotId }) => parseSnapshotId(snapshotId)));
  return job.show(await prune(repository, { ...pruneOptions(context, context.flags), dryRun, ...dryRun ? { without } : {} }, job.context));
}
