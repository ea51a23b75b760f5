/**
 * Checks that a repository is whole, as deep as asked: structure, index and trees, pack tables, data (repository design, section
 * 16.2). Everything is read from the storage; the local index is only believed as far as it says what the segments say.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { sideBySide } from '../../base/concurrency.ts';
import { hasCode } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import { loadGcView } from '../../repository/gc-view.ts';
import { isUnreadable } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { isolated, newCounters, type JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { FindingList } from '../findings.ts';
import type { VerifyReport } from '../reports.ts';
import { findRollback } from '../rollback-check.ts';
import { coverageOf } from './verify-coverage.ts';
import { candidates, DataCheck } from './verify-data.ts';
import { checkIndex, reportUnlisted } from './verify-index.ts';
import { CheckedPacks } from './verify-ledger.ts';
import type { VerifyLevel } from './verify-levels.ts';
import { beginRun, type Beginning, type VerifyOptions, type VerifyRun } from './verify-run.ts';
import { choosePacks, isRandomSample, mostDamaged, type SampleStatement } from './verify-sample.ts';
import { checkStructure, type StoredPackObject, type Structure } from './verify-structure.ts';
import type { TreeCheck } from './verify-trees.ts';
import { checkTrees, nameFiles } from './verify-walk.ts';

export type { VerifyLevel } from './verify-levels.ts';
export type { VerifyOptions } from './verify-run.ts';

/** Damage is in the report. @throws every repository error that is no damage: then nothing is known */
export async function verify(repository: OpenRepository, options: VerifyOptions, context: JobContext = {}): Promise<VerifyReport> {
  const { clock } = repository;
  const started = clock.monotonic();
  const emit = isolated(context.onEvent);
  const beginning: Beginning = {
    findings: new FindingList(finding => { emit({ type: 'damage-found', finding }); }),
    counters: context.counters ?? newCounters(), call: { signal: context.signal },
  };
  emit({ type: 'run-started', job: 'verify', at: clock.now() });
  beginning.counters.phase = 'scanning';
  const figures = options.level === 'structure' && options.readData === false
    ? await checkStructureOnly(repository, options, beginning) : await checkContent(repository, options, beginning);
  const { findings } = beginning;
  return {
    job: 'verify', status: findings.damages + findings.unsupported > 0 ? 'failed' : 'complete', levels: levelsOf(options), snapshotId: options.snapshot?.id,
    ...figures, durationMs: clock.monotonic() - started, findings: findings.list,
  };
}

type Figures = Omit<VerifyReport, 'job' | 'status' | 'levels' | 'snapshotId' | 'durationMs' | 'findings'>;

function levelsOf({ level = 'metadata', readData }: VerifyOptions): VerifyLevel[] {
  if (level === 'structure' && readData === false) return ['structure'];
  const data: VerifyLevel[] = readData === false ? [] : readData === true ? ['data'] : ['sample'];
  return ['structure', 'metadata', ...level === 'tables' || readData === true ? ['tables' as const] : [], ...data];
}

/** Level 0 needs no session: nothing is followed. */
async function checkStructureOnly(repository: OpenRepository, { coverageDays }: VerifyOptions, { findings, call }: Beginning): Promise<Figures> {
  const structure = await checkStructure(repository, findings, call);
  for (const { object, name, message } of structure.oddSizes) findings.damage(object, name, message);
  // A gc document that cannot be read is a finding already.
  const gc = await loadGcView(repository, call).catch((error: unknown) => {
    if (!isUnreadable(error)) throw error;
    return undefined;
  });
  await reportRollback(repository, structure, gc?.highestNumber, findings, call);
  const { ledger } = await CheckedPacks.load(repository, findings, call);
  const packs = [...structure.packs.values()].filter(({ id }) => gc?.excluded.has(id) !== true);
  return {
    snapshots: structure.snapshots.length, packs: structure.packs.size, segments: structure.segments.length, treeNodes: 0, chunksReferenced: 0, tablesRead: 0,
    packsRead: 0, bytesRead: 0, unusedBytes: 0, coverage: coverageOf(packs, id => ledger.get(id), repository.clock.now(), coverageDays), sample: undefined,
  };
}

async function checkContent(repository: OpenRepository, options: VerifyOptions, beginning: Beginning): Promise<Figures> {
  const engine = options.readData === false ? undefined : new ExtractEngine(options.engines, repository);
  try {
    engine?.prepare();
    const run = await beginRun(repository, options, beginning);
    try {
      return await checkAll(run, options, engine);
    } finally {
      beginning.counters.phase = 'finishing';
      await run.session.end();
    }
  } finally {
    await engine?.close();
  }
}

