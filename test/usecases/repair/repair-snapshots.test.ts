import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import { utf8 } from '../../../src/base/bytes.ts';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { parseSnapshotId, type SnapshotId } from '../../../src/format/ids.ts';
import type { Entry } from '../../../src/format/tree-node.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { entryFields, longLine } from '../../../src/cli/describe-entry.ts';
import { ChunkWriter } from '../../../src/repository/chunk-writer.ts';
import { PackReader } from '../../../src/repository/pack-reader.ts';
import { WritingSession } from '../../../src/repository/writing-session.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { listTree } from '../../../src/usecases/browse/list-tree.ts';
import { diffSnapshots } from '../../../src/usecases/browse/diff.ts';
import { dump } from '../../../src/usecases/browse/dump.ts';
import { createArchiveWriter } from '../../../src/targets/archive.ts';
import { resolveSnapshot } from '../../../src/usecases/reading/select-snapshots.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from '../../support/memory-repository.ts';
import { entryOf, flipBit, frameOfFile, memoryDirectory, restoreTo } from '../../support/read-jobs.ts';
import { damages, flipped, namesBelow, overwrite, recordSteps, runRepairPacks, runRepairSnapshots, verifyData } from '../../support/repair-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const LARGE_BYTES = 3_000_000;
const random = new SeededRandom(14);
const root = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'snap-test-'));
afterAll(() => { rmSync(root, { recursive: true }); });

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly ids: readonly SnapshotId[];
}
let made: { readonly state: MemoryState; readonly ids: readonly SnapshotId[] } | undefined;

/** Two snapshots; `large` has so many chunks that they are listed in content nodes. */
async function sample(): Promise<Sample> {
  made ??= await makeSample();
  const backend = MemoryBackend.fromState(made.state, { clock: systemClock });
  return { backend, repository: await reopen(backend), ids: made.ids };
}

async function makeSample(): Promise<NonNullable<typeof made>> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  mkdirSync(join(root, 'a/b'), { recursive: true });
  mkdirSync(join(root, 'whole'));
  writeFileSync(join(root, 'a/large'), random.bytes(LARGE_BYTES));
  writeFileSync(join(root, 'a/b/file'), random.bytes(5_000));
  writeFileSync(join(root, 'whole/file'), 'something whole\n');
  const first = await backupPath(repository, root, { tags: ['daily'] });
  writeFileSync(join(root, 'whole/other'), 'and another one\n');
  const second = await backupPath(repository, root);
  return { state: backend.snapshotState(), ids: [first, second].map(({ snapshotId }) => parseSnapshotId(snapshotId!)) };
}

/** Loses a frame in the middle of the large file, for good. */
async function loseContent({ backend, repository }: Sample): Promise<void> {
  await flipBit(backend, await frameOfFile(repository, join(root, 'a/large'), 400));
  await runRepairPacks(await reopen(backend));
}

async function repairedOf(repository: OpenRepository, original: SnapshotId): Promise<SnapshotId> {
  return (await loadSnapshots(repository)).snapshots.find(({ snapshot }) => snapshot.originalId === original)!.id;
}

