/**
 * Copies snapshots into other repositories. The source is read by a pinned reader, each target is a writing session, so it is safe beside
 * backups and prunes on both sides. In steps: what each target lacks; then, for some snapshots at a time, walk them, copy what is missing
 * pack by pack (each is read once, for all targets), make it durable and indexed, commit. An interrupted run leaves packs that the next
 * one finds. A target that fails stops only itself; damage in the source keeps back the snapshots that it hits, in every target.
 */
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import { snapshotName } from '../../format/object-names.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import { isValidNow, loadSnapshots, type SnapshotListing, type SnapshotRecord } from '../../repository/snapshots.ts';
import type { JobContext } from '../events.ts';
import { resolveIn } from '../reading/select-snapshots.ts';
import type { ReplicateReport } from '../reports.ts';
import { copyToForeign } from './foreign-target.ts';
import { MAX_TARGETS } from './need-walk.ts';
import { readBack, type ReadBack } from './read-back.ts';
import { RelatedCopy } from './related-copy.ts';
import { firstId, selectSnapshots } from './replica-lag.ts';
import { writeOutcome } from './replica-outcome.ts';
import { ReplicaTarget, type ReplicaPlace } from './replica-target.ts';
import type { ReplicateOptions } from './replicate-options.ts';
import { baseOf, CopyOrder, MAX_ROUNDS, ReplicationRun } from './replication-run.ts';

/** Snapshots of one session: each has a registration in the storage. */
const SESSION_SNAPSHOTS = 128;
const PARALLEL_LOOKS = 8;

/**
 * @throws every error of the source that is no damage; USAGE; SNAPSHOT_NOT_FOUND; with a single target its error, when it failed
 */
export async function replicate(
  source: OpenRepository, places: readonly ReplicaPlace[], options: ReplicateOptions, context: JobContext = {},
): Promise<ReplicateReport> {
  if (places.length === 0 || places.length > MAX_TARGETS) throw new SnapError('USAGE', `A replication has 1 to ${MAX_TARGETS} targets, not ${places.length}`);
  const { clock } = source;
  const startedAt = clock.monotonic();
  const run = new ReplicationRun(source, context);
  const targets = places.map((place, i) => openTarget(run, place, 1 << i, options));
  run.emit({ type: 'run-started', job: 'replicate', at: clock.now() });
  run.counters.phase = 'scanning';
  const listing = await loadSnapshots(source, run.call);
  const chosen = choose(run, listing, options);
  await Promise.all(targets.map(target => target.attempt(() => target.survey(source))));
  const held = new Map(targets.map(target => [target, chosen.filter(record => target.held.has(firstId(record))).length]));
  await copyMissing(run, targets, chosen, listing, options);
  const readBacks = await readAllBack(run, targets, options);
  const report = await writeOutcome(run, targets, {
    options, chosen: chosen.filter(({ id }) => !run.gone.has(id)), held, readBacks, durationMs: () => clock.monotonic() - startedAt,
  });
  const [only, ...others] = targets;
  if (others.length === 0 && only?.failure !== undefined) throw only.failure;
  return report;
}

function openTarget(run: ReplicationRun, place: ReplicaPlace, bit: number, { owner, dryRun, again }: ReplicateOptions): ReplicaTarget {
  return new ReplicaTarget(place, bit, {
    owner, dryRun, again, ...run.call,
    onRevoked: sessionId => { run.emit({ type: 'session-revoked', sessionId }); },
    onPackWritten: ({ packId, sizeBytes, chunks }) => {
      run.counters.bytesAdded += sizeBytes;
      run.emit({ type: 'pack-written', packId, sizeBytes, chunks });
    },
  });
}

function choose({ source, findings }: ReplicationRun, listing: SnapshotListing, { names, selection }: ReplicateOptions): SnapshotRecord[] {
  if (names !== undefined) {
    const named = new Set(names.map(name => resolveIn(listing, name, selection)));
    return listing.snapshots.filter(record => named.has(record));
  }
  for (const { id, error } of listing.unreadable) findings.unreadable('snapshot', snapshotName(id), error);
  return selectSnapshots(listing.snapshots, selection, source.clock.now());
}

