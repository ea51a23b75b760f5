/** Checks that a repository is whole: structure, index, trees, and on request every stored byte (repository design, section 16.2). */
import { JobGroup } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode } from '../base/errors.ts';
import type { PackId } from '../format/ids.ts';
import type { PackContent } from '../format/index-segment.ts';
import { packName } from '../format/object-names.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { ReadingSession } from '../repository/reading-session.ts';
import type { SessionOwner } from '../repository/registration.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import { DamageTrace } from './damage-trace.ts';
import { isolated, newCounters, type Counters, type JobContext } from './events.ts';
import { ExtractEngine } from './extract-engine.ts';
import { FindingList } from './findings.ts';
import type { EngineFactory } from './ingest-engine.ts';
import type { VerifyReport } from './reports.ts';
import { DamageMap } from './verify-damage.ts';
import { checkIndex, readSegments } from './verify-index.ts';
import { PackCheck } from './verify-packs.ts';
import { checkStructure, type StoredPackObject, type Structure } from './verify-structure.ts';
import { TreeCheck } from './verify-trees.ts';

export interface VerifyOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  /** Reads and opens everything that is stored. */
  readonly readData: boolean;
  /** Trees and content of this snapshot only. */
  readonly snapshot?: SnapshotRecord | undefined;
}

interface VerifyRun {
  readonly repository: OpenRepository;
  readonly session: ReadingSession;
  /** With the packs as the session sees them. */
  readonly structure: Structure;
  readonly options: VerifyOptions;
  readonly call: CallOptions;
  readonly counters: Counters;
  readonly findings: FindingList;
  readonly damage: DamageMap;
}

interface DataRead {
  packs: number;
  bytes: number;
}

/** Snapshots that are forgotten between their listing and their pins. */
const MAX_ROUNDS = 5;

/** Damage is in the report. @throws every repository error that is no damage: then nothing is known */
export async function verify(repository: OpenRepository, options: VerifyOptions, context: JobContext = {}): Promise<VerifyReport> {
  const { clock, cache } = repository;
  const started = clock.monotonic();
  const emit = isolated(context.onEvent);
  const counters = context.counters ?? newCounters();
  emit({ type: 'run-started', job: 'verify', at: clock.now() });
  const call: CallOptions = { signal: context.signal };
  counters.phase = 'scanning';
  const { session, structure, findings } = await begin(repository, options, emit, call);
  const damage = new DamageMap(cache.chunks);
  const run: VerifyRun = { repository, session, structure, options, call, counters, findings, damage };
  const read: DataRead = { packs: 0, bytes: 0 };
  try {
    const { segments } = await checkIndex(repository, structure, session.view.excluded, damage, findings, call);
    const trees = await checkTrees(run);
    const needed = new Set([...trees.packs()]);
    if (options.readData) await readPacks(run, needed, read);
    await nameFiles(run, trees);
    damage.report(findings);
    return {
      job: 'verify', status: findings.damages + findings.unsupported > 0 ? 'failed' : 'complete', snapshots: chosen(run).length, packs: structure.packs.size, segments,
      treeNodes: trees.treeNodes, chunksReferenced: trees.chunks, packsRead: read.packs, bytesRead: read.bytes,
      unusedBytes: options.snapshot === undefined ? unusedBytes(run, needed) : 0, durationMs: clock.monotonic() - started, findings: findings.list,
    };
  } finally {
    counters.phase = 'finishing';
    await session.end();
  }
}

/** R0 to R3: what was listed is pinned, and then everything is looked at through the session. */
async function begin(
  repository: OpenRepository, options: VerifyOptions, emit: ReturnType<typeof isolated>, call: CallOptions,
): Promise<{ session: ReadingSession; structure: Structure; findings: FindingList }> {
  for (let round = 1; ; round++) {
    const waiting = new FindingList();
    const structure = await checkStructure(repository, waiting, call);
    try {
      const records = options.snapshot === undefined ? structure.snapshots : [options.snapshot];
      // A damaged segment or gc document is found again by the checks that look for it.
      const session = await ReadingSession.begin(repository, options.owner, records, { ...call, onDamagedObject: () => undefined });
      const findings = new FindingList(finding => { emit({ type: 'damage-found', finding }); });
      findings.addAll(waiting);
      const packs = new Map(session.view.packs.map((pack): [PackId, StoredPackObject] => [pack.id, pack]));
      return { session, structure: { ...structure, packs }, findings };
    } catch (error) {
      if (options.snapshot !== undefined || round === MAX_ROUNDS || !hasCode(error, 'SNAPSHOT_NOT_FOUND')) throw error;
    }
  }
}

