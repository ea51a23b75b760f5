/** The five-minute path: a trial backup from start to end, checked by a comparison that shares no code with it. */
import { lstatSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { systemClock, systemRandom } from '../../base/ambient.ts';
import { toHex, utf8, type Bytes } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import { makeDirectories } from '../../base/make-directories.ts';
import { Secret } from '../../base/secret.ts';
import { formatCount, formatDuration, formatSize } from '../../base/units.ts';
import { PROFILES } from '../../format/chunking.ts';
import { backup } from '../../usecases/backup/backup.ts';
import { initRepository } from '../../usecases/init.ts';
import type { BackupReport } from '../../usecases/reports.ts';
import { restore } from '../../usecases/restore/restore.ts';
import { resolveSnapshot } from '../../usecases/reading/select-snapshots.ts';
import { verify } from '../../usecases/verify/verify.ts';
import { compareTrees, type Comparison, type Difference } from '../compare-trees.ts';
import { newEnvironment, sessionOwner, withBackend, withOpened, type OpenRepository, type Surroundings } from '../compose.ts';
import { engineFactory } from '../compose-engines.ts';
import { filesTarget } from '../compose-files.ts';
import { treeSource } from '../compose-source.ts';
import type { TRY_FLAGS } from '../flags.ts';
import { runJob, worst, type Job } from '../job.ts';
import { exitCodeOfResult, type Result } from '../outcome.ts';
import { jsonMoment, printable, printableName } from '../printable.ts';
import { pathFields } from '../render-json.ts';
import { defaultSeries } from '../series-name.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

interface Trial {
  readonly context: Surroundings;
  readonly job: Job;
  /** What is tried, absolute and without symlinks on the way. */
  readonly source: string;
  /** Folder of the trial, and what no trial backs up: all trials. */
  readonly folder: string;
  readonly leftOut: string;
  readonly repository: string;
  readonly passwordFile: string;
  readonly restored: string;
}

const TRIALS = '.snap-try';
const SHOWN_DIFFERENCES = 20;

export const runTry: RunVerb<typeof TRY_FLAGS> = context => runJob(context, async job => {
  const trial = prepare(context, job);
  try {
    return await withTrialRepository(trial, async repository => {
      const saved = await backUp(trial, repository);
      const checked = await check(trial, repository);
      const restored = await restoreTrial(trial, repository);
      const compared = await compare(trial, saved.report);
      return finish(trial, worst(saved.result, checked, restored, compared), context.flags.keep);
    });
  } finally {
    if (!context.flags.keep) rmSync(trial.restored, { recursive: true, force: true });
  }
});

/** @throws SOURCE_MISSING; USAGE when the folder of the trial is in use */
function prepare(context: VerbContext<typeof TRY_FLAGS>, job: Job): Trial {
  const { flags, operands } = context;
  const path = operands[0]!;
  if (lstatSync(path, { throwIfNoEntry: false }) === undefined) throw new SnapError('SOURCE_MISSING', `The path '${printable(path)}' does not exist`);
  const folder = flags.at === undefined ? resolve(TRIALS, jsonMoment([Math.floor(systemClock.now() / 1000), 0]).replaceAll(':', '-')) : resolve(flags.at);
  makeTrialFolder(folder);
  if (readdirSync(folder).length > 0) throw new SnapError('USAGE', `'${printable(folder)}' is not empty`, { hint: 'Give --at a new folder' });
  const [repository, passwordFile, restored] = [join(folder, 'repository'), join(folder, 'password'), join(folder, 'restored')];
  return {
    context: { ...context, globals: { ...context.globals, repo: repository, repositoryFile: undefined, cacheDir: join(folder, 'cache') } },
    job, source: realpathSync(path), folder, leftOut: flags.at === undefined ? resolve(TRIALS) : folder, repository, passwordFile, restored,
  };
}

function makeTrialFolder(folder: string): void {
  try {
    makeDirectories(folder, 0o700);
  } catch (error) {
    throw new SnapError('USAGE', `Cannot make the folder '${printable(folder)}' for the trial`, { hint: 'Give --at a place where you may write', cause: error });
  }
}

async function withTrialRepository(trial: Trial, work: (repository: OpenRepository) => Promise<Result>): Promise<Result> {
  const { context, job, repository, passwordFile } = trial;
  const password = toHex(systemRandom.bytes(16));
  writeFileSync(passwordFile, `${password}\n`, { flag: 'wx', mode: 0o600 });
  const credential = { kind: 'password', password: new Secret(password) } as const;
  return withBackend(context, job.context, { create: true }, async backend => {
    await initRepository(backend, newEnvironment(), {
      credential, suite: 1, chunker: PROFILES.default, label: 'snap try', signal: context.signal,
    });
    step(trial, 'init', `1. Made an encrypted repository in ${shown(repository)}, its password in ${shown(passwordFile)}`, { repository, password_file: passwordFile });
    return withOpened(backend, credential, context, job.context, work);
  });
}

async function backUp(trial: Trial, repository: OpenRepository): Promise<{ report: BackupReport; result: Result }> {
  const { context, job, source } = trial;
  step(trial, 'backup', `2. Backing up ${shown(source)}`, {});
  job.begin();
  const owner = sessionOwner(context);
  const chosen = treeSource(context, {}, [utf8(source)], [trial.leftOut]);
  const report = await backup(repository, chosen.source, {
    engines: engineFactory(undefined), owner, kind: 'full', series: defaultSeries(owner.host, chosen.named), tags: ['try'],
    dryRun: false, skipIfUnchanged: false, allowEmpty: true, ignoreInode: false, compressionLevel: 1, grouping: true,
  }, job.context);
  return { report, result: job.show(report) };
}

async function check(trial: Trial, repository: OpenRepository): Promise<Result> {
  const { context, job } = trial;
  step(trial, 'verify', '3. Reading everything back from the repository, decrypting and checking it', {});
  job.begin();
  return job.show(await verify(repository, { engines: engineFactory(undefined), owner: sessionOwner(context), readData: true }, job.context));
}

async function restoreTrial(trial: Trial, repository: OpenRepository): Promise<Result> {
  const { context, job, restored, source } = trial;
  step(trial, 'restore', `4. Restoring to ${shown(restored)}`, { target: restored });
  job.begin();
  const snapshot = await resolveSnapshot(repository, 'latest', {}, { signal: context.signal });
  return job.show(await restore(repository, filesTarget(utf8(restored)), {
    engines: engineFactory(undefined), owner: sessionOwner(context), snapshot, path: utf8(source),
    overwrite: 'always', delete: false, dryRun: false, verify: false, sparse: false, setsOwner: true,
  }, job.context));
}

async function compare(trial: Trial, saved: BackupReport): Promise<Result> {
  const { context, job, source, restored, leftOut } = trial;
  step(trial, 'compare', `5. Comparing every byte of ${shown(restored)} with ${shown(source)}`, {});
  job.begin();
  const started = systemClock.monotonic();
  const isFolder = lstatSync(source).isDirectory();
  const { counters } = job.context;
  Object.assign(counters!, { phase: 'checking', totalBytes: saved.bytesTotal });
  const comparison = await compareTrees(utf8(source), utf8(isFolder ? restored : join(restored, basename(source))), {
    signal: context.signal,
    isIgnored: path => isAt(path, leftOut),
    onEntry: (path, bytesDone) => {
      counters!.entriesDone++;
      Object.assign(counters!, { currentPath: path, bytesDone });
    },
  });
  // What could not be read was named by the backup already.
  const unreadable = new Set(saved.problems.map(problem => toHex(problem.path ?? new Uint8Array(0))));
  const differences = comparison.differences.filter(({ path }) => !unreadable.has(toHex(path)));
  sayComparison(trial, comparison, differences, systemClock.monotonic() - started);
  return differences.length > 0 ? 'damaged' : 'complete';
}

function isAt(path: Bytes, folder: string): boolean {
  const text = Buffer.from(path).toString('utf8');
  return text === folder || text.startsWith(`${folder}/`);
}

function sayComparison({ context, job }: Trial, comparison: Comparison, differences: readonly Difference[], durationMs: number): void {
  const { files, directories, others, bytes } = comparison;
  const { json } = context.globals;
  for (const { path, what } of differences.slice(0, json ? undefined : SHOWN_DIFFERENCES)) {
    if (json) context.terminal.out(JSON.stringify({ message_type: 'difference', ...pathFields(path), what }));
    else context.terminal.error(`Difference: ${printableName(path)} ${what}`);
  }
  if (differences.length > SHOWN_DIFFERENCES && !json) context.terminal.error(`... and ${formatCount(differences.length - SHOWN_DIFFERENCES)} more differences`);
  const verdict = differences.length === 0 ? 'no difference' : `${formatCount(differences.length)} differences (did something change meanwhile?)`;
  if (json) {
    context.terminal.out(JSON.stringify({
      message_type: 'comparison', files, dirs: directories, others, bytes, differences: differences.length, total_duration: Math.round(durationMs) / 1000,
    }));
  }
  job.note(`Compared ${formatCount(files)} files, ${formatCount(directories)} folders and ${formatCount(others)} other entries, `
    + `${formatSize(bytes)} in ${formatDuration(durationMs)}: ${verdict}`);
}

function finish(trial: Trial, result: Result, keepsCopy: boolean): Result {
  const { context, job, folder, repository, passwordFile } = trial;
  const cache = join(folder, 'cache');
  if (context.globals.json) {
    context.terminal.out(JSON.stringify({ message_type: 'try_summary', status: result, exit_code: exitCodeOfResult(result), folder, repository, password_file: passwordFile }));
  }
  const verdict = result === 'complete' ? 'The trial went well: what was restored is what you have.'
    : 'The trial did not go well; see above. Your files were only read.';
  for (const line of [
    '', verdict, '', 'Look around in the trial repository:',
    `  export SNAP_REPOSITORY=${quoted(repository)} SNAP_PASSWORD_FILE=${quoted(passwordFile)} SNAP_CACHE_DIR=${quoted(cache)}`,
    '  snap snapshots', '  snap ls latest', '',
    keepsCopy ? `The restored copy is in ${shown(trial.restored)}.` : 'The restored copy was removed again (--keep keeps it).',
    `Remove the trial:    rm -r ${quoted(folder)}`, 'Make a real backup:  snap help first-backup',
  ]) job.note(line);
  return result;
}

function step({ context, job }: Trial, name: string, text: string, fields: Readonly<Record<string, string>>): void {
  if (context.globals.json) context.terminal.out(JSON.stringify({ message_type: 'try_step', step: name, text, ...fields }));
  else job.note(name === 'init' ? text : `\n${text}`);
}

function shown(path: string): string {
  return printable(path);
}

/** For a shell. */
function quoted(path: string): string {
  return /^[\w./@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
