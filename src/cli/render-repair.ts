/** What a repair does and did, for people and as JSON. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { Finding, RepairStep } from '../usecases/events.ts';
import type { RepairReport } from '../usecases/reports.ts';
import { exitCodeOfResult, resultOf } from './outcome.ts';
import { printable } from './printable.ts';
import type { JsonMessage } from './json-message.ts';
import { formatPairs } from './text-table.ts';

const WORDS: Readonly<Record<RepairStep['action'], string>> = {
  add: 'add', remove: 'remove', drop: 'drop', restore: 'put back', store: 'store', quarantine: 'put into quarantine', forget: 'forget',
};

export function repairStepLine({ action, object, name, message, isDryRun }: RepairStep): string {
  const words = isDryRun ? `Would ${WORDS[action]}` : `${WORDS[action].charAt(0).toUpperCase()}${WORDS[action].slice(1)}`;
  return `${words} ${printable(object)} ${printable(name)}: ${printable(message)}`;
}

export function repairStepMessage({ action, object, name, message, isDryRun }: RepairStep): JsonMessage {
  return { message_type: 'repair_step', action, object, name, message, dry_run: isDryRun };
}

export function repairLines(report: RepairReport): string[] {
  const { counts } = report;
  const some = (label: string, ...figures: readonly (readonly [count: number, what: string, done: string])[]): (readonly [string, string])[] => {
    const words = figures.filter(([count]) => count > 0).map(([count, what, done]) => `${formatCount(count)} ${what}${count === 1 ? '' : 's'} ${done}`);
    return words.length === 0 ? [] : [[label, words.join(', ')]];
  };
  const lines = formatPairs([
    ['Found', report.damagedObjects === 0 ? 'nothing to repair' : `${formatCount(report.damagedObjects)} damaged or missing`],
    ...some('Index', [counts.packsIndexed, 'pack', 'listed anew'], [counts.packsDropped, 'missing pack', 'dropped'], [counts.segmentsRemoved, 'segment', 'replaced']),
    ...some('Content', [counts.chunksMoved, 'chunk', 'moved'], [counts.chunksHealed, 'chunk', 'healed from elsewhere'], [counts.chunksLost, 'chunk', 'lost']),
    ...some(
      'Packs', [counts.packsRestored, 'pack', 'put back'], [counts.packsQuarantined, 'pack', 'put into quarantine'],
      [counts.packsReleased, 'pack', 'removed from quarantine'],
    ),
    ...some('Snapshots', [counts.snapshotsRepaired, 'snapshot', 'repaired'], [counts.snapshotsForgotten, 'snapshot', 'forgotten']),
    ...counts.bytesWritten > 0 ? [['Written', formatSize(counts.bytesWritten)] as const] : [],
    ...counts.bytesRead > 0 ? [['Read', formatSize(counts.bytesRead)] as const] : [],
    ['Duration', formatDuration(report.durationMs)],
  ]);
  return [...lines, repairVerdict(report), ...report.next.map(text => `Next: ${printable(text)}`)];
}

function repairVerdict({ dryRun, status, findings, damagedObjects }: RepairReport): string {
  const lost = findings.filter(({ severity }) => severity === 'damage').length;
  const prefix = dryRun ? 'Dry run, nothing was changed: ' : '';
  const verdict = lost > 0 ? `${formatCount(lost)} ${lost === 1 ? 'loss remains' : 'losses remain'}, named above`
    : status === 'partial' ? 'not everything could be done, see above' : damagedObjects === 0 ? 'all is well' : dryRun ? 'all of it can be repaired' : 'all of it was repaired';
  return prefix === '' ? `${verdict.charAt(0).toUpperCase()}${verdict.slice(1)}` : prefix + verdict;
}

export function repairSummary(report: RepairReport): JsonMessage {
  const { counts } = report;
  return {
    message_type: 'repair_summary', job: report.job, part: report.part, status: report.status, exit_code: exitCodeOfResult(resultOf(report)),
    dry_run: report.dryRun, damaged_objects: report.damagedObjects, segments_written: counts.segmentsWritten, segments_removed: counts.segmentsRemoved,
    packs_indexed: counts.packsIndexed, packs_dropped: counts.packsDropped, packs_restored: counts.packsRestored,
    packs_quarantined: counts.packsQuarantined, packs_released: counts.packsReleased, packs_written: counts.packsWritten,
    chunks_moved: counts.chunksMoved, chunks_healed: counts.chunksHealed, chunks_lost: counts.chunksLost, snapshots_repaired: counts.snapshotsRepaired,
    snapshots_forgotten: counts.snapshotsForgotten, bytes_read: counts.bytesRead, bytes_written: counts.bytesWritten,
    total_duration: Math.round(report.durationMs) / 1000, num_errors: ofSeverity(report.findings, 'damage'), num_warnings: ofSeverity(report.findings, 'warning'),
    next: report.next,
  };
}

function ofSeverity(findings: readonly Finding[], severity: Finding['severity']): number {
  return findings.filter(finding => finding.severity === severity).length;
}
