import { closePlans, prune, type PruneOptions } from '../../usecases/prune/prune.ts';
import { pruneDefaults, withRepository, type Surroundings } from '../compose.ts';
import { runJob, worst } from '../job.ts';
import type { PRUNE_FLAGS, SpaceValues } from '../upkeep-flags.ts';
import type { RunVerb } from '../verb.ts';

export const runPrune: RunVerb<typeof PRUNE_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const { flags, globals, terminal } = context;
  if (flags.closePlan) {
    const closed = await closePlans(repository, job.context);
    if (globals.json) terminal.out(JSON.stringify({ message_type: 'plans_closed', plan_numbers: closed }));
    else job.note(closed.length === 0 ? 'There is no plan to close' : `Closed plan ${closed.join(', ')}: nothing was removed`);
    return 'complete';
  }
  const report = await prune(repository, { ...pruneOptions(context, flags), dryRun: flags.dryRun }, job.context);
  return worst(job.result(), job.show(report));
}, { tidies: !context.flags.dryRun }));

/** The flags over the defaults. */
export function pruneOptions(context: Surroundings, { maxUnused, maxRepack, repackSmall, grace, wait }: SpaceValues): Omit<PruneOptions, 'dryRun'> {
  const defaults = pruneDefaults(context);
  return { ...defaults, limits: { ...defaults.limits, ...maxUnused, maxRepackBytes: maxRepack, repackSmall }, graceMs: grace ?? defaults.graceMs, waitMs: wait };
}
