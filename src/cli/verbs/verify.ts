import { verify } from '../../usecases/verify.ts';
import { engineFactory, sessionOwner, withRepository } from '../compose.ts';
import type { VERIFY_FLAGS } from '../upkeep-flags.ts';
import { runJob } from '../job.ts';
import { wholeSnapshot } from '../snapshot-choice.ts';
import type { RunVerb } from '../verb.ts';

export const runVerify: RunVerb<typeof VERIFY_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async repository => {
    const { flags } = context;
    const snapshot = flags.snapshot === undefined ? undefined : await wholeSnapshot(repository, flags.snapshot, flags, job.context);
    const report = await verify(repository, {
      engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context), readData: flags.readData, snapshot,
    }, job.context);
    return job.show(report);
  }));
