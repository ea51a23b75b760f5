/** What a damaged repository does: verify, restore, back up, verify again. Every promise about damage is checked on the way. */
import { rmSync } from 'node:fs';
import { mkdtempSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { SnapError } from '../../../src/base/errors.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { exitCodeOfError, exitCodeOfResult, failureOf, resultOf } from '../../../src/cli/outcome.ts';
import type { Finding } from '../../../src/usecases/events.ts';
import type { BackupReport, RestoreReport, VerifyReport } from '../../../src/usecases/reports.ts';
import { verify } from '../../../src/usecases/verify.ts';
import { goldenRecord } from '../../support/golden.ts';
import { backupPath, engines, OWNER } from '../../support/memory-repository.ts';
import { restoreTo } from '../../support/read-jobs.ts';
import { recordTree, type RecordedTree } from '../generate/record-tree.mjs';
import { reopenState, type Base, type Victim } from './victims.ts';

/** Texts for the table. */
export interface Outcome {
  readonly verify: string;
  readonly readData: string;
  readonly restore: string;
  readonly backup: string;
  readonly after: string;
}

type Run<Report> = { readonly exitCode: number } & ({ readonly report: Report } | { readonly error: SnapError });

export async function outcomeOf(base: Base, victim: Victim, state: MemoryState): Promise<Outcome> {
  const plain = await verifyState(state, false);
  const full = await verifyState(state, true);
  const restored = await restoreState(base, victim, state);
  const used = MemoryBackend.fromState(state, { clock: systemClock });
  const saved = await attempt<BackupReport>(async () => backupPath(await reopenState(used), base.source));
  const after = await verifyState(used.snapshotState(), true);
  checkPromises({ plain, full, restored, saved, after });
  for (const run of [plain, full, restored.run, saved, after]) checkMessages(run, victim);
  return {
    verify: verifyText(plain), readData: verifyText(full), restore: restoreText(restored), backup: backupText(saved),
    after: isDamaged(full) && after.exitCode === 0 ? `${verifyText(after)}: healed` : verifyText(after),
  };
}

function verifyState(state: MemoryState, readData: boolean): Promise<Run<VerifyReport>> {
  return attempt(async () => verify(await reopenState(MemoryBackend.fromState(state, { clock: systemClock })), { engines, owner: OWNER, readData }));
}

/** @throws everything that is no refusal in words */
async function attempt<Report extends VerifyReport | RestoreReport | BackupReport>(work: () => Promise<Report>): Promise<Run<Report>> {
  try {
    const report = await work();
    return { exitCode: exitCodeOfResult(resultOf(report)), report };
  } catch (error) {
    if (!(error instanceof SnapError)) throw error;
    return { exitCode: exitCodeOfError(error.code, error.kind), error };
  }
}

interface Restored {
  readonly run: Run<RestoreReport>;
  /** Path in the snapshot that was restored. */
  readonly root: string;
  /** Entries that are not as in the snapshot, and how many it has. */
  readonly lost: readonly string[];
  readonly entries: number;
}

async function restoreState(base: Base, { restored }: Victim, state: MemoryState): Promise<Restored> {
  const target = mkdtempSync(join(dirname(base.source), 'restored-'));
  try {
    const [snapshot, path] = restored === 'golden' ? [base.goldenSnapshot, goldenRecord('format-1-suite-1').sourcePath] : [base.newestSnapshot, base.source];
    const run = await attempt<RestoreReport>(async () => {
      const repository = await reopenState(MemoryBackend.fromState(state, { clock: systemClock }));
      return restoreTo(repository, target, { snapshot, path, setsOwner: false });
    });
    const [expected, actual] = [recordTree(base.source), recordTree(target)];
    const lost = Object.keys(expected).filter(name => !isSame(expected[name], actual[name]));
    return { run, root: path, lost, entries: Object.keys(expected).length };
  } finally {
    rmSync(target, { recursive: true });
  }
}

function isSame(a: RecordedTree[string] | undefined, b: RecordedTree[string] | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

interface Runs {
  readonly plain: Run<VerifyReport>;
  readonly full: Run<VerifyReport>;
  readonly restored: Restored;
  readonly saved: Run<BackupReport>;
  readonly after: Run<VerifyReport>;
}

function checkPromises({ plain, full, restored, saved, after }: Runs): void {
  const { run, root, lost } = restored;
  // Nobody is told that a restore is complete when it is not.
  if (run.exitCode === 0) expect(lost).toEqual([]);
  // What is lost is named, itself or by its folder.
  if ('report' in run) {
    const named = run.report.findings.flatMap(finding => finding.files.map(({ path }) => Buffer.from(path).toString('latin1')));
    for (const path of lost) expect(named.some(each => `${root}/${path}/`.startsWith(`${each}/`)), `'${path}' is named by ${named.join()}`).toBe(true);
  }
  // Damage that costs anything is found by reading everything, and what the quick check finds is found then, too.
  if (lost.length > 0 || run.exitCode !== 0) expect(full.exitCode, 'verify --read-data').not.toBe(0);
  if (plain.exitCode !== 0) expect(full.exitCode).not.toBe(0);
  // A backup never makes it worse: what it reports as saved can be read.
  if (saved.exitCode === 0 && full.exitCode === 0) expect(after.exitCode).toBe(0);
}

/** One clear sentence that names the object, and never a broken invariant. */
function checkMessages(run: Run<VerifyReport | RestoreReport | BackupReport>, { name }: Victim): void {
  if ('error' in run) {
    const { message } = failureOf(run.error);
    expect(run.error.code, message).not.toBe('INTERNAL');
    checkSentence(message);
    return;
  }
  for (const finding of 'findings' in run.report ? run.report.findings : []) {
    checkSentence(finding.message);
    expect(finding.name, `${name}: ${run.report.job}: ${JSON.stringify(finding)}`).not.toBe('');
  }
}

function checkSentence(text: string): void {
  expect(text).toMatch(/^[A-Z][^\n]*[^.\n]$/);
  expect(text).not.toMatch(/undefined|null|NaN|\[object/);
}

// --- texts ---

function isDamaged(run: Run<VerifyReport>): boolean {
  return run.exitCode !== 0;
}

function verifyText(run: Run<VerifyReport>): string {
  if ('error' in run) return refusal(run.error);
  const { findings } = run.report;
  const damages = findings.filter(({ severity }) => severity === 'damage');
  const warnings = findings.filter(({ severity }) => severity === 'warning');
  const files = damages.reduce((sum, finding) => sum + finding.files.length, 0);
  const hit = files === 0 ? '' : `, ${files} ${files === 1 ? 'entry' : 'entries'} hit`;
  return [`${run.exitCode}${damages.length > 0 ? ` ${kinds(damages)}${hit}` : ''}`, ...(warnings.length > 0 ? [`warning: ${kinds(warnings)}`] : [])].join('; ');
}

function kinds(findings: readonly Finding[]): string {
  return [...new Set(findings.map(({ object }) => object))].sort().join(', ');
}

function restoreText({ run, lost, entries }: Restored): string {
  if ('error' in run) return refusal(run.error);
  const { exitCode, report } = run;
  if (lost.length > 0) return `${exitCode} partial: ${lost.length} of ${entries} lost`;
  return exitCode === 0 ? '0 complete' : `${exitCode} complete; ${kinds(report.findings)}`;
}

function backupText(run: Run<BackupReport>): string {
  return 'error' in run ? refusal(run.error) : `${run.exitCode} ${run.report.status}`;
}

function refusal({ code, kind }: SnapError): string {
  return `${exitCodeOfError(code, kind)} \`${code}\``;
}
