/**
 * A quick look at a repository: listings, small documents, and snapshots from the cache. No tree is walked and no pack is read,
 * so that a monitor may ask every few minutes.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { PackId } from '../../format/ids.ts';
import { parseObjectName } from '../../format/object-names.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { excludedBy } from '../../repository/gc-view.ts';
import { loadGcPlans, unfinishedPlans, type GcPlans } from '../../repository/gc-plans.ts';
import { loadLedger } from '../../repository/ledger.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readReplicaRecords, type ReplicaRecord } from '../../repository/replicas.ts';
import { isStale, listSessions } from '../../repository/sessions.ts';
import { loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';
import type { JobContext } from '../events.ts';
import { filterSnapshots, type SnapshotFilter } from '../reading/select-snapshots.ts';
import { replicaLag } from '../replicate/replica-lag.ts';
import { shrinkObjection } from '../retention/retention-guards.ts';
import { findRollback } from '../rollback-check.ts';
import { COVERAGE_DAYS, coverageOf, type Coverage } from '../verify/verify-coverage.ts';
import { copiesOf } from './copies.ts';
import { checksOf, type StatusThresholds } from './status-checks.ts';
import { worstLevel, type Place, type ReplicaLook, type ReplicaStatus, type SeriesStatus, type StatusFacts, type StatusReport, type StorageSpace } from './status-report.ts';

export interface StatusOptions {
  readonly thresholds: StatusThresholds;
  /** Which snapshots are looked at for age and size. */
  readonly filter?: SnapshotFilter | undefined;
  /** Series that have ended. */
  readonly ignoredSeries?: readonly string[] | undefined;
  /** Days within which all data should be verified. */
  readonly coverageDays?: number | undefined;
  readonly space?: (() => Promise<StorageSpace | undefined>) | undefined;
  /** What a location says about where a copy lies, `sources` being the paths of what was backed up last. */
  readonly placeOf: (location: string, sources: readonly Bytes[]) => Place;
  /** Looks at a replica itself; undefined: its record is believed. */
  readonly lookAt?: ((record: ReplicaRecord) => Promise<ReplicaLook>) | undefined;
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** @throws every error of the storage but damage, which is in the report */
export async function status(repository: OpenRepository, options: StatusOptions, context: JobContext = {}): Promise<StatusReport> {
  const facts = await factsOf(repository, options, { signal: context.signal });
  const checks = checksOf(facts, options.thresholds);
  return { job: 'status', level: worstLevel(checks.map(({ level }) => level)), checks, facts };
}

async function factsOf(repository: OpenRepository, options: StatusOptions, call: CallOptions): Promise<StatusFacts> {
  const { backend, clock } = repository;
  const at = clock.now();
  const { snapshots, unreadable } = await loadSnapshots(repository, call);
  const { plans, error: gcError } = await gcPlans(repository, call);
  const listing = await listAll(repository, plans, call);
  const rollback = await findRollback(repository, snapshots, plans?.highestNumber ?? Number.POSITIVE_INFINITY, call);
  const ledger = await loadLedger(repository, call);
  const coverage = coverageOf(listing.packs, id => ledger.get(id), at, options.coverageDays ?? COVERAGE_DAYS);
  const { sessions } = await listSessions(repository, call);
  const dead = sessions.filter(session => isStale(session, at)).length;
  const looked = filterSnapshots(snapshots, options.filter ?? {}).filter(({ snapshot }) => options.ignoredSeries?.includes(snapshot.series) !== true);
  const lines = linesOf(looked);
  const sources = [...lines.values()].flatMap(records => records.at(-1)!.snapshot.components.map(({ sourcePath }) => sourcePath));
  const replicas = await replicasOf(repository, snapshots, { ...options, placeOf: location => options.placeOf(location, sources) }, { ...call, at });
  const lastPruneAt = plans?.plans.reduce<number | undefined>((last, { doneAt }) => doneAt === undefined ? last : Math.max(last ?? 0, doneAt), undefined);
  return {
    at, repositoryId: repository.id, location: backend.location, snapshots: snapshots.length, unreadableSnapshots: unreadable.map(({ id }) => id),
    bytes: listing.bytes, packs: listing.packs.length, packBytes: listing.packBytes,
    series: [...lines].map(([series, records]) => seriesStatus(series, records)), shrunken: [...lines.values()].flatMap(records => shrinkObjection(records) ?? []),
    rollback: rollback.map(({ message }) => message), coverage,
    lastVerifiedAt: newestCheck(ledger.records()), ...overdue(listing.packs, coverage, id => ledger.get(id)),
    lastPruneAt, forgottenSincePrune: listing.forgottenAt.filter(time => time > (lastPruneAt ?? 0)).length,
    unfinishedPlans: plans === undefined ? [] : unfinishedPlans(plans).map(({ number, condemned }) => ({ number, since: condemned?.storedAt })),
    pendingBytes: listing.pendingBytes, unsignedDocuments: plans?.ignored ?? [], gcError, sessionsRunning: sessions.length - dead, sessionsDead: dead,
    space: await options.space?.(), replicas, copies: copiesOf(options.placeOf(backend.location, sources), replicas, { at, maxReplicaAgeMs: options.thresholds.maxReplicaAgeMs }),
  };
}

