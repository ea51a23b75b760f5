import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { decodeIndexSegment } from '../../src/format/index-segment.ts';
import { forgottenName, gcPlanName, PREFIXES, segmentName, sessionName, snapshotName } from '../../src/format/object-names.ts';
import { encodePlan, packPackIds } from '../../src/format/gc-documents.ts';
import { parseRunId, parseSessionId, type PackId } from '../../src/format/ids.ts';
import { encodeForgotten } from '../../src/format/tombstone.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { toSegmentContent } from '../../src/repository/segment-content.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import type { Finding } from '../../src/usecases/events.ts';
import type { VerifyReport } from '../../src/usecases/reports.ts';
import { verify, type VerifyOptions } from '../../src/usecases/verify.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile } from '../support/read-jobs.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(11);

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
}

/** Two snapshots that share most of their content. */
async function sample(): Promise<Sample> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'shared'));
  mkdirSync(join(root, 'own'));
  for (let i = 0; i < 20; i++) writeFileSync(join(root, `shared/small-${i}`), random.bytes(100 + 37 * i));
  writeFileSync(join(root, 'shared/large'), random.bytes(900_000));
  writeFileSync(join(root, 'own/first'), random.bytes(40_000));
  await backupPath(repository, root);
  writeFileSync(join(root, 'own/first'), random.bytes(30_000));
  await backupPath(repository, root);
  return { backend, repository: await reopen(backend), root };
}

function run(repository: OpenRepository, changes: Partial<VerifyOptions> = {}): Promise<VerifyReport> {
  return verify(repository, { engines, owner: OWNER, readData: false, ...changes });
}

function damage({ findings }: VerifyReport): Finding[] {
  return findings.filter(({ severity }) => severity === 'damage');
}

function paths(finding: Finding | undefined): string[] {
  return [...new Set(finding?.files.map(({ path }) => Buffer.from(path).toString()))].sort();
}

