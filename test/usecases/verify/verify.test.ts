import { describe, expect, test } from 'vitest';
import { utf8 } from '../../../src/base/bytes.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { decodeIndexSegment } from '../../../src/format/index-segment.ts';
import { forgottenName, gcPlanName, PREFIXES, segmentName, sessionName, snapshotName } from '../../../src/format/object-names.ts';
import { encodePlan, packPackIds } from '../../../src/format/gc-documents.ts';
import { parseRunId, parseSessionId, type PackId } from '../../../src/format/ids.ts';
import { encodeForgotten } from '../../../src/format/tombstone.ts';
import { toSegmentContent } from '../../../src/repository/segment-content.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { verify } from '../../../src/usecases/verify/verify.ts';
import { engines, makeRepository, memoryBackend, OWNER, reopen } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile, withLatest } from '../../support/read-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { damage, ledgerOf, paths, runVerify, verifySample } from '../../support/verify-jobs.ts';

const random = new SeededRandom(11);

describe('verify', () => {
  test('finds nothing in a whole repository and leaves nothing behind but its entry in the ledger', async () => {
    const { backend, repository } = await verifySample();
    const before = [...backend.snapshotState().keys()].sort();
    const report = await runVerify(repository, { readData: true });
    expect(report).toMatchObject({ status: 'complete', findings: [], snapshots: 2, unusedBytes: 0 });
    expect(report.packsRead).toBe(report.packs);
    const stored = [...backend.snapshotState()].filter(([name]) => name.startsWith('packs/')).reduce((sum, [, { bytes }]) => sum + bytes.length, 0);
    expect(report.bytesRead).toBe(stored);
    expect(report.chunksReferenced).toBeGreaterThan(60);
    expect(ledgerOf(backend)).toHaveLength(1);
    expect([...backend.snapshotState().keys()].filter(name => !ledgerOf(backend).includes(name)).sort()).toEqual(before);
  });

  test('does not read content unless asked to', async () => {
    const { backend, repository, root } = await verifySample();
    await flipBit(backend, await frameOfFile(repository, `${root}/shared/large`));
    expect(await runVerify(repository)).toMatchObject({ status: 'complete', packsRead: 0, bytesRead: 0 });
  });

  test('names frame, files and snapshots of damaged content', async () => {
    const { backend, repository, root } = await verifySample();
    const { snapshots } = await loadSnapshots(repository);
    const frame = await frameOfFile(repository, `${root}/shared/large`, 30);
    await flipBit(backend, frame);
    const report = await runVerify(await reopen(backend), { readData: true });
    expect(report.status).toBe('failed');
    expect(damage(report)).toHaveLength(1);
    expect(damage(report)[0]).toMatchObject({ object: 'frame', name: frame.object });
    expect(paths(damage(report)[0])).toContain(`${root}/shared/large`);
    expect(new Set(damage(report)[0]!.files.map(({ snapshotId }) => snapshotId))).toEqual(new Set(snapshots.map(({ id }) => id)));
  });

  test('names the ranges of bytes that are hit, also in files of many chunks, and the chunks', async () => {
    const { backend, repository, root } = await verifySample();
    const path = `${root}/shared/large`;
    await flipBit(backend, await frameOfFile(repository, path, 180));
    const { expected, ids } = await withLatest(repository, async (session, tree) => {
      const { chunks } = repository.cache;
      const items = [];
      for await (const part of session.trees.content((await tree.get(utf8(path))).entry)) items.push(...part);
      const hit = chunks.find(items[180]!.id!)!;
      let offset = 0;
      const ranges: [number, number][] = [];
      const lost: string[] = [];
      for (const { id, lengthBytes } of items) {
        const place = chunks.find(id!)!;
        if (place.pack === hit.pack && place.frame === hit.frame) {
          const last = ranges.at(-1);
          if (last !== undefined && last[0] + last[1] === offset) last[1] += lengthBytes;
          else ranges.push([offset, lengthBytes]);
          lost.push(Buffer.from(id!).toString('hex'));
        }
        offset += lengthBytes;
      }
      return { expected: ranges, ids: lost };
    });
    const [finding] = damage(await runVerify(await reopen(backend), { readData: true }));
    for (const file of finding!.files.filter(each => Buffer.from(each.path).toString() === path)) expect(file.ranges).toEqual(expected);
    expect(finding!.files.filter(each => Buffer.from(each.path).toString() === path)).toHaveLength(2);
    expect(finding!.chunks).toEqual(expect.arrayContaining(ids));
    expect(finding!.hint).toContain('snap repair packs --from LOCATION');
  });

  test('names what a missing pack costs, without reading content', async () => {
    const { backend, repository, root } = await verifySample();
    const { object } = await frameOfFile(repository, `${root}/own/first`);
    await backend.remove(object);
    const report = await runVerify(await reopen(backend));
    expect(damage(report)).toMatchObject([{ object: 'pack', name: object, message: expect.stringContaining('missing') }]);
    expect(paths(damage(report)[0])).toEqual([`${root}/own/first`]);
    expect(report.status).toBe('failed');
  });

  test('names what is below a directory that cannot be read', async () => {
    const { backend, repository, root } = await verifySample();
    await flipBit(backend, await frameOfDirectory(repository, `${root}/own`));
    for (const readData of [false, true]) {
      const report = await runVerify(await reopen(backend), { readData });
      expect(damage(report)).toMatchObject([{ object: 'frame', message: expect.stringContaining('Frame') }]);
      expect(paths(damage(report)[0])).toContain(root);
    }
  });

  test('finds a truncated pack by its listing', async () => {
    const { backend, repository, root } = await verifySample();
    const { object } = await frameOfFile(repository, `${root}/own/first`);
    const bytes = await backend.read(object);
    await backend.remove(object);
    await backend.create(object, [bytes.subarray(0, bytes.length - 1)]);
    const report = await runVerify(await reopen(backend), { readData: true });
    expect(damage(report)[0]).toMatchObject({ object: 'pack', message: expect.stringMatching(/bytes instead of/) });
    expect(paths(damage(report)[0])).toEqual([`${root}/own/first`]);
  });

  test('tells a damaged table, which costs nothing yet, from a pack that lost both', async () => {
    const { backend, repository, root } = await verifySample();
    const { object } = await frameOfFile(repository, `${root}/shared/large`);
    const { length } = await backend.read(object);
    await flipBit(backend, { object, offset: length - 400, length: 200 });
    const back = damage(await runVerify(await reopen(backend), { readData: true }));
    expect(back).toMatchObject([{ object: 'pack', name: object, message: expect.stringContaining('back table'), files: [] }]);
    await flipBit(backend, { object, offset: 64, length: 200 });
    const both = damage(await runVerify(await reopen(backend), { readData: true }));
    expect(both.map(({ message }) => message).join()).toContain('Both tables');
    expect(paths(both.at(-1))).toContain(`${root}/shared/large`);
  });

  test('reports a front table that is damaged and goes on with the other one', async () => {
    const { backend, repository, root } = await verifySample();
    const frame = await frameOfFile(repository, `${root}/shared/large`);
    await flipBit(backend, { ...frame, offset: 64, length: 200 });
    const report = await runVerify(await reopen(backend), { readData: true });
    expect(damage(report)).toMatchObject([{ message: expect.stringContaining('front table'), files: [] }]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('takes a flipped bit in a header for damage, not for a newer format', async () => {
    const { backend, repository, root } = await verifySample();
    for (const { object } of [await frameOfFile(repository, `${root}/shared/large`), await frameOfDirectory(repository, root)]) {
      await flipBit(backend, { object, offset: 4, length: 1 }); // the version
    }
    const report = await runVerify(await reopen(backend), { readData: true });
    expect(damage(report).map(({ message, files }) => [message.includes('front table'), files.length])).toEqual([[true, 0], [true, 0]]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('names the index segment that is damaged and the files that it hides', async () => {
    const { backend, root } = await verifySample();
    const [segment] = [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.segments));
    await flipBit(backend, { object: segment!, offset: 0, length: (await backend.read(segment!)).length });
    const report = await runVerify(await reopen(backend));
    expect(damage(report)).toContainEqual(expect.objectContaining({ object: 'index segment', name: segment }));
    expect(damage(report).some(finding => paths(finding).some(path => path.startsWith(root)))).toBe(true);
  });

  test('notices that the local index lies, and does not believe it', async () => {
    const { repository } = await verifySample();
    await runVerify(repository);
    // The cache of another day: the same segment, but with a pack that is described wrongly.
    const { chunks } = repository.cache;
    const [segment] = chunks.segments();
    const content = toSegmentContent(segment!, decodeIndexSegment((await repository.objects.load(segmentName(segment!))).payload));
    await chunks.dropSegments([segment!]);
    await chunks.addSegment({ ...content, packs: content.packs.map(pack => ({ ...pack, sizeBytes: pack.sizeBytes + 1 })) });
    const report = await runVerify(repository, { readData: true });
    expect(report).toMatchObject({ status: 'complete', findings: [{ object: 'local cache', severity: 'warning' }] });
  });

  test('names unreadable snapshots', async () => {
    const { backend, repository } = await verifySample();
    const { snapshots } = await loadSnapshots(repository);
    const object = snapshotName(snapshots[0]!.id);
    await flipBit(backend, { object, offset: 80, length: 40 });
    const report = await runVerify(await reopen(backend));
    expect(report).toMatchObject({ status: 'failed', snapshots: 1 });
    expect(damage(report)).toMatchObject([{ object: 'snapshot', name: object }]);
  });

  test('warns of stray files, unindexed packs, unfinished plans, unsigned documents and dead sessions', async () => {
    const { backend, repository } = await verifySample();
    await backend.create('packs/stray', [utf8('x')]);
    await backend.create(`packs/d/ab/${'ab'.repeat(16)}`, [new Uint8Array(65_536)]);
    await backend.create(sessionName(parseSessionId('cd'.repeat(16))), [utf8('junk')]);
    const pack = [...backend.snapshotState().keys()].find(name => name.startsWith('packs/d/'))!.slice(-32) as PackId;
    const plan = encodePlan({ packs: packPackIds([pack]), createdAt: 1, runId: parseRunId('ab'.repeat(16)) });
    await repository.objects.save(backend, gcPlanName(1), OBJECT_TYPES.plan, plan);
    const later = { ...repository.clock, now: () => repository.clock.now() + 2 * 24 * 3600 * 1000 };
    const report = await runVerify({ ...repository, clock: later });
    expect(report.status).toBe('complete');
    expect(report.findings.map(({ object, severity }) => `${severity} ${object}`).sort()).toEqual([
      'warning gc document', 'warning pack', 'warning session', 'warning stray file',
    ]);
  });

  test('reports a gc document that cannot be read, and checks the rest', async () => {
    const { backend } = await verifySample();
    await backend.create(gcPlanName(1), [random.bytes(300)]);
    const report = await runVerify(await reopen(backend), { readData: true });
    expect(damage(report)).toMatchObject([{ object: 'gc document', name: gcPlanName(1) }]);
    expect(report.packsRead).toBe(report.packs);
  });

  test('names a marker that does not open', async () => {
    const { backend } = await verifySample();
    const other = await makeRepository(memoryBackend());
    const name = forgottenName(parseSessionId('ef'.repeat(16)));
    const foreign = other.objects.seal(name, OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'x', createdAt: 1 }));
    await backend.create(name, [foreign]);
    expect(damage(await runVerify(await reopen(backend)))).toMatchObject([{ object: 'forgotten marker', name }]);
  });

  test('of one snapshot reads only the packs that it needs', async () => {
    const { backend, repository, root } = await verifySample();
    const { snapshots } = await loadSnapshots(repository);
    const whole = await runVerify(repository, { readData: true });
    const first = await runVerify(repository, { readData: true, snapshot: snapshots[0]! });
    expect(first).toMatchObject({ status: 'complete', snapshots: 1, unusedBytes: 0 });
    expect(first.packsRead).toBeLessThan(whole.packsRead);
    // Damage in a pack that only the second snapshot needs does not concern the first.
    await flipBit(backend, await frameOfFile(repository, `${root}/own/first`));
    const again = await reopen(backend);
    expect(await runVerify(again, { readData: true, snapshot: snapshots[0]! })).toMatchObject({ status: 'complete' });
    expect(await runVerify(again, { readData: true, snapshot: snapshots[1]! })).toMatchObject({ status: 'failed' });
  });

  test('counts the bytes that nothing needs', async () => {
    const { backend, repository } = await verifySample();
    const { snapshots } = await loadSnapshots(repository);
    const { id } = snapshots[1]!;
    await repository.objects.save(backend, forgottenName(id), OBJECT_TYPES.forgotten, encodeForgotten({ reason: 'test', createdAt: 1 }));
    await backend.remove(snapshotName(id));
    expect(await runVerify(await reopen(backend))).toMatchObject({ status: 'complete', snapshots: 1, unusedBytes: expect.any(Number) });
    expect((await runVerify(await reopen(backend))).unusedBytes).toBeGreaterThan(0);
  });

  test('stops when it is told to', async () => {
    const { repository } = await verifySample();
    const signal = AbortSignal.abort();
    await expect(verify(repository, { engines, owner: OWNER, readData: true }, { signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
