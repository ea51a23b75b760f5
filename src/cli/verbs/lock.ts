import { SnapError } from '../../base/errors.ts';
import { formatCount } from '../../base/units.ts';
import { extendLocks } from '../../usecases/extend-locks.ts';
import { withBackend, withRepository } from '../compose.ts';
import { runJob } from '../job.ts';
import { jsonTime, localTime } from '../printable.ts';
import type { RunVerb } from '../verb.ts';

export const runLock: RunVerb<Record<never, never>> = context => runJob(context, job => {
  const { globals, terminal } = context;
  if (globals.s3ObjectLock === undefined) {
    throw new SnapError('USAGE', 'No Object Lock was asked for', { hint: 'Give --s3-object-lock governance or compliance, best in the configuration file, where backups see it, too' });
  }
  return withRepository(context, job.context, repository => withBackend(context, job.context, { create: false }, async (_backend, _space, _history, locks) => {
    if (locks === undefined) throw new SnapError('UNSUPPORTED_STORE', `The storage at '${repository.backend.location}' has no Object Lock`, { hint: 'Only buckets of S3 have it' });
    const { until, extended, young, condemned } = await extendLocks(repository, locks, job.context);
    if (globals.json) terminal.out(JSON.stringify({ message_type: 'lock_summary', locked_until: jsonTime(until), extended, young, condemned }));
    else if (!globals.quiet) {
      terminal.out(`The locks of ${formatCount(extended)} objects were extended; ${formatCount(young)} are young enough, ${formatCount(condemned)} condemned packs were left out`);
      terminal.out(`Everything that is needed is locked until ${localTime([Math.floor(until / 1000), 0])} at least: run it again before`);
    }
    return 'complete' as const;
  }));
});
