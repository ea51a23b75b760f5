/**
 * Takes damaged packs out of the repository, by a gc plan of its own: copied to quarantine, condemned, and removed as the sweep of
 * the plan says. The plan is what makes it safe beside everybody else. Its number can be had only once, so no prune condemns, or
 * counts on, the copies that the repair relies on meanwhile; and after it is published, they are looked at once more. A process that
 * was frozen anywhere finds the number taken or the sweep written, and does no harm (docs/concurrency.md, "Repair").
 */
import type { Backend } from '../../backend/backend.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import { runIdFromBytes, type PackId } from '../../format/ids.ts';
import { packName, parityName, quarantineName, type PackType } from '../../format/object-names.ts';
import { loadGcPlans, unfinishedPlans, type GcPlanState } from '../../repository/gc-plans.ts';
import { excludedBy } from '../../repository/gc-view.ts';
import { checkedSweep, publishDone, publishPlan, publishSweep } from '../../repository/gc-writer.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { listQuarantine, quarantinePack } from '../../repository/quarantine.ts';
import { listPacks, type ListedPack } from '../../repository/session-view.ts';
import type { RepairTally } from './repair-run.ts';

export interface RemovalOptions extends CallOptions {
  readonly dryRun: boolean;
  /** Highest gc number that the session saw when it began. */
  readonly gcNumber: number;
  /** Packs that hold what is saved of the damaged ones. */
  readonly carriers: ReadonlySet<PackId>;
}

/** True when packs were removed, or would be in a dry run. @throws OBJECT_CONFLICT when a prune began meanwhile; nothing was removed then */
export async function removePacks(repository: OpenRepository, packs: readonly ListedPack[], tally: RepairTally, options: RemovalOptions): Promise<boolean> {
  const { backend, random, clock, config } = repository;
  if (!backend.capabilities.canRemove) {
    for (const { type, id } of packs) tally.left('pack', packName(type, id), 'It stays where it is, since nothing may be removed from this storage');
    return false;
  }
  const copied = await copyToQuarantine(repository, packs, tally, options);
  if (copied.length === 0) return false;
  for (const { type, id } of copied) tally.step('remove', 'pack', packName(type, id), `a copy is in '${quarantineName(id)}'`);
  if (options.dryRun) {
    tally.counts.packsQuarantined += copied.length;
    return true;
  }
  const plan = await publishPlan(repository, options.gcNumber + 1, copied.map(({ id }) => id), runIdFromBytes(random.bytes(16)), options);
  if (plan === undefined) {
    throw new SnapError('OBJECT_CONFLICT', 'A prune or another repair began while this one was at work', {
      hint: 'What was saved is stored and nothing was removed; run the command again',
    });
  }
  if (config.stalenessMs > 0) await clock.sleep(config.stalenessMs, options.signal); // listings may be a little old there
  const lacking = await firstLacking(repository, plan, options);
  const swept = await publishSweep(repository, plan, lacking === undefined ? copied.map(({ id }) => id) : [], options);
  if (swept === 'plan gone') return false; // this process slept for a day, and a prune has ended the plan
  const removed = copied.filter(({ id }) => swept.has(id));
  if (await deletePacks(repository, removed, tally, options)) await publishDone(repository, plan, options);
  tally.counts.packsQuarantined += removed.length;
  for (const { type, id } of copied) {
    if (swept.has(id)) continue;
    tally.left('pack', packName(type, id), `It stays for now, since pack '${lacking ?? id}' that holds something of it may be removed by a prune; run it again`);
  }
  return removed.length > 0;
}

/** False when the storage refuses, as for a lock on the object that ends some day: then the next prune goes on. */
async function deletePacks({ backend }: OpenRepository, packs: readonly ListedPack[], tally: RepairTally, options: CallOptions): Promise<boolean> {
  let isDone = true;
  for (const { type, id } of packs) {
    try {
      await removePack(backend, type, id, options);
    } catch (error) {
      if (!hasCode(error, 'DENIED')) throw error;
      isDone = false;
      tally.left('pack', packName(type, id), `The storage refuses to remove it now, so the next prune does: ${error.message}`);
    }
  }
  return isDone;
}

/** With its parity, which goes first, so that none is left without its pack. */
async function removePack(backend: Backend, type: PackType, id: PackId, options: CallOptions): Promise<void> {
  await backend.remove(parityName(id), options);
  await backend.remove(packName(type, id), options);
}

async function copyToQuarantine(repository: OpenRepository, packs: readonly ListedPack[], tally: RepairTally, options: RemovalOptions): Promise<ListedPack[]> {
  const copied: ListedPack[] = [];
  for (const pack of packs) {
    const name = packName(pack.type, pack.id);
    tally.step('quarantine', 'pack', name, `copied to '${quarantineName(pack.id)}', where nothing reads it as a pack`);
    if (options.dryRun || await quarantinePack(repository, pack, options)) copied.push(pack);
    else tally.left('pack', name, `It stays where it is, since '${quarantineName(pack.id)}' holds other bytes; look at both and remove that copy`);
  }
  return copied;
}

/** P8, in the order gc documents before packs: a carrier that is not there, or that another plan condemns. */
async function firstLacking(repository: OpenRepository, own: GcPlanState, { carriers, ...call }: RemovalOptions): Promise<PackId | undefined> {
  const { plans } = await loadGcPlans(repository, call);
  const excluded = new Set<PackId>();
  for (const plan of plans) if (plan.number !== own.number || plan.suffix !== own.suffix) for (const id of excludedBy(plan)) excluded.add(id);
  const present = new Set((await listPacks(repository.backend, call)).map(({ id }) => id));
  for (const id of carriers) if (excluded.has(id) || !present.has(id)) return id;
  return undefined;
}

/**
 * Ends what an interrupted repair has begun: plans of which every condemned pack has a copy in quarantine. A sweep that is written is
 * carried out; without one nothing was decided, and nothing is removed. On stores without create-only writes only the run that
 * published a plan may decide, so there they are left alone.
 */
export async function finishRemovals(repository: OpenRepository, options: CallOptions): Promise<void> {
  const { config, backend } = repository;
  const plans = unfinishedPlans(await loadGcPlans(repository, options));
  if (plans.length === 0 || config.storeMode !== 'create-only') return;
  const quarantined = new Set((await listQuarantine(repository, options)).map(({ id }) => id));
  for (const plan of plans) {
    const { condemned } = plan;
    if (condemned === undefined || condemned.packs.size === 0 || ![...condemned.packs].every(id => quarantined.has(id))) continue;
    const swept = plan.swept === undefined ? await publishSweep(repository, plan, [], options) : checkedSweep(plan);
    if (swept === 'plan gone') continue;
    for (const id of swept) for (const type of ['data', 'tree'] as const) await removePack(backend, type, id, options);
    await publishDone(repository, plan, options);
  }
}
