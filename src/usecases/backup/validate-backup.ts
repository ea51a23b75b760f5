/**
 * Reads back what a backup has just written: the record of the snapshot, its trees as a whole, the index segments that were added,
 * and the data of every new pack. What was stored before is taken for what it was when it was verified last.
 */
import { sideBySide } from '../../base/concurrency.ts';
import { hasCode } from '../../base/errors.ts';
import type { PackId, SegmentId, SnapshotId } from '../../format/ids.ts';
import { snapshotName } from '../../format/object-names.ts';
import { decodeSnapshot } from '../../format/snapshot.ts';
import { listSegments } from '../../repository/index-loader.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { isolated, newCounters, type JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { FindingList } from '../findings.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import type { VerifyReport } from '../reports.ts';
import { coverageOf } from '../verify/verify-coverage.ts';
import { DamageMap } from '../verify/verify-damage.ts';
import { candidates, DataCheck } from '../verify/verify-data.ts';
import { checkIndex } from '../verify/verify-index.ts';
import { CheckedPacks } from '../verify/verify-ledger.ts';
import type { Structure } from '../verify/verify-structure.ts';
import { ListedPacks, type Beginning, type VerifyRun } from '../verify/verify-run.ts';
import { checkTrees, nameFiles } from '../verify/verify-walk.ts';

export interface ValidateOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  readonly snapshotId: SnapshotId;
  /** Those that the backup wrote. */
  readonly packs: ReadonlySet<PackId>;
  /** Those that were there before it. */
  readonly knownSegments: ReadonlySet<SegmentId>;
}

type Figures = Pick<VerifyReport, 'snapshots' | 'packs' | 'segments' | 'treeNodes' | 'chunksReferenced' | 'packsRead' | 'bytesRead' | 'coverage'>;

/** Damage is in the report. @throws every repository error that is no damage: then nothing is known */
export async function validateBackup(repository: OpenRepository, options: ValidateOptions, context: JobContext = {}): Promise<VerifyReport> {
  const { clock } = repository;
  const started = clock.monotonic();
  const emit = isolated(context.onEvent);
  const findings = new FindingList(finding => { emit({ type: 'damage-found', finding }); });
  const beginning: Beginning = { findings, counters: context.counters ?? newCounters(), call: { signal: context.signal } };
  emit({ type: 'run-started', job: 'validate', at: clock.now() });
  beginning.counters.phase = 'reading';
  const figures = await validate(repository, options, beginning);
  return {
    job: 'verify', status: findings.damages + findings.unsupported > 0 ? 'failed' : 'complete', levels: ['metadata', 'data'], snapshotId: options.snapshotId,
    ...figures, tablesRead: 0, unusedBytes: 0, durationMs: clock.monotonic() - started, findings: findings.list,
  };
}

async function validate(repository: OpenRepository, options: ValidateOptions, beginning: Beginning): Promise<Figures> {
  const engine = new ExtractEngine(options.engines, repository);
  engine.prepare();
  try {
    const record = await loadRecord(repository, options.snapshotId, beginning);
    const run = await beginRun(repository, options, record === undefined ? [] : [record], beginning);
    try {
      return await checkWritten(run, options, engine);
    } finally {
      await run.session.end();
    }
  } finally {
    await engine.close();
  }
}

async function loadRecord({ objects, backend }: OpenRepository, id: SnapshotId, { findings, call }: Beginning): Promise<SnapshotRecord | undefined> {
  const name = snapshotName(id);
  try {
    const { storedAt, sizeBytes } = await backend.stat(name, call);
    const snapshot = await findings.tolerate('snapshot', name, async () => decodeSnapshot((await objects.load(name, call)).payload));
    return snapshot === undefined ? undefined : { id, snapshot, storedAt, sizeBytes };
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    findings.damage('snapshot', name, 'The snapshot that was just saved is not there');
    return undefined;
  }
}

async function beginRun(repository: OpenRepository, { owner }: ValidateOptions, snapshots: readonly SnapshotRecord[], { findings, counters, call }: Beginning): Promise<VerifyRun> {
  const session = await ReadingSession.begin(repository, owner, snapshots, { ...call, onDamagedObject: () => undefined });
  const structure: Structure = { packs: new Map(), segments: [...await listSegments(repository.backend, call)], snapshots, oddSizes: [], parity: new Set(), writingSince: undefined };
  const damage = new DamageMap(repository.cache.chunks);
  return { repository, session, structure, snapshots, packs: new ListedPacks(session, structure), call, counters, findings, damage };
}

async function checkWritten(run: VerifyRun, options: ValidateOptions, engine: ExtractEngine): Promise<Figures> {
  const { repository, packs, findings, damage, call } = run;
  const checked = await CheckedPacks.load(repository, findings, call);
  try {
    const index = await checkIndex(run, id => !options.knownSegments.has(id));
    for (const id of options.packs) {
      if (!index.digests.has(id) && !packs.isExcluded(id)) findings.damage('pack', id, 'No index segment lists the pack that was just written');
    }
    const data = new DataCheck(run, index.digests, checked, engine);
    const written = candidates(run).filter(({ id }) => options.packs.has(id));
    const [trees] = await sideBySide(call.signal, signal => checkTrees(run, { signal }), signal => data.readData(written, { signal }));
    await nameFiles(run, trees);
    damage.report(findings);
    await checked.finish(id => packs.get(id) !== undefined, findings, call);
    return {
      snapshots: run.snapshots.length, packs: written.length, segments: index.segments, treeNodes: trees.treeNodes, chunksReferenced: trees.chunks,
      packsRead: data.packsRead, bytesRead: data.bytesRead, coverage: coverageOf(packs.lasting, id => checked.ledger.get(id), repository.clock.now()),
    };
  } catch (error) {
    if (!hasCode(error, 'UNAVAILABLE')) await checked.abandon();
    throw error;
  }
}