describe('repair snapshots', () => {
  test('leaves undamaged snapshots alone', async () => {
    const { backend, repository } = await sample();
    const before = namesBelow(backend, '');
    expect(await runRepairSnapshots(repository, { forget: true })).toMatchObject({ status: 'complete', damagedObjects: 0, findings: [] });
    expect(namesBelow(backend, '')).toEqual(before);
  });

  test('makes new snapshots that say exactly which bytes are gone, and a restore says so, too', async () => {
    const all = await sample();
    await loseContent(all);
    const report = await runRepairSnapshots(await reopen(all.backend));
    expect(report.counts).toMatchObject({ snapshotsRepaired: 2, snapshotsForgotten: 0 });
    expect(damages(report)).toHaveLength(1);
    const [hit] = damages(report)[0]!.files;
    expect(Buffer.from(hit!.path).toString()).toBe(join(root, 'a/large'));
    const fresh = await reopen(all.backend);
    expect((await loadSnapshots(fresh)).snapshots).toHaveLength(4);
    const id = await repairedOf(fresh, all.ids[0]!);
    const { snapshot } = await resolveSnapshot(fresh, id);
    const original = await resolveSnapshot(fresh, all.ids[0]!);
    expect(snapshot).toMatchObject({ tags: ['daily', 'repaired'], startedAt: original.snapshot.startedAt, host: original.snapshot.host, statistics: original.snapshot.statistics });
    expect(damages(await verifyData(await reopen(all.backend))).every(({ files }) => files.every(({ snapshotId }) => all.ids.includes(snapshotId as SnapshotId)))).toBe(true);

    const target = memoryDirectory();
    const restored = await restoreTo(fresh, target, { snapshot: id, path: root });
    expect(restored).toMatchObject({ status: 'partial', findings: [], problemsTotal: 1 });
    expect(Buffer.from(restored.problems[0]!.path!).toString()).toBe(join(root, 'a/large'));
    expect(restored.problems[0]!.message).toMatch(/are zeros/);
    const [found, wanted] = [readFileSync(join(target, 'a/large')), readFileSync(join(root, 'a/large'))];
    const ranges = hit!.ranges!;
    expect(ranges.reduce((sum, [, length]) => sum + length, 0)).toBeLessThan(LARGE_BYTES / 4);
    for (const [offset, length] of ranges) wanted.fill(0, offset, offset + length);
    expect(Buffer.compare(found, wanted)).toBe(0);
    expect(readFileSync(join(target, 'whole/file'), 'utf8')).toBe('something whole\n');
  });

  test('takes intact subtrees over by reference, and keeps the metadata of damaged entries', async () => {
    const all = await sample();
    await loseContent(all);
    const before = await entriesBelow(all.repository, all.ids[1]!);
    await runRepairSnapshots(await reopen(all.backend));
    const fresh = await reopen(all.backend);
    const after = await entriesBelow(fresh, await repairedOf(fresh, all.ids[1]!));
    expect([...after.keys()]).toEqual([...before.keys()]);
    expect(after.get('/whole')).toEqual(before.get('/whole'));
    const { content: _, contentNode: __, flags, damagedSpans, ...rest } = after.get('/a/large')!;
    expect(before.get('/a/large')).toMatchObject(rest);
    expect(flags & 4).toBe(4);
    expect(damagedSpans!.length).toBeGreaterThan(0);
    expect(after.get('/a')!.flags).toBe(0);
  });

  test('keeps a folder whose entries are gone as an empty one that says so, and everything beside it', async () => {
    const all = await sample();
    const { directoryNode } = await entryOf(all.repository, join(root, 'a/b'));
    await hideChunk(all.backend, directoryNode!);
    const fresh = await reopen(all.backend);
    const report = await runRepairSnapshots(fresh, { forget: true });
    expect(damages(report)).toEqual([expect.objectContaining({ object: 'tree', files: expect.arrayContaining([expect.objectContaining({ path: utf8(join(root, 'a/b')) })]) as unknown })]);
    const after = await entriesBelow(await reopen(all.backend), await repairedOf(await reopen(all.backend), all.ids[1]!));
    expect([...after.keys()]).toEqual(['/a', '/a/b', '/a/large', '/whole', '/whole/file', '/whole/other']);
    expect(after.get('/a/b')!.flags).toBe(4);
    const target = memoryDirectory();
    writeFile(target, 'a/b/kept', 'not in the snapshot, but who knows');
    writeFile(target, 'a/gone', 'not in the snapshot');
    const restored = await restoreTo(await reopen(all.backend), target, { path: root, delete: true });
    expect(restored).toMatchObject({ status: 'partial', problemsTotal: 1 });
    expect(Buffer.from(restored.problems[0]!.path!).toString()).toBe(join(root, 'a/b'));
    expect([existsSync(join(target, 'a/b/kept')), existsSync(join(target, 'a/gone'))]).toEqual([true, false]);
  });

  test('dump, diff and listings say what is missing in a repaired snapshot', async () => {
    const all = await sample();
    await loseContent(all);
    await runRepairSnapshots(await reopen(all.backend));
    const fresh = await reopen(all.backend);
    const [before, after] = await Promise.all([all.ids[1]!, await repairedOf(fresh, all.ids[1]!)].map(id => resolveSnapshot(fresh, id)));
    const pieces: Uint8Array[] = [];
    const problems: string[] = [];
    const context = { onEvent: (event: SnapEvent) => { if (event.type === 'problem-found') problems.push(Buffer.from(event.path!).toString()); } };
    const write = async (bytes: Uint8Array): Promise<void> => { pieces.push(bytes.slice()); };
    const report = await dump(fresh, { engines, owner: OWNER, snapshot: after!, path: utf8(join(root, 'a/large')), write, openArchive: sink => createArchiveWriter('tar', sink) }, context);
    expect(report).toMatchObject({ status: 'partial', bytes: LARGE_BYTES });
    expect(Buffer.concat(pieces)).toHaveLength(LARGE_BYTES);
    expect(problems).toEqual([join(root, 'a/large')]);
    const archived = await dump(fresh, { engines, owner: OWNER, snapshot: after!, path: utf8(join(root, 'a')), write, openArchive: sink => createArchiveWriter('tar', sink) });
    expect(archived).toMatchObject({ status: 'partial', problemsTotal: 1 });
    problems.length = 0;
    const changes: string[] = [];
    for await (const { path, change } of diffSnapshots(fresh, { snapshot: before! }, { snapshot: after! }, { owner: OWNER }, context)) changes.push(`${change} ${Buffer.from(path).toString()}`);
    expect(changes).toEqual([`content ${join(root, 'a/large')}`]);
    expect(problems).toEqual([join(root, 'a/large')]);
    const listed = await entriesBelow(fresh, after!.id);
    expect(longLine(utf8('/a/large'), listed.get('/a/large')!)).toMatch(/of it are missing\)$/);
    expect(entryFields(utf8('/a/large'), listed.get('/a/large')!)).toMatchObject({ damaged: true, damaged_ranges: listed.get('/a/large')!.damagedSpans!.map(({ offset, length }) => [offset, length]) });
  });

  test('is the same in a dry run, which changes nothing', async () => {
    const all = await sample();
    await loseContent(all);
    const before = all.backend.snapshotState();
    const dry = recordSteps();
    const planned = await runRepairSnapshots(await reopen(all.backend), { dryRun: true, forget: true }, dry.context);
    expect(all.backend.snapshotState()).toEqual(before);
    const wet = recordSteps();
    const done = await runRepairSnapshots(await reopen(all.backend), { forget: true }, wet.context);
    expect(dry.steps.map(({ action, name }) => [action, name])).toEqual(wet.steps.map(({ action, name }) => [action, name]));
    expect(planned.counts).toEqual(done.counts);
    expect(planned.findings).toEqual(done.findings);
  });

  test('with --forget leaves a repository that is clean, and run again it does nothing', async () => {
    const all = await sample();
    await loseContent(all);
    expect(await runRepairSnapshots(await reopen(all.backend), { forget: true })).toMatchObject({ counts: { snapshotsRepaired: 2, snapshotsForgotten: 2 } });
    const fresh = await reopen(all.backend);
    expect(damages(await verifyData(fresh))).toEqual([]);
    expect((await loadSnapshots(fresh)).snapshots.map(({ snapshot }) => snapshot.originalId).sort()).toEqual([...all.ids].sort());
    expect(await runRepairSnapshots(await reopen(all.backend), { forget: true })).toMatchObject({ status: 'complete', counts: { snapshotsRepaired: 0, snapshotsForgotten: 0 } });
  });

  test('run again without --forget makes no second copy, and with it forgets what was repaired before', async () => {
    const all = await sample();
    await loseContent(all);
    await runRepairSnapshots(await reopen(all.backend));
    const once = (await loadSnapshots(await reopen(all.backend))).snapshots.map(({ id }) => id);
    expect(await runRepairSnapshots(await reopen(all.backend))).toMatchObject({ counts: { snapshotsRepaired: 0 } });
    expect((await loadSnapshots(await reopen(all.backend))).snapshots.map(({ id }) => id)).toEqual(once);
    expect(await runRepairSnapshots(await reopen(all.backend), { forget: true })).toMatchObject({ counts: { snapshotsRepaired: 0, snapshotsForgotten: 2 } });
    expect((await loadSnapshots(await reopen(all.backend))).snapshots.map(({ id }) => id)).toEqual(once.filter(id => !all.ids.includes(id)));
  });

  test('repairs only the snapshots that are named', async () => {
    const all = await sample();
    await loseContent(all);
    expect(await runRepairSnapshots(await reopen(all.backend), { snapshots: new Set([all.ids[1]!]) })).toMatchObject({ counts: { snapshotsRepaired: 1 } });
    await expect(runRepairSnapshots(await reopen(all.backend), { snapshots: new Set([parseSnapshotId('ab'.repeat(16))]) })).rejects.toMatchObject({ code: 'SNAPSHOT_NOT_FOUND' });
  });

  test('a backup after it reads again what is marked', async () => {
    const all = await sample();
    await loseContent(all);
    await runRepairSnapshots(await reopen(all.backend), { forget: true });
    const report = await backupPath(await reopen(all.backend), root);
    expect(report).toMatchObject({ status: 'complete', filesTotal: 4 });
    const target = memoryDirectory();
    expect(await restoreTo(await reopen(all.backend), target, { path: root })).toMatchObject({ status: 'complete' });
    expect(Buffer.compare(readFileSync(join(target, 'a/large')), readFileSync(join(root, 'a/large')))).toBe(0);
  });
});

