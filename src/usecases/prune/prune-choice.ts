/**
 * P3 of a prune: what is needed, which packs are dropped and rewritten, and the new packs (repository design, section 7). Nothing
 * here makes anything disappear: it ends with durable copies of what is needed out of the packs that are to be condemned.
 */
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, invariant } from '../../base/errors.ts';
import type { PackNumber, PackRecord } from '../../cache/cache.ts';
import { sessionIdFromBytes, type PackId, type SessionId } from '../../format/ids.ts';
import { packName } from '../../format/object-names.ts';
import { isUnreadable } from '../../repository/damage.ts';
import type { GcPlans } from '../../repository/gc-plans.ts';
import { loadIndex } from '../../repository/index-loader.ts';
import { loadLedger } from '../../repository/ledger.ts';
import { loadPackView, type PackView } from '../../repository/pack-view.ts';
import { readPackTable } from '../../repository/pack-tables.ts';
import { repack, type RepackResult } from '../../repository/repack.ts';
import { PACK_TARGET_BYTES } from '../../repository/pack-filler.ts';
import type { ListedPack } from '../../repository/session-view.ts';
import type { ListedSession } from '../../repository/sessions.ts';
import { Mark, type CopyRules } from '../reach/mark.ts';
import { loadRoots } from '../reach/mark-roots.ts';
import { planPrune, type PackUsage, type PrunePlan } from './prune-plan.ts';
import type { PruneRun } from './prune-run.ts';
import { findAlive } from './prune-sessions.ts';
import { findRollback, hidesSnapshots } from '../rollback-check.ts';

/** What is to be condemned, and what is known of everything else. */
export interface PruneChoice {
  readonly runId: SessionId;
  readonly condemned: ReadonlyMap<PackId, { readonly sizeBytes: number; readonly isRewritten: boolean }>;
  /** Marks of this run; nothing in them lies in a condemned pack. */
  readonly mark: Mark;
  /** Writers that were alive: their packs were not chosen. */
  readonly alive: readonly ListedSession[];
  readonly packsKept: number;
  readonly unusedBytesLeft: number;
}

const PARALLEL_TABLES = 4;

export async function choosePacks(run: PruneRun, plans: GcPlans, earlier: Mark | undefined): Promise<PruneChoice> {
  const { repository, options, counters, call } = run;
  const { backend, objects, cache } = repository;
  counters.phase = 'scanning';
  await repository.keys.refresh(backend, call); // packs may be of an epoch that is new
  // P3: markers, snapshots, sessions; then index, then packs.
  const roots = await loadRoots(repository, { ...call, storageTime: await run.storageTime(), without: options.without ?? new Set() });
  if (options.without === undefined) {
    const rollback = await findRollback(repository, roots.snapshots, plans.highestNumber, call);
    for (const { message } of rollback) run.warnOnce('repository', backend.location, message);
    const hidden = options.dryRun ? undefined : rollback.find(hidesSnapshots);
    if (hidden !== undefined) throw hidden;
  }
  await loadIndex(backend, objects, cache.chunks, call);
  let view = await loadPackView(repository, plans, run.gone, call);
  run.total ??= { packs: view.packs, bytes: view.bytes };
  const doubtful = await findDoubtful(run);
  const rules = (): CopyRules => ({ condemned: view.condemned, doubtful, fresh: run.fresh });
  const lookAgain = async (): Promise<CopyRules> => {
    await loadIndex(backend, objects, cache.chunks, call);
    view = await loadPackView(repository, plans, run.gone, call);
    return rules();
  };
  counters.phase = 'reading';
  counters.totalEntries = roots.snapshots.length;
  counters.entriesDone = 0;
  const mark = earlier ?? newMark(run, rules(), lookAgain);
  if (earlier !== undefined) mark.changeRules(rules(), lookAgain);
  await mark.from(roots);
  counters.phase = 'planning';
  const alive = await findAlive(run, roots.sessions);
  const plan = planPrune(await usages(run, view, mark, new Set(alive.map(({ id }) => id)), doubtful), {
    ...options.limits, currentEpoch: repository.keys.currentEpoch, targetBytes: PACK_TARGET_BYTES,
  });
  const runId = sessionIdFromBytes(repository.random.bytes(16));
  const { condemned, packsKept, unusedBytesLeft } = await rewrite(run, plan, mark, runId);
  return { runId, mark, alive, condemned, packsKept: packsKept + view.misfits.length, unusedBytesLeft };
}

