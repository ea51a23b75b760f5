/** What was decided about snapshots, as a table for people and as JSON lines. */
import { formatCount, formatSize } from '../base/units.ts';
import type { ForgetDecision, ForgetReport } from '../usecases/reports.ts';
import { exitCodeOfError, exitCodeOfResult } from './outcome.ts';
import { jsonTime, localTime, printable, shortId } from './printable.ts';
import { formatTable } from './text-table.ts';

/** A dry run shows every decision, a real one what it forgot. */
export function forgetLines(report: ForgetReport): string[] {
  const { dryRun, forgotten, kept, keptBytes, maxBytes = 0, leftOversRemoved } = report;
  const shown = dryRun ? report.decisions : report.decisions.filter(({ keeps }) => !keeps);
  const snapshots = (count: number): string => `${formatCount(count)} ${count === 1 ? 'snapshot' : 'snapshots'}`;
  const above = (keptBytes ?? 0) > maxBytes ? ': pinned and tagged ones and the last of each series stay' : '';
  return [
    ...shown.length === 0 ? [] : [...decisionTable(shown), ''],
    ...report.objections.map(objection => `Warning: ${printable(objection)}`),
    ...keptBytes === undefined ? [] : [`The kept snapshots reach ${formatSize(keptBytes)} of at most ${formatSize(maxBytes)}${above}`],
    ...leftOversRemoved === 0 ? [] : [`${formatCount(leftOversRemoved)} left over from an interrupted run ${leftOversRemoved === 1 ? 'was' : 'were'} removed`],
    dryRun ? `Dry run: would keep ${snapshots(kept)} and forget ${formatCount(forgotten)}` : `Kept ${snapshots(kept)}, forgot ${formatCount(forgotten)}`,
  ];
}

function decisionTable(decisions: readonly ForgetDecision[]): string[] {
  const columns = ['ID', 'Time', 'Kind', 'Series', '', 'Reasons'].map(title => ({ title }));
  return formatTable(columns, decisions.map(({ snapshotId, createdAt, kind = '', series = '', keeps, reasons }) => [
    shortId(snapshotId), createdAt === undefined ? '' : localTime([Math.floor(createdAt / 1000), 0]), kind, printable(series),
    keeps ? 'keep' : 'forget', printable(reasons.join(', ')),
  ]));
}

type Message = { readonly message_type: string } & Readonly<Record<string, unknown>>;

export function forgetMessages(report: ForgetReport): Message[] {
  const decisions = report.decisions.map(({ snapshotId, createdAt, kind, series, host, group, keeps, reasons }) => ({
    message_type: 'forget_decision', snapshot_id: snapshotId, short_id: shortId(snapshotId), time: createdAt === undefined ? undefined : jsonTime(createdAt),
    kind, series, hostname: host, group, action: keeps ? 'keep' : 'remove', reasons,
  }));
  return [...decisions, {
    message_type: 'forget_summary', job: report.job, status: report.status, dry_run: report.dryRun,
    exit_code: report.status === 'failed' ? exitCodeOfError('FORGET_REFUSED', 'guard') : exitCodeOfResult('complete'),
    kept_snapshots: report.kept, removed_snapshots: report.forgotten, left_overs_removed: report.leftOversRemoved, kept_size: report.keptBytes, max_size: report.maxBytes,
    objections: report.objections, unreadable: report.unreadable, total_duration: Math.round(report.durationMs) / 1000,
  }];
}
