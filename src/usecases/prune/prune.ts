/**
 * Frees the space that no snapshot needs, beside running backups and other prunes (repository design, section 7, P0 to P9). The
 * order of the steps is the protocol: see rule I5 and docs/concurrency.md. Whatever cannot be read stops it before anything is
 * deleted, and it can be interrupted anywhere: the next run of any host goes on.
 */
import { SnapError } from '../../base/errors.ts';
import { parseRunId, parseSnapshotId, type PackId } from '../../format/ids.ts';
import { consolidateIndex } from '../../repository/consolidate.ts';
import { isDamage } from '../../repository/damage.ts';
import { loadGcPlans, unfinishedPlans, type GcPlans, type GcPlanState } from '../../repository/gc-plans.ts';
import { closePlan, publishPlan, removeOldDocuments } from '../../repository/gc-writer.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { isValidNow } from '../../repository/snapshots.ts';
import type { JobContext } from '../events.ts';
import type { Mark } from '../reach/mark.ts';
import { choosePacks, type PruneChoice } from './prune-choice.ts';
import { PruneRun, type PruneOptions } from './prune-run.ts';
import { describeAlive, resolveSessions } from './prune-sessions.ts';
import { describeGrace, finishDeleting, sweepPlan, withPlan } from './prune-sweep.ts';
import type { PruneReport } from '../reports.ts';

export type { PruneOptions } from './prune-run.ts';

/** Other prunes may take the next number first. */
const MAX_ROUNDS = 5;

/**
 * @throws DENIED without the admin key or the right to remove; UNSUPPORTED_STORE; CHUNK_MISSING and the error of whatever cannot be
 * read: nothing is deleted then; OBJECT_CONFLICT when other prunes were first again and again
 */
export async function prune(repository: OpenRepository, options: PruneOptions, context: JobContext = {}): Promise<PruneReport> {
  const run = new PruneRun(repository, options, context);
  if (!options.dryRun) {
    checkRights(repository);
    checkPatience(run);
    await run.probe(); // P0
  }
  await collect(run);
  if (!options.dryRun) await tidy(run);
  return run.report();
}

/** P1 to P9: finishes what was begun, then makes a plan of its own. */
async function collect(run: PruneRun): Promise<void> {
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    try {
      if (await collectOnce(run)) return;
    } catch (error) {
      if (round === MAX_ROUNDS || !await isOutdated(run, error)) throw error;
    }
  }
  throw new SnapError('OBJECT_CONFLICT', `Other prunes of the repository were first ${MAX_ROUNDS} times`, { hint: 'Nothing was removed. Run the prune again when they are done' });
}

/** False: another prune was first, so begin again. */
async function collectOnce(run: PruneRun): Promise<boolean> {
  const earlier = await finishEarlier(run, await loadGcPlans(run.repository, run.call)); // P1
  if (earlier === 'pending') return true;
  const choice = await choosePacks(run, earlier.plans, earlier.mark); // P3; forgetting (P2) is a job of its own
  const number = Math.max(earlier.plans.highestNumber, run.repository.cache.memory().highestGc) + 1;
  if (choice.condemned.size === 0) {
    countChoice(run, choice);
    await resolveSessions(run, earlier.plans.highestNumber, 'without waiting');
    return true;
  }
  run.pendingReason = isInOneRun(run) && choice.alive.length > 0 && run.patienceMs === 0 ? describeAlive(choice.alive) : undefined;
  if (run.options.dryRun) {
    run.pendingReason = whyPending(run, choice);
    await resolveSessions(run, number, 'without waiting');
  }
  if (run.options.dryRun || run.pendingReason !== undefined) {
    countChoice(run, choice);
    return true;
  }
  const plan = await publishPlan(run.repository, number, choice.condemned.keys(), parseRunId(choice.runId), run.call); // P4
  if (plan === undefined) return false;
  await sweepOwn(run, plan, choice);
  return true;
}

/** Something was missing because others went on meanwhile: a prune deleted what was being read, or the snapshot that needs it was forgotten. */
async function isOutdated({ repository, call }: PruneRun, error: unknown): Promise<boolean> {
  if (!(error instanceof SnapError) || !isDamage(error)) return false;
  const snapshot = error.context['snapshot'];
  return error.code === 'OBJECT_NOT_FOUND' || (typeof snapshot === 'string' && !await isValidNow(repository, parseSnapshotId(snapshot), call));
}

/** P5 to P9. From here on no new session uses a condemned pack. */
async function sweepOwn(run: PruneRun, plan: GcPlanState, choice: PruneChoice): Promise<void> {
  run.planNumber = plan.number;
  try {
    await run.repository.cache.remember({ highestGc: plan.number });
    const { pendingReason, swept } = await sweepPlan(run, plan, choice.mark);
    run.pendingReason = pendingReason;
    countChoice(run, choice, swept);
  } finally {
    // Where nobody else may end the plan, it must not stay.
    if (!run.mayHaveSwept && isInOneRun(run)) await closePlan(run.repository, plan);
  }
}

