import { hostname } from 'node:os';
import { backup } from '../../usecases/backup.ts';
import type { BackupOptions } from '../../usecases/backup-run.ts';
import { resolveSnapshot } from '../../usecases/select-snapshots.ts';
import { verify } from '../../usecases/verify.ts';
import { engineFactory, sessionOwner, withRepository, type OpenRepository } from '../compose.ts';
import { chooseSource } from '../compose-files.ts';
import type { BACKUP_FLAGS } from '../flags.ts';
import { runJob, worst, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { defaultSeries } from '../series-name.ts';
import type { RunVerb, VerbContext } from '../verb.ts';
import { tagsOf } from './tags.ts';

export const runBackup: RunVerb<typeof BACKUP_FLAGS> = context => runJob(context, async job => {
  const { flags, operands } = context;
  const { source, named } = await chooseSource(context, flags, operands);
  const series = flags.series ?? defaultSeries(flags.host ?? hostname(), named);
  if (source.kind === 'tree') await source.open({ signal: context.signal });
  // Opening the repository mostly waits for the password to be stretched; the walk uses that time.
  const [result] = await Promise.all([
    withRepository(context, job.context, async repository => {
      const report = await backup(repository, source, { ...backupOptions(context), series }, job.context);
      const shown = job.show(report);
      return flags.validate && report.snapshotId !== undefined ? worst(shown, await validate(context, repository, report.snapshotId, job)) : shown;
    }, true),
    source.kind === 'tree' ? source.walkAhead(ENTRIES_AHEAD) : undefined,
  ]);
  return result;
});

/** About 12 MiB of names and stat records. */
const ENTRIES_AHEAD = 100_000;

/** Reads back what the new snapshot needs, old content included. */
async function validate(context: VerbContext<typeof BACKUP_FLAGS>, repository: OpenRepository, id: string, job: Job): Promise<Result> {
  job.note('Reading the data of the new snapshot back');
  job.begin();
  return job.show(await verify(repository, {
    engines: engineFactory(context.flags.readConcurrency), owner: sessionOwner(context), readData: true,
    snapshot: await resolveSnapshot(repository, id, {}, { signal: context.signal }),
  }, job.context));
}

function backupOptions(context: VerbContext<typeof BACKUP_FLAGS>): Omit<BackupOptions, 'series'> {
  const { flags } = context;
  return {
    engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context, flags.host), kind: flags.kind ?? 'incremental', tags: tagsOf(flags.tag), description: flags.description,
    time: flags.time, dryRun: flags.dryRun, skipIfUnchanged: flags.skipIfUnchanged, allowEmpty: flags.allowEmpty, ignoreInode: flags.ignoreInode,
    compressionLevel: flags.compression ?? 1, grouping: flags.grouping,
  };
}
