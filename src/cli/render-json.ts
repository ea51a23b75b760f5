/**
 * Events, counters and reports as JSON lines, one object a line with `message_type`. The only place that knows the names of
 * the fields; where the meaning is restic's, so is the name. Fields are added, never changed. `docs/events.md` lists them.
 */
import type { Bytes } from '../base/bytes.ts';
import type { Counters, Finding, SnapEvent } from '../usecases/events.ts';
import type { BackupReport, RestoreReport, RunReport, StatsReport } from '../usecases/reports.ts';
import { exitCodeOfResult, resultOf, type Failure } from './outcome.ts';
import type { JsonMessage } from './json-message.ts';
import { jsonName, jsonTime } from './printable.ts';
import { ProgressEstimate } from './progress-estimate.ts';
import { forgetMessages } from './render-forget.ts';
import { paritySummary } from './render-parity.ts';
import { pruneSummary } from './render-prune.ts';
import { repairStepMessage, repairSummary } from './render-repair.ts';
import { replicateMessages } from './render-replicate.ts';
import { differenceWords, testRestoreSummary, verifyMessages } from './render-verify.ts';
import type { Renderer } from './renderer.ts';
import type { Terminal } from './terminal.ts';

export type { JsonMessage };

/** The fields of a path: `name`, and `name_bytes` in base64 when it is not UTF-8 and so appears escaped. */
export function pathFields(path: Bytes | undefined, name = 'path'): Record<string, string> {
  if (path === undefined) return {};
  const { text, bytes } = jsonName(path);
  return bytes === undefined ? { [name]: text } : { [name]: text, [`${name}_bytes`]: bytes };
}

export interface JsonOptions {
  /** Emits `status` lines. */
  readonly showsProgress: boolean;
  /** 1: `verbose_status` for each new or changed entry; 2: for each entry and pack. */
  readonly verbosity: number;
}

export class JsonRenderer implements Renderer {
  readonly progressEveryMs: number | undefined;
  readonly #terminal: Terminal;
  readonly #verbosity: number;
  readonly #estimate: ProgressEstimate;

  constructor(terminal: Terminal, now: number, options: JsonOptions) {
    this.#terminal = terminal;
    this.#verbosity = options.verbosity;
    this.#estimate = new ProgressEstimate(now);
    this.progressEveryMs = options.showsProgress ? 1000 : undefined;
  }

  event(event: SnapEvent): void {
    const message = messageOfEvent(event, this.#verbosity);
    if (message !== undefined) this.#print(message);
  }

  progress(counters: Counters, now: number): void {
    const { share, remainingMs, elapsedMs } = this.#estimate.sample(now, counters);
    this.#print({
      message_type: 'status', phase: counters.phase,
      seconds_elapsed: Math.round(elapsedMs / 1000),
      seconds_remaining: remainingMs === undefined ? undefined : Math.round(remainingMs / 1000),
      percent_done: share ?? 0,
      total_files: counters.totalEntries, files_done: counters.entriesDone,
      total_bytes: counters.totalBytes, bytes_done: counters.bytesDone, bytes_added: counters.bytesAdded,
      error_count: counters.problems,
      current_files: counters.currentPath === undefined ? [] : [jsonName(counters.currentPath).text],
    });
  }

  report(report: RunReport): void {
    for (const message of messagesOfReport(report)) this.#print(message);
  }

  failure(failure: Failure): void {
    this.#print(exitErrorMessage(failure));
  }

  note(): void {
    // Notes are for people.
  }

  #print(message: JsonMessage): void {
    this.#terminal.out(JSON.stringify(message));
  }
}

export function exitErrorMessage(failure: Failure): JsonMessage {
  return {
    message_type: 'exit_error', code: failure.exitCode, message: failure.message, error_code: failure.errorCode, hint: failure.hint,
  };
}

/** Undefined for facts that are not shown at this verbosity. */
function messageOfEvent(event: SnapEvent, verbosity: number): JsonMessage | undefined {
  switch (event.type) {
    case 'problem-found':
      return {
        message_type: 'error', error: { message: event.message }, during: event.during, code: event.code, ...pathFields(event.path, 'item'),
      };
    case 'damage-found':
      return damageMessage(event.finding);
    case 'difference-found':
      return { message_type: 'difference', ...pathFields(event.path), what: differenceWords(event.change) };
    case 'entry-stored':
      if (verbosity < (event.change === 'unmodified' ? 2 : 1)) return undefined;
      return { message_type: 'verbose_status', action: event.change, ...pathFields(event.path, 'item'), data_size: event.sizeBytes };
    case 'entry-restored':
      if (verbosity < (event.action === 'kept' ? 2 : 1)) return undefined;
      return { message_type: 'verbose_status', action: event.action, ...pathFields(event.path, 'item'), size: event.sizeBytes };
    case 'retry-scheduled':
      return {
        message_type: 'retry', operation: event.operation, attempt: event.attempt, delay_seconds: event.delayMs / 1000,
      };
    case 'requests-counted':
      if (verbosity < 1) return undefined;
      return { message_type: 'storage_requests', repository: event.location, ...event.counts, total: Object.values(event.counts).reduce((sum, each) => sum + each, 0) };
    case 'pack-written':
      if (verbosity < 2) return undefined;
      return { message_type: 'verbose_status', action: 'pack_written', pack_id: event.packId, size: event.sizeBytes, chunks: event.chunks };
    case 'repair-step':
      return repairStepMessage(event.step);
    case 'session-revoked':
      return { message_type: 'session_revoked', session_id: event.sessionId };
    case 'parent-found':
      if (verbosity < 1) return undefined;
      return { message_type: 'verbose_status', action: 'parent_found', snapshot_id: event.snapshotId, time: jsonTime(event.createdAt) };
    case 'run-started':
    case 'source-totals':
    case 'snapshot-created':
      return undefined; // said by the first status line and by the summary
  }
}