async function copyMissing(
  run: ReplicationRun, targets: readonly ReplicaTarget[], chosen: readonly SnapshotRecord[], listing: SnapshotListing, options: ReplicateOptions,
): Promise<void> {
  const missing = chosen.filter(record => targets.some(target => target.wants(record)));
  run.counters.totalEntries = missing.length;
  run.counters.totalBytes = missing.reduce((sum, { snapshot }) => sum + snapshot.statistics.bytesAddedStored, 0);
  if (missing.length === 0) return;
  const reading = await pin(run, [...missing, ...basesOf(missing, listing.snapshots, targets)], options);
  try {
    const [present, all] = [missing, listing.snapshots].map(records => records.filter(({ id }) => !run.gone.has(id))) as [SnapshotRecord[], SnapshotRecord[]];
    for (let from = 0; from < present.length; from += SESSION_SNAPSHOTS) {
      await copySome(run, targets, new CopyOrder(reading, present.slice(from, from + SESSION_SNAPSHOTS), all));
    }
  } finally {
    const failure = await reading.end();
    const { location } = run.source.backend;
    if (failure instanceof SnapError) run.findings.warn('session', location, `The registration of this run could not be removed: ${failure.message}`);
  }
}

/** Of each series the last snapshot before those that a foreign target lacks: what it shares with them need not be read. */
function basesOf(missing: readonly SnapshotRecord[], all: readonly SnapshotRecord[], targets: readonly ReplicaTarget[]): SnapshotRecord[] {
  const bases = new Set<SnapshotRecord>();
  for (const target of targets.filter(({ relation }) => relation === 'foreign')) {
    for (const record of missing.filter(each => target.wants(each))) {
      const base = baseOf(record, all, target);
      if (base !== undefined && !missing.includes(base)) bases.add(base);
    }
  }
  return [...bases];
}

/** Snapshots that were forgotten since they were listed are left out. */
async function pin(run: ReplicationRun, wanted: readonly SnapshotRecord[], { owner }: ReplicateOptions): Promise<ReadingSession> {
  let records = wanted;
  for (let round = 1; ; round++) {
    try {
      return await ReadingSession.begin(run.source, owner, records, run.call);
    } catch (error) {
      if (!hasCode(error, 'SNAPSHOT_NOT_FOUND') || round === MAX_ROUNDS) throw error;
      const valid = await mapBounded(records, PARALLEL_LOOKS, record => isValidNow(run.source, record.id, run.call));
      for (const [i, record] of records.entries()) if (valid[i] === false) run.gone.add(record.id);
      records = records.filter((_, i) => valid[i]);
    }
  }
}

/** One session at each target that lacks something. */
async function copySome(run: ReplicationRun, all: readonly ReplicaTarget[], order: CopyOrder): Promise<void> {
  const targets = all.filter(target => order.records.some(record => target.wants(record)));
  try {
    await Promise.all(targets.map(target => target.attempt(() => target.begin(order.records.filter(record => target.wants(record)).length))));
    const related = targets.filter(({ relation }) => relation !== 'foreign');
    await new RelatedCopy(run, order, related).copyAll();
    await Promise.all(targets.filter(target => !related.includes(target)).map(target => copyToForeign(run, order, target)));
  } finally {
    for (const target of targets) await target.end();
  }
}

async function readAllBack(
  run: ReplicationRun, targets: readonly ReplicaTarget[], { verify, verifyShare, dryRun }: ReplicateOptions,
): Promise<ReadonlyMap<ReplicaTarget, ReadBack>> {
  const results = new Map<ReplicaTarget, ReadBack>();
  if (dryRun || (!verify && verifyShare === undefined)) return results;
  run.counters.phase = 'checking';
  await Promise.all(targets.map(target => target.attempt(async () => {
    const onRead = (bytes: number): void => { run.counters.bytesDone += bytes; };
    results.set(target, await readBack(target.repository, verify ? target.stored : [], verifyShare ?? 0, run.findings, { ...run.call, onRead }));
  })));
  return results;
}
