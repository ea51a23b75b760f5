/** What a check and a test restore found, for people and as JSON. */
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { Finding, HitFile, SnapEvent } from '../usecases/events.ts';
import type { TestRestoreReport, VerifyReport } from '../usecases/reports.ts';
import { coveredShare, type Coverage } from '../usecases/verify/verify-coverage.ts';
import { CONFIDENCE, type SampleStatement } from '../usecases/verify/verify-sample.ts';
import { exitCodeOfResult, resultOf } from './outcome.ts';
import { jsonTime, shortId } from './printable.ts';
import type { JsonMessage } from './json-message.ts';
import { formatPairs } from './text-table.ts';

/** Ranges of one file that a line of text names. */
const SHOWN_RANGES = 3;
const DAY_MS = 24 * 60 * 60 * 1000;

export function verifyLines(report: VerifyReport): string[] {
  const { coverage, sample, findings } = report;
  const warnings = findings.length - countDamage(findings);
  const isDeep = report.levels.length > 1;
  const read = `${formatCount(report.packsRead)} packs, ${formatSize(report.bytesRead)}${speed(report.bytesRead, report.durationMs)}`;
  const lines = formatPairs([
    ['Snapshots', formatCount(report.snapshots)],
    ['Packs', `${formatCount(report.packs)}, in ${formatCount(report.segments)} index segment${report.segments === 1 ? '' : 's'}`],
    ['Checked', isDeep ? `${formatCount(report.treeNodes)} tree nodes, ${formatCount(report.chunksReferenced)} chunks` : 'only the structure (level 0)'],
    ...report.tablesRead > 0 ? [['Tables', `of ${formatCount(report.tablesRead)} packs, at both ends`] as const] : [],
    ['Read', report.packsRead === 0 ? 'no content (--read-data reads all)' : read],
    ...isDeep && report.snapshotId === undefined ? [['Unused', formatSize(report.unusedBytes)] as const] : [],
    ['Duration', formatDuration(report.durationMs)],
  ]);
  return [...lines, ...sample === undefined ? [] : sampleLines(sample), coverageSentence(coverage), ...warningLine(warnings), ...verifyVerdict(report)];
}

function verifyVerdict({ findings, status, snapshotId }: VerifyReport): string[] {
  const of = snapshotId === undefined ? '' : ` for snapshot ${shortId(snapshotId)}`;
  const damage = damageSummary(findings, of);
  return damage.length > 0 ? damage : [status === 'complete' ? `No damage found${of}` : 'Not everything could be checked: some of it needs a newer version of snap'];
}

function warningLine(warnings: number): string[] {
  return warnings === 0 ? [] : [`${formatCount(warnings)} ${warnings === 1 ? 'warning' : 'warnings'}`];
}

export function damageSummary(findings: readonly Finding[], of = ''): string[] {
  const damaged = countDamage(findings);
  return damaged === 0 ? [] : [`${formatCount(damaged)} damaged ${damaged === 1 ? 'object' : 'objects'} found in the repository${of}`];
}

/** `100 % of the data was verified within the last 35 days`, or what is missing to that. */
export function coverageSentence({ at, days, packsTotal, packsNever, packsDamaged, oldestCheckAt, ...bytes }: Coverage): string {
  const within = `verified within the last ${days} ${days === 1 ? 'day' : 'days'}`;
  if (packsTotal === 0) return 'There is no data to verify yet';
  if (bytes.bytesVerified === bytes.bytesTotal) return `100 % of the data was ${within}`;
  const details = [
    ...packsNever > 0 ? [`${formatCount(packsNever)} of ${formatCount(packsTotal)} packs never`] : [],
    ...oldestCheckAt === undefined ? [] : [`the oldest check of the others is ${formatDays(at - oldestCheckAt)} ago`],
    ...packsDamaged > 0 ? [`${formatCount(packsDamaged)} with damage`] : [],
  ];
  return `${formatPercent(coveredShare(bytes))} of the data was ${within}: ${details.join(', ')}`;
}

/** Rounded down: 100 % means all. */
function formatPercent(share: number): string {
  return `${Math.floor(share * 1000) / 10} %`;
}

function formatDays(ms: number): string {
  const days = Math.max(0, Math.floor(ms / DAY_MS));
  return days === 1 ? '1 day' : `${formatCount(days)} days`;
}

function sampleLines({ packs, packsTotal, bytes, bytesTotal, mostDamagedPacks }: SampleStatement): string[] {
  const part = `The sample was ${formatCount(packs)} of ${formatCount(packsTotal)} packs, ${formatSize(bytes)} of ${formatSize(bytesTotal)}`;
  if (mostDamagedPacks === undefined) return [part];
  const most = mostDamagedPacks === 0 ? 'no other pack is' : `at most ${formatCount(mostDamagedPacks)} ${mostDamagedPacks === 1 ? 'pack is' : 'packs are'}`;
  return [`${part}; with ${CONFIDENCE * 100} % confidence ${most} damaged`];
}

function speed(bytes: number, durationMs: number): string {
  return durationMs >= 100 && bytes > 0 ? ` (${formatSize(Math.round(bytes / durationMs * 1000))}/s)` : '';
}

