/** What a restore to the original paths needs besides: a question, and a snapshot of what is there now. */
import { lstatSync } from 'node:fs';
import type { Bytes } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import type { PathMatcher } from '../../usecases/restore/selection.ts';
import { sessionOwner, type OpenRepository, type SnapshotRecord } from '../compose.ts';
import { engineFactory } from '../compose-engines.ts';
import { onlyPath } from '../compose-files.ts';
import { treeSource } from '../compose-source.ts';
import type { Job } from '../job.ts';
import { localTime, printableName } from '../printable.ts';
import { shortId } from '../render-text.ts';
import type { RESTORE_FLAGS } from '../flags.ts';
import type { VerbContext } from '../verb.ts';

export type RestoreContext = VerbContext<typeof RESTORE_FLAGS>;

const SLASH = 0x2f;

/** @throws USAGE without an answer, CANCELLED for any answer but yes */
export async function confirmInPlace(context: RestoreContext, record: SnapshotRecord, path: Bytes | undefined): Promise<void> {
  const { flags, terminal, signal } = context;
  if (flags.yes) return;
  const paths = pathsOf(record, path).map(printableName).join(', ');
  const removes = flags.delete ? ' and removes what the snapshot does not have' : '';
  const answer = await terminal.ask(`This overwrites ${paths}${removes} with snapshot ${shortId(record.id)} of ${localTime(record.snapshot.startedAt)}.\n`
    + 'The present state is saved as a snapshot first. Type "yes" to go on: ', signal);
  if (answer === undefined) throw new SnapError('USAGE', 'Nobody answered the question, so nothing was restored', { hint: 'Give --yes in a script' });
  if (answer.trim().toLowerCase() !== 'yes') throw new SnapError('CANCELLED', 'The answer was not "yes", so nothing was restored');
}

/** @throws SOURCE_FAILED when not everything could be saved; then nothing is restored */
export async function savePresentState(
  context: RestoreContext, repository: OpenRepository, record: SnapshotRecord, path: Bytes | undefined, job: Job,
): Promise<void> {
  const { backup } = await import('../../usecases/backup/backup.ts');
  const there = pathsOf(record, path).filter(each => lstatSync(Buffer.from(each), { throwIfNoEntry: false }) !== undefined);
  if (there.length === 0) return job.note('There is nothing at the original paths that would have to be saved');
  const { source } = treeSource(context, {}, there);
  const report = await backup(repository, source, {
    engines: engineFactory(context.flags.readConcurrency), owner: sessionOwner(context), kind: 'incremental',
    series: `${record.snapshot.series} (before restore)`, tags: ['before-restore'], description: `Before the restore of ${record.id}`,
    dryRun: false, skipIfUnchanged: false, allowEmpty: true, ignoreInode: false, compressionLevel: 1, grouping: true,
  }, job.context);
  job.show(report);
  if (report.status !== 'complete' || report.snapshotId === undefined) {
    throw new SnapError('SOURCE_FAILED', 'The present state could not be saved completely, so nothing was restored', {
      hint: 'Correct what was reported, or restore to another place with --target',
    });
  }
  job.note(`The present state is saved; undo the restore with: snap restore ${shortId(report.snapshotId)} --in-place`);
}

/** @throws USAGE for a stream, which came from no path */
function pathsOf({ snapshot }: SnapshotRecord, path: Bytes | undefined): Bytes[] {
  const paths = path === undefined ? snapshot.components.map(component => component.sourcePath) : [path];
  if (paths.every(each => each[0] === SLASH)) return paths;
  throw new SnapError('USAGE', 'Only absolute paths can be restored in place', { hint: 'Give --target DIR, or name SNAPSHOT:/PATH' });
}

/** Both conditions at once: the path of SNAPSHOT:PATH, and the patterns of --include. */
export function restrictedTo(path: Bytes | undefined, include: PathMatcher | undefined): PathMatcher | undefined {
  if (path === undefined) return include;
  const only = onlyPath(path);
  if (include === undefined) return only;
  return {
    selects: (each, isDirectory) => only.selects(each, isDirectory) && include.selects(each, isDirectory),
    maySelectBelow: directory => [only, include].every(matcher => matcher.selects(directory, true) || matcher.maySelectBelow(directory)),
  };
}
