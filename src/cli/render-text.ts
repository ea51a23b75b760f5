/** Events, counters and reports for people: problems at once, one redrawn line of progress, a summary at the end. */
import type { Bytes } from '../base/bytes.ts';
import { formatCount, formatDuration, formatSize } from '../base/units.ts';
import type { Counters, Finding, Phase, SnapEvent } from '../usecases/events.ts';
import type { BackupReport, RestoreReport, RunReport, StatsReport } from '../usecases/reports.ts';
import type { Failure } from './outcome.ts';
import { printable, printableName, shortened, shortId } from './printable.ts';
import { ProgressEstimate, type Progress } from './progress-estimate.ts';
import { forgetLines } from './render-forget.ts';
import { ratio } from './render-json.ts';
import { parityLines } from './render-parity.ts';
import { pruneLines } from './render-prune.ts';
import { repairLines, repairStepLine } from './render-repair.ts';
import { replicateLines } from './render-replicate.ts';
import { damageSummary, differenceWords, rangesText, testRestoreLines, verifyLines } from './render-verify.ts';
import type { Renderer } from './renderer.ts';
import type { Terminal } from './terminal.ts';
import { formatPairs, formatTable } from './text-table.ts';

export interface TextOptions {
  readonly showsProgress: boolean;
  readonly isQuiet: boolean;
  /** 1: each new or changed entry; 2: each entry and pack. */
  readonly verbosity: number;
}

/** Problems and files of a finding that are shown before "and N more"; -v shows all. */
const SHOWN_PROBLEMS = 100;
const SHOWN_FILES = 10;

const PHASES: Readonly<Record<Phase, string>> = {
  opening: 'Opening', scanning: 'Scanning', reading: 'Reading', planning: 'Planning', writing: 'Writing', checking: 'Checking', finishing: 'Finishing',
};

export class TextRenderer implements Renderer {
  readonly progressEveryMs: number | undefined;
  readonly #terminal: Terminal;
  readonly #options: TextOptions;
  readonly #estimate: ProgressEstimate;
  #problems = 0;
  #differences = 0;
  /** What to do about the findings, each once. */
  readonly #hints = new Set<string>();

  constructor(terminal: Terminal, now: number, options: TextOptions) {
    this.#terminal = terminal;
    this.#options = options;
    this.#estimate = new ProgressEstimate(now);
    this.progressEveryMs = options.showsProgress && !options.isQuiet && terminal.drawsStatus ? 250 : undefined;
  }