export function newMark(run: PruneRun, rules: CopyRules, lookAgain: () => Promise<CopyRules>): Mark {
  return new Mark(run.repository, rules, { ...run.call, findings: run.findings, onSnapshot: () => { run.counters.entriesDone++; } }, lookAgain);
}

/** Packs in which a verification found damage: they hold nothing that can be counted on when there is another copy. */
export async function findDoubtful({ repository, call }: PruneRun): Promise<ReadonlySet<PackNumber>> {
  const doubtful = new Set<PackNumber>();
  const ledger = await loadLedger(repository, call);
  for (const { packId, result } of ledger.records()) {
    const number = result === 'damaged' ? repository.cache.chunks.packNumber(packId) : undefined;
    if (number !== undefined) doubtful.add(number);
  }
  return doubtful;
}

// --- usage ---

async function usages(run: PruneRun, view: PackView, mark: Mark, alive: ReadonlySet<string>, doubtful: ReadonlySet<PackNumber>): Promise<Iterable<PackUsage>> {
  const unindexed = await unindexedUsages(run, view.unindexed, alive);
  const { chunks } = run.repository.cache;
  // What is not of the size that the index says is left to a repair.
  for (const { type, id, sizeBytes } of view.misfits) {
    run.warnOnce('pack', packName(type, id), `The pack has ${sizeBytes} bytes, which is not what the index says; it was left alone`);
  }
  return function* (): Generator<PackUsage> {
    yield* unindexed;
    for (const number of view.found) {
      const record = chunks.pack(number);
      invariant(record !== undefined, `The cache has no record of pack ${number}`);
      const { liveChunks, wasteBytes } = mark.sharesOf(record);
      const isHeld = alive.has(record.sessionId) || (doubtful.has(number) && liveChunks > 0);
      yield { id: record.id, number, type: record.type, epoch: record.epoch, sizeBytes: record.sizeBytes, liveChunks, wasteBytes, isHeld };
    }
  }();
}

/** A pack that no segment lists may be dropped when its own table says that its session is not alive. */
async function unindexedUsages(run: PruneRun, packs: readonly ListedPack[], alive: ReadonlySet<string>): Promise<PackUsage[]> {
  const usages: PackUsage[] = [];
  await mapBounded(packs, PARALLEL_TABLES, async ({ id, type, sizeBytes }) => {
    try {
      const { sessionId, epoch } = await readPackTable(run.repository, { id, type, sizeBytes }, run.call);
      usages.push({ id, number: 0, type, epoch, sizeBytes, liveChunks: 0, wasteBytes: sizeBytes, isHeld: alive.has(sessionId) });
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return;
      if (!isUnreadable(error)) throw error;
      usages.push({ id, number: 0, type, epoch: run.repository.keys.currentEpoch, sizeBytes, liveChunks: 0, wasteBytes: 0, isHeld: true });
      run.warnOnce('pack', packName(type, id), `No index segment lists the pack, and its own tables cannot be read, so it was left alone: ${error.message}`);
    }
  });
  return usages;
}

// --- rewriting ---