/** ` (bytes 0 to 65,535, and 2 more ranges)`: what is hit of a file. */
export function rangesText({ ranges = [] }: HitFile): string {
  if (ranges.length === 0) return '';
  const shown = ranges.slice(0, SHOWN_RANGES).map(([offset, length]) => `${formatCount(offset)} to ${formatCount(offset + length - 1)}`);
  const hidden = ranges.length - shown.length;
  return ` (bytes ${shown.join(', ')}${hidden > 0 ? `, and ${formatCount(hidden)} more ranges` : ''})`;
}

function countDamage(findings: readonly Finding[]): number {
  return findings.filter(finding => finding.severity === 'damage').length;
}

/** How far the check looked and what that says of all data; then the summary with the figures of the run. */
export function verifyMessages(report: VerifyReport): JsonMessage[] {
  const { coverage, sample } = report;
  const exitCode = exitCodeOfResult(resultOf(report));
  const [damages, seconds] = [countDamage(report.findings), Math.round(report.durationMs) / 1000];
  return [{
    message_type: 'verify_summary', job: report.job, status: report.status, exit_code: exitCode, levels: report.levels, snapshot_id: report.snapshotId,
    coverage: {
      days: coverage.days, share: coveredShare(coverage), packs_total: coverage.packsTotal, bytes_total: coverage.bytesTotal,
      packs_verified: coverage.packsVerified, bytes_verified: coverage.bytesVerified, packs_never: coverage.packsNever, packs_damaged: coverage.packsDamaged,
      oldest_check: coverage.oldestCheckAt === undefined ? undefined : jsonTime(coverage.oldestCheckAt),
    },
    sample: sample === undefined ? undefined : {
      packs: sample.packs, packs_total: sample.packsTotal, bytes: sample.bytes, bytes_total: sample.bytesTotal,
      confidence: sample.mostDamagedPacks === undefined ? undefined : CONFIDENCE, most_damaged_packs: sample.mostDamagedPacks,
    },
  }, {
    message_type: 'summary', job: report.job, status: report.status, exit_code: exitCode,
    snapshots: report.snapshots, packs: report.packs, segments: report.segments, tree_nodes: report.treeNodes,
    chunks_referenced: report.chunksReferenced, tables_read: report.tablesRead, packs_read: report.packsRead, bytes_read: report.bytesRead,
    unused_bytes: report.unusedBytes, total_duration: seconds, num_errors: damages, num_warnings: report.findings.length - damages,
  }];
}

export function testRestoreLines({ snapshotId, status, entries, bytes, live, durationMs, problemsTotal, findings }: TestRestoreReport): string[] {
  const lines = formatPairs([
    ['Restored', `${formatCount(entries)} entries, ${formatSize(bytes)}${speed(bytes, durationMs)}`],
    ...live === undefined ? [] : [['Live files', liveText(live)] as const],
    ['Duration', formatDuration(durationMs)],
  ]);
  const snapshot = `Snapshot ${shortId(snapshotId)}`;
  const verdict = status === 'failed' ? `${snapshot} does not come back as it was: see above`
    : status === 'partial' ? `${snapshot} comes back, but ${formatCount(problemsTotal)} ${problemsTotal === 1 ? 'entry' : 'entries'} could not be tried here completely`
    : `${snapshot} comes back: everything was restored, read back and compared`;
  return [...lines, ...sameStatLine(live), ...damageSummary(findings), verdict];
}

const CHANGES: Readonly<Record<Extract<SnapEvent, { type: 'difference-found' }>['change'], string>> = {
  added: 'is new since the snapshot', removed: 'is gone since the snapshot', content: 'changed since the snapshot',
  type: 'is of another type than in the snapshot', metadata: 'has other metadata than in the snapshot',
};

export function differenceWords(change: keyof typeof CHANGES): string {
  return CHANGES[change];
}

function liveText({ added, removed, content, type, metadata }: NonNullable<TestRestoreReport['live']>): string {
  const changed = content + type;
  return added + removed + changed + metadata === 0 ? 'as in the snapshot'
    : `since the snapshot ${formatCount(added)} added, ${formatCount(removed)} removed, ${formatCount(changed)} changed, ${formatCount(metadata)} in metadata only`;
}

function sameStatLine(live: TestRestoreReport['live']): string[] {
  if (live === undefined || live.sameStat === 0) return [];
  return [`${formatCount(live.sameStat)} of the changed files have the size and time of the snapshot: a program put the time back, or something damaged them`];
}

export function testRestoreSummary(report: TestRestoreReport): JsonMessage {
  const { live } = report;
  return {
    message_type: 'test_restore_summary', job: report.job, status: report.status, exit_code: exitCodeOfResult(resultOf(report)), snapshot_id: report.snapshotId,
    total_files: report.entries, total_bytes: report.bytes,
    live: live === undefined ? undefined : {
      added: live.added, removed: live.removed, changed: live.content, type_changed: live.type, metadata_changed: live.metadata, same_size_and_time: live.sameStat,
    },
    total_duration: Math.round(report.durationMs) / 1000, problems: report.problemsTotal, damage: countDamage(report.findings),
  };
}
