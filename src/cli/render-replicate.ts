/** What a replication did, and how far replicas are behind, for people and as JSON. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { ReplicaLag } from '../usecases/replicate/replica-lag.ts';
import type { ReplicaStatus } from '../usecases/replicate/replica-status.ts';
import type { ReplicaOutcome } from '../usecases/replicate/replicate-options.ts';
import type { ReplicateReport } from '../usecases/reports.ts';
import type { JsonMessage } from './json-message.ts';
import { exitCodeOfResult, resultOf } from './outcome.ts';
import { jsonTime, localTime, printable } from './printable.ts';
import { formatPairs } from './text-table.ts';

export function replicateLines(report: ReplicateReport): string[] {
  const { replicas, snapshotsChosen, snapshotsDamaged, bytesRead, durationMs, dryRun } = report;
  return [
    ...replicas.flatMap(replica => [`${nameOf(replica)}:`, ...outcomeLines(replica, dryRun).map(line => `  ${line}`)]),
    ...formatPairs([['Read', formatSize(bytesRead)], ['Duration', formatDuration(durationMs)]]),
    ...snapshotsDamaged > 0 ? [`${formatCount(snapshotsDamaged)} of ${formatCount(snapshotsChosen)} snapshots could not be copied: they are damaged here`] : [],
    verdict(report),
  ];
}

function outcomeLines(replica: ReplicaOutcome, dryRun: boolean): string[] {
  const { snapshotsCopied, snapshotsHeld, snapshotsForgotten, snapshotsMissing, packsCopied, packsSealed, bytesWritten, verified, error } = replica;
  if (replica.relation === undefined && error !== undefined) return [`Failed: ${printable(error.message)}`];
  const would = dryRun ? ' would be' : '';
  const also = [
    [snapshotsHeld, 'there before'], [snapshotsForgotten, 'left out, since the retention there forgot them'], [snapshotsMissing, 'missing'],
  ] as const;
  const others = also.filter(([count]) => count > 0).map(([count, what]) => `${formatCount(count)} ${what}`);
  const readBack = verified && `${formatSize(verified.bytes)} of ${formatSize(verified.ofBytes)} in ${formatCount(verified.packs)} packs`;
  return [
    ...formatPairs([
      ['Snapshots', [`${formatCount(snapshotsCopied)}${would} copied`, ...others].join(', ')],
      [dryRun ? 'Would write' : 'Written', `${formatSize(bytesWritten)} in ${formatCount(packsCopied)} packs as they are and ${formatCount(packsSealed)} new ones`],
      ...readBack === undefined ? [] : [['Read back', readBack] as const],
    ]),
    ...error === undefined ? [] : [`Failed: ${printable(error.message)}`, ...error.hint === undefined ? [] : [`Hint: ${printable(error.hint)}`]],
  ];
}

function nameOf({ label, location }: { readonly label?: string | undefined; readonly location: string }): string {
  return label === undefined ? printable(location) : `${printable(label)} (${printable(location)})`;
}

function verdict({ dryRun, status, replicas }: ReplicateReport): string {
  if (dryRun) return 'Dry run: nothing was stored';
  const behind = replicas.filter(replica => replica.status !== 'complete').length;
  if (status === 'complete') return replicas.length === 1 ? 'The replica is up to date' : `All ${formatCount(replicas.length)} replicas are up to date`;
  return `${formatCount(behind)} of ${formatCount(replicas.length)} ${replicas.length === 1 ? 'replica' : 'replicas'} could not be brought up to date`;
}

/** A line for each replica, then the summary. */
export function replicateMessages(report: ReplicateReport): JsonMessage[] {
  return [...report.replicas.map(replicaMessage), {
    message_type: 'summary', job: report.job, status: report.status, exit_code: exitCodeOfResult(resultOf(report)), dry_run: report.dryRun,
    snapshots_chosen: report.snapshotsChosen, snapshots_damaged: report.snapshotsDamaged, bytes_read: report.bytesRead,
    replicas: report.replicas.length, replicas_failed: report.replicas.filter(({ status }) => status === 'failed').length,
    total_duration: Math.round(report.durationMs) / 1000,
  }];
}

function replicaMessage(replica: ReplicaOutcome): JsonMessage {
  const { location, label, relation, status, verified, error, copied } = replica;
  return {
    message_type: 'replica', location, label, relation, status, snapshots_held: replica.snapshotsHeld, snapshots_copied: replica.snapshotsCopied,
    snapshots_forgotten: replica.snapshotsForgotten, snapshots_missing: replica.snapshotsMissing, packs_copied: replica.packsCopied,
    packs_sealed: replica.packsSealed, bytes_written: replica.bytesWritten, copied,
    verified_packs: verified?.packs, verified_bytes: verified?.bytes, verified_of_bytes: verified?.ofBytes, error_code: error?.code, error_message: error?.message,
  };
}

/** Of `snap replicate --status`. */
export function statusLines(replicas: readonly ReplicaStatus[]): string[] {
  if (replicas.length === 0) return ['No replica is known: nothing was replicated from here yet'];
  return replicas.flatMap(({ record, lag, verifiedShare }) => [
    `${nameOf(record)}:`,
    ...formatPairs([
      ['Up to date', record.succeededAt === undefined ? 'never' : timeText(record.succeededAt)],
      ['Behind', lagText(lag)],
      ['Holds', `${formatCount(record.snapshots)} snapshots, ${formatSize(record.bytes)}`],
      ['Read back', record.verified === undefined ? 'never' : `${timeText(record.verified.at)}, ${verifiedShare ?? 0} % of it`],
      ...record.error === undefined ? [] : [['Last error', `${timeText(record.error.at)}, ${printable(record.error.message)}`] as const],
    ]).map(line => `  ${line}`),
  ]);
}

export function statusMessage({ record, lag }: ReplicaStatus): JsonMessage {
  const { location, label, targetId, host, attemptedAt, succeededAt, error, snapshots, bytes, verified } = record;
  return {
    message_type: 'replica_status', location, label, repository_id: targetId, host, attempted: jsonTime(attemptedAt),
    succeeded: succeededAt === undefined ? undefined : jsonTime(succeededAt), behind_snapshots: lag.snapshots, behind_bytes: lag.bytes,
    behind_since: lag.since === undefined ? undefined : jsonTime(lag.since), snapshots, bytes,
    verified: verified === undefined ? undefined : jsonTime(verified.at), verified_bytes: verified?.bytes, verified_of_bytes: verified?.ofBytes,
    error_code: error?.code, error_message: error?.message,
  };
}

function lagText({ snapshots, bytes, since }: ReplicaLag): string {
  if (snapshots === 0) return 'nothing';
  return `${formatCount(snapshots)} snapshots, about ${formatSize(bytes)}${since === undefined ? '' : `, since ${timeText(since)}`}`;
}

function timeText(ms: number): string {
  return localTime([Math.floor(ms / 1000), 0]);
}
