/**
 * P5 to P9 of a prune, for a plan of this run or of an interrupted one (repository design, section 7 and rule I5): nothing is
 * deleted before every session that may rely on a condemned pack is resolved, everything that is needed now was looked up anew, and
 * the decision is durable.
 */
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, invariant, SnapError } from '../../base/errors.ts';
import { formatDuration } from '../../base/units.ts';
import type { ChunkIndex } from '../../cache/cache.ts';
import type { PackId, SnapshotId } from '../../format/ids.ts';
import { forgottenName, packName, parityName, parseObjectName, PREFIXES, snapshotName } from '../../format/object-names.ts';
import { exists } from '../../repository/commit.ts';
import { loadGcPlans, type GcPlans, type GcPlanState } from '../../repository/gc-plans.ts';
import { checkedSweep, publishDone, publishSweep } from '../../repository/gc-writer.ts';
import { loadIndex } from '../../repository/index-loader.ts';
import { loadPackView, type PackView } from '../../repository/pack-view.ts';
import type { Mark, CopyRules } from '../reach/mark.ts';
import { loadRoots, type MarkRoots } from '../reach/mark-roots.ts';
import { findDoubtful, newMark } from './prune-choice.ts';
import type { PruneRun } from './prune-run.ts';
import { describeAlive, resolveSessions } from './prune-sessions.ts';

const PARALLEL_DELETES = 8;
/** Looks at everything that is needed, when packs vanish meanwhile. */
const MAX_ROUNDS = 3;

export interface SweepOutcome {
  /** Why the packs are not all deleted yet. */
  readonly pendingReason: string | undefined;
  /** The packs that are deleted; undefined: nothing is decided yet. */
  readonly swept: ReadonlySet<PackId> | undefined;
  /** What was looked up, for a plan that follows; undefined when nothing was. */
  readonly mark: Mark | undefined;
  readonly view: PackView;
}

/** P5 to P9. `earlier`: the marks of P3 of this run. In a dry run nothing is changed, and the outcome is what it would be now. */
export async function sweepPlan(run: PruneRun, plan: GcPlanState, earlier: Mark | undefined): Promise<SweepOutcome> {
  const { condemned } = plan;
  invariant(condemned !== undefined, `Nobody knows what plan ${plan.number} condemned`);
  const pending = async (pendingReason: string): Promise<SweepOutcome> => ({ pendingReason, swept: undefined, mark: undefined, view: await lookAtPacks(run, plan) });
  const tooYoung = await graceLeft(run, plan);
  if (tooYoung > run.patienceMs) return pending(describeGrace(run.options.graceMs, tooYoung));
  await run.settle();
  const { alive, committed } = await resolveSessions(run, plan.number); // P5, P6
  if (alive.length > 0) return pending(describeAlive(alive));
  for (let left = tooYoung; left > 0; left = await graceLeft(run, plan)) {
    if (left > run.patienceMs) return pending(describeGrace(run.options.graceMs, left));
    await run.repository.clock.sleep(left, run.call.signal);
  }
  await run.settle();
  run.counters.phase = 'checking';
  const roots = await listAgain(run, committed); // P7
  const { swept: decided, mark, view } = await decide(run, plan, condemned.packs, roots, earlier); // P8
  run.mayHaveSwept = true;
  const swept = run.options.dryRun ? decided : await publishSweep(run.repository, plan, decided, run.call);
  if (swept === 'plan gone') return { pendingReason: undefined, swept: new Set(), mark, view };
  run.packsRescued += [...condemned.packs].filter(id => !swept.has(id)).length;
  return { pendingReason: await deleteSwept(run, { ...plan, swept }, view), swept, mark, view }; // P9
}

/** P9 of a plan whose sweep was written by an earlier run. */
export async function finishDeleting(run: PruneRun, plan: GcPlanState): Promise<SweepOutcome> {
  const swept = checkedSweep(plan);
  const view = await lookAtPacks(run, plan);
  return { pendingReason: await deleteSwept(run, plan, view), swept, mark: undefined, view };
}

// --- P6: the second belt ---

/** Milliseconds, by the clock of the storage. */
async function graceLeft(run: PruneRun, { condemned }: GcPlanState): Promise<number> {
  const { graceMs } = run.options;
  if (graceMs === 0 || condemned === undefined) return 0;
  return Math.max(0, condemned.storedAt + graceMs - await run.storageTime(true));
}

/** For people. */
export function describeGrace(graceMs: number, leftMs: number): string {
  return `packs are deleted ${formatDuration(graceMs)} after they were condemned, so run the prune again in ${formatDuration(leftMs)}`;
}

// --- P7 ---

