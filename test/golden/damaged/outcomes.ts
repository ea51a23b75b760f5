/** What a damaged repository does: verify, restore, back up, verify again. Every promise about damage is checked on the way. */
import { mkdtempSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { SnapError } from '../../../src/base/errors.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { exitCodeOfError, exitCodeOfResult, failureOf, resultOf } from '../../../src/cli/outcome.ts';
import type { Finding } from '../../../src/usecases/events.ts';
import type { BackupReport, RepairReport, RestoreReport, VerifyReport } from '../../../src/usecases/reports.ts';
import { verify } from '../../../src/usecases/verify/verify.ts';
import { goldenRecord } from '../../support/golden.ts';
import { backupPath, engines, OWNER } from '../../support/memory-repository.ts';
import { restoreTo } from '../../support/read-jobs.ts';
import { recordTree } from '../generate/record-tree.mjs';
import type { Damage } from './damages.ts';
import { EXCLUDE, reopenState, type Base, type Victim } from './victims.ts';

/** Texts for the table. */
export interface Outcome {
  readonly verify: string;
  readonly readData: string;
  readonly restore: string;
  readonly backup: string;
  readonly after: string;
}

type Report = VerifyReport | RestoreReport | BackupReport | RepairReport;
export type Run<R extends Report> = { readonly exitCode: number } & ({ readonly report: R } | { readonly error: SnapError });

export async function outcomeOf(base: Base, victim: Victim, damage: Damage, state: MemoryState): Promise<{ readonly texts: Outcome; readonly data: Run<VerifyReport> }> {
  const plain = await verifyState(state, false);
  const full = await verifyState(state, true);
  const restored = await restoreState(base, victim, state);
  const used = MemoryBackend.fromState(state, { clock: systemClock });
  const saved = await attempt<BackupReport>(async () => backupPath(await reopenState(used), base.source));
  const after = await verifyState(used.snapshotState(), true);
  const runs = { plain, full, restored, saved, after };
  checkPromises(runs);
  if (damage.costsNothing) expect([restored.run.exitCode, saved.exitCode]).toEqual([0, 0]);
  for (const run of [plain, full, restored.run, saved, after]) checkMessages(run);
  if (damage.title !== 'missing') checkNamed(full, victim);
  const texts = { verify: verifyText(plain), readData: verifyText(full), restore: restoreText(restored), backup: backupText(saved), after: verifyText(after) };
  return { texts, data: full };
}

export function verifyState(state: MemoryState, readData: boolean, open = reopenState): Promise<Run<VerifyReport>> {
  return attempt(async () => verify(await open(MemoryBackend.fromState(state, { clock: systemClock })), { engines, owner: OWNER, readData }));
}

/** @throws everything that is no refusal in words */
export async function attempt<R extends Report>(work: () => Promise<R>): Promise<Run<R>> {
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
    const [snapshot, root] = restored === 'golden' ? [base.goldenSnapshot, goldenRecord('format-1-suite-1').sourcePath] : [base.newestSnapshot, base.source];
    const run = await attempt<RestoreReport>(async () => {
      const repository = await reopenState(MemoryBackend.fromState(state, { clock: systemClock }));
      return restoreTo(repository, target, { snapshot, path: root, setsOwner: false, exclude: EXCLUDE });
    });
    const actual = recordTree(target);
    const lost = Object.keys(base.tree).filter(name => JSON.stringify(base.tree[name]) !== JSON.stringify(actual[name]));
    return { run, root, lost, entries: Object.keys(base.tree).length };
  } finally {
    rmSync(target, { recursive: true });
  }
}

// --- promises ---

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
  // Damage that costs anything is found by reading everything; of a snapshot that vanished only the next one knows.
  const isVanished = 'error' in run && run.error.code === 'SNAPSHOT_NOT_FOUND';
  if (isVanished) expect(verifyText(full)).toBe('0; warning: snapshot');
  else if (lost.length > 0 || run.exitCode !== 0) expect(full.exitCode, 'verify --read-data').not.toBe(0);
  // What the quick check finds is found then, too.
  if (plain.exitCode !== 0) expect(full.exitCode).not.toBe(0);
  // What a backup reports as saved can be read, as far as reading found no damage before.
  if (saved.exitCode === 0 && full.exitCode === 0) expect(after.exitCode).toBe(0);
}

/** Sentences for people, and never a broken invariant. */
function checkMessages(run: Run<Report>): void {
  if ('error' in run) {
    expect(run.error.code, run.error.message).not.toBe('INTERNAL');
    return checkSentence(failureOf(run.error).message);
  }
  for (const finding of 'findings' in run.report ? run.report.findings : []) {
    checkSentence(finding.message);
    expect(finding.name, `${run.report.job}: ${finding.message}`).not.toBe('');
  }
}

function checkSentence(text: string): void {
  expect(text).toMatch(/^[A-Z][^\n]*[^.\n]$/);
  expect(text).not.toMatch(/undefined|null|NaN|\[object/);
}

/** The object that was changed, or one that was put in its place. */
function checkNamed(run: Run<VerifyReport>, { name, other, freeName }: Victim): void {
  if (run.exitCode === 0 || ('error' in run && run.error.code === 'WRONG_PASSWORD')) return;
  const text = 'error' in run ? run.error.message : run.report.findings.map(finding => `${finding.name} ${finding.message}`).join('\n');
  expect([name, other, freeName].some(each => each !== undefined && text.includes(each)), text).toBe(true);
}

// --- texts ---

export function verifyText(run: Run<VerifyReport>): string {
  if ('error' in run) return refusal(run.error);
  const { findings } = run.report;
  const damages = findings.filter(({ severity }) => severity === 'damage');
  const warnings = findings.filter(({ severity }) => severity === 'warning');
  const hit = new Set(damages.flatMap(({ files }) => files.map(({ snapshotId, path }) => `${snapshotId} ${Buffer.from(path).toString('latin1')}`))).size;
  const hits = hit === 0 ? '' : `, ${hit} ${hit === 1 ? 'entry' : 'entries'} hit`;
  return [`${run.exitCode}${damages.length > 0 ? ` ${kinds(damages)}${hits}` : ''}`, ...(warnings.length > 0 ? [`warning: ${kinds(warnings)}`] : [])].join('; ');
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

export function refusal({ code, kind }: SnapError): string {
  return `${exitCodeOfError(code, kind)} \`${code}\``;
}