function chosen({ options, structure }: VerifyRun): readonly SnapshotRecord[] {
  return options.snapshot === undefined ? structure.snapshots : [options.snapshot];
}

async function checkTrees(run: VerifyRun): Promise<TreeCheck> {
  run.counters.phase = 'checking';
  const check = new TreeCheck(run.session, run.damage, run.counters, run.call);
  for (const { snapshot } of chosen(run)) await check.checkSnapshot(snapshot);
  return check;
}

/** Segment by segment, so that the chunk lists of one are in memory at a time; several packs at once. */
async function readPacks(run: VerifyRun, needed: ReadonlySet<number>, read: DataRead): Promise<void> {
  const { repository, structure, options, counters, findings, damage, call } = run;
  counters.phase = 'reading';
  const wanted = [...structure.packs.values()].filter(({ id }) => isWanted(run, needed, id));
  counters.totalBytes = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const engine = new ExtractEngine(options.engines, repository);
  const check = new PackCheck(repository, engine, damage, findings, bytes => {
    read.bytes += bytes;
    counters.bytesDone += bytes;
  });
  const jobs = new JobGroup(engine.capacity);
  const left = new Map(wanted.map(pack => [pack.id, pack]));
  const add = async (pack: StoredPackObject, indexed: PackContent | undefined): Promise<void> => {
    left.delete(pack.id);
    await jobs.add(() => readPack(run, check, pack, indexed, read));
  };
  try {
    for await (const { packs } of readSegments(repository, structure.segments, undefined, call)) {
      for (const indexed of packs) {
        const pack = left.get(indexed.id);
        if (pack !== undefined && pack.sizeBytes === indexed.sizeBytes && pack.type === indexed.type) await add(pack, indexed);
      }
    }
    for (const pack of left.values()) await add(pack, undefined);
    await jobs.done();
  } finally {
    await jobs.settled();
    await engine.close();
  }
}

/** Not what a prune removes, and not what is known to be of a wrong size already. */
function isWanted({ repository, options, session, damage }: VerifyRun, needed: ReadonlySet<number>, id: PackId): boolean {
  const number = repository.cache.chunks.packNumber(id);
  if (number !== undefined && damage.hasPack(number)) return false;
  if (options.snapshot === undefined) return !session.view.excluded.has(id);
  return number !== undefined && needed.has(number);
}

async function readPack({ repository, session, findings, damage, call }: VerifyRun, check: PackCheck, pack: StoredPackObject, indexed: PackContent | undefined, read: DataRead): Promise<void> {
  const { looks } = session;
  try {
    await check.run(pack, indexed, call);
    read.packs++;
  } catch (error) {
    const name = packName(pack.type, pack.id);
    if (hasCode(error, 'UNSUPPORTED_FORMAT')) return findings.addUnsupported({ object: 'pack', name, message: error.message, files: [] });
    const isShort = hasCode(error, 'INVALID_RANGE');
    if (!isShort && !hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    if (!isShort) await session.lookAgain(looks, call);
    const number = repository.cache.chunks.packNumber(pack.id);
    // A prune removes packs, and what the index says of them, at any time.
    if (number === undefined || (!isShort && session.view.excluded.has(pack.id))) return;
    damage.packIsBad(number, name, isShort ? 'The pack is shorter than its listing says' : 'The pack is listed but not there');
  }
}

async function nameFiles(run: VerifyRun, trees: TreeCheck): Promise<void> {
  const { repository, session, damage, call } = run;
  if (damage.isEmpty && !trees.isHit) return;
  const { chunks } = repository.cache;
  const usable = [...chunks.packs()].filter(({ number }) => chunks.isUsable(number)).map(({ number }) => number);
  // What lies in a pack that is missing can be blamed on it only when the index may be asked for it.
  for (const number of damage.badPacks()) chunks.addUsable(number);
  try {
    const trace = new DamageTrace(session, damage, call);
    for (const record of chosen(run)) await trace.trace(record);
  } finally {
    chunks.setUsable(usable);
  }
}

function unusedBytes({ repository, structure }: VerifyRun, needed: ReadonlySet<number>): number {
  let unused = 0;
  for (const { id, sizeBytes } of structure.packs.values()) {
    const number = repository.cache.chunks.packNumber(id);
    if (number === undefined || !needed.has(number)) unused += sizeBytes;
  }
  return unused;
}