/** Markers, snapshots, sessions; then the index. */
async function listAgain(run: PruneRun, committed: readonly SnapshotId[]): Promise<MarkRoots> {
  const { repository, call, options } = run;
  const { backend, objects, cache, config } = repository;
  const roots = await loadRoots(repository, { ...call, storageTime: await run.storageTime(), without: options.without ?? new Set() });
  const listed = new Set(roots.snapshots.map(({ id }) => id));
  for (const id of committed) {
    // A revoked writer removes its own record on stores without create-only writes.
    if (listed.has(id) || config.storeMode === 'fallback' || await exists(backend, snapshotName(id), call) || await exists(backend, forgottenName(id), call)) continue;
    throw new SnapError('UNSUPPORTED_STORE', `The storage at '${backend.location}' does not list snapshot '${id}' any more, which it showed a moment ago`, {
      hint: 'Nothing was removed. snap needs listings that show every finished write', context: { snapshot: id },
    });
  }
  await loadIndex(backend, objects, cache.chunks, call);
  return roots;
}

// --- P8 ---

interface Decision {
  readonly swept: ReadonlySet<PackId>;
  readonly view: PackView;
  readonly mark: Mark;
}

/** Lists gc documents, then packs. A condemned pack is deleted unless something needed is nowhere else. */
async function decide(run: PruneRun, plan: GcPlanState, condemned: ReadonlySet<PackId>, roots: MarkRoots, earlier: Mark | undefined): Promise<Decision> {
  const { repository, call, counters } = run;
  const { backend, objects, cache: { chunks } } = repository;
  let view = await lookAtPacks(run, plan);
  const doubtful = await findDoubtful(run);
  const rules = (): CopyRules => ({ condemned: view.condemned, doubtful, fresh: run.fresh });
  const lookAgain = async (): Promise<CopyRules> => {
    await loadIndex(backend, objects, chunks, call);
    view = await lookAtPacks(run, plan);
    return rules();
  };
  counters.totalEntries = roots.snapshots.length;
  earlier?.changeRules(rules(), lookAgain);
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    // The marks of P3 are good enough for what they say, as long as every pack that they rely on is.
    const mark = round === 1 && earlier !== undefined && reliesOnly(chunks, earlier, view) ? earlier : newMark(run, rules(), lookAgain);
    counters.entriesDone = 0;
    await mark.from(roots);
    if (!reliesOnly(chunks, mark, view)) continue; // something vanished while it was looked up
    const rescued = new Set([...mark.rescued].map(number => chunks.pack(number)?.id));
    return { swept: new Set([...condemned].filter(id => !rescued.has(id))), view, mark };
  }
  throw new SnapError('OBJECT_CONFLICT', 'Packs vanish again and again while it is looked up what is needed', {
    hint: 'Nothing was removed. Another program changes the repository; run the prune again when it has ended',
  });
}

/** In a dry run the plan may not be there. */
async function lookAtPacks(run: PruneRun, plan: GcPlanState): Promise<PackView> {
  const plans = await loadGcPlans(run.repository, run.call);
  const isThere = plans.plans.some(({ number, suffix }) => number === plan.number && suffix === plan.suffix);
  const view = await loadPackView(run.repository, isThere ? plans : withPlan(plans, plan), run.gone, run.call);
  run.total ??= { packs: view.packs, bytes: view.bytes };
  return view;
}

export function withPlan(plans: GcPlans, plan: GcPlanState): GcPlans {
  const others = plans.plans.filter(({ number, suffix }) => number !== plan.number || suffix !== plan.suffix);
  return { ...plans, plans: [...others, plan], highestNumber: Math.max(plans.highestNumber, plan.number) };
}

/** Whether everything that is marked lies in packs that can be counted on, or were rescued for it. */
function reliesOnly(chunks: ChunkIndex, mark: Mark, view: PackView): boolean {
  for (const pack of mark.packs()) if (!chunks.isUsable(pack) || (view.condemned.has(pack) && !mark.rescued.has(pack))) return false;
  return true;
}

// --- P9 ---

/** Returns why not all of them could be deleted. Can be repeated at any time, by anybody. */
async function deleteSwept(run: PruneRun, plan: GcPlanState, view: PackView): Promise<string | undefined> {
  const { repository, options, counters, call } = run;
  const { backend } = repository;
  const swept = [...plan.swept ?? []];
  const stored = swept.map(id => view.excluded.get(id)).filter(pack => pack !== undefined);
  counters.phase = 'finishing';
  if (options.dryRun) {
    for (const id of swept) run.gone.add(id);
    return undefined;
  }
  const parity = await listParity(run, new Set(swept));
  let refused = 0;
  let reason = '';
  await mapBounded(stored, PARALLEL_DELETES, async ({ type, id }) => {
    try {
      if (parity.has(id)) await backend.remove(parityName(id), call);
      await backend.remove(packName(type, id), call);
    } catch (error) {
      if (!hasCode(error, 'DENIED')) throw error; // such as a lock on the object, which ends some day
      refused++;
      reason = error.message;
    }
  });
  if (refused > 0) {
    run.isPartial = true;
    return `the storage refused to delete ${refused} packs: ${reason}`;
  }
  await publishDone(repository, plan, call);
  return undefined;
}

async function listParity({ repository, call }: PruneRun, swept: ReadonlySet<PackId>): Promise<ReadonlySet<PackId>> {
  const found = new Set<PackId>();
  if (swept.size === 0) return found;
  for await (const { name } of repository.backend.list(PREFIXES.parity, call)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'parity' && swept.has(ref.id)) found.add(ref.id);
  }
  return found;
}
