import { utf8, type Bytes } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import type { RestoreOptions } from '../../usecases/restore/restore-options.ts';
import { absolutePath, sessionOwner, withRepository, type SnapshotRecord } from '../compose.ts';
import { enginesAhead } from '../compose-engines.ts';
import { filesTarget, pathMatcher } from '../compose-files.ts';
import type { RESTORE_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import type { Result } from '../outcome.ts';
import { rawBytes } from '../raw-arguments.ts';
import { findSnapshot } from '../snapshot-choice.ts';
import type { RunVerb } from '../verb.ts';
import { confirmInPlace, restrictedTo, savePresentState, type RestoreContext } from './restore-in-place.ts';

export const runRestore: RunVerb<typeof RESTORE_FLAGS> = context => {
  const target = targetOf(context);
  const engines = enginesAhead(context.flags.readConcurrency);
  const meanwhile = (): void => {
    void loadRestore().catch(() => undefined); // thrown where it is needed
    if (target !== undefined && !context.flags.dryRun) engines.start();
  };
  return runJob(context, job => withRepository(context, job.context, async (repository): Promise<Result> => {
    const { restore } = await loadRestore();
    const { record, path } = await findSnapshot(repository, context.operands[0]!, context.flags, job.context);
    const options = restoreOptions(context, record, engines);
    if (target !== undefined) return job.show(await restore(repository, filesTarget(target), { ...options, path }, job.context));
    if (!context.flags.dryRun) {
      await confirmInPlace(context, record, path);
      await savePresentState(context, repository, record, path, job);
      job.begin();
    }
    const inPlace = { ...options, include: restrictedTo(path, options.include) };
    return job.show(await restore(repository, filesTarget(utf8('/')), inPlace, job.context));
  }, { meanwhile })).finally(() => engines.close());
};

const loadRestore = (): Promise<typeof import('../../usecases/restore/restore.ts')> => import('../../usecases/restore/restore.ts');

/** Undefined for a restore in place. @throws USAGE unless exactly one of the two ways was given */
function targetOf({ flags }: RestoreContext): Bytes | undefined {
  if (flags.inPlace && flags.target !== undefined) throw new SnapError('USAGE', '--target and --in-place exclude each other');
  if (flags.inPlace) return undefined;
  if (flags.target === undefined) {
    throw new SnapError('USAGE', 'No place to restore to was named', { hint: 'Give --target DIR, or --in-place for the original paths' });
  }
  return absolutePath(rawBytes(flags.target));
}

function restoreOptions(context: RestoreContext, snapshot: SnapshotRecord, engines: RestoreOptions['engines']): RestoreOptions {
  const { flags } = context;
  return {
    engines, owner: sessionOwner(context), snapshot,
    include: pathMatcher(flags.include), exclude: pathMatcher(flags.exclude), overwrite: flags.overwrite ?? 'always', delete: flags.delete,
    dryRun: flags.dryRun, verify: flags.verify, sparse: flags.sparse, setsOwner: flags.owner,
  };
}
