import { hostname } from 'node:os';
import { SnapError } from '../../base/errors.ts';
import { parsePackId, parseSnapshotId, type PackId } from '../../format/ids.ts';
import type { BackupOptions } from '../../usecases/backup/backup-run.ts';
import type { JobContext } from '../../usecases/events.ts';
import type { ValidateOptions } from '../../usecases/backup/validate-backup.ts';
import { sessionOwner, withRepository, type OpenRepository } from '../compose.ts';
import { engineFactory } from '../compose-engines.ts';
import { chooseSource } from '../compose-source.ts';
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
  // Opening the repository mostly waits for the password to be stretched; the walk uses that time, and so does loading the rest.
  let walking: Promise<void> | undefined;
  const meanwhile = (): void => {
    void loadBackup().catch(() => undefined); // thrown where it is needed
    if (source.kind === 'tree') walking = source.walkAhead(ENTRIES_AHEAD);
  };
  const result = await withRepository(context, job.context, async repository => {
    const { backup } = await loadBackup();
    const packs = new Set<PackId>();
    const knownSegments = new Set(repository.cache.chunks.segments());
    const report = await backup(repository, source, { ...backupOptions(context), series }, notingPacks(job.context, packs));
    const shown = job.show(report);
    if (report.snapshotId === undefined) return shown;
    const validated = flags.validate ? await validate(context, repository, { snapshotId: parseSnapshotId(report.snapshotId), packs, knownSegments }, job) : 'complete';
    const withParity = flags.parity !== undefined && packs.size > 0 ? await protect(repository, flags.parity, packs, job) : 'complete';
    return worst(shown, validated, withParity);
  }, { tidies: true, meanwhile });
  await walking;
  return result;
});

const loadBackup = (): Promise<typeof import('../../usecases/backup/backup.ts')> => import('../../usecases/backup/backup.ts');

/** About 12 MiB of names and stat records. */
const ENTRIES_AHEAD = 100_000;

/** Reads back what was just written. The snapshot is saved and shown before, so it is known whatever happens here. */
async function validate(
  context: VerbContext<typeof BACKUP_FLAGS>, repository: OpenRepository, written: Pick<ValidateOptions, 'snapshotId' | 'packs' | 'knownSegments'>, job: Job,
): Promise<Result> {
  job.note('Reading back what was written');
  job.begin();
  const { validateBackup } = await import('../../usecases/backup/validate-backup.ts');
  const options = { engines: engineFactory(context.flags.readConcurrency), owner: sessionOwner(context), ...written };
  return job.show(await validateBackup(repository, options, job.context));
}

function notingPacks(context: JobContext, packs: Set<PackId>): JobContext {
  return {
    ...context,
    onEvent: event => {
      if (event.type === 'pack-written') packs.add(parsePackId(event.packId));
      context.onEvent?.(event);
    },
  };
}

/** The snapshot is there whatever happens here, so a failure makes the run one that was done in part; the next `snap parity` completes it. */
async function protect(repository: OpenRepository, share: number, packs: ReadonlySet<PackId>, job: Job): Promise<Result> {
  job.note('Adding parity to the new packs');
  job.begin();
  const { addParity } = await import('../../usecases/parity.ts');
  try {
    return job.show(await addParity(repository, { share, packs, verify: false, dryRun: false }, job.context));
  } catch (error) {
    if (!(error instanceof SnapError) || error.kind === 'cancelled' || error.kind === 'internal') throw error;
    const message = `The snapshot is complete, but not all of its new packs have parity: ${error.message}`;
    job.context.onEvent?.({ type: 'problem-found', path: undefined, during: 'parity', code: error.code, message });
    return 'partial';
  }
}

function backupOptions(context: VerbContext<typeof BACKUP_FLAGS>): Omit<BackupOptions, 'series'> {
  const { flags } = context;
  return {
    engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context, flags.host), kind: flags.kind ?? 'incremental', tags: tagsOf(flags.tag), description: flags.description,
    time: flags.time, dryRun: flags.dryRun, skipIfUnchanged: flags.skipIfUnchanged, allowEmpty: flags.allowEmpty, ignoreInode: flags.ignoreInode,
    compressionLevel: flags.compression ?? 1, grouping: flags.grouping,
  };
}
