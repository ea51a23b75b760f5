/** What the processes of the simulated hosts do, with the real use cases. */
import { utf8 } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import { forgetSnapshot } from '../../src/repository/forget.ts';
import { loadSnapshots, type SnapshotRecord } from '../../src/repository/snapshots.ts';
import { openFileTree } from '../../src/sources/files.ts';
import { backup } from '../../src/usecases/backup/backup.ts';
import type { EngineFactory } from '../../src/usecases/ingest-engine.ts';
import { changeTags } from '../../src/usecases/labels.ts';
import { addParity } from '../../src/usecases/parity.ts';
import { closePlans, prune } from '../../src/usecases/prune/prune.ts';
import { repairIndex } from '../../src/usecases/repair/repair-index.ts';
import { firstId } from '../../src/usecases/replicate/replica-lag.ts';
import { restore } from '../../src/usecases/restore/restore.ts';
import { rotateKeys } from '../../src/usecases/rotate-keys.ts';
import { undelete } from '../../src/usecases/retention/undelete.ts';
import { verify } from '../../src/usecases/verify/verify.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { changeFiles, type Host } from './hosts.ts';
import { MemoryTarget, type FileContents } from './memory-files.ts';
import { kernel } from './remembering-kernel.ts';
import { copySnapshots } from './replication.ts';
import { BrokenPromise, mayMisread, openAs, wasAway, type Job, type Run, type Setting } from './run.ts';
import type { Process } from './world.ts';

/** After the storm: reads everything and restores everything. `ids`: the snapshots that must be listed. */
export function checkAll(setting: Setting, host: Host, ids: readonly string[]): Promise<void> {
  return runJob(setting, host, 'verify', async run => {
    await verifyAll(run, true);
    const { snapshots } = await loadSnapshots(run.repository);
    const listed = snapshots.map(({ id }) => id).sort();
    if (listed.join() !== [...ids].sort().join()) throw new BrokenPromise(`Snapshots ${ids.join(', ')} are valid, but ${listed.join(', ')} are listed`);
    for (const record of snapshots) await restoreSnapshot(run, record);
    return `restored ${listed.length}`;
  });
}

export function closeAll(setting: Setting, host: Host): Promise<void> {
  return runJob(setting, host, 'prune', async ({ repository }) => `closed plans ${(await closePlans(repository)).join(', ')}`);
}

/** One process of a host. Resolves when it has ended or was killed; errors that its faults explain are its normal end. */
export async function runJob(setting: Setting, host: Host, job: Job, work: (run: Run) => Promise<string> = WORK[job]): Promise<void> {
  const { world } = setting;
  let die: () => void = () => undefined;
  const death = new Promise<void>(resolve => { die = resolve; });
  const process = world.start(host.name, job, die);
  const ending = runProcess(setting, host, process, job, work).then(
    text => { world.note(`${process.name} ends: ${text}`); },
    (error: unknown) => {
      if (!isExcused(error, process, host)) throw error;
      world.note(`${process.name} fails: ${error instanceof SnapError ? error.code : String(error)}`);
    },
  ).finally(() => { if (process.isAlive) world.end(process); });
  await Promise.race([ending, death]);
}

async function runProcess(setting: Setting, host: Host, process: Process, job: Job, work: (run: Run) => Promise<string>): Promise<string> {
  const repository = await openAs(setting, host, process, job);
  const run: Run = { setting, host, process, repository, owner: { ...host.owner, processId: process.processId }, random: setting.world.random };
  return work(run);
}

