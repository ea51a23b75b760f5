import { hostname } from 'node:os';
import { backup } from '../../usecases/backup.ts';
import type { BackupOptions } from '../../usecases/backup-run.ts';
import { chooseSource, engineFactory, sessionOwner, withRepository } from '../compose.ts';
import type { BACKUP_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import { defaultSeries } from '../series-name.ts';
import type { RunVerb, VerbContext } from '../verb.ts';
import { tagsOf } from './tags.ts';

export const runBackup: RunVerb<typeof BACKUP_FLAGS> = context => runJob(context, async job => {
  const { flags, operands } = context;
  const { source, named } = await chooseSource(context, flags, operands);
  const series = flags.series ?? defaultSeries(flags.host ?? hostname(), named);
  return withRepository(context, job.context, async repository =>
    job.show(await backup(repository, source, { ...backupOptions(context), series }, job.context)));
});

function backupOptions(context: VerbContext<typeof BACKUP_FLAGS>): Omit<BackupOptions, 'series'> {
  const { flags } = context;
  return {
    engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context, flags.host), kind: flags.kind ?? 'incremental', tags: tagsOf(flags.tag), description: flags.description,
    time: flags.time, dryRun: flags.dryRun, skipIfUnchanged: flags.skipIfUnchanged, allowEmpty: flags.allowEmpty, ignoreInode: flags.ignoreInode,
    compressionLevel: flags.compression ?? 1, grouping: true,
  };
}
