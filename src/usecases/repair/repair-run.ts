/**
 * What all repairs share: the conditions under which one may begin, and an account of what it finds, does and loses. A step is
 * told before it is done, so that what is removed was named while it was still there.
 */
import type { CallOptions } from '../../base/call-options.ts';
import type { Clock } from '../../base/ambient.ts';
import { SnapError } from '../../base/errors.ts';
import { loadGcPlans, unfinishedPlans, type GcPlans, type GcPlanState } from '../../repository/gc-plans.ts';
import { excludedBy } from '../../repository/gc-view.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { Registration, type SessionOwner } from '../../repository/registration.ts';
import { listPacks } from '../../repository/session-view.ts';
import { isolated, newCounters, type Counters, type Finding, type JobContext, type RepairStep, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import type { RepairCounts, RepairReport } from '../reports.ts';

export interface RepairOptions {
  readonly owner: SessionOwner;
  /** Says what would be done; nothing in the repository changes. */
  readonly dryRun: boolean;
}

/**
 * Whether this key may repair, and nobody is about to delete packs: a repair counts on copies that a prune may condemn.
 * @throws DENIED, PRUNE_UNFINISHED, the error of a gc document that cannot be read
 */
export async function checkMayRepair(repository: OpenRepository, options: CallOptions): Promise<GcPlans> {
  repository.keys.adminSeed();
  const plans = await loadGcPlans(repository, options);
  for (const plan of unfinishedPlans(plans)) if (!await isCarriedOut(repository, plan, options)) throw pruneUnfinished(plan);
  return plans;
}

/** Everything that the sweep names is gone, and only the document that says so cannot be read: nobody would ever finish that. */
async function isCarriedOut({ backend }: OpenRepository, plan: GcPlanState, options: CallOptions): Promise<boolean> {
  const excluded = excludedBy(plan);
  return plan.swept !== undefined && !(await listPacks(backend, options)).some(({ id }) => excluded.has(id));
}

export function pruneUnfinished({ names }: GcPlanState): SnapError {
  const name = names.plan ?? names.sweep ?? '';
  return new SnapError('PRUNE_UNFINISHED', `The prune of '${name}' is not finished, and nothing may be repaired beside it`, {
    hint: 'Run `snap prune`, or `snap prune --close-plan` when its process is known to be dead; then repair again', context: { name },
  });
}

/** Nothing is known to be wrong then, but what was found out so far does not hold any more. */
export function changedMeanwhile(message: string, cause: unknown): SnapError {
  return new SnapError('OBJECT_CONFLICT', message, { hint: 'Somebody else changes the repository; run the command again', cause });
}

/**
 * Runs a repair as a registered writer, so that every prune that begins now waits for it. A dry run leaves no trace.
 * @throws what `checkMayRepair` throws, also for a prune that began before the registration was visible
 */
export async function withRepairSession<T>(repository: OpenRepository, { owner, dryRun }: RepairOptions, call: CallOptions, work: () => Promise<T>): Promise<T> {
  await checkMayRepair(repository, call);
  if (dryRun) return work();
  const registration = await Registration.register(repository, 'writer', owner, [], call);
  try {
    await checkMayRepair(repository, call);
    return await work();
  } finally {
    await registration.end();
  }
}

export class RepairTally {
  readonly counters: Counters;
  readonly counts: RepairCounts = {
    segmentsWritten: 0, segmentsRemoved: 0, packsIndexed: 0, packsDropped: 0, packsRestored: 0, packsQuarantined: 0, packsReleased: 0, packsWritten: 0,
    chunksMoved: 0, chunksHealed: 0, chunksLost: 0, snapshotsRepaired: 0, snapshotsForgotten: 0, bytesRead: 0, bytesWritten: 0,
  };
  readonly #part: RepairReport['part'];
  readonly #dryRun: boolean;
  readonly #clock: Clock;
  readonly #started: number;
  readonly #emit: (event: SnapEvent) => void;
  readonly #findings: FindingList;
  readonly #next: string[] = [];
  readonly #damaged = new Set<string>();
  #isPartial = false;

  constructor(part: RepairReport['part'], dryRun: boolean, clock: Clock, context: JobContext) {
    this.#part = part;
    this.#dryRun = dryRun;
    this.#clock = clock;
    this.#started = clock.monotonic();
    this.#emit = isolated(context.onEvent);
    this.counters = context.counters ?? newCounters();
    this.#findings = new FindingList(finding => { this.#emit({ type: 'damage-found', finding }); }, false);
    this.#emit({ type: 'run-started', job: 'repair', at: clock.now() });
  }

  /** Something that needs a repair, and can have one as far as is known: a warning, since it need not cost anything. */
  found(object: string, name: string, message: string): void {
    this.#damaged.add(name);
    this.#findings.add({ object, name, message, severity: 'warning', files: [] });
  }

  /** For something that needs a repair and is told otherwise. */
  countDamaged(name: string): void {
    this.#damaged.add(name);
  }

  /** What is gone in spite of the repair. */
  lost(finding: Omit<Finding, 'severity'>): void {
    this.counters.problems++;
    this.#findings.add({ ...finding, severity: 'damage' });
  }

  /** Something that should have been done and was not. */
  left(object: string, name: string, message: string): void {
    this.#isPartial = true;
    this.#findings.add({ object, name, message, severity: 'warning', files: [] });
  }

  step(action: RepairStep['action'], object: string, name: string, message: string): void {
    this.#emit({ type: 'repair-step', step: { action, object, name, message, isDryRun: this.#dryRun } });
  }

  packWritten(packId: string, sizeBytes: number, chunks: number): void {
    this.counts.packsWritten++;
    this.counts.bytesWritten += sizeBytes;
    this.counters.bytesAdded = this.counts.bytesWritten;
    if (!this.#dryRun) this.#emit({ type: 'pack-written', packId, sizeBytes, chunks });
  }

  snapshotCreated(snapshotId: string): void {
    this.#emit({ type: 'snapshot-created', snapshotId });
  }

  next(text: string): void {
    if (!this.#next.includes(text)) this.#next.push(text);
  }

  get hasLosses(): boolean {
    return this.#findings.damages > 0;
  }

  report(): RepairReport {
    return {
      job: 'repair', part: this.#part, status: this.#isPartial ? 'partial' : this.hasLosses ? 'failed' : 'complete', dryRun: this.#dryRun,
      damagedObjects: this.#damaged.size, counts: this.counts, next: this.#next, durationMs: this.#clock.monotonic() - this.#started, findings: this.#findings.list,
    };
  }
}