describe('a snapshot record that is damaged', () => {
  test('is reported, and forgotten only when it is named with its full ID', async () => {
    const all = await sample();
    const name = `snapshots/${all.ids[0]!}`;
    await overwrite(all.backend, name, flipped());
    const report = await runRepairSnapshots(await reopen(all.backend), { forget: true });
    expect(damages(report)).toEqual([expect.objectContaining({ object: 'snapshot', name })]);
    expect(namesBelow(all.backend, 'snapshots/')).toContain(name);
    expect(report.next.join()).toContain(all.ids[0]!);
    await runRepairSnapshots(await reopen(all.backend), { snapshots: new Set([all.ids[0]!]) });
    expect(namesBelow(all.backend, 'snapshots/')).toContain(name);
    await runRepairSnapshots(await reopen(all.backend), { snapshots: new Set([all.ids[0]!]), forget: true });
    expect(namesBelow(all.backend, 'snapshots/')).not.toContain(name);
    expect(damages(await verifyData(await reopen(all.backend)))).toEqual([]);
  });

  test('of a newer version is not touched', async () => {
    const all = await sample();
    await overwrite(all.backend, `snapshots/${all.ids[0]!}`, bytes => {
      bytes[4] = 2;
      return bytes;
    });
    const before = namesBelow(all.backend, '');
    for (const snapshots of [undefined, new Set([all.ids[0]!])]) {
      await expect(runRepairSnapshots(await reopen(all.backend), { snapshots, forget: true })).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
    }
    expect(namesBelow(all.backend, '')).toEqual(before);
  });
});