function damageMessage(finding: Finding): JsonMessage {
  return {
    message_type: 'damage', severity: finding.severity, object: finding.object, name: finding.name, message: finding.message, hint: finding.hint,
    chunks: finding.chunks, files: finding.files.map(file => ({ snapshot_id: file.snapshotId, ...pathFields(file.path), ranges: file.ranges })),
  };
}

/** The summary, after lines for its parts where there are any. */
function messagesOfReport(report: RunReport): JsonMessage[] {
  switch (report.job) {
    case 'backup': return [backupSummary(report)];
    case 'restore': return [restoreSummary(report)];
    case 'verify': return verifyMessages(report);
    case 'test-restore': return [testRestoreSummary(report)];
    case 'stats': return [...snapshotStatistics(report), statsMessage(report)];
    case 'prune': return [pruneSummary(report)];
    case 'repair': return [repairSummary(report)];
    case 'parity': return [paritySummary(report)];
    case 'forget': return forgetMessages(report);
    case 'replicate': return replicateMessages(report);
  }
}

function commonFields(report: BackupReport | RestoreReport): Record<string, unknown> {
  return { message_type: 'summary', job: report.job, status: report.status, exit_code: exitCodeOfResult(resultOf(report)) };
}

function backupSummary(report: BackupReport): JsonMessage {
  return {
    ...commonFields(report), message_type: 'summary',
    kind: report.kind, snapshot_id: report.snapshotId, parent_id: report.parentId, dry_run: report.dryRun, unchanged: report.unchanged,
    files_new: report.filesNew, files_changed: report.filesChanged, files_unmodified: report.filesUnmodified,
    dirs_new: report.directoriesNew, dirs_changed: report.directoriesChanged, dirs_unmodified: report.directoriesUnmodified,
    data_blobs: report.dataChunksAdded, tree_blobs: report.treeChunksAdded,
    data_added: report.bytesAddedRaw, data_added_packed: report.bytesAddedStored,
    total_files_processed: report.filesTotal, total_bytes_processed: report.bytesTotal, bytes_read: report.bytesRead,
    backup_start: jsonTime(report.startedAt), backup_end: jsonTime(report.startedAt + Math.round(report.durationMs)),
    total_duration: seconds(report.durationMs), problems: report.problemsTotal,
  };
}

function restoreSummary(report: RestoreReport): JsonMessage {
  return {
    ...commonFields(report), message_type: 'summary',
    snapshot_id: report.snapshotId, dry_run: report.dryRun,
    total_files: report.entriesTotal, files_restored: report.filesRestored, files_skipped: report.filesKept,
    files_deleted: report.filesRemoved, files_verified: report.filesVerified,
    total_bytes: report.bytesTotal, bytes_restored: report.bytesWritten, bytes_skipped: report.bytesReused,
    total_duration: seconds(report.durationMs), problems: report.problemsTotal, damage: countDamage(report.findings),
  };
}

function countDamage(findings: readonly Finding[]): number {
  return findings.filter(finding => finding.severity === 'damage').length;
}

function snapshotStatistics(report: StatsReport): JsonMessage[] {
  return report.perSnapshot.map(each => ({
    message_type: 'snapshot_stats', snapshot_id: each.snapshotId, total_size: each.restoreBytes, total_file_count: each.files,
    unique_size: each.uniqueBytes,
  }));
}

function statsMessage(report: StatsReport): JsonMessage {
  return {
    message_type: 'stats', snapshots_count: report.snapshots, total_size: report.restoreBytes, total_uncompressed_size: report.rawBytes,
    total_stored_size: report.storedBytes, repository_size: report.repositoryBytes, total_file_count: report.files,
    total_blob_count: report.chunks, pack_count: report.packs,
    dedup_ratio: ratio(report.restoreBytes, report.rawBytes), compression_ratio: ratio(report.rawBytes, report.storedBytes),
  };
}

/** Milliseconds are precise enough, and readable. */
function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}

/** Undefined where there is nothing to divide by. */
export function ratio(whole: number, part: number): number | undefined {
  return part > 0 ? Math.round(whole / part * 1000) / 1000 : undefined;
}
