/** The state of a repository as lines for people or one JSON line. The field names are a contract: add, never rename. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { Copy, ReplicaStatus, SeriesStatus, StatusFacts, StatusReport } from '../usecases/status/status-report.ts';
import { coveredShare } from '../usecases/verify/verify-coverage.ts';
import type { JsonMessage } from './json-message.ts';
import { jsonTime, localTime, shortId } from './printable.ts';
import { formatTable } from './text-table.ts';

export interface StatusView {
  /** Only what is not well. */
  readonly isQuiet: boolean;
  /** Facts also where all is well. */
  readonly isVerbose: boolean;
}

const MARKS = { ok: 'ok', warning: 'WARNING', critical: 'CRITICAL' } as const;

export function statusLines({ level, checks, facts }: StatusReport, { isQuiet, isVerbose }: StatusView): string[] {
  const shown = checks.filter(check => !isQuiet || check.level !== 'ok');
  const lines = shown.flatMap(check => [
    `${MARKS[check.level].padEnd(8)}  ${check.name.padEnd(12)}  ${check.message}`,
    ...check.hint === undefined ? [] : [`${' '.repeat(24)}${check.hint}`],
  ]);
  if (isQuiet) return lines;
  const head = facts === undefined ? [MARKS[level]] : [`${MARKS[level]}: ${facts.location}, repository ${shortId(facts.repositoryId)}`];
  return [...head, '', ...lines, ...facts === undefined ? [] : factLines(facts, isVerbose)];
}

function factLines(facts: StatusFacts, isVerbose: boolean): string[] {
  const { at, series, replicas, copies } = facts;
  const sums = [
    `${plural(facts.snapshots, 'snapshot')}, ${plural(facts.packs, 'pack')}, ${formatSize(facts.bytes)} stored`,
    ...facts.sessionsRunning === 0 ? [] : [`${plural(facts.sessionsRunning, 'run')} going on`],
    ...facts.sessionsDead === 0 ? [] : [`${plural(facts.sessionsDead, 'run')} interrupted, which the next prune clears away`],
  ];
  const places = copies.all.filter(({ role }) => isVerbose || role !== 'original');
  return [
    '', sums.join('; '),
    ...series.length === 0 ? [] : ['', ...formatTable(
      [{ title: 'Series' }, { title: 'Snapshots', align: 'right' }, { title: 'Newest' }, { title: 'Age', align: 'right' }, { title: 'Size', align: 'right' }],
      series.map(each => seriesRow(each, at)))],
    ...replicas.length === 0 ? [] : ['', ...formatTable(
      [{ title: 'Replica' }, { title: 'Last success' }, { title: 'Behind', align: 'right' }, { title: 'Verified' }], replicas.map(replicaRow))],
    '', ...formatTable([{ title: 'Copy' }, { title: 'Medium' }, { title: 'Off-site' }, { title: 'Counts' }, { title: 'Why' }], places.map(copyRow)),
  ];
}

function seriesRow({ series, snapshots, newestAt, bytes }: SeriesStatus, at: number): string[] {
  return [series, formatCount(snapshots), time(newestAt), formatDuration(Math.max(0, at - newestAt)), formatSize(bytes)];
}

function replicaRow({ record, lag }: ReplicaStatus): string[] {
  const { verified } = record;
  return [
    record.label ?? record.location, record.succeededAt === undefined ? 'never' : time(record.succeededAt),
    lag.snapshots === 0 ? 'nothing' : `${plural(lag.snapshots, 'snapshot')}, ${formatSize(lag.bytes)}`,
    verified === undefined ? 'never' : `${time(verified.at)}, ${Math.floor(100 * verified.bytes / Math.max(1, verified.ofBytes))} %`,
  ];
}

function copyRow({ location, medium, isOffSite, counts, reason }: Copy): string[] {
  return [location, medium, isOffSite ? 'yes' : 'no', counts ? 'yes' : 'no', reason];
}

function plural(count: number, one: string): string {
  return `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;
}

function time(ms: number): string {
  return localTime([Math.floor(ms / 1000), 0]);
}

export function statusMessage({ level, checks, facts }: StatusReport): JsonMessage {
  return { message_type: 'repository_status', level, checks, ...facts === undefined ? {} : factFields(facts) };
}

function factFields(facts: StatusFacts): Record<string, unknown> {
  const { coverage, space, copies } = facts;
  return {
    time: jsonTime(facts.at), repository_id: facts.repositoryId, location: facts.location,
    snapshots: facts.snapshots, unreadable_snapshots: facts.unreadableSnapshots, stored_size: facts.bytes, packs: facts.packs, pack_size: facts.packBytes,
    series: facts.series.map(each => ({
      series: each.series, snapshots: each.snapshots, newest_id: each.newestId, newest_time: jsonTime(each.newestAt),
      age_seconds: seconds(facts.at - each.newestAt), size: each.bytes, problems: each.problems,
    })),
    roll_back: facts.rollback,
    verification: {
      last_time: optionalTime(facts.lastVerifiedAt), coverage_days: coverage.days, verified_share: coveredShare(coverage), packs_never: coverage.packsNever,
      packs_damaged: coverage.packsDamaged, overdue_packs: facts.overduePacks, overdue_size: facts.overdueBytes,
    },
    prune: {
      last_time: optionalTime(facts.lastPruneAt), forgotten_since: facts.forgottenSincePrune, pending_size: facts.pendingBytes,
      unfinished_plans: facts.unfinishedPlans.map(({ number, since }) => ({ number, since: optionalTime(since) })), unsigned_documents: facts.unsignedDocuments,
    },
    sessions: { running: facts.sessionsRunning, dead: facts.sessionsDead },
    space: space === undefined ? undefined : { free: space.freeBytes, total: space.totalBytes, used_share: space.totalBytes === 0 ? 0 : 1 - space.freeBytes / space.totalBytes },
    replicas: facts.replicas.map(replicaFields),
    three_two_one: {
      met: copies.isMet, copies: copies.copies, media: copies.media, off_site: copies.offSite, lacking: copies.lacking,
      places: copies.all.map(({ role, location, medium, isOffSite, counts, reason }) => ({ role, location, medium, off_site: isOffSite, counts, reason })),
    },
  };
}

function replicaFields({ record, lag, look }: ReplicaStatus): Record<string, unknown> {
  const { verified, error } = record;
  return {
    location: record.location, label: record.label, last_attempt: jsonTime(record.attemptedAt), last_success: optionalTime(record.succeededAt),
    error: error === undefined ? undefined : { code: error.code, message: error.message, time: jsonTime(error.at) },
    snapshots: record.snapshots, stored_size: record.bytes, behind_snapshots: lag.snapshots, behind_size: lag.bytes, behind_since: optionalTime(lag.since),
    verified: verified === undefined ? undefined : { time: jsonTime(verified.at), size: verified.bytes, of_size: verified.ofBytes },
    look: look === undefined ? undefined : 'error' in look ? { error: look.error }
      : { snapshots: look.snapshots, missing: look.missing, newest_time: optionalTime(look.newestAt) },
  };
}

function optionalTime(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : jsonTime(ms);
}

function seconds(ms: number): number {
  return Math.max(0, Math.round(ms / 1000));
}