interface Earlier {
  readonly plans: GcPlans;
  /** What was looked up for the last of them. */
  readonly mark: Mark | undefined;
}

/** P1: plans of interrupted runs, and those of earlier runs whose grace period is over. */
async function finishEarlier(run: PruneRun, listed: GcPlans): Promise<Earlier | 'pending'> {
  for (const name of listed.ignored) run.warnOnce('gc document', name, 'No admin key signed the document, so it does not count; it may be removed');
  let plans = listed;
  let mark: Mark | undefined;
  for (const plan of unfinishedPlans(listed)) {
    // On stores without create-only writes only the run that published a plan may decide what it deletes.
    if (plan.swept === undefined && isInOneRun(run)) continue;
    run.planNumber = plan.number;
    const outcome = plan.swept === undefined ? await sweepPlan(run, plan, undefined) : await finishDeleting(run, plan);
    for (const id of outcome.swept ?? plan.condemned!.packs) {
      const pack = outcome.view.excluded.get(id);
      if (pack !== undefined) run.countPack('dropped', pack.sizeBytes);
    }
    run.pendingReason = outcome.pendingReason;
    if (outcome.pendingReason !== undefined) return 'pending';
    mark = outcome.mark;
    plans = run.options.dryRun ? withPlan(plans, { ...plan, swept: outcome.swept, isDone: true }) : await loadGcPlans(run.repository, run.call);
  }
  return { plans, mark };
}

/** `swept` undefined: everything that was chosen will be deleted, as far as one can know now. */
function countChoice(run: PruneRun, { condemned, packsKept, unusedBytesLeft }: PruneChoice, swept?: ReadonlySet<PackId>): void {
  run.packsKept = packsKept;
  run.unusedBytesLeft = unusedBytesLeft;
  for (const [id, { sizeBytes, isRewritten }] of condemned) {
    if (swept === undefined || swept.has(id)) run.countPack(isRewritten ? 'rewritten' : 'dropped', sizeBytes);
    else run.packsKept++;
  }
}

/** For what a real run of this moment would wait. */
function whyPending(run: PruneRun, { alive }: PruneChoice): string | undefined {
  const { graceMs } = run.options;
  if (alive.length > 0) return describeAlive(alive);
  return graceMs > run.patienceMs ? describeGrace(graceMs, graceMs) : undefined;
}

/** On stores without create-only writes a plan begins and ends in one run (repository design, section 10.1). */
function isInOneRun({ repository: { config } }: PruneRun): boolean {
  return config.storeMode === 'fallback';
}

function checkRights({ backend, keys }: OpenRepository): void {
  keys.adminSeed();
  if (backend.capabilities.canRemove) return;
  throw new SnapError('DENIED', `Nothing can be removed from the repository at '${backend.location}', so it cannot be pruned`, {
    hint: 'Open it without the append-only setting, with credentials that may delete',
  });
}

function checkPatience(run: PruneRun): void {
  if (!isInOneRun(run) || run.options.graceMs <= run.patienceMs) return;
  throw new SnapError('USAGE', 'The storage has no create-only writes, so a prune must condemn and delete in one run', {
    hint: 'Wait for the grace period (--wait 24h), or do without it (--grace 0)',
  });
}

/** The end of P9: the index without what is gone, and no more documents than needed. An interruption costs nothing. */
async function tidy(run: PruneRun): Promise<void> {
  const { repository, call, findings } = run;
  run.counters.phase = 'finishing';
  const plans = await loadGcPlans(repository, call);
  const swept = new Set<PackId>();
  for (const plan of plans.plans) if (plan.isDone) for (const id of plan.swept ?? []) swept.add(id);
  run.segmentsMerged = await consolidateIndex(repository, {
    ...call, swept, onLeft: (name, reason) => { findings.damage('index segment', name, `The index segment was left as it is: ${reason}`); },
  });
  await removeOldDocuments(repository, plans, await run.storageTime(), call);
  await repository.cache.remember({ highestGc: plans.highestNumber });
}

/**
 * Ends plans that nobody goes on with, such as those of a run that died on a store without create-only writes: their packs are
 * usable again. The caller states that no process is at work on them. Returns their numbers.
 */
export async function closePlans(repository: OpenRepository, context: JobContext = {}): Promise<number[]> {
  checkRights(repository);
  const call = { signal: context.signal };
  const closed: number[] = [];
  for (const plan of unfinishedPlans(await loadGcPlans(repository, call))) {
    if (plan.swept === undefined && await closePlan(repository, plan, call)) closed.push(plan.number);
  }
  return closed;
}