  event(event: SnapEvent): void {
    const { verbosity, isQuiet } = this.#options;
    const say = (least: number, line: string): void => {
      if (!isQuiet && verbosity >= least) this.#terminal.out(line);
    };
    switch (event.type) {
      case 'problem-found':
        return this.#problem(event.path, event.message);
      case 'damage-found':
        for (const line of findingLines(event.finding, verbosity > 0)) this.#terminal.error(line);
        if (event.finding.hint !== undefined) this.#hints.add(event.finding.hint);
        return;
      case 'difference-found':
        this.#differences++;
        return say(this.#differences > SHOWN_PROBLEMS ? 1 : 0, `Difference: ${printableName(event.path)} ${differenceWords(event.change)}`);
      case 'entry-stored':
        return say(event.change === 'unmodified' ? 2 : 1, entryLine(event.change, event.path, event.sizeBytes));
      case 'entry-restored':
        return say(event.action === 'kept' ? 2 : 1, entryLine(event.action, event.path, event.sizeBytes));
      case 'parent-found':
        return say(1, `Comparing with snapshot ${shortId(event.snapshotId)}`);
      case 'pack-written':
        return say(2, `Stored pack ${shortId(event.packId)}: ${formatCount(event.chunks)} chunks, ${formatSize(event.sizeBytes)}`);
      case 'retry-scheduled':
        return this.#terminal.error(`The storage did not answer (${printable(event.operation)}), attempt ${event.attempt}; trying again in ${formatDuration(event.delayMs)}`);
      case 'requests-counted': {
        const { put, get, head, list, remove } = event.counts;
        return say(1, `Requests to ${printable(event.location)}: ${put} PUT, ${get} GET, ${head} HEAD, ${list} LIST, ${remove} DELETE`);
      }
      case 'repair-step':
        return say(0, repairStepLine(event.step));
      case 'session-revoked':
        return say(1, 'A prune took this run for dead; it checks everything again and commits anew');
      case 'run-started':
      case 'source-totals':
      case 'snapshot-created':
        return; // the progress line and the summary say it
    }
  }

  progress(counters: Counters, now: number): void {
    const progress = this.#estimate.sample(now, counters);
    this.#terminal.status(progressLine(counters, progress, this.#terminal.columns() - 1));
  }

  report(report: RunReport): void {
    this.#terminal.status(undefined);
    const hidden = this.#problems - SHOWN_PROBLEMS;
    if (hidden > 0 && this.#options.verbosity === 0) this.#terminal.error(`... and ${formatCount(hidden)} more problems (-v shows all)`);
    for (const hint of this.#hints) this.#terminal.error(`Next: ${printable(hint)}`);
    if (this.#options.isQuiet) return;
    for (const line of reportLines(report)) this.#terminal.out(line);
  }

  failure(failure: Failure): void {
    this.#terminal.status(undefined);
    this.#terminal.error(`${this.#coloured('Error:', 31)} ${failure.message}`);
    if (failure.hint !== undefined) this.#terminal.error(`${this.#coloured('Hint:', 33)} ${failure.hint}`);
    if (failure.stack !== undefined) this.#terminal.error(failure.stack);
  }

  note(text: string): void {
    if (!this.#options.isQuiet) this.#terminal.out(text);
  }

  #problem(path: Bytes | undefined, message: string): void {
    this.#problems++;
    if (this.#problems > SHOWN_PROBLEMS && this.#options.verbosity === 0) return;
    const where = path === undefined ? '' : `${printableName(path)}: `;
    this.#terminal.error(`${this.#coloured('Problem:', 33)} ${where}${printable(message)}`);
  }

  /** SGR colour: 31 red, 33 yellow. */
  #coloured(text: string, colour: number): string {
    return this.#terminal.usesColour ? `\u001b[${colour}m${text}\u001b[0m` : text;
  }
}

export { shortId };

const MARKS = { new: '+', changed: 'M', unmodified: ' ', created: '+', updated: 'M', kept: ' ', removed: '-' } as const;

function entryLine(change: keyof typeof MARKS, path: Bytes, sizeBytes: number): string {
  return `${MARKS[change]} ${printableName(path)}${sizeBytes > 0 ? ` (${formatSize(sizeBytes)})` : ''}`;
}

/** `Reading 34 %, 1,204 of 3,500 entries, 1.20 of 3.40 GiB, 120 MiB/s, 20 s left  home/me/file`. */
export function progressLine(counters: Counters, progress: Progress, width: number): string {
  const { totalEntries, totalBytes, entriesDone, bytesDone, problems } = counters;
  const parts = [
    PHASES[counters.phase] + (progress.share === undefined ? '' : ` ${Math.floor(progress.share * 100)} %`),
    `${formatCount(entriesDone)}${totalEntries > 0 ? ` of ${formatCount(totalEntries)}` : ''} entries`,
    `${formatSize(bytesDone)}${totalBytes > 0 ? ` of ${formatSize(totalBytes)}` : ''}`,
    `${formatSize(Math.round(progress.bytesPerSecond))}/s`,
  ];
  if (progress.remainingMs !== undefined && progress.elapsedMs > 2000) parts.push(`${formatDuration(progress.remainingMs)} left`);
  if (problems > 0) parts.push(`${formatCount(problems)} problems`);
  const figures = shortened(parts.join(', '), width);
  if (counters.currentPath === undefined) return figures;
  const room = width - figures.length - 2;
  return room < 12 ? figures : `${figures}  ${shortened(printableName(counters.currentPath), room)}`;
}

export function findingLines(finding: Finding, showsAll: boolean): string[] {
  const shown = showsAll ? finding.files : finding.files.slice(0, SHOWN_FILES);
  const hidden = finding.files.length - shown.length;
  return [
    `${finding.severity === 'damage' ? 'Damage' : 'Warning'}: ${printable(finding.object)} ${printable(finding.name)}: ${printable(finding.message)}`,
    ...shown.map(file => `  hits ${printableName(file.path)}${rangesText(file)} in snapshot ${shortId(file.snapshotId)}`),
    ...hidden > 0 ? [`  ... and ${formatCount(hidden)} more files (-v shows all)`] : [],
  ];
}

export function reportLines(report: RunReport): string[] {
  switch (report.job) {
    case 'backup': return backupLines(report);
    case 'restore': return restoreLines(report);
    case 'verify': return verifyLines(report);
    case 'test-restore': return testRestoreLines(report);
    case 'stats': return statsLines(report);
    case 'prune': return pruneLines(report);
    case 'repair': return repairLines(report);
    case 'parity': return parityLines(report);
    case 'forget': return forgetLines(report);
    case 'replicate': return replicateLines(report);
  }
}

/** ` (120 MiB/s)`, or nothing for a run too short to measure. */
function speed(bytes: number, durationMs: number): string {
  return durationMs >= 100 && bytes > 0 ? ` (${formatSize(Math.round(bytes / durationMs * 1000))}/s)` : '';
}

function changes(added: number, changed: number, unmodified: number): string {
  return `${formatCount(added)} new, ${formatCount(changed)} changed, ${formatCount(unmodified)} unmodified`;
}

function backupLines(report: BackupReport): string[] {
  const lines = formatPairs([
    ['Files', changes(report.filesNew, report.filesChanged, report.filesUnmodified)],
    ['Folders', changes(report.directoriesNew, report.directoriesChanged, report.directoriesUnmodified)],
    ['Read', `${formatSize(report.bytesRead)} of ${formatSize(report.bytesTotal)}${speed(report.bytesTotal, report.durationMs)}`],
    [report.dryRun ? 'Would add' : 'Added', `${formatSize(report.bytesAddedRaw)}, stored as ${formatSize(report.bytesAddedStored)}`],
    ['Duration', formatDuration(report.durationMs)],
  ]);
  return [...lines, ...problemsLine(report.problemsTotal, 'could not be read completely'), backupVerdict(report)];
}

function backupVerdict(report: BackupReport): string {
  if (report.dryRun) return 'Dry run: nothing was stored';
  if (report.snapshotId === undefined) return report.unchanged ? 'Nothing changed: no snapshot was made' : 'No snapshot was made';
  const parent = report.parentId === undefined ? '' : `, parent ${shortId(report.parentId)}`;
  return `Snapshot ${shortId(report.snapshotId)} saved (${report.kind}${parent})${report.status === 'partial' ? ', but not complete' : ''}`;
}

function problemsLine(problems: number, what: string): string[] {
  return problems === 0 ? [] : [`${formatCount(problems)} ${problems === 1 ? 'entry' : 'entries'} ${what}`];
}

function restoreLines(report: RestoreReport): string[] {
  const would = report.dryRun ? 'would be ' : '';
  const files = `${formatCount(report.filesRestored)} ${would}restored, ${formatCount(report.filesKept)} ${would}kept`
    + (report.filesRemoved > 0 ? `, ${formatCount(report.filesRemoved)} ${would}removed` : '');
  const lines = formatPairs([
    ['Files', files],
    ['Written', `${formatSize(report.bytesWritten)} of ${formatSize(report.bytesTotal)}${speed(report.bytesWritten, report.durationMs)}`],
    ...report.bytesReused > 0 ? [['Already there', formatSize(report.bytesReused)] as const] : [],
    ...report.filesVerified > 0 ? [['Verified', `${formatCount(report.filesVerified)} files`] as const] : [],
    ['Duration', formatDuration(report.durationMs)],
  ]);
  const verdict = report.dryRun ? 'Dry run: nothing was written'
    : report.status === 'complete' ? `Snapshot ${shortId(report.snapshotId)} restored`
    : `Snapshot ${shortId(report.snapshotId)} restored, but not complete`;
  return [...lines, ...problemsLine(report.problemsTotal, 'could not be restored completely'), ...damageSummary(report.findings), verdict];
}

function statsLines(report: StatsReport): string[] {
  const times = (value: number | undefined): string => (value === undefined ? '' : ` (${value.toFixed(2)} times less)`);
  const pairs = formatPairs([
    ['Snapshots', formatCount(report.snapshots)],
    ['To restore', `${formatSize(report.restoreBytes)} in ${formatCount(report.files)} files`],
    ['Deduplicated', `${formatSize(report.rawBytes)} in ${formatCount(report.chunks)} chunks${times(ratio(report.restoreBytes, report.rawBytes))}`],
    ['Stored', `${formatSize(report.storedBytes)}${times(ratio(report.rawBytes, report.storedBytes))}`],
    ['Repository', `${formatSize(report.repositoryBytes)} in ${formatCount(report.packs)} packs`],
  ]);
  if (report.perSnapshot.length === 0) return pairs;
  const table = formatTable(
    [{ title: 'Snapshot' }, { title: 'To restore', align: 'right' }, { title: 'Files', align: 'right' }, { title: 'Only here', align: 'right' }],
    report.perSnapshot.map(each => [shortId(each.snapshotId), formatSize(each.restoreBytes), formatCount(each.files), formatSize(each.uniqueBytes)]),
  );
  return [...pairs, '', ...table];
}