async function gcPlans(repository: OpenRepository, call: CallOptions): Promise<{ plans: GcPlans | undefined; error: string | undefined }> {
  try {
    return { plans: await loadGcPlans(repository, call), error: undefined };
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return { plans: undefined, error: error.message };
  }
}

interface ListedPack {
  readonly id: PackId;
  readonly sizeBytes: number;
  readonly storedAt: number;
}

interface Listing {
  readonly bytes: number;
  readonly packBytes: number;
  /** Without those that are about to be deleted. */
  readonly packs: readonly ListedPack[];
  readonly pendingBytes: number;
  readonly forgottenAt: readonly number[];
}

async function listAll({ backend }: OpenRepository, plans: GcPlans | undefined, call: CallOptions): Promise<Listing> {
  const excluded = new Set((plans?.plans ?? []).flatMap(plan => [...excludedBy(plan)]));
  let [bytes, packBytes, pendingBytes] = [0, 0, 0];
  const packs: ListedPack[] = [];
  const forgottenAt: number[] = [];
  for await (const { name, sizeBytes, storedAt } of backend.list('', call)) {
    bytes += sizeBytes;
    const ref = parseObjectName(name);
    if (ref?.kind === 'forgotten') forgottenAt.push(storedAt);
    if (ref?.kind !== 'pack') continue;
    packBytes += sizeBytes;
    if (excluded.has(ref.id)) pendingBytes += sizeBytes;
    else packs.push({ id: ref.id, sizeBytes, storedAt });
  }
  return { bytes, packBytes, packs, pendingBytes, forgottenAt };
}

/** By series, oldest first. Configuration snapshots hold a part and do not stand for the rest. */
function linesOf(snapshots: readonly SnapshotRecord[]): Map<string, SnapshotRecord[]> {
  const lines = new Map<string, SnapshotRecord[]>();
  for (const record of snapshots) {
    const { series, kind } = record.snapshot;
    const name = kind === 'config' ? `${series} (config)` : series;
    const line = lines.get(name);
    if (line === undefined) lines.set(name, [record]);
    else line.push(record);
  }
  return lines;
}

/** A snapshot that is dated in the future must not pass for fresh for years: the storage knows when it came. */
function takenAt({ snapshot, storedAt }: SnapshotRecord): number {
  return Math.min(snapshot.startedAt[0] * 1000, storedAt);
}

function seriesStatus(series: string, records: readonly SnapshotRecord[]): SeriesStatus {
  const newest = records.reduce((a, b) => takenAt(b) >= takenAt(a) ? b : a);
  const { bytes, sourceErrors } = newest.snapshot.statistics;
  return { series, snapshots: records.length, newestId: newest.id, newestAt: takenAt(newest), bytes, problems: sourceErrors };
}

function newestCheck(records: Iterable<{ readonly checkedAt: number }>): number | undefined {
  let newest: number | undefined;
  for (const { checkedAt } of records) if (newest === undefined || checkedAt > newest) newest = checkedAt;
  return newest;
}

type CheckOf = Parameters<typeof coverageOf>[1];

function overdue(packs: readonly ListedPack[], { at, days }: Coverage, checkOf: CheckOf): { overduePacks: number; overdueBytes: number } {
  const limit = at - days * DAY_MS;
  const late = packs.filter(({ id, storedAt }) => {
    const check = checkOf(id);
    return storedAt < limit && !(check?.detail === 'data' && check.checkedAt >= limit);
  });
  return { overduePacks: late.length, overdueBytes: late.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}

async function replicasOf(
  repository: OpenRepository, snapshots: readonly SnapshotRecord[], { placeOf, lookAt }: Pick<StatusOptions, 'lookAt'> & { readonly placeOf: (location: string) => Place }, { at, ...call }: CallOptions & { readonly at: number },
): Promise<ReplicaStatus[]> {
  const found: ReplicaStatus[] = [];
  for (const record of await readReplicaRecords(repository, call)) {
    found.push({ record, lag: replicaLag(record, snapshots, at), place: placeOf(record.location), look: await lookAt?.(record) });
  }
  return found;
}
