/** What a prune found, frees and leaves, for people and as JSON. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { PruneReport } from '../usecases/reports.ts';
import { exitCodeOfResult, resultOf } from './outcome.ts';
import { printable } from './printable.ts';
import type { JsonMessage } from './json-message.ts';
import { damageSummary } from './render-verify.ts';
import { formatPairs } from './text-table.ts';

export function pruneSummary(report: PruneReport): JsonMessage {
  return {
    message_type: 'prune_summary', job: report.job, status: report.status, exit_code: exitCodeOfResult(resultOf(report)),
    dry_run: report.dryRun, plan_number: report.planNumber, packs_total: report.packsTotal, bytes_total: report.bytesTotal,
    packs_dropped: report.packsDropped, bytes_dropped: report.bytesDropped, packs_rewritten: report.packsRewritten,
    bytes_rewritten: report.bytesRewritten, bytes_written: report.bytesWritten, packs_kept: report.packsKept, packs_rescued: report.packsRescued,
    bytes_freed: report.bytesFreed, unused_bytes_left: report.unusedBytesLeft, sessions_revoked: report.sessionsRevoked,
    segments_merged: report.segmentsMerged, pending: report.isPending, pending_reason: report.pendingReason,
    total_duration: Math.round(report.durationMs) / 1000, damage: report.findings.filter(({ severity }) => severity === 'damage').length,
  };
}

function packsText(count: number, bytes: number): string {
  return `${formatCount(count)} ${count === 1 ? 'pack' : 'packs'}, ${formatSize(bytes)}`;
}

export function pruneLines(report: PruneReport): string[] {
  const { packsRewritten, packsRescued, packsKept, sessionsRevoked, unusedBytesLeft } = report;
  const pairs: [string, string][] = [['Found', packsText(report.packsTotal, report.bytesTotal)], ['Not needed', packsText(report.packsDropped, report.bytesDropped)]];
  if (packsRewritten > 0) pairs.push([report.dryRun ? 'To store anew' : 'Stored anew', `${packsText(packsRewritten, report.bytesRewritten)}, as ${formatSize(report.bytesWritten)}`]);
  if (packsRescued > 0) pairs.push(['Rescued', `${formatCount(packsRescued)} ${packsRescued === 1 ? 'pack' : 'packs'} that a backup needs which ended meanwhile`]);
  pairs.push(['Kept', `${formatCount(packsKept)} ${packsKept === 1 ? 'pack' : 'packs'}, with ${formatSize(unusedBytesLeft)} that nothing needs`]);
  if (sessionsRevoked > 0) pairs.push(['Given up', `${formatCount(sessionsRevoked)} ${sessionsRevoked === 1 ? 'backup' : 'backups'} that did not end (one that is still alive stores again what it lacks)`]);
  pairs.push(['Duration', formatDuration(report.durationMs)]);
  return [...formatPairs(pairs), ...damageSummary(report.findings), ...pruneVerdict(report)];
}

/** What happened, and what comes next. */
function pruneVerdict({ dryRun, bytesFreed, packsDropped, packsRewritten, pendingReason }: PruneReport): string[] {
  const later = pendingReason === undefined ? undefined : printable(pendingReason);
  if (packsDropped + packsRewritten === 0) return [later === undefined ? 'There is nothing to free' : `Nothing is deleted yet: ${later}`];
  if (dryRun) return [`Dry run: ${formatSize(bytesFreed)} would be freed${later === undefined ? '' : `, but not at once: ${later}`}`];
  if (later === undefined) return [bytesFreed > 0 ? `Freed ${formatSize(bytesFreed)}` : 'Freed nothing: a backup that ended meanwhile needs what was to go'];
  return [`Nothing is deleted yet: ${later}`, `Then ${formatSize(bytesFreed)} will be free`];
}
