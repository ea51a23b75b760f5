import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { openMemoryCache } from '../../../src/cache/memory-cache.ts';
import { encodeDone, encodePlan, encodeSweep, packPackIds } from '../../../src/format/gc-documents.ts';
import { OBJECT_TYPES } from '../../../src/format/header.ts';
import { parsePackId, parseRunId, parseSegmentId } from '../../../src/format/ids.ts';
import { decodeIndexSegment, encodeIndexSegment, unpackSegment, type PackContent } from '../../../src/format/index-segment.ts';
import { gcDoneName, gcPlanName, gcSweepName, segmentName } from '../../../src/format/object-names.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { backupPath, makeRepository, memoryBackend, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { readAllSnapshots, type SnapshotContent } from '../../support/read-snapshot.ts';
import { damages, flipped, namesBelow, overwrite, recordSteps, runRepairIndex, verifyData } from '../../support/repair-jobs.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const random = new SeededRandom(12);

interface Sample {
  readonly backend: MemoryBackend;
  readonly repository: OpenRepository;
  readonly root: string;
  readonly content: Map<string, SnapshotContent>;
}

/** Two snapshots, each with a segment, a data pack and a tree pack of its own at least. */
async function sample(): Promise<Sample> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  mkdirSync(join(root, 'shared'));
  for (let i = 0; i < 12; i++) writeFileSync(join(root, `shared/small-${i}`), random.bytes(100 + 3700 * i));
  await backupPath(repository, root);
  for (let i = 0; i < 12; i++) writeFileSync(join(root, `shared/late-${i}`), random.bytes(100 + 2900 * i));
  await backupPath(repository, root);
  return { backend, repository: await reopen(backend), root, content: await readAllSnapshots(await reopen(backend)) };
}

async function packsOf(repository: OpenRepository, name: string): Promise<PackContent[]> {
  return unpackSegment(decodeIndexSegment((await repository.objects.load(name)).payload));
}

/** Writes a segment as a faulty or hostile writer might. */
async function putSegment({ backend, repository }: Sample, digit: string, packs: readonly PackContent[]): Promise<string> {
  const name = segmentName(parseSegmentId(digit.repeat(32)));
  await backend.create(name, [repository.objects.seal(name, OBJECT_TYPES.indexSegment, encodeIndexSegment([], packs), { suite: 1 })]);
  return name;
}

async function expectWhole({ backend, content }: Sample): Promise<void> {
  const fresh = await reopen(backend);
  expect(await verifyData(fresh)).toMatchObject({ status: 'complete', findings: [] });
  expect(await readAllSnapshots(fresh)).toEqual(content);
}