async function checkAll(run: VerifyRun, options: VerifyOptions, engine: ExtractEngine | undefined): Promise<Figures> {
  const { repository, session, structure, packs, findings, damage, counters, call } = run;
  counters.phase = engine === undefined ? 'checking' : 'reading';
  const checked = await CheckedPacks.load(repository, findings, call);
  try {
    const index = await checkIndex(run);
    reportUnlisted(run, index.digests);
    await reportRollback(repository, structure, session.view.gcNumber, findings, call);
    const data = new DataCheck(run, index.digests, checked, engine);
    const { trees, sample } = options.snapshot === undefined ? await checkEverything(run, options, data, checked) : await checkOne(run, options, data, checked);
    await nameFiles(run, trees);
    damage.report(findings);
    await checked.finish(id => packs.get(id) !== undefined, findings, call);
    return {
      snapshots: run.snapshots.length, packs: packs.all.size, segments: index.segments, treeNodes: trees.treeNodes, chunksReferenced: trees.chunks,
      tablesRead: data.tablesRead, packsRead: data.packsRead, bytesRead: data.bytesRead,
      unusedBytes: options.snapshot === undefined ? unusedBytes(run, new Set(trees.packs())) : 0,
      coverage: coverageOf(packs.lasting, id => checked.ledger.get(id), repository.clock.now(), options.coverageDays), sample,
    };
  } catch (error) {
    // What was checked by now counts, unless the storage is what failed.
    if (!hasCode(error, 'UNAVAILABLE')) await checked.abandon();
    throw error;
  }
}

interface Checked {
  readonly trees: TreeCheck;
  readonly sample: SampleStatement | undefined;
}

/** Packs are read while the trees are walked: most of the one is done by the threads, all of the other by this one. */
async function checkEverything(run: VerifyRun, { readData, level }: VerifyOptions, data: DataCheck, checked: CheckedPacks): Promise<Checked> {
  const { call } = run;
  const all = candidates(run);
  const chosen = choose(run, all, readData, checked);
  const [trees] = await sideBySide(call.signal, signal => checkTrees(run, { signal }), signal => data.readData(chosen, { signal }));
  // A prune has condemned them, but may let them live.
  const needed = candidates(run, new Set(trees.packs()));
  if (readData === true) await data.readData(needed, call);
  if (level === 'tables') await data.readTables([...all, ...needed], call);
  return { trees, sample: stateSample(all, chosen, readData, data) };
}

/** What one snapshot needs is known when its trees were walked. */
async function checkOne(run: VerifyRun, { readData, level }: VerifyOptions, data: DataCheck, checked: CheckedPacks): Promise<Checked> {
  const { call } = run;
  let trees = await checkTrees(run, call);
  const all = candidates(run, new Set(trees.packs()));
  const chosen = choose(run, all, readData, checked);
  await data.readData(chosen, call);
  for (let round = 1; data.hasMissed && readData === true && round < MAX_ROUNDS; round++) {
    data.hasMissed = false;
    trees = await checkTrees(run, call);
    await data.readData(candidates(run, new Set(trees.packs())), call);
  }
  if (level === 'tables') await data.readTables(candidates(run, new Set(trees.packs())), call);
  return { trees, sample: stateSample(all, chosen, readData, data) };
}

/** Prunes that move what is being read. */
const MAX_ROUNDS = 5;

function choose({ repository }: VerifyRun, all: readonly StoredPackObject[], readData: VerifyOptions['readData'], { ledger }: CheckedPacks): readonly StoredPackObject[] {
  if (typeof readData === 'boolean') return readData ? all : [];
  const checkedAt = (id: StoredPackObject['id']): number | undefined => {
    const check = ledger.get(id);
    return check?.detail === 'data' ? check.checkedAt : undefined;
  };
  return choosePacks(all, readData, checkedAt, repository.random);
}

function stateSample(all: readonly StoredPackObject[], chosen: readonly StoredPackObject[], readData: VerifyOptions['readData'], data: DataCheck): SampleStatement | undefined {
  if (typeof readData === 'boolean') return undefined;
  const bytesOf = (packs: readonly StoredPackObject[]): number => packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const saysSomething = isRandomSample(readData) && data.packsDamaged === 0 && chosen.length > 0;
  return {
    packs: chosen.length, packsTotal: all.length, bytes: bytesOf(chosen), bytesTotal: bytesOf(all),
    mostDamagedPacks: saysSomething ? mostDamaged(all.length, chosen.length) : undefined,
  };
}

/** What this host has seen of the repository before and does not see now. */
async function reportRollback(
  repository: OpenRepository, { snapshots }: Structure, gcNumber: number | undefined, findings: FindingList, call: CallOptions,
): Promise<void> {
  if (gcNumber === undefined) return;
  for (const { message, hint } of await findRollback(repository, snapshots, gcNumber, call)) {
    findings.add({ object: 'repository', name: repository.id, message, severity: 'warning', files: [], hint });
  }
}

function unusedBytes({ repository, packs }: VerifyRun, needed: ReadonlySet<PackNumber>): number {
  let unused = 0;
  for (const { id, sizeBytes } of packs.all.values()) {
    const number = repository.cache.chunks.packNumber(id);
    if (number === undefined || !needed.has(number)) unused += sizeBytes;
  }
  return unused;
}
