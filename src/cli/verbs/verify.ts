import { lstatSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { SnapError } from '../../base/errors.ts';
import { utf8 } from '../../base/bytes.ts';
import type { VerifyOptions } from '../../usecases/verify/verify.ts';
import type { DataSample } from '../../usecases/verify/verify-sample.ts';
import { sessionOwner, withRepository, type OpenRepository, type SnapshotRecord } from '../compose.ts';
import { engineFactory, enginesAhead } from '../compose-engines.ts';
import { filesTarget, openLiveFile } from '../compose-files.ts';
import { treeSource } from '../compose-source.ts';
import type { VERIFY_FLAGS } from '../upkeep-flags.ts';
import { runJob, worst, type Job } from '../job.ts';
import type { Result } from '../outcome.ts';
import { printable } from '../printable.ts';
import { wholeSnapshot } from '../snapshot-choice.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type VerifyContext = VerbContext<typeof VERIFY_FLAGS>;

/** Level 3 without a word about which data: everything comes round within twenty runs. */
const USUAL_SAMPLE: DataSample = { kind: 'share', share: 0.05, order: 'oldest' };

export const runVerify: RunVerb<typeof VERIFY_FLAGS> = context => {
  const { flags } = context;
  const depth = depthOf(flags);
  const engines = enginesAhead(flags.readConcurrency);
  const meanwhile = (): void => {
    void loadVerify().catch(() => undefined); // thrown where it is needed
    if (depth.readData !== false) engines.start();
  };
  return runJob(context, job => withRepository(context, job.context, async repository => {
    const { verify } = await loadVerify();
    const snapshot = flags.snapshot === undefined ? undefined : await wholeSnapshot(repository, flags.snapshot, flags, job.context);
    const checked = job.show(await verify(repository, {
      engines, owner: sessionOwner(context), snapshot, coverageDays: flags.coverageDays, ...depth,
    }, job.context));
    if (!flags.testRestore) return checked;
    return worst(checked, await tryRestore(context, repository, snapshot ?? await wholeSnapshot(repository, 'latest', flags, job.context), job));
  }, { meanwhile })).finally(() => engines.close());
};

const loadVerify = (): Promise<typeof import('../../usecases/verify/verify.ts')> => import('../../usecases/verify/verify.ts');

/** @throws USAGE for words that contradict each other */
function depthOf({ level, readData, readDataSubset, testRestore, targetDir, compareLive }: VerifyContext['flags']): Pick<VerifyOptions, 'level' | 'readData'> {
  const refuse = (message: string): SnapError => new SnapError('USAGE', message, { hint: 'See snap help verification' });
  if (!testRestore && (targetDir !== undefined || compareLive)) throw refuse('--target-dir and --compare-live go with --test-restore');
  if (readData && readDataSubset !== undefined) throw refuse('--read-data and --read-data-subset exclude each other');
  const readsAll = readData || level === 'data';
  if (level !== undefined && level !== 'data' && readData) throw refuse(`--level ${level} and --read-data exclude each other`);
  if ((level === 'data' || level === 'structure') && readDataSubset !== undefined) throw refuse(`--level ${level} and --read-data-subset exclude each other`);
  const data = readsAll ? true : readDataSubset ?? (level === 'sample' ? USUAL_SAMPLE : false);
  return { readData: data, level: level === 'structure' || level === 'tables' ? level : 'metadata' };
}

/** Into a new folder that nobody else can read, which is removed again whatever happens. */
async function tryRestore(context: VerifyContext, repository: OpenRepository, snapshot: SnapshotRecord, job: Job): Promise<Result> {
  const { flags } = context;
  job.note(`Restoring snapshot ${snapshot.id.slice(0, 8)} for a test`);
  job.begin();
  const { testRestore } = await import('../../usecases/restore/test-restore.ts');
  const folder = makeFolder(resolve(flags.targetDir ?? tmpdir()));
  try {
    const path = utf8(folder);
    return job.show(await testRestore(repository, {
      engines: engineFactory(flags.readConcurrency), owner: sessionOwner(context), snapshot, openFile: openLiveFile,
      target: () => filesTarget(path), restored: () => treeSource(context, {}, [path]).source, restoredPath: path,
      setsOwner: process.getuid?.() === 0, live: flags.compareLive ? liveSource(context, snapshot, job) : undefined,
    }, job.context));
  } finally {
    removeFolder(folder, job);
  }
}

function makeFolder(parent: string): string {
  try {
    return mkdtempSync(join(parent, 'snap-test-restore-'));
  } catch (error) {
    throw new SnapError('TARGET_NOT_USABLE', `Cannot make a folder in '${printable(parent)}' for the test`, {
      hint: 'Give --target-dir a folder where you may write', cause: error,
    });
  }
}

/** Empty by now, unless something in it could not be removed, which was said. */
function removeFolder(folder: string, job: Job): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    job.note(`Cannot remove the folder of the test, '${printable(folder)}': ${(error as Error).message}`);
  }
}

/** The sources of the snapshot that are there; of a stream, or of another machine, there may be none. */
function liveSource(context: VerifyContext, { snapshot }: SnapshotRecord, job: Job): ReturnType<typeof treeSource>['source'] | undefined {
  const paths = snapshot.components.map(({ sourcePath }) => sourcePath);
  const present = paths.filter(path => path[0] === 0x2f && lstatSync(Buffer.from(path), { throwIfNoEntry: false }) !== undefined);
  if (present.length < paths.length) job.note(`${paths.length - present.length} of ${paths.length} sources of the snapshot are not on this machine and were not compared`);
  return present.length === 0 ? undefined : treeSource(context, {}, present).source;
}
