/**
 * Forgets snapshots, by a retention policy or by name: first everything is decided, then guards look at it, and only then the
 * first marker is written. Forgetting frees nothing: until a prune runs, `undelete` brings everything back.
 */
import { mapBounded } from '../../base/concurrency.ts';
import { SnapError } from '../../base/errors.ts';
import { formatCount, formatSize } from '../../base/units.ts';
import { parseSnapshotId, type SnapshotId } from '../../format/ids.ts';
import { forgetSnapshot, removeLeftOverRecords } from '../../repository/forget.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { listPacks } from '../../repository/session-view.ts';
import { loadSnapshots, type SnapshotListing, type SnapshotRecord, type UnreadableSnapshot } from '../../repository/snapshots.ts';
import type { ZoneOffset } from './calendar.ts';
import { isolated, newCounters, type Counters, type JobContext } from '../events.ts';
import type { ForgetDecision, ForgetReport } from '../reports.ts';
import { describeGroup, findObjections } from './retention-guards.ts';
import { decide, lineOf, timeOf, type DecisionGroup, type RetentionPolicy } from './retention-policy.ts';
import { fitToSize, type Fitted } from './retention-size.ts';
import { filterSnapshots, resolveIn, type SnapshotFilter } from '../reading/select-snapshots.ts';
import { StoredReach } from '../reach/stored-reach.ts';

export interface ForgetOptions {
  /** Among what names like `latest` count, or what the policy is about. */
  readonly filter?: SnapshotFilter | undefined;
  /** Guards only tell. */
  readonly force: boolean;
  /** Nothing is changed; objections are in the report and no error. */
  readonly dryRun: boolean;
}

export interface PolicyOptions extends ForgetOptions {
  readonly owner: SessionOwner;
  readonly policy: RetentionPolicy;
  /** Stored bytes that the kept ones of the filter may reach together; the oldest go until they fit. */
  readonly maxBytes?: number | undefined;
  /** Nobody asked for this limit, so what it would remove is an objection. */
  readonly isDefaultLimit: boolean;
  /** See `GuardOptions`. */
  readonly maxForgetShare?: number | undefined;
  readonly zone: ZoneOffset;
}

const PARALLEL_FORGETS = 8;

/**
 * Records that cannot be read are left alone and reported.
 * @throws FORGET_REFUSED before anything was changed; CHUNK_MISSING and the like when sizes are needed and the repository is damaged
 */
export async function forgetByPolicy(repository: OpenRepository, options: PolicyOptions, context: JobContext = {}): Promise<ForgetReport> {
  const run = begin(repository, context);
  const { policy, dryRun, force, maxBytes, zone, maxForgetShare } = options;
  const { snapshots, unreadable } = await loadSnapshots(repository, context);
  reportUnreadable(unreadable, context);
  run.counters.phase = 'planning';
  const nowMs = repository.clock.now();
  const decided = decide(filterSnapshots(snapshots, options.filter ?? {}), snapshots, policy, { zone, nowMs });
  const fitted = maxBytes === undefined ? undefined : await fit(repository, decided, maxBytes, options, run.counters, context);
  const groups = fitted?.groups ?? decided;
  const objections = [
    ...findObjections(groups, snapshots, { nowMs, maxForgetShare, groupBy: policy.groupBy }),
    ...options.isDefaultLimit && (fitted?.overLimit ?? 0) > 0 ? [defaultLimitObjection(maxBytes!, fitted!.overLimit)] : [],
  ];
  const decisions = groups.flatMap(group => reportsOf(group, describeGroup(group, policy.groupBy)));
  const leftOversRemoved = await execute(repository, decisions, objections, { dryRun, force }, run.counters, context);
  const forgotten = decisions.filter(({ keeps }) => !keeps).length;
  return {
    job: 'forget', status: dryRun && !force && objections.length > 0 ? 'failed' : 'complete', dryRun, decisions, forgotten, kept: decisions.length - forgotten,
    leftOversRemoved, keptBytes: fitted?.keptBytes, maxBytes: fitted === undefined ? undefined : maxBytes, objections, unreadable: unreadable.map(({ id }) => id),
    durationMs: run.elapsed(),
  };
}

/**
 * A record that cannot be read is forgotten by its full ID.
 * @throws FORGET_REFUSED for the last snapshot of a series and for pinned ones; SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS
 */
export async function forgetNamed(repository: OpenRepository, names: readonly string[], options: ForgetOptions, context: JobContext = {}): Promise<ForgetReport> {
  const run = begin(repository, context);
  const { dryRun, force } = options;
  const listing = await loadSnapshots(repository, context);
  const named = new Map(names.map(name => findNamed(listing, name, options.filter)).map(found => [found.id, found]));
  const objections = objectionsTo([...named.values()].filter(isRecord), listing.snapshots);
  const unknown = { createdAt: undefined, kind: undefined, series: undefined, host: undefined, group: undefined };
  const decisions = [...named.values()].map((found): ForgetDecision => (isRecord(found) ? reportOf(found, { keeps: false, reasons: ['named'] }, undefined)
    : { ...unknown, snapshotId: found.id, keeps: false, reasons: ['named, cannot be read'] }));
  const leftOversRemoved = await execute(repository, decisions, objections, { dryRun, force }, run.counters, context);
  return {
    job: 'forget', status: dryRun && !force && objections.length > 0 ? 'failed' : 'complete', dryRun, decisions, forgotten: decisions.length,
    kept: listing.snapshots.filter(({ id }) => !named.has(id)).length, leftOversRemoved, keptBytes: undefined, maxBytes: undefined, objections, unreadable: [],
    durationMs: run.elapsed(),
  };
}