describe('repair index', () => {
  test('does nothing to a whole repository, also when it looks at everything', async () => {
    const { backend, repository } = await sample();
    const before = backend.snapshotState();
    for (const full of [false, true]) {
      expect(await runRepairIndex(repository, { full })).toMatchObject({ status: 'complete', damagedObjects: 0, findings: [], counts: { segmentsWritten: 0, segmentsRemoved: 0 } });
    }
    expect([...backend.snapshotState().keys()]).toEqual([...before.keys()]);
  });

  test('rebuilds an index that is gone completely, from the tables of the packs', async () => {
    const all = await sample();
    const packs = namesBelow(all.backend, 'packs/').length;
    for (const name of namesBelow(all.backend, 'index/')) await all.backend.remove(name);
    const report = await runRepairIndex(await reopen(all.backend));
    expect(report).toMatchObject({ status: 'complete', counts: { packsIndexed: packs, segmentsWritten: 1, chunksLost: 0 } });
    await expectWhole(all);
  });

  test('replaces a damaged segment, which stops backups, and backups go on', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'index/');
    await overwrite(all.backend, victim!, flipped());
    await expect(backupPath(await reopen(all.backend), all.root)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    const { steps, context } = recordSteps();
    const report = await runRepairIndex(await reopen(all.backend), {}, context);
    expect(report).toMatchObject({ status: 'complete', counts: { segmentsRemoved: 1, segmentsWritten: 1, chunksLost: 0 } });
    expect(steps.map(({ action, name }) => [action, name])).toEqual([['add', 'index/'], ['remove', victim]]);
    expect(namesBelow(all.backend, 'index/')).not.toContain(victim);
    await expectWhole(all);
    expect(await backupPath(await reopen(all.backend), all.root)).toMatchObject({ status: 'complete', dataChunksAdded: 0 });
  });

  test('says in a dry run what it would do, and changes nothing', async () => {
    const { backend } = await sample();
    const [victim] = namesBelow(backend, 'index/');
    await overwrite(backend, victim!, bytes => bytes.slice(0, 100));
    const before = backend.snapshotState();
    const { steps, context } = recordSteps();
    const report = await runRepairIndex(await reopen(backend), { dryRun: true }, context);
    expect(report).toMatchObject({ status: 'complete', dryRun: true, counts: { segmentsRemoved: 1, segmentsWritten: 1 } });
    expect(steps).toEqual([expect.objectContaining({ action: 'add', isDryRun: true }), expect.objectContaining({ action: 'remove', name: victim, isDryRun: true })]);
    expect(backend.snapshotState()).toEqual(before);
  });

  test('drops the entries of a missing pack, names it, counts what is lost, and keeps the rest of the segment', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    await all.backend.remove(victim!);
    const report = await runRepairIndex(await reopen(all.backend));
    expect(damages(report)).toEqual([expect.objectContaining({ object: 'pack', name: victim })]);
    expect(report.counts.chunksLost).toBeGreaterThan(5);
    expect(report.counts).toMatchObject({ packsDropped: 1, segmentsRemoved: 1, segmentsWritten: 1 });
    const found = await verifyData(await reopen(all.backend));
    expect(damages(found).every(({ object }) => object === 'chunk')).toBe(true);
    // The source still has everything: the next backup stores it again, and older snapshots are whole, too.
    await backupPath(await reopen(all.backend), all.root);
    await expectWhole({ ...all, content: await readAllSnapshots(await reopen(all.backend)) });
  });

  test('counts no chunk as lost that another pack holds', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    await all.backend.remove(victim!);
    await backupPath(await reopen(all.backend), all.root, { kind: 'full' });
    const report = await runRepairIndex(await reopen(all.backend));
    expect(report).toMatchObject({ status: 'complete', counts: { packsDropped: 1, chunksLost: 0 } });
    await expectWhole({ ...all, content: await readAllSnapshots(await reopen(all.backend)) });
  });

  test('lets the table of a pack decide when a segment has its size wrong, or two segments disagree', async () => {
    for (const isSecondWord of [false, true]) {
      const all = await sample();
      const [first] = namesBelow(all.backend, 'index/');
      const packs = await packsOf(all.repository, first!);
      const other = await otherSessions(packs);
      if (!isSecondWord) await all.backend.remove(first!);
      const lie = await putSegment(all, 'f', isSecondWord ? other : await otherSizes(packs));
      const report = await runRepairIndex(await reopen(all.backend));
      expect(report).toMatchObject({ status: 'complete', counts: { segmentsRemoved: 1 } });
      expect(namesBelow(all.backend, 'index/')).not.toContain(lie);
      await expectWhole(all);
    }
  });

  test('finds with --full what contradicts a table although it looks right', async () => {
    const all = await sample();
    const [first] = namesBelow(all.backend, 'index/');
    const packs = await packsOf(all.repository, first!);
    await all.backend.remove(first!);
    const lie = await putSegment(all, 'e', otherSessions(packs));
    expect(await runRepairIndex(await reopen(all.backend))).toMatchObject({ damagedObjects: 0 });
    const report = await runRepairIndex(await reopen(all.backend), { full: true });
    expect(report).toMatchObject({ status: 'complete', damagedObjects: packs.length, counts: { packsIndexed: packs.length, segmentsRemoved: 1 } });
    expect(namesBelow(all.backend, 'index/')).not.toContain(lie);
    await expectWhole(all);
  });

  test('keeps what the index says of a pack whose tables are both damaged, as long as frames open by it', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    await overwrite(all.backend, victim!, bytes => flipped(bytes.length - 200)(flipped(200)(bytes)));
    const before = namesBelow(all.backend, 'index/');
    const report = await runRepairIndex(await reopen(all.backend), { full: true });
    expect(report).toMatchObject({ status: 'partial', counts: { segmentsRemoved: 0, chunksLost: 0 } });
    expect(report.findings).toEqual([expect.objectContaining({ name: victim, severity: 'warning', message: expect.stringContaining('frames open') as string })]);
    expect(report.next.join()).toContain('repair packs');
    expect(namesBelow(all.backend, 'index/')).toEqual(before);
  });

  test('drops what the index says of a pack of which nothing can be read', async () => {
    const all = await sample();
    const [victim] = namesBelow(all.backend, 'packs/d/');
    await overwrite(all.backend, victim!, bytes => new Uint8Array(bytes.length));
    const report = await runRepairIndex(await reopen(all.backend), { full: true });
    expect(damages(report)).toEqual([expect.objectContaining({ object: 'pack', name: victim })]);
    expect(namesBelow(all.backend, 'packs/d/')).toContain(victim);
    await backupPath(await reopen(all.backend), all.root);
    expect(await readAllSnapshots(await reopen(all.backend))).toEqual(expect.objectContaining({ size: 3 }));
  });

  test('says that nobody can know what an unlisted pack held whose tables are both damaged', async () => {
    const { backend } = await sample();
    const [victim] = namesBelow(backend, 'packs/d/');
    for (const name of namesBelow(backend, 'index/')) await backend.remove(name);
    await overwrite(backend, victim!, bytes => new Uint8Array(bytes.length));
    const report = await runRepairIndex(await reopen(backend));
    expect(report).toMatchObject({ status: 'partial' });
    expect(report.findings).toContainEqual(expect.objectContaining({ name: victim, message: expect.stringContaining('nobody can know') as string }));
  });

  test('removes segments that another one took the place of, and only when each of their packs stands in one that stays', async () => {
    const all = await sample();
    const old = namesBelow(all.backend, 'index/');
    const packs = (await Promise.all(old.map(name => packsOf(all.repository, name)))).flat();
    const merged = segmentName(parseSegmentId('d'.repeat(32)));
    const ids = old.map(name => parseSegmentId(name.slice('index/'.length)));
    await all.backend.create(merged, [all.repository.objects.seal(merged, OBJECT_TYPES.indexSegment, encodeIndexSegment(ids, packs.slice(1)), { suite: 1 })]);
    expect(await runRepairIndex(await reopen(all.backend))).toMatchObject({ status: 'complete', counts: { segmentsRemoved: old.length - 1 } });
    await expectWhole(all);
  });

  test('brings a local cache in line that knows the damaged index, and one that is lost', async () => {
    const all = await sample();
    const cache = openMemoryCache();
    await readAllSnapshots(await reopen(all.backend, { cache: async () => cache }));
    const [victim] = namesBelow(all.backend, 'packs/d/');
    const bytes = await all.backend.read(victim!);
    await all.backend.remove(victim!);
    await runRepairIndex(await reopen(all.backend, { cache: async () => cache }));
    await all.backend.create(victim!, [bytes]);
    await runRepairIndex(await reopen(all.backend, { cache: async () => cache }));
    for (const known of [cache, openMemoryCache()]) {
      const repository = await reopen(all.backend, { cache: async () => known });
      expect(await verifyData(repository)).toMatchObject({ status: 'complete', findings: [] });
      expect(await readAllSnapshots(repository)).toEqual(all.content);
    }
  });

  test('leaves snapshots alone, and leaves no session behind', async () => {
    const { backend, repository } = await sample();
    const [victim] = namesBelow(backend, 'index/');
    await overwrite(backend, victim!, flipped());
    const before = (await loadSnapshots(repository)).snapshots.map(({ id }) => id);
    await runRepairIndex(await reopen(backend));
    expect((await loadSnapshots(await reopen(backend))).snapshots.map(({ id }) => id)).toEqual(before);
    expect(namesBelow(backend, 'sessions/')).toEqual([]);
  });
});