const WORK: Record<Job, (run: Run) => Promise<string>> = {
  backup: async run => {
    const { host, process, repository, random, setting: { promises } } = run;
    changeFiles(host.tree, random);
    process.stores = host.tree.contents();
    const source = openFileTree([utf8('/data')], { cwd: utf8('/'), native: host.tree.native() });
    const { snapshotId, status } = await backup(repository, source, {
      engines: enginesOf(run), owner: run.owner, kind: random.oneIn(4) ? 'full' : 'incremental', series: host.name, tags: [], dryRun: false,
      skipIfUnchanged: random.oneIn(3), allowEmpty: false, ignoreInode: false, compressionLevel: 1, grouping: true,
    });
    if (status !== 'complete' && process.met.size === 0) throw new BrokenPromise('A backup without faults had problems');
    if (snapshotId === undefined) return 'nothing to save';
    promises.saved.add(snapshotId);
    return `saved ${snapshotId.slice(0, 6)}`;
  },
  forget: async run => {
    const { repository, setting: { promises } } = run;
    const record = await chooseSnapshot(run, 3);
    if (record === undefined) return 'nothing to forget';
    promises.givenUp.add(record.id);
    await forgetSnapshot(repository, record.id, 'simulated', { keepsRecord: run.random.oneIn(2) });
    return `forgot ${record.id.slice(0, 6)}`;
  },
  relabel: async run => {
    const { repository, owner, process, setting: { promises } } = run;
    const record = await chooseSnapshot(run, 1);
    if (record === undefined) return 'nothing to relabel';
    process.stores = promises.contents.get(record.id);
    promises.givenUp.add(record.id);
    const [relabelled] = await changeTags(repository, owner, [record], { add: [`t${run.random.below(1000)}`] });
    if (relabelled!.to !== record.id) promises.saved.add(relabelled!.to);
    return `relabelled ${record.id.slice(0, 6)} as ${relabelled!.to.slice(0, 6)}`;
  },
  undelete: async run => {
    const { repository, owner, process, random, setting: { promises } } = run;
    const all = [...promises.givenUp];
    if (all.length === 0) return 'nothing to bring back';
    const id = all[random.below(all.length)]!;
    process.stores = promises.contents.get(id);
    const [result] = await undelete(repository, owner, [id]);
    if (!result!.wasThere) promises.saved.add(result!.to);
    return `brought ${id.slice(0, 6)} back as ${result!.to.slice(0, 6)}`;
  },
  prune: async run => {
    const { repository, owner, host } = run;
    const report = await prune(repository, { owner, dryRun: false, isProcessAlive: aliveOn(run), ...host.prunes });
    return `plan ${report.planNumber ?? '-'}, ${report.packsDropped} dropped, ${report.packsRewritten} rewritten${report.isPending ? ', pending' : ''}`;
  },
  rotate: async run => {
    const { repository, owner, host: { prunes: { graceMs, waitMs } }, random, setting: { main } } = run;
    if (main.conditions !== 'kept') return 'not on this storage';
    const { outcome, epoch } = await rotateKeys(repository, { owner, graceMs, waitMs, isProcessAlive: aliveOn(run), resealBytes: random.oneIn(2) ? undefined : 2 ** 30 });
    return `${outcome}: epoch ${epoch}`;
  },
  parity: async ({ repository, random }) => {
    const { status, packsAdded } = await addParity(repository, { share: 0.1, dryRun: false, verify: random.oneIn(2) });
    return `${status}, parity for ${packsAdded} packs`;
  },
  repair: async run => {
    const { status } = await repairIndex(run.repository, { engines: enginesOf(run), owner: run.owner, dryRun: false, full: run.random.oneIn(2) });
    return `repaired: ${status}`;
  },
  restore: async run => {
    const record = await chooseSnapshot(run, 1);
    if (record === undefined) return 'nothing to restore';
    const isWhole = await restoreSnapshot(run, record);
    return `${isWhole ? 'restored' : 'could not restore'} ${record.id.slice(0, 6)}`;
  },
  verify: run => verifyAll(run, run.random.oneIn(2)),
  replicate: run => copySnapshots(run, run.random.oneIn(4)),
};

function aliveOn({ host, setting: { world } }: Run): (processId: number) => boolean {
  return processId => world.processes.some(each => each.processId === processId && each.host === host.name);
}

async function verifyAll(run: Run, readData: boolean): Promise<string> {
  const { repository, owner, process } = run;
  const { status, findings } = await verify(repository, { engines: enginesOf(run), owner, readData });
  // A writer that slept until its packs were swept lists them in the index when it wakes up; nothing refers to them.
  const damage = findings.filter(({ severity, message }) => severity !== 'warning' && !message.includes('(no snapshot needs it)'));
  if (damage.length > 0 && !mayMisread(process) && !wasAway(process)) throw new BrokenPromise(`verify found damage where there is none: ${JSON.stringify(damage).slice(0, 500)}`);
  return `verified: ${status}`;
}

/** Compares every byte with what was saved. False: faults explain that something is missing. */
async function restoreSnapshot(run: Run, snapshot: SnapshotRecord): Promise<boolean> {
  const { repository, owner, process, setting: { promises } } = run;
  const target = new MemoryTarget();
  const report = await restore(repository, target, {
    engines: enginesOf(run), owner, snapshot, overwrite: 'always', delete: false, dryRun: false, verify: false, sparse: false, setsOwner: false,
  });
  if (report.status !== 'complete') {
    if (mayMisread(process) || wasAway(process)) return false;
    throw new BrokenPromise(`Snapshot ${snapshot.id} could not be restored: ${[...report.findings, ...report.problems].map(each => JSON.stringify(each)).join('; ').slice(0, 300)}`);
  }
  const expected = promises.contents.get(snapshot.id) ?? promises.contents.get(firstId(snapshot));
  if (expected === undefined || !isSame(expected, target.files)) throw new BrokenPromise(`Snapshot ${snapshot.id} was restored with other content than was saved`);
  return true;
}

function isSame(a: FileContents, b: FileContents): boolean {
  return a.size === b.size && [...a].every(([path, bytes]) => Buffer.compare(bytes, b.get(path) ?? new Uint8Array(0)) === 0 && b.has(path));
}

/** One of the valid snapshots when there are at least so many. */
async function chooseSnapshot({ repository, random }: Run, least: number): Promise<SnapshotRecord | undefined> {
  const { snapshots } = await loadSnapshots(repository);
  return snapshots.length < least ? undefined : snapshots[random.below(snapshots.length)];
}

function enginesOf({ host, random }: Run): EngineFactory {
  return { capacity: 1, open: () => createInlineEngine({ kernel, native: host.tree.native(), openKnownChunks, random: new SeededRandom(random.below(2 ** 31)) }) };
}

// --- what excuses an error ---

/** These can be the outcome of a race with others. */
const RACES: ReadonlySet<string> = new Set(['SNAPSHOT_NOT_FOUND', 'SNAPSHOT_GONE', 'SESSION_REVOKED', 'PRUNE_UNFINISHED', 'OBJECT_CONFLICT']);

function isExcused(error: unknown, process: Process, host: Host): boolean {
  if (!(error instanceof SnapError)) return false;
  const { met } = process;
  if (RACES.has(error.code)) return true;
  if (error.code === 'DENIED') return !host.canRemove;
  if (error.code === 'UNAVAILABLE') return met.has('unavailable') || met.has('lost-answer') || met.has('late');
  if (error.code === 'NO_SPACE') return met.has('no-space');
  return mayMisread(process) && error.kind !== 'internal';
}
