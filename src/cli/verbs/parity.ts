import { SnapError } from '../../base/errors.ts';
import { addParity, removeParity } from '../../usecases/parity.ts';
import { withRepository } from '../compose.ts';
import { runJob } from '../job.ts';
import type { PARITY_FLAGS } from '../upkeep-flags.ts';
import type { RunVerb } from '../verb.ts';

/** 5 %: seven blocks of the 128 of a pack. */
const DEFAULT_SHARE = 0.05;

export const runParity: RunVerb<typeof PARITY_FLAGS> = async context => {
  const { share, remove, verify, dryRun } = context.flags;
  // A share may come from the configuration file.
  if (remove && verify) throw new SnapError('USAGE', '--remove and --verify exclude each other');
  return runJob(context, job => withRepository(context, job.context, async repository => job.show(remove
    ? await removeParity(repository, { dryRun }, job.context)
    : await addParity(repository, { share: share ?? DEFAULT_SHARE, verify, dryRun }, job.context)), { tidies: true }));
};
