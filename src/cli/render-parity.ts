/** What parity was made or removed, for people and as JSON. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { ParityReport } from '../usecases/reports.ts';
import { exitCodeOfResult, resultOf } from './outcome.ts';
import { formatPairs } from './text-table.ts';

export function parityLines(report: ParityReport): string[] {
  const would = report.dryRun ? 'would be ' : '';
  const removed = `${formatCount(report.objectsRemoved)}, ${formatSize(report.bytesRemoved)}`;
  const lines = formatPairs([
    ['Packs', `${formatCount(report.packsTotal)}, ${formatSize(report.bytesTotal)}`],
    ...report.isRemoval ? [] : [['Protected', `${formatCount(report.packsProtected)}, ${formatCount(report.packsAdded)} of them ${would}new`] as const],
    ...report.packsDamaged > 0 ? [['Damaged', `${formatCount(report.packsDamaged)}, which were left as they are`] as const] : [],
    ...report.objectsRemoved > 0 ? [[report.dryRun ? 'Would remove' : 'Removed', removed] as const] : [],
    ...report.isRemoval ? [] : [['Parity', `${formatSize(report.bytesAdded)} ${would}added, ${formatSize(report.bytesStored)} in all`] as const],
    ['Duration', formatDuration(report.durationMs)],
  ]);
  return [...lines, verdict(report)];
}

function verdict({ dryRun, isRemoval, packsDamaged, packsProtected, packsTotal, share }: ParityReport): string {
  if (dryRun) return 'Dry run: nothing was stored or removed';
  if (isRemoval) return 'All parity is removed';
  if (packsDamaged > 0) return 'Damaged packs were found and got no parity: see `snap verify --read-data`';
  if (packsProtected < packsTotal) return 'Some packs have no parity';
  return `Every pack has parity: damage in up to ${Number((share * 100).toFixed(2))} % of its blocks can be repaired`;
}

export function paritySummary(report: ParityReport): { readonly message_type: string } & Readonly<Record<string, unknown>> {
  return {
    message_type: 'parity_summary', job: report.job, status: report.status, exit_code: exitCodeOfResult(resultOf(report)),
    dry_run: report.dryRun, removal: report.isRemoval, share: report.isRemoval ? undefined : report.share,
    packs_total: report.packsTotal, bytes_total: report.bytesTotal, packs_protected: report.packsProtected, packs_added: report.packsAdded,
    packs_damaged: report.packsDamaged, bytes_read: report.bytesRead, bytes_added: report.bytesAdded, bytes_stored: report.bytesStored,
    objects_removed: report.objectsRemoved, bytes_removed: report.bytesRemoved, total_duration: Math.round(report.durationMs) / 1000,
    damage: report.findings.filter(({ severity }) => severity === 'damage').length,
  };
}
