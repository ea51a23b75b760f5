/** Restores a snapshot, or a part of it, into a target (architecture, "Restore"). */
import { SnapError } from '../../base/errors.ts';
import { formatSize } from '../../base/units.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { TreeTarget } from '../../targets/target.ts';
import { ContentComparison } from './content-comparison.ts';
import type { JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { FrameLoader } from '../reading/frame-loader.ts';
import { HardLinks } from './hard-links.ts';
import { joinPath } from '../path-bytes.ts';
import type { RestoreReport } from '../reports.ts';
import { RestoreEntries } from './restore-entries.ts';
import { RestoreFiles, type FileTask } from './restore-files.ts';
import { RestoreLinks } from './restore-links.ts';
import type { RestoreOptions } from './restore-options.ts';
import { RestoreTally } from './restore-tally.ts';
import { RestoreWalk } from './restore-walk.ts';
import { Selection } from './selection.ts';
import { SnapshotTree, type Place } from '../reading/snapshot-tree.ts';

export type { RestoreOptions } from './restore-options.ts';

interface RestoreRun {
  readonly session: ReadingSession;
  readonly tree: SnapshotTree;
  readonly place: Place;
  readonly target: TreeTarget;
  readonly options: RestoreOptions;
  readonly context: JobContext;
  readonly tally: RestoreTally;
}

/**
 * Problems with single entries, and damage in the repository, are in the report; the rest is restored.
 * @throws SNAPSHOT_NOT_FOUND, PATH_NOT_IN_SNAPSHOT, TARGET_NOT_USABLE, NO_SPACE, CANCELLED and every repository error that is no damage
 */
export async function restore(repository: OpenRepository, target: TreeTarget, options: RestoreOptions, context: JobContext = {}): Promise<RestoreReport> {
  const { clock } = repository;
  const started = clock.monotonic();
  const { id, snapshot } = options.snapshot;
  const tally = new RestoreTally(id, context);
  tally.started(clock.now());
  const session = await ReadingSession.begin(repository, options.owner, [options.snapshot], {
    signal: context.signal, onDamagedObject: (name, error) => { tally.damagedObject(name, error.message); },
  });
  try {
    const tree = new SnapshotTree(session.trees, snapshot);
    const place = await tree.get(options.path, { signal: context.signal });
    const run: RestoreRun = { session, tree, place, target, options, context, tally };
    await refuseFullTarget(run);
    expectTotals(run);
    await restoreInto(run);
    return makeReport(run, clock.monotonic() - started);
  } finally {
    tally.counters.phase = 'finishing';
    await session.end();
  }
}

/** Figures of the snapshot hold for the whole of it only; for a part the renderer does without. */
function expectTotals({ options, tally }: RestoreRun): void {
  if (options.path !== undefined || options.include !== undefined || options.exclude !== undefined) return;
  const { files, directories, bytes } = options.snapshot.snapshot.statistics;
  tally.counters.totalEntries = files + directories;
  tally.counters.totalBytes = bytes;
}

/**
 * The whole snapshot fits in most cases; only when it does not is what the target lacks added up, in a walk that changes nothing.
 * @throws NO_SPACE
 */
async function refuseFullTarget(run: RestoreRun): Promise<void> {
  const { options, target, context } = run;
  if (options.dryRun) return;
  run.tally.counters.phase = 'planning';
  const measured = new RestoreTally(options.snapshot.id, {});
  await withTarget({ ...run, options: { ...options, dryRun: true, delete: false }, tally: measured }, async () => {
    if (options.snapshot.snapshot.statistics.bytes <= target.freeBytes()) return;
    await makeWalk({ ...run, tally: measured, context: { signal: context.signal } }, undefined).run(run.place);
    const freeBytes = target.freeBytes();
    if (measured.bytesWritten <= freeBytes) return;
    throw new SnapError('NO_SPACE', `The restore needs ${formatSize(measured.bytesWritten)}, but only ${formatSize(freeBytes)} are free at the target`, {
      hint: 'Make room there, choose another target, or restore a part of the snapshot', context: { neededBytes: measured.bytesWritten, freeBytes },
    });
  });
}

async function restoreInto(run: RestoreRun): Promise<void> {
  const { session, target, options, tally } = run;
  const engine = new ExtractEngine(options.engines, session.repository);
  try {
    await withTarget(run, async () => {
      tally.counters.phase = 'writing';
      const loader = new FrameLoader(session.repository, engine);
      await makeWalk(run, options.dryRun ? undefined : loader).run(run.place);
      tally.counters.phase = 'finishing';
      for (const problem of await target.finish()) tally.targetProblem(problem, 'finish');
    });
  } finally {
    await engine.close();
  }
}

async function withTarget({ target, options, tally, context }: RestoreRun, work: () => Promise<void>): Promise<void> {
  try {
    await target.begin({
      overwrite: options.overwrite, sparse: options.sparse, owner: options.setsOwner, dryRun: options.dryRun, signal: context.signal,
      onProblem: problem => { tally.targetProblem(problem, 'metadata'); },
    });
    await work();
  } finally {
    await target.close();
  }
}

/** The walk and its helpers; without a loader content is only counted. */
function makeWalk(run: RestoreRun, loader: FrameLoader | undefined): { run(place: Place): Promise<void> } {
  const { session, tree, target, options, tally } = run;
  const { signal } = run.context;
  const { kernel, keys } = session.repository;
  const links = new HardLinks(keys.auxiliaryHasher);
  const comparison = new ContentComparison(kernel.createHasher(keys.content.idKeyData));
  const afterWindow = async (completed: readonly FileTask[]): Promise<void> => {
    if (options.verify) for (const task of completed) await verifyFile(run, comparison, task);
    pendingLinks.make();
    for (const { directory, parent, entry } of pendingLinks.takeSeparate()) await entries.restore(directory, parent, entry);
  };
  const files = loader === undefined ? undefined : new RestoreFiles({
    session, loader, target, tally, links, makesHoles: options.sparse, signal, onWritten: afterWindow,
  });
  const flush = (): Promise<void> => files?.flush() ?? afterWindow([]);
  const pendingLinks = new RestoreLinks({ target, links, tally, flush });
  const entries = new RestoreEntries({
    session, target, tally, links, files, comparison, makesHoles: options.sparse, trustsStat: !options.verify, signal,
  });
  const selection = new Selection(options.include, options.exclude);
  const walk = new RestoreWalk({ session, tree, target, tally, links, entries, pendingLinks, selection, removesOthers: options.delete, signal });
  return {
    async run(place) {
      await walk.run(place);
      await flush();
      await flush(); // links that became files of their own
      reportOverflow(tally, links);
    },
  };
}

function reportOverflow(tally: RestoreTally, links: HardLinks): void {
  if (links.overflow === 0) return;
  tally.problem(undefined, 'restore', new SnapError('TARGET_FAILED', `${links.overflow} hard-linked files were restored as separate files: there are too many of them`));
}

async function verifyFile({ session, target, tally, context }: RestoreRun, comparison: ContentComparison, { directory, parent, entry }: FileTask): Promise<void> {
  tally.counters.phase = 'checking';
  const read = (offset: number, length: number): Uint8Array | undefined => target.readExisting(parent, entry, offset, length);
  const isRight = await comparison.holdsAll(read, session.trees.content(entry, { signal: context.signal }));
  tally.counters.phase = 'writing';
  if (isRight) tally.filesVerified++;
  else tally.problem(joinPath(directory.path, entry.name), 'verify', new SnapError('TARGET_FAILED', 'The restored file does not have the content of the snapshot'));
}

function makeReport({ tally, options }: RestoreRun, durationMs: number): RestoreReport {
  const { problems, findings } = tally;
  return {
    job: 'restore', status: problems.total > 0 || findings.total > 0 ? 'partial' : 'complete', snapshotId: options.snapshot.id, dryRun: options.dryRun,
    entriesTotal: tally.entriesTotal, filesRestored: tally.filesRestored, filesKept: tally.filesKept, filesRemoved: tally.filesRemoved,
    bytesTotal: tally.bytesTotal, bytesWritten: tally.bytesWritten, bytesReused: tally.bytesReused, filesVerified: tally.filesVerified,
    durationMs, problems: problems.list, problemsTotal: problems.total, findings: findings.list,
  };
}
