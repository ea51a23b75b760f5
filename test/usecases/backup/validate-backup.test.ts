import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/base/ambient.ts';
import type { Backend } from '../../../src/backend/backend.ts';
import type { MemoryBackend } from '../../../src/backend/memory.ts';
import { parsePackId, parseSnapshotId, type PackId, type SegmentId } from '../../../src/format/ids.ts';
import { PREFIXES, snapshotName } from '../../../src/format/object-names.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { validateBackup, type ValidateOptions } from '../../../src/usecases/backup/validate-backup.ts';
import { backupPath, engines, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { flipBit, frameOfDirectory, frameOfFile } from '../../support/read-jobs.ts';
import { RecordingBackend } from '../../support/recording-backend.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { damage, ledgerOf, namesOf, paths } from '../../support/verify-jobs.ts';

const random = new SeededRandom(21);

interface Written {
  readonly backend: MemoryBackend;
  readonly root: string;
  readonly options: ValidateOptions;
}

/** A snapshot, and a second one of which only `new` is new. */
async function written(): Promise<Written> {
  const backend = memoryBackend();
  const root = temporaryDirectory();
  mkdirSync(join(root, 'old'));
  writeFileSync(join(root, 'old/large'), random.bytes(300_000));
  const repository = await makeRepository(backend, { chunker: SMALL_CHUNKS });
  await backupPath(repository, root);
  writeFileSync(join(root, 'new'), random.bytes(50_000));
  const packs = new Set<PackId>();
  const knownSegments: ReadonlySet<SegmentId> = new Set(repository.cache.chunks.segments());
  const { snapshotId } = await backupPath(repository, root, {}, { onEvent: event => { if (event.type === 'pack-written') packs.add(parsePackId(event.packId)); } });
  expect([packs.size, knownSegments.size]).toEqual([2, 1]);
  return { backend, root, options: { engines, owner: OWNER, snapshotId: parseSnapshotId(snapshotId!), packs, knownSegments } };
}

function open(backend: Backend): Promise<OpenRepository> {
  return reopen(backend);
}

describe('validating a backup', () => {
  test('reads back every pack that was written and every tree node, and no old data', async () => {
    const { backend, options } = await written();
    const repository = await open(backend);
    const recording = new RecordingBackend(backend, { clock: systemClock });
    const report = await validateBackup({ ...repository, backend: recording }, options);
    expect(report).toMatchObject({ status: 'complete', findings: [], levels: ['metadata', 'data'], snapshotId: options.snapshotId, snapshots: 1, packs: 2, packsRead: 2, segments: 1 });
    expect(report.treeNodes).toBe(2);
    const dataPacks = new Set(recording.operations.filter(({ verb, name }) => verb === 'read' && name.startsWith(PREFIXES.dataPacks)).map(({ name }) => parsePackId(name.slice(-32))));
    for (const id of dataPacks) expect(options.packs).toContain(id);
    expect(dataPacks.size).toBe(1);
    expect(ledgerOf(backend)).toHaveLength(1);
    expect(report.coverage).toMatchObject({ packsTotal: 4, packsVerified: 2 });
  });

  test.each([
    ['a frame of new data', async ({ backend, root }: Written) => flipBit(backend, await frameOfFile(await open(backend), `${root}/new`)), '/new'],
    ['a new tree node', async ({ backend, root }: Written) => flipBit(backend, await frameOfDirectory(await open(backend), root)), ''],
    ['an old tree node, which the snapshot needs', async ({ backend, root }: Written) => flipBit(backend, await frameOfDirectory(await open(backend), `${root}/old`)), '/old'],
  ])('finds damage in %s', async (_, harm, path) => {
    const sample = await written();
    await harm(sample);
    const report = await validateBackup(await open(sample.backend), sample.options);
    expect(report).toMatchObject({ status: 'failed', snapshotId: sample.options.snapshotId });
    expect(damage(report).flatMap(paths)).toContain(`${sample.root}${path}`);
  });

  test('finds a pack, a segment or a record that did not arrive', async () => {
    const { backend, options } = await written();
    const state = backend.snapshotState();
    const without = async (name: string): Promise<string> => {
      await backend.remove(name);
      const report = await validateBackup(await open(backend), options);
      await backend.create(name, [state.get(name)!.bytes]);
      return damage(report).map(({ object, message }) => `${object}: ${message}`).join('\n');
    };
    const newPack = namesOf(backend, PREFIXES.dataPacks).find(name => options.packs.has(parsePackId(name.slice(-32))))!;
    expect(await without(newPack)).toContain('pack: The pack is missing');
    const newSegment = namesOf(backend, PREFIXES.segments).find(name => !options.knownSegments.has(name.slice(-32) as SegmentId))!;
    expect(await without(newSegment)).toContain('No index segment lists the pack that was just written');
    expect(await without(snapshotName(options.snapshotId))).toContain('snapshot: The snapshot that was just saved is not there');
  });

  test('does not mind damage that is older and not needed by the trees: that is what verify is for', async () => {
    const { backend, root, options } = await written();
    await flipBit(backend, await frameOfFile(await open(backend), `${root}/old/large`));
    expect(await validateBackup(await open(backend), options)).toMatchObject({ status: 'complete', findings: [] });
  });
});
