import { stats } from '../../usecases/browse/stats.ts';
import { sessionOwner, withRepository } from '../compose.ts';
import type { STATS_FLAGS } from '../flags.ts';
import { runJob, worst } from '../job.ts';
import { findSnapshots } from '../snapshot-choice.ts';
import type { RunVerb } from '../verb.ts';

export const runStats: RunVerb<typeof STATS_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const records = await findSnapshots(repository, context.operands, context.flags, job.context);
  return worst(job.result(), job.show(await stats(repository, records, { owner: sessionOwner(context) }, job.context)));
}));