describe('verify', () => {
  test('finds nothing in a whole repository and leaves nothing behind', async () => {
    const { backend, repository } = await sample();
    const before = [...backend.snapshotState().keys()].sort();
    const report = await run(repository, { readData: true });
    expect(report).toMatchObject({ status: 'complete', findings: [], snapshots: 2, unusedBytes: 0 });
    expect(report.packsRead).toBe(report.packs);
    const stored = [...backend.snapshotState()].filter(([name]) => name.startsWith('packs/')).reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
    expect(report.bytesRead).toBe(stored);
    expect(report.chunksReferenced).toBeGreaterThan(60);
    expect([...backend.snapshotState().keys()].sort()).toEqual(before);
  });

  test('does not read content unless asked to', async () => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfFile(repository, `${root}/shared/large`));
    expect(await run(repository)).toMatchObject({ status: 'complete', packsRead: 0, bytesRead: 0 });
  });

  test('names frame, files and snapshots of damaged content', async () => {
    const { backend, repository, root } = await sample();
    const { snapshots } = await loadSnapshots(repository);
    const frame = await frameOfFile(repository, `${root}/shared/large`, 30);
    await flipBit(backend, frame);
    const report = await run(await reopen(backend), { readData: true });
    expect(report.status).toBe('failed');
    expect(damage(report)).toHaveLength(1);
    expect(damage(report)[0]).toMatchObject({ object: 'frame', name: frame.object });
    expect(paths(damage(report)[0])).toContain(`${root}/shared/large`);
    expect(new Set(damage(report)[0]!.files.map(({ snapshotId }) => snapshotId))).toEqual(new Set(snapshots.map(({ id }) => id)));
  });

  test('names what a missing pack costs, without reading content', async () => {
    const { backend, repository, root } = await sample();
    const { object } = await frameOfFile(repository, `${root}/own/first`);
    await backend.remove(object);
    const report = await run(await reopen(backend));
    expect(damage(report)).toMatchObject([{ object: 'pack', name: object, message: expect.stringContaining('missing') }]);
    expect(paths(damage(report)[0])).toEqual([`${root}/own/first`]);
    expect(report.status).toBe('failed');
  });

  test('names what is below a directory that cannot be read', async () => {
    const { backend, repository, root } = await sample();
    await flipBit(backend, await frameOfDirectory(repository, `${root}/own`));
    for (const readData of [false, true]) {
      const report = await run(await reopen(backend), { readData });
      expect(damage(report)).toMatchObject([{ object: 'frame', message: expect.stringContaining('Frame') }]);
      expect(paths(damage(report)[0])).toContain(root);
    }
  });

  test('finds a truncated pack by its listing', async () => {
    const { backend, repository, root } = await sample();
    const { object } = await frameOfFile(repository, `${root}/own/first`);
    const bytes = await backend.read(object);
    await backend.remove(object);
    await backend.create(object, [bytes.subarray(0, bytes.length - 1)]);
    const report = await run(await reopen(backend), { readData: true });
    expect(damage(report)[0]).toMatchObject({ object: 'pack', message: expect.stringMatching(/bytes instead of/) });
    expect(paths(damage(report)[0])).toEqual([`${root}/own/first`]);
  });

  test('tells a damaged table, which costs nothing yet, from a pack that lost both', async () => {
    const { backend, repository, root } = await sample();
    const { object } = await frameOfFile(repository, `${root}/shared/large`);
    const { length } = await backend.read(object);
    await flipBit(backend, { object, offset: length - 400, length: 200 });
    const back = damage(await run(await reopen(backend), { readData: true }));
    expect(back).toMatchObject([{ object: 'pack', name: object, message: expect.stringContaining('back table'), files: [] }]);
    await flipBit(backend, { object, offset: 64, length: 200 });
    const both = damage(await run(await reopen(backend), { readData: true }));
    expect(both.map(({ message }) => message).join()).toContain('Both tables');
    expect(paths(both.at(-1))).toContain(`${root}/shared/large`);
  });

  test('reports a front table that is damaged and goes on with the other one', async () => {
    const { backend, repository, root } = await sample();
    const frame = await frameOfFile(repository, `${root}/shared/large`);
    await flipBit(backend, { ...frame, offset: 64, length: 200 });
    const report = await run(await reopen(backend), { readData: true });
    expect(damage(report)).toMatchObject([{ message: expect.stringContaining('front table'), files: [] }]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('takes a flipped bit in a header for damage, not for a newer format', async () => {
    const { backend, repository, root } = await sample();
    for (const { object } of [await frameOfFile(repository, `${root}/shared/large`), await frameOfDirectory(repository, root)]) {
      await flipBit(backend, { object, offset: 4, length: 1 }); // the version
    }
    const report = await run(await reopen(backend), { readData: true });
    expect(damage(report).map(({ message, files }) => [message.includes('front table'), files.length])).toEqual([[true, 0], [true, 0]]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('names the index segment that is damaged and the files that it hides', async () => {
    const { backend, root } = await sample();
    const [segment] = [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.segments));
    await flipBit(backend, { object: segment!, offset: 0, length: (await backend.read(segment!)).length });
    const report = await run(await reopen(backend));
    expect(damage(report)).toContainEqual(expect.objectContaining({ object: 'index segment', name: segment }));
    expect(damage(report).some(finding => paths(finding).some(path => path.startsWith(root)))).toBe(true);
  });

  test('notices that the local index lies, and does not believe it', async () => {
    const { repository } = await sample();
    await run(repository);
    // The cache of another day: the same segment, but with a pack that is described wrongly.
    const { chunks } = repository.cache;
    const [segment] = chunks.segments();
    const content = toSegmentContent(segment!, decodeIndexSegment((await repository.objects.load(segmentName(segment!))).payload));
    await chunks.dropSegments([segment!]);
    await chunks.addSegment({ ...content, packs: content.packs.map(pack => ({ ...pack, sizeBytes: pack.sizeBytes + 1 })) });
    const report = await run(repository, { readData: true });
    expect(report).toMatchObject({ status: 'complete', findings: [{ object: 'local cache', severity: 'warning' }] });
  });

  test('names unreadable snapshots', async () => {
    const { backend, repository } = await sample();
    const { snapshots } = await loadSnapshots(repository);
    const object = snapshotName(snapshots[0]!.id);
    await flipBit(backend, { object, offset: 80, length: 40 });
    const report = await run(await reopen(backend));
    expect(report).toMatchObject({ status: 'failed', snapshots: 1 });
    expect(damage(report)).toMatchObject([{ object: 'snapshot', name: object }]);
  });

  test('warns of stray files, unindexed packs, unfinished plans, unsigned documents and dead sessions', async () => {
    const { backend, repository } = await sample();
    await backend.create('packs/stray', [utf8('x')]);
    await backend.create(`packs/d/ab/${'ab'.repeat(16)}`, [utf8('half')]);
    await backend.create(sessionName(parseSessionId('cd'.repeat(16))), [utf8('junk')]);
    const pack = [...backend.snapshotState().keys()].find(name => name.startsWith('packs/d/'))!.slice(-32) as PackId;
    const plan = encodePlan({ packs: packPackIds([pack]), createdAt: 1, runId: parseRunId('ab'.repeat(16)) });
    await repository.objects.save(backend, gcPlanName(1), OBJECT_TYPES.plan, plan);
    const later = { ...repository.clock, now: () => repository.clock.now() + 2 * 24 * 3600 * 1000 };
    const report = await run({ ...repository, clock: later });
    expect(report.status).toBe('complete');
    expect(report.findings.map(({ object, severity }) => `${severity} ${object}`).sort()).toEqual([
      'warning gc document', 'warning pack', 'warning session', 'warning stray file',
    ]);
  });

  test('reports a gc document that cannot be read, and checks the rest', async () => {
    const { backend } = await sample();
    await backend.create(gcPlanName(1), [random.bytes(300)]);
    const report = await run(await reopen(backend), { readData: true });
    expect(damage(report)).toMatchObject([{ object: 'gc document', name: gcPlanName(1) }]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('names a marker that does not open', async () => {
    const { backend } = await sample();
    const other = await makeRepository(memoryBackend());
    const name = forgottenName(parseSessionId('ef'.repeat(16)));
    const foreign = other.objects.seal(name, OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'x', createdAt: 1 }));
    await backend.create(name, [foreign]);
    expect(damage(await run(await reopen(backend)))).toMatchObject([{ object: 'forgotten marker', name }]);
  });

  test('of one snapshot reads only the packs that it needs', async () => {
    const { backend, repository, root } = await sample();
    const { snapshots } = await loadSnapshots(repository);
    const whole = await run(repository, { readData: true });
    const first = await run(repository, { readData: true, snapshot: snapshots[0]! });
    expect(first).toMatchObject({ status: 'complete', snapshots: 1, unusedBytes: 0 });
    expect(first.packsRead).toBeLessThan(whole.packsRead);
    // Damage in a pack that only the second snapshot needs does not concern the first.
    await flipBit(backend, await frameOfFile(repository, `${root}/own/first`));
    const again = await reopen(backend);
    expect(await run(again, { readData: true, snapshot: snapshots[0]! })).toMatchObject({ status: 'complete' });
    expect(await run(again, { readData: true, snapshot: snapshots[1]! })).toMatchObject({ status: 'failed' });
  });

  test('counts the bytes that nothing needs', async () => {
    const { backend, repository } = await sample();
    const { snapshots } = await loadSnapshots(repository);
    const { id } = snapshots[1]!;
    await repository.objects.save(backend, forgottenName(id), OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'test', createdAt: 1 }));
    await backend.remove(snapshotName(id));
    expect(await run(await reopen(backend))).toMatchObject({ status: 'complete', snapshots: 1, unusedBytes: expect.any(Number) });
    expect((await run(await reopen(backend))).unusedBytes).toBeGreaterThan(0);
  });

  test('stops when it is told to', async () => {
    const { repository } = await sample();
    const signal = AbortSignal.abort();
    await expect(verify(repository, { engines, owner: OWNER, readData: true }, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
