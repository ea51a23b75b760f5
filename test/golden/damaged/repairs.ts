/** What finds a damage first, what repairs it, and what is left: after the repair, and after the next backup. */
import { expect } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import type { SnapshotId } from '../../../src/format/ids.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { establishView } from '../../../src/repository/session-view.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import type { RepairReport, VerifyReport } from '../../../src/usecases/reports.ts';
import { verify, type VerifyOptions } from '../../../src/usecases/verify/verify.ts';
import { backupPath, engines, OWNER } from '../../support/memory-repository.ts';
import { readableFiles, type ReadableFiles } from '../../support/read-snapshot.ts';
import { damages, runRepairIndex, runRepairPacks, runRepairSnapshots } from '../../support/repair-jobs.ts';
import { attempt, refusal, verifyState, verifyText, type Run } from './outcomes.ts';
import { reopenState, type Base } from './victims.ts';

/** Texts for the table. */
export interface Repair {
  readonly found: string;
  readonly by: string;
  readonly after: string;
  readonly backup: string;
}

const NOTHING = '–';
const LEVELS: readonly (readonly [number, Pick<VerifyOptions, 'level' | 'readData'>])[] = [
  [0, { level: 'structure', readData: false }], [1, { level: 'metadata', readData: false }], [2, { level: 'tables', readData: false }], [4, { readData: true }],
];
/** No two runs may draw the same names. */
let seed = 1_000;
/** What the repairs of this table must not leave behind. */
const REPAIRABLE = ['pack', 'frame', 'index segment', 'chunk', 'tree'];

export async function repairOf(base: Base, state: MemoryState, data: Run<VerifyReport>): Promise<Repair> {
  const found = await foundBy(state, data);
  if (data.exitCode === 0 && !('report' in data && data.report.findings.some(({ object }) => object === 'pack'))) return { found, by: NOTHING, after: NOTHING, backup: NOTHING };
  const used = MemoryBackend.fromState(state, { clock: systemClock });
  const by = await repair(used);
  if (by === undefined || by.startsWith('refused')) return { found, by: by ?? NOTHING, after: NOTHING, backup: NOTHING };
  const after = await verifyState(used.snapshotState(), true);
  if (!('error' in data)) await keepsWhatCanBeRead(state, used.snapshotState());
  const saved = await attempt(async () => backupPath(await open(used), base.source));
  const last = await verifyState(used.snapshotState(), true);
  if (needsRepair(last)) await endsClean(used);
  return { found, by, after: verifyText(after), backup: 'error' in saved ? refusal(saved.error) : verifyText(last) };
}

function open(backend: MemoryBackend): Promise<OpenRepository> {
  return reopenState(backend, undefined, seed++);
}

/** The least level that notices. */
async function foundBy(state: MemoryState, data: Run<VerifyReport>): Promise<string> {
  let warned: string | undefined;
  for (const [level, options] of LEVELS) {
    const run = options.readData === true ? data : await attempt(async () => verify(await open(MemoryBackend.fromState(state, { clock: systemClock })), { engines, owner: OWNER, ...options }));
    if ('error' in run) return 'opening it';
    if (run.exitCode !== 0) return `level ${level}`;
    if (run.report.findings.length > 0) warned ??= `level ${level}, a warning`;
  }
  return warned ?? NOTHING;
}

/** The order of docs/guides/recovery.md. Undefined: no repair changed anything, or may. */
async function repair(backend: MemoryBackend): Promise<string | undefined> {
  const steps: readonly (readonly [string, (repository: OpenRepository) => Promise<RepairReport>])[] = [['index', runRepairIndex], ['packs', runRepairPacks]];
  const records = await unreadableRecords(backend);
  if (records.size > 0) {
    const given = await attempt(async () => runRepairSnapshots(await open(backend), { snapshots: records, forget: true }));
    return 'error' in given ? `snapshots refuses: ${refusal(given.error)}` : 'snapshots ID --forget';
  }
  const done: string[] = [];
  for (const [name, run] of steps) {
    const before = namesOf(backend);
    const result = await attempt<RepairReport>(async () => run(await open(backend)));
    if ('error' in result) done.push(`${name} refuses: ${refusal(result.error)}`);
    else if (namesOf(backend) !== before) done.push(name);
  }
  const refusals = new Set(done.map(each => each.split(' refuses: ')[1] ?? ''));
  if (done.length === steps.length && refusals.size === 1 && !refusals.has('')) return `refused: ${[...refusals].join()}`;
  return done.length === 0 ? undefined : done.join(', ');
}

async function unreadableRecords(backend: MemoryBackend): Promise<ReadonlySet<SnapshotId>> {
  const listed = await open(backend).then(loadSnapshots, () => ({ unreadable: [] }));
  return new Set(listed.unreadable.map(({ id }) => id));
}

function namesOf(backend: MemoryBackend): string {
  return [...backend.snapshotState().keys()].filter(name => !name.startsWith('ledger/')).sort().join();
}

async function keepsWhatCanBeRead(before: MemoryState, after: MemoryState): Promise<void> {
  const [old, now] = [await readable(before), await readable(after)];
  for (const [id, files] of old) for (const [path, content] of files) expect(now.get(id)?.get(path), path).toBe(content);
}

async function readable(state: MemoryState): Promise<Map<string, ReadableFiles>> {
  const files = new Map<string, ReadableFiles>();
  const repository = await open(MemoryBackend.fromState(state, { clock: systemClock }));
  await establishView(repository, { onDamagedObject: () => undefined });
  for (const { id, snapshot } of (await loadSnapshots(repository)).snapshots) files.set(id, await readableFiles(repository, snapshot));
  return files;
}

/** What no copy has any more is marked, and then nothing is left to complain about but what only people can decide. */
async function endsClean(backend: MemoryBackend): Promise<void> {
  const repaired = await attempt(async () => runRepairSnapshots(await open(backend), { forget: true }));
  if ('error' in repaired) return;
  expect(needsRepair(await verifyState(backend.snapshotState(), true))).toBe(false);
}

function needsRepair(run: Run<VerifyReport>): boolean {
  return !('error' in run) && damages(run.report).some(({ object }) => REPAIRABLE.includes(object));
}