async function rewrite(run: PruneRun, plan: PrunePlan, mark: Mark, runId: SessionId): Promise<Pick<PruneChoice, 'condemned' | 'packsKept' | 'unusedBytesLeft'>> {
  const { moved, damaged, written } = await storeAnew(run, plan, mark, runId);
  const kept = keptForCopies(run, mark, damaged.map(({ number }) => number));
  const condemned = new Map<PackId, { sizeBytes: number; isRewritten: boolean }>();
  for (const { id, number, sizeBytes } of plan.drop) if (!kept.has(number)) condemned.set(id, { sizeBytes, isRewritten: false });
  for (const { id, number, sizeBytes } of moved) {
    if (kept.has(number)) continue;
    condemned.set(id, { sizeBytes, isRewritten: true });
    mark.movedAway(number);
  }
  if (!run.options.dryRun) for (const { packId } of written) mark.movedInto(run.repository.cache.chunks.packNumber(packId as PackId)!);
  const left = plan.rewrite.filter(({ pack }) => !condemned.has(pack.id));
  return {
    condemned, packsKept: plan.keptPacks + plan.drop.length + plan.rewrite.length - condemned.size,
    unusedBytesLeft: plan.wasteBytesLeft + left.reduce((sum, { pack }) => sum + pack.wasteBytes, 0),
  };
}

const NOTHING_MOVED = { moved: [], damaged: [], written: [] } as const;

/** Packs whose needed content lies in new ones now, and damaged ones. */
async function storeAnew(run: PruneRun, plan: PrunePlan, mark: Mark, runId: SessionId): Promise<Pick<RepackResult, 'moved' | 'written'> & { readonly damaged: readonly PackRecord[] }> {
  if (plan.rewrite.length === 0) return NOTHING_MOVED;
  const { repository, counters, options, emit } = run;
  counters.phase = 'writing';
  counters.totalBytes = plan.rewrite.reduce((sum, { pack }) => sum + pack.sizeBytes, 0);
  counters.bytesDone = 0;
  const records = plan.rewrite.map(({ pack }): PackRecord => {
    const record = repository.cache.chunks.pack(pack.number);
    invariant(record !== undefined, `The cache has no record of pack ${pack.number}`);
    return record;
  });
  try {
    const { moved, damaged, written } = await repack(repository, records, {
      ...run.call, runId, discard: options.dryRun, isLive: location => mark.isLive(location), liveByFrame: record => mark.liveChunksByFrame(record),
      onRead: bytes => { counters.bytesDone += bytes; },
      onPackWritten: ({ packId, sizeBytes, chunks }) => {
        run.written.packs++;
        run.written.bytes += sizeBytes;
        counters.bytesAdded += sizeBytes;
        const number = repository.cache.chunks.packNumber(packId as PackId);
        if (number !== undefined) run.fresh.add(number);
        if (!options.dryRun) emit({ type: 'pack-written', packId, sizeBytes, chunks });
      },
    });
    for (const { pack: { type, id }, error } of damaged) {
      const name = packName(type, id);
      if (error.kind === 'unsupported') run.findings.addUnsupported({ object: 'pack', name, message: `The pack was left as it is: ${error.message}`, files: [] });
      else run.findings.damage('pack', name, `The pack is damaged and was left as it is: ${error.message}`);
    }
    return { moved, written, damaged: damaged.map(({ pack }) => pack) };
  } catch (error) {
    if (!hasCode(error, 'NO_SPACE')) throw error;
    // On a full disk it helps to drop what is not needed at all.
    run.warnOnce('storage', repository.backend.location, 'There is no space to store partly used packs anew, so only packs that nothing needs are removed. Run the prune again afterwards');
    return NOTHING_MOVED;
  }
}

/** Damaged packs, and packs with another copy of something in them: it may be the only good one. */
function keptForCopies({ repository: { cache: { chunks } } }: PruneRun, mark: Mark, damaged: readonly PackNumber[]): Set<PackNumber> {
  const kept = new Set(damaged);
  if (damaged.length === 0) return kept;
  const bad = new Set(damaged);
  for (const { id, location } of chunks.entries()) {
    if (bad.has(location.pack) && mark.isLive(location)) for (const { pack } of chunks.findAll(id)) kept.add(pack);
  }
  return kept;
}