function begin({ clock }: OpenRepository, { onEvent, counters = newCounters() }: JobContext): { readonly counters: Counters; elapsed(): number } {
  const started = clock.monotonic();
  isolated(onEvent)({ type: 'run-started', job: 'forget', at: clock.now() });
  counters.phase = 'scanning';
  return { counters, elapsed: () => clock.monotonic() - started };
}

function reportUnreadable(unreadable: readonly UnreadableSnapshot[], { onEvent }: JobContext): void {
  const emit = isolated(onEvent);
  for (const { id, error } of unreadable) {
    const message = `${error.message}; the policy leaves it alone, \`snap forget ${id}\` forgets it`;
    emit({ type: 'damage-found', finding: { object: 'snapshot', name: id, message, severity: 'damage', files: [] } });
  }
}

/** When all packs together fit, so does everything. */
async function fit(
  repository: OpenRepository, groups: readonly DecisionGroup[], maxBytes: number, { owner }: PolicyOptions, counters: Counters, { signal }: JobContext,
): Promise<Fitted | undefined> {
  const stored = (await listPacks(repository.backend, { signal })).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  if (stored <= maxBytes) return undefined;
  const kept = groups.flat().filter(({ keeps }) => keeps).map(({ record }) => record);
  const session = await ReadingSession.begin(repository, owner, kept, { signal });
  try {
    Object.assign(counters, { phase: 'reading', totalEntries: kept.length });
    const reach = new StoredReach(session, { signal });
    return await fitToSize(groups, maxBytes, async record => {
      counters.entriesDone++;
      return counters.bytesDone = await reach.add(record);
    });
  } finally {
    await session.end();
  }
}

function defaultLimitObjection(maxBytes: number, overLimit: number): string {
  const snapshots = `${formatCount(overLimit)} ${overLimit === 1 ? 'snapshot' : 'snapshots'}`;
  return `The default limit of ${formatSize(maxBytes)} would remove ${snapshots}: give the limit that you want with --max-size`;
}

function reportsOf(group: DecisionGroup, name: string): ForgetDecision[] {
  return group.map(({ record, ...decision }) => reportOf(record, decision, name));
}

function reportOf({ id, snapshot }: SnapshotRecord, { keeps, reasons }: Pick<ForgetDecision, 'keeps' | 'reasons'>, group: string | undefined): ForgetDecision {
  const { kind, series, host } = snapshot;
  return { snapshotId: id, createdAt: timeOf(snapshot), kind, series, host, group, keeps, reasons };
}

function isRecord(found: SnapshotRecord | UnreadableSnapshot): found is SnapshotRecord {
  return 'snapshot' in found;
}

function findNamed(listing: SnapshotListing, name: string, filter: SnapshotFilter | undefined): SnapshotRecord | UnreadableSnapshot {
  return listing.unreadable.find(({ id }) => id === name.toLowerCase()) ?? resolveIn(listing, name, filter);
}

function objectionsTo(named: readonly SnapshotRecord[], all: readonly SnapshotRecord[]): string[] {
  const ids = new Set(named.map(({ id }) => id));
  const left = new Set(all.filter(({ id }) => !ids.has(id)).map(({ snapshot }) => lineOf(snapshot)));
  const emptied = new Map(named.filter(({ snapshot }) => !left.has(lineOf(snapshot))).map(({ snapshot }) => [lineOf(snapshot), snapshot]));
  return [
    ...named.filter(({ snapshot }) => snapshot.protected).map(({ id }) => `Snapshot '${id}' is pinned`),
    ...[...emptied.values()].map(({ series, kind }) => `Series '${series}' would have no ${kind === 'config' ? 'configuration ' : ''}snapshot left`),
  ];
}

/** Oldest first, so that an interruption leaves the newer ones. Returns how many records were left over. @throws FORGET_REFUSED */
async function execute(
  repository: OpenRepository, decisions: readonly ForgetDecision[], objections: readonly string[], { dryRun, force }: ForgetOptions,
  counters: Counters, { signal }: JobContext,
): Promise<number> {
  if (dryRun) return 0;
  if (objections.length > 0 && !force) throw forgetRefused(objections);
  const leftOvers = await removeLeftOverRecords(repository, { signal });
  const going = decisions.filter(({ keeps }) => !keeps).sort((a, b) => (a.createdAt ?? 0) - (b.createdAt ?? 0));
  Object.assign(counters, { phase: 'writing', totalEntries: going.length, entriesDone: 0, bytesDone: 0 });
  await mapBounded(going, PARALLEL_FORGETS, async ({ snapshotId, reasons }) => {
    await forgetSnapshot(repository, parseSnapshotId(snapshotId) as SnapshotId, reasons.join(', '), { signal, keepsRecord: true });
    counters.entriesDone++;
  });
  return leftOvers;
}

export function forgetRefused(objections: readonly string[]): SnapError {
  return new SnapError('FORGET_REFUSED', `Nothing was forgotten. ${objections.join('. ')}`, {
    hint: '`snap forget --dry-run` shows what would be done and why; --force does it all the same',
  });
}
