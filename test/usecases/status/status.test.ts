import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { MemoryBackend } from '../../../src/backend/memory.ts';
import { PREFIXES } from '../../../src/format/object-names.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { writeReplicaRecord, type ReplicaRecord } from '../../../src/repository/replicas.ts';
import { packIds } from '../../../src/usecases/replicate/replica-lag.ts';
import { DEFAULT_THRESHOLDS } from '../../../src/usecases/status/status-checks.ts';
import { replicaLook } from '../../../src/usecases/status/replica-look.ts';
import type { CheckName, Place, StatusFacts, StatusLevel, StatusReport } from '../../../src/usecases/status/status-report.ts';
import { status, type StatusOptions } from '../../../src/usecases/status/status.ts';
import { backupPath, makeRepository, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { changeTree, forget, namesBelow, runPrune } from '../../support/prune-jobs.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { TestClock } from '../../support/test-clock.ts';
import { runVerify } from '../../support/verify-jobs.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const HERE: Place = { location: 'memory:', medium: 'memory', isOffSite: false, reason: 'a test' };

function look(repository: OpenRepository, changes: Partial<StatusOptions> = {}): Promise<StatusReport> {
  const placeOf = (location: string): Place => location === 'memory:' ? HERE : { location, medium: 'elsewhere', isOffSite: true, reason: 'a test' };
  return status(repository, { thresholds: DEFAULT_THRESHOLDS, placeOf, ...changes });
}

function levelOf({ checks }: StatusReport, name: CheckName): StatusLevel {
  return checks.find(check => check.name === name)!.level;
}

function messageOf({ checks }: StatusReport, name: CheckName): string {
  return checks.find(check => check.name === name)!.message;
}

function factsOf({ facts }: StatusReport): StatusFacts {
  if (facts === undefined) throw new Error('there are no facts');
  return facts;
}

interface Sample {
  readonly clock: TestClock;
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
  readonly ids: readonly string[];
}

async function sample(count = 2): Promise<Sample> {
  const clock = new TestClock();
  const backend = new MemoryBackend({ clock });
  const repository = await makeRepository(backend, { clock, chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  const ids: string[] = [];
  for (let i = 0; i < count; i++) {
    changeTree(root, i);
    ids.push((await backupPath(repository, root)).snapshotId!);
    clock.advance(HOUR);
  }
  return { clock, backend, repository, root, ids };
}

function recordOf(changes: Partial<ReplicaRecord>): ReplicaRecord {
  return {
    location: 's3://second/copy', host: 'test-host', attemptedAt: 0, selection: { host: [], series: [], kind: [], tags: [], paths: [] },
    known: packIds([]), snapshots: 0, bytes: 0, ...changes,
  };
}

test('a young repository is well, but for its copies', async () => {
  const { repository, ids, backend } = await sample();
  const report = await look(repository);
  expect(report.checks.filter(({ level }) => level !== 'ok').map(({ name }) => name)).toEqual(['3-2-1']);
  expect(report.level).toBe('warning');
  const { series, snapshots, bytes, packs } = factsOf(report);
  expect(series).toMatchObject([{ series: 'test', snapshots: 2, newestId: ids[1], problems: 0 }]);
  const sizes = [...backend.snapshotState()].map(([name, object]) => ({ name, size: object.bytes.length }));
  expect({ snapshots, bytes, packs }).toEqual({ snapshots: 2, bytes: sizes.reduce((sum, { size }) => sum + size, 0), packs: (await namesBelow(backend, PREFIXES.packs)).length });
});

test('it reads no pack, and what it reads does not grow with the data', async () => {
  const { backend, clock } = await sample(3);
  const recording = new RecordingBackend(backend, { clock });
  const repository = await reopen(recording, { clock });
  const before = recording.operations.length;
  await look(repository);
  const calls = recording.operations.slice(before);
  expect(calls.filter(({ name }) => name.startsWith(PREFIXES.packs) || name.startsWith(PREFIXES.segments))).toEqual([]);
  expect(calls.length).toBeLessThan(20);
});

test('nothing is written', async () => {
  const { backend, repository } = await sample();
  const before = [...backend.snapshotState().keys()];
  await look(repository);
  expect([...backend.snapshotState().keys()]).toEqual(before);
});

test('an empty repository is critical', async () => {
  const report = await look(await makeRepository());
  expect([report.level, levelOf(report, 'snapshots')]).toEqual(['critical', 'critical']);
});

test('each series is to have a fresh snapshot', async () => {
  const { clock, repository, root } = await sample();
  clock.advance(25 * HOUR);
  await backupPath(repository, root, { series: 'other' });
  clock.advance(2 * HOUR);
  const late = await look(repository);
  expect([levelOf(late, 'freshness'), messageOf(late, 'freshness')]).toEqual(['warning', expect.stringContaining("'test'")]);
  expect(messageOf(late, 'freshness')).not.toContain("'other'");
  expect(levelOf(await look(repository, { ignoredSeries: ['test'] }), 'freshness')).toBe('ok');
  expect(levelOf(await look(repository, { filter: { series: ['other'] } }), 'freshness')).toBe('ok');
  clock.advance(3 * DAY);
  expect(levelOf(await look(repository), 'freshness')).toBe('critical');
});

test('a snapshot that is dated in the future does not pass for fresh', async () => {
  const { clock, repository, root } = await sample(1);
  await backupPath(repository, root, { time: [Math.floor(clock.now() / 1000) + 400 * 86_400, 0] });
  clock.advance(4 * DAY);
  expect(levelOf(await look(repository), 'freshness')).toBe('critical');
});

test('what was stored long ago is to be verified within the days', async () => {
  const { clock, repository, root } = await sample();
  expect(factsOf(await look(repository))).toMatchObject({ lastVerifiedAt: undefined, overduePacks: 0 });
  clock.advance(36 * DAY);
  await backupPath(repository, root);
  const overdue = await look(repository);
  expect([levelOf(overdue, 'verification'), factsOf(overdue).overduePacks]).toEqual(['warning', expect.any(Number)]);
  await runVerify(repository, { readData: true });
  clock.advance(HOUR);
  const verified = await look(repository);
  expect(levelOf(verified, 'verification')).toBe('ok');
  expect(factsOf(verified)).toMatchObject({ overduePacks: 0, lastVerifiedAt: clock.now() - HOUR });
  clock.advance(36 * DAY);
  expect(levelOf(await look(repository), 'verification')).toBe('warning');
});

test('known damage and snapshots that cannot be read are critical', async () => {
  const { clock, backend, repository, ids } = await sample();
  const name = `${PREFIXES.snapshots}${ids[0]}`;
  const bytes = await backend.read(name);
  await backend.remove(name);
  bytes[100]! ^= 1;
  await backend.create(name, [bytes]);
  const report = await look(await reopen(backend, { clock }));
  expect([levelOf(report, 'damage'), messageOf(report, 'damage')]).toEqual(['critical', expect.stringContaining(ids[0]!)]);
  expect(levelOf(await look(repository), 'damage')).toBe('ok'); // its own copy is whole; `verify` looks at the storage
});

test('a gc document that cannot be read is critical, and the rest is told all the same', async () => {
  const { backend, repository } = await sample();
  await backend.create('gc/0000000001', [new Uint8Array(200)]);
  const report = await look(repository);
  expect(levelOf(report, 'damage')).toBe('critical');
  expect(factsOf(report).snapshots).toBe(2);
});

test('a hidden newest snapshot and a lower gc number are a roll-back', async () => {
  const { backend, repository, ids } = await sample();
  await backend.remove(`${PREFIXES.snapshots}${ids[1]}`);
  const report = await look(repository);
  expect([levelOf(report, 'roll-back'), messageOf(report, 'roll-back')]).toEqual(['critical', expect.stringContaining(ids[1]!)]);
});

test('what was forgotten waits for a prune, and a plan that waits for long is stuck', async () => {
  const { clock, repository, ids } = await sample(3);
  await forget(repository, ids[0]!);
  expect(factsOf(await look(repository))).toMatchObject({ forgottenSincePrune: 1, unfinishedPlans: [], lastPruneAt: undefined });
  await runPrune(repository, { graceMs: DAY });
  const waiting = await look(repository);
  expect(factsOf(waiting).unfinishedPlans).toEqual([{ number: 1, since: clock.now() }]);
  expect(factsOf(waiting).pendingBytes).toBeGreaterThan(0);
  expect(levelOf(waiting, 'prune')).toBe('ok');
  clock.advance(8 * DAY);
  expect(levelOf(await look(repository), 'prune')).toBe('warning');
  await runPrune(repository);
  const done = await look(repository);
  expect(levelOf(done, 'prune')).toBe('ok');
  expect(factsOf(done)).toMatchObject({ forgottenSincePrune: 0, pendingBytes: 0, lastPruneAt: clock.now() });
});

test('sessions that died are told from those that run', async () => {
  const { clock, backend, repository, root } = await sample(1);
  const recording = new RecordingBackend(MemoryBackend.fromState(backend.snapshotState(), { clock }), { clock });
  await backupPath(await reopen(recording, { clock }), root);
  const session = recording.operations.find(({ name, bytes }) => name.startsWith(PREFIXES.sessions) && bytes.length > 0)!;
  await backend.create(session.name, [session.bytes]);
  expect(factsOf(await look(repository))).toMatchObject({ sessionsRunning: 1, sessionsDead: 0 });
  clock.advance(DAY);
  expect(factsOf(await look(repository))).toMatchObject({ sessionsRunning: 0, sessionsDead: 1 });
});

test('the disk is full from 85 percent on, and critical from 95', async () => {
  const { repository } = await sample(1);
  const used = async (percent: number): Promise<StatusLevel> =>
    levelOf(await look(repository, { space: async () => ({ freeBytes: 100 - percent, totalBytes: 100 }) }), 'space');
  expect([await used(84), await used(85), await used(94), await used(95)]).toEqual(['ok', 'warning', 'warning', 'critical']);
});

test('a newest snapshot that holds far less than usual is suspicious', async () => {
  const { clock, repository, root } = await sample(0);
  for (let i = 0; i < 120; i++) writeFileSync(join(root, `file-${i}`), String(i));
  await backupPath(repository, root);
  clock.advance(HOUR);
  await backupPath(repository, root);
  clock.advance(HOUR);
  expect(levelOf(await look(repository), 'size')).toBe('ok');
  for (let i = 0; i < 100; i++) rmSync(join(root, `file-${i}`));
  await backupPath(repository, root);
  const report = await look(repository);
  expect([levelOf(report, 'size'), messageOf(report, 'size')]).toEqual(['warning', expect.stringContaining('holds only 20 files')]);
});

test('three copies on two media, one off-site, while the replica is up to date', async () => {
  const { clock, repository, ids } = await sample();
  await writeReplicaRecord(repository, recordOf({ attemptedAt: clock.now(), succeededAt: clock.now(), known: packIds(ids as never), snapshots: 2 }));
  const met = await look(repository);
  expect(met.level).toBe('ok');
  expect(factsOf(met).copies).toMatchObject({ copies: 3, media: 3, offSite: 1, isMet: true });
  expect(factsOf(met).replicas).toMatchObject([{ lag: { snapshots: 0 } }]);
});

test('a replica that lags behind stops counting after a while, and says so', async () => {
  const { clock, repository, root, ids } = await sample();
  await writeReplicaRecord(repository, recordOf({ attemptedAt: clock.now(), succeededAt: clock.now(), known: packIds(ids as never), snapshots: 2 }));
  clock.advance(9 * DAY);
  expect(levelOf(await look(repository), '3-2-1')).toBe('ok'); // nothing new: it lacks nothing
  await backupPath(repository, root);
  const late = await look(repository);
  expect([levelOf(late, 'replicas'), levelOf(late, '3-2-1')]).toEqual(['warning', 'warning']);
  expect(factsOf(late).copies.lacking).toEqual(['there are 2 copies with the original, not 3', 'no copy is off-site']);
  expect(levelOf(await look(repository, { thresholds: { ...DEFAULT_THRESHOLDS, expectsThreeTwoOne: false } }), '3-2-1')).toBe('ok');
});

test('a replica that failed, or that a look finds empty or gone, is a warning', async () => {
  const { clock, repository, ids } = await sample();
  const record = recordOf({
    attemptedAt: clock.now(), succeededAt: clock.now(), known: packIds(ids as never), snapshots: 2, error: { code: 'UNAVAILABLE', message: 'The line was cut', at: clock.now() },
  });
  await writeReplicaRecord(repository, record);
  expect(messageOf(await look(repository), 'replicas')).toContain('The line was cut');
  const empty = await makeRepository();
  expect(messageOf(await look(repository, { lookAt: each => replicaLook(empty, each) }), 'replicas')).toContain('does not hold 2 snapshots');
  const gone = await look(repository, { lookAt: async () => ({ error: 'There is no bucket' }) });
  expect([messageOf(gone, 'replicas'), levelOf(gone, '3-2-1')]).toEqual([expect.stringContaining('There is no bucket'), 'warning']);
  expect((await look(repository, { lookAt: each => replicaLook(repository, each) })).facts!.replicas[0]!.look).toMatchObject({ snapshots: 2, missing: 0 });
});