/** Takes a chunk out of all index segments and the tables of its pack, as if its frame were gone for good: its pack is replaced. */
async function hideChunk(backend: MemoryBackend, id: Uint8Array): Promise<void> {
  const repository = await reopen(backend);
  const session = await WritingSession.begin(repository, { owner: OWNER, compressionLevel: 1, discard: false });
  const location = repository.cache.chunks.find(id)!;
  const pack = repository.cache.chunks.pack(location.pack)!;
  const writer = new ChunkWriter(repository, session.assembler, 1);
  const reader = new PackReader(repository);
  for (const each of [...repository.cache.chunks.entries()].filter(entry => entry.location.pack === pack.number)) {
    if (Buffer.compare(each.id, id) !== 0) writer.put('tree', each.id, await reader.chunk(each.id, each.location));
  }
  writer.finish();
  await session.flush();
  await session.end();
  await backend.remove(`packs/t/${pack.id.slice(0, 2)}/${pack.id}`);
}

function writeFile(directory: string, path: string, content: string): void {
  mkdirSync(dirname(join(directory, path)), { recursive: true });
  writeFileSync(join(directory, path), content);
}

async function entriesBelow(repository: OpenRepository, id: SnapshotId): Promise<Map<string, Entry>> {
  const entries = new Map<string, Entry>();
  for await (const { path, entry } of listTree(repository, { snapshot: await resolveSnapshot(repository, id), path: utf8(root) }, { owner: OWNER, recursive: true })) {
    entries.set(Buffer.from(path).toString().slice(root.length), entry);
  }
  return entries;
}