describe('repair index refuses', () => {
  test('while a gc plan is unfinished, and goes on when it is done', async () => {
    const { backend, repository } = await sample();
    const [victim] = namesBelow(backend, 'index/');
    await overwrite(backend, victim!, flipped());
    const packs = packPackIds([parsePackId('ab'.repeat(16))]);
    await repository.objects.save(backend, gcPlanName(1), OBJECT_TYPES.plan, encodePlan({ packs, createdAt: 1, runId: parseRunId('12'.repeat(16)) }));
    const before = backend.snapshotState();
    for (const dryRun of [false, true]) {
      await expect(runRepairIndex(await reopen(backend), { dryRun })).rejects.toMatchObject({ code: 'PRUNE_UNFINISHED', kind: 'conflict', hint: expect.stringContaining('snap prune') as string });
    }
    expect(backend.snapshotState()).toEqual(before);
    await repository.objects.save(backend, gcDoneName(1), OBJECT_TYPES.done, encodeDone({ createdAt: 1 }));
    expect(await runRepairIndex(await reopen(backend))).toMatchObject({ status: 'complete' });
  });

  test('but not for a plan that was carried out, of which only the last document is damaged', async () => {
    const { backend, repository } = await sample();
    const { objects, kernel } = repository;
    const packs = packPackIds([parsePackId('ab'.repeat(16))]);
    await objects.save(backend, gcPlanName(1), OBJECT_TYPES.plan, encodePlan({ packs, createdAt: 1, runId: parseRunId('12'.repeat(16)) }));
    const planDigest = kernel.blake3(await backend.read(gcPlanName(1)));
    await objects.save(backend, gcSweepName(1), OBJECT_TYPES.sweep, encodeSweep({ packs, planDigest, createdAt: 1 }));
    await objects.save(backend, gcDoneName(1), OBJECT_TYPES.done, encodeDone({ createdAt: 1 }));
    await overwrite(backend, gcDoneName(1), flipped());
    const [victim] = namesBelow(backend, 'index/');
    await overwrite(backend, victim!, flipped());
    expect(await runRepairIndex(await reopen(backend))).toMatchObject({ status: 'complete', counts: { segmentsRemoved: 1 } });
  });

  test('what a newer version wrote: segments and packs', async () => {
    for (const prefix of ['index/', 'packs/d/']) {
      const { backend } = await sample();
      const [victim] = namesBelow(backend, prefix);
      if (prefix !== 'index/') for (const name of namesBelow(backend, 'index/')) await backend.remove(name);
      const newer = (bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
        bytes[4] = 2;
        if (prefix !== 'index/') bytes[bytes.length - 76] = 2;
        return bytes;
      };
      await overwrite(backend, victim!, newer);
      const before = namesBelow(backend, '');
      await expect(runRepairIndex(await reopen(backend))).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
      expect(namesBelow(backend, '')).toEqual(before);
    }
  });

  test('a key without admin rights', async () => {
    const { backend, repository } = await sample();
    const before = namesBelow(backend, '');
    const { RepositoryKeys } = await import('../../../src/repository/repository-keys.ts');
    const { kernel, id, keys, keyringNumber } = repository;
    const plain = new RepositoryKeys(kernel, id, keys.keyringKey, { keyring: keys.keyring, number: keyringNumber }, undefined);
    await expect(runRepairIndex({ ...repository, keys: plain })).rejects.toMatchObject({ code: 'DENIED' });
    expect(namesBelow(backend, '')).toEqual(before);
  });
});

/** What is never looked at without its table: the same packs, said to be of another session. */
function otherSessions(packs: readonly PackContent[]): PackContent[] {
  return packs.map(pack => ({ ...pack, sessionId: 'ab'.repeat(16) as PackContent['sessionId'] }));
}

/** The same packs, said to have longer tables. */
function otherSizes(packs: readonly PackContent[]): PackContent[] {
  return packs.map(pack => {
    const frames = pack.frames.slice();
    const view = new DataView(frames.buffer);
    for (let at = 0; at < frames.length; at += 16) view.setUint32(at, view.getUint32(at, true) + 64, true);
    return { ...pack, frames, sizeBytes: pack.sizeBytes + 128 };
  });
}
