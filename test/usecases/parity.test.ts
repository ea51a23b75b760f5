import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { compareBytes } from '../../src/base/bytes.ts';
import { KiB } from '../../src/base/units.ts';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { packIdFromBytes } from '../../src/format/ids.ts';
import { parityName, PREFIXES } from '../../src/format/object-names.ts';
import { parityObjectBytes, planParity } from '../../src/format/parity.ts';
import { listPacks } from '../../src/repository/session-view.ts';
import { removeParity, restoreFromParity } from '../../src/usecases/parity.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';
import { backupPath, reopen, temporaryDirectory } from '../support/memory-repository.ts';
import { addSomeParity, nameOf, replaced, sampleWithoutParity, storedBytes, withDamagedBlocks } from '../support/parity-sample.ts';
import { readAllSnapshots } from '../support/read-snapshot.ts';
import { RecordingBackend } from '../support/recording-backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';

function parityObjects(backend: MemoryBackend): string[] {
  return [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.parity)).sort();
}

describe('adding parity', () => {
  test('protects every pack once; a second run has nothing to do', async () => {
    const { backend, repository, packs } = await sampleWithoutParity(300 * KiB);
    const report = await addSomeParity(repository);
    const expected = packs.map(({ sizeBytes }) => parityObjectBytes(planParity(sizeBytes, 0.05), sizeBytes)).reduce((sum, bytes) => sum + bytes);
    expect(report).toMatchObject({
      status: 'complete', packsTotal: packs.length, packsProtected: packs.length, packsAdded: packs.length, packsDamaged: 0, objectsRemoved: 0,
      bytesAdded: expected, bytesStored: expected, bytesRead: packs.reduce((sum, pack) => sum + pack.sizeBytes, 0), findings: [],
    });
    expect(parityObjects(backend)).toEqual(packs.map(({ id }) => parityName(id)).sort());
    expect(await addSomeParity(repository)).toMatchObject({ packsProtected: packs.length, packsAdded: 0, bytesRead: 0, bytesAdded: 0, bytesStored: expected });
  });

  test('reads each pack once and changes nothing but parity', async () => {
    const { backend } = await sampleWithoutParity(300 * KiB);
    const recording = new RecordingBackend(backend, { clock: systemClock });
    const repository = await reopen(recording);
    const before = recording.operations.length;
    await addSomeParity(repository);
    const operations = recording.operations.slice(before);
    const reads = operations.filter(({ verb, name }) => verb === 'read' && name.startsWith(PREFIXES.packs)).map(({ name }) => name);
    expect(new Set(reads).size).toBe(reads.length);
    expect(operations.filter(({ verb }) => !['read', 'list', 'stat'].includes(verb)).every(({ verb, name }) => verb === 'createIfAbsent' && name.startsWith(PREFIXES.parity))).toBe(true);
  });

  test('goes on where it was interrupted', async () => {
    const { backend, packs } = await sampleWithoutParity(300 * KiB);
    const faulty = new FaultyBackend(backend, [{ verb: 'createIfAbsent', name: /^parity\//, effect: 'no-space', after: 1 }]);
    await expect(addSomeParity(await reopen(faulty))).rejects.toMatchObject({ code: 'NO_SPACE' });
    const made = parityObjects(backend).length;
    expect(made).toBe(1);
    expect(await addSomeParity(await reopen(backend))).toMatchObject({ packsProtected: packs.length, packsAdded: packs.length - made });
  });

  test('takes an answer that was lost for what the storage shows', async () => {
    const { backend, packs } = await sampleWithoutParity(300 * KiB);
    const faulty = new FaultyBackend(backend, [{ verb: 'createIfAbsent', name: /^parity\//, effect: 'fail-after' }]);
    expect(await addSomeParity(await reopen(faulty))).toMatchObject({ packsAdded: packs.length });
    faulty.assertAllHit();
    expect(parityObjects(backend)).toHaveLength(packs.length);
  });

  test('never protects damage: the pack is reported and passed over', async () => {
    const { backend, data, packs } = await sampleWithoutParity(300 * KiB);
    const damaged = replaced(backend, nameOf(data), withDamagedBlocks(storedBytes(backend, nameOf(data)), 4096, [30], new SeededRandom(1)));
    const report = await addSomeParity(await reopen(damaged));
    expect(report).toMatchObject({ status: 'partial', packsDamaged: 1, packsProtected: packs.length - 1 });
    expect(report.findings).toMatchObject([{ object: 'pack', name: nameOf(data), severity: 'damage' }]);
    expect(parityObjects(damaged)).not.toContain(parityName(data.id));
  });

  test('takes a pack without any bytes for damage, with and without parity', async () => {
    const { backend, data, packs } = await sampleWithoutParity(300 * KiB);
    for (const hasParity of [false, true]) {
      if (hasParity) await addSomeParity(await reopen(backend));
      const empty = replaced(backend, nameOf(data), new Uint8Array(0));
      for (const changes of [{}, { dryRun: true }, { verify: true }]) {
        expect(await addSomeParity(await reopen(empty), changes)).toMatchObject({ status: 'partial', packsDamaged: 1, packsProtected: packs.length - 1 });
      }
      expect(parityObjects(empty).includes(parityName(data.id))).toBe(hasParity);
    }
  });

  test('keeps the parity of a pack that is damaged now, whatever is asked for', async () => {
    const { backend, data } = await sampleWithoutParity(300 * KiB);
    await addSomeParity(await reopen(backend));
    const kept = storedBytes(backend, parityName(data.id));
    const damaged = replaced(backend, nameOf(data), withDamagedBlocks(storedBytes(backend, nameOf(data)), 4096, [30], new SeededRandom(1)));
    for (const changes of [{ share: 0.3 }, { verify: true }, { share: 0.3, verify: true }]) await addSomeParity(await reopen(damaged), changes);
    expect(storedBytes(damaged, parityName(data.id))).toEqual(kept);
    expect(await restoreFromParity(await reopen(damaged), data)).toBeDefined();
  });

  test('does not take a pack of a newer format for damage', async () => {
    const { backend, data } = await sampleWithoutParity(300 * KiB);
    const bytes = storedBytes(backend, nameOf(data));
    bytes[4] = bytes[bytes.length - 76] = 9;
    const report = await addSomeParity(await reopen(replaced(backend, nameOf(data), bytes)));
    expect(report).toMatchObject({ status: 'partial', packsDamaged: 0 });
    expect(report.findings).toMatchObject([{ severity: 'warning' }]);
  });

  test('stores nothing in a dry run and says how much it would be', async () => {
    const { backend, repository, packs } = await sampleWithoutParity(300 * KiB);
    const report = await addSomeParity(repository, { dryRun: true });
    expect(parityObjects(backend)).toEqual([]);
    expect(report).toMatchObject({ dryRun: true, packsAdded: packs.length, bytesRead: 0 });
    expect(await addSomeParity(repository)).toMatchObject({ bytesAdded: report.bytesAdded, bytesStored: report.bytesStored });
  });

  test('replaces parity that has less than the share, and leaves what has more', async () => {
    const { backend, repository, data, packs } = await sampleWithoutParity(300 * KiB);
    const { bytesStored: before } = await addSomeParity(repository);
    const planned = await addSomeParity(repository, { share: 0.2, dryRun: true });
    const report = await addSomeParity(repository, { share: 0.2 });
    for (const figure of ['packsProtected', 'packsAdded', 'bytesAdded', 'bytesStored', 'objectsRemoved', 'bytesRemoved'] as const) expect([figure, planned[figure]]).toEqual([figure, report[figure]]);
    // The tree pack has three blocks, of which one is more than 20 % already.
    expect(report).toMatchObject({ packsProtected: packs.length, packsAdded: 1, objectsRemoved: 1 });
    expect(report.bytesStored).toBe(before - report.bytesRemoved + report.bytesAdded);
    expect(storedBytes(backend, parityName(data.id))).toHaveLength(parityObjectBytes(planParity(data.sizeBytes, 0.2), data.sizeBytes));
    expect(await addSomeParity(repository, { share: 0.05 })).toMatchObject({ packsAdded: 0, objectsRemoved: 0 });
  });

  test('looks only at the packs that are named', async () => {
    const { backend, repository, data } = await sampleWithoutParity(300 * KiB);
    expect(await addSomeParity(repository, { packs: new Set([data.id]) })).toMatchObject({ packsTotal: 1, packsAdded: 1 });
    expect(parityObjects(backend)).toEqual([parityName(data.id)]);
  });

  test('with --verify makes damaged parity anew, and only that', async () => {
    const { backend, repository, data, packs } = await sampleWithoutParity(300 * KiB);
    await addSomeParity(repository);
    const name = parityName(data.id);
    const bytes = storedBytes(backend, name);
    bytes[5000]! ^= 1;
    const damaged = replaced(backend, name, bytes);
    expect(await addSomeParity(await reopen(damaged))).toMatchObject({ packsAdded: 0 });
    const report = await addSomeParity(await reopen(damaged), { verify: true });
    expect(report).toMatchObject({ packsProtected: packs.length, packsAdded: 1, objectsRemoved: 1, findings: [{ object: 'parity', name, severity: 'warning' }] });
    expect(await addSomeParity(await reopen(damaged), { verify: true })).toMatchObject({ packsAdded: 0, findings: [] });
  });
});

describe('beside others', () => {
  test('a pack that vanishes before it is read is no error', async () => {
    const { backend, data, packs } = await sampleWithoutParity(300 * KiB);
    const faulty = new FaultyBackend(backend, [{ verb: 'read', name: nameOf(data), effect: 'fail-before', code: 'OBJECT_NOT_FOUND' }]);
    expect(await addSomeParity(await reopen(faulty))).toMatchObject({ status: 'complete', packsProtected: packs.length - 1 });
  });

  test('parity of a pack that vanishes meanwhile is taken back', async () => {
    const { backend, data, packs } = await sampleWithoutParity(300 * KiB);
    const faulty = new FaultyBackend(backend, [{ verb: 'stat', name: nameOf(data), effect: 'fail-before', code: 'OBJECT_NOT_FOUND' }]);
    expect(await addSomeParity(await reopen(faulty))).toMatchObject({ status: 'complete', packsProtected: packs.length - 1 });
    expect(parityObjects(backend)).not.toContain(parityName(data.id));
  });

  test('parity of packs that are gone is removed', async () => {
    const { backend, data, packs } = await sampleWithoutParity(300 * KiB);
    await addSomeParity(await reopen(backend));
    const left = replaced(backend, nameOf(data), new Uint8Array(1));
    await left.remove(nameOf(data));
    const report = await addSomeParity(await reopen(left), { dryRun: true });
    expect(report).toMatchObject({ objectsRemoved: 1 });
    expect(parityObjects(left)).toHaveLength(packs.length);
    expect(await addSomeParity(await reopen(left))).toMatchObject({ objectsRemoved: 1, bytesRemoved: report.bytesRemoved, bytesStored: report.bytesStored });
    expect(parityObjects(left)).toHaveLength(packs.length - 1);
  });

  test('a second run at the same time makes no harm', async () => {
    const { backend, packs } = await sampleWithoutParity(300 * KiB);
    const reports = await Promise.all([addSomeParity(await reopen(backend)), addSomeParity(await reopen(backend))]);
    for (const report of reports) expect(report).toMatchObject({ status: 'complete', packsProtected: packs.length });
    expect(parityObjects(backend)).toHaveLength(packs.length);
    expect(await addSomeParity(await reopen(backend), { verify: true })).toMatchObject({ packsAdded: 0, findings: [] });
  });

  test('a storage that removes nothing keeps the parity that is there', async () => {
    const { backend, packs } = await sampleWithoutParity(300 * KiB);
    await addSomeParity(await reopen(backend));
    const appendOnly = new FaultyBackend(backend);
    Object.defineProperty(appendOnly, 'capabilities', { value: { ...backend.capabilities, canRemove: false } });
    expect(await addSomeParity(await reopen(appendOnly), { share: 0.3 })).toMatchObject({ objectsRemoved: 0, packsAdded: 0 });
    expect(parityObjects(backend)).toHaveLength(packs.length);
  });
});

test('removing parity removes all of it and nothing else', async () => {
  const { backend, repository, packs } = await sampleWithoutParity(300 * KiB);
  const before = [...backend.snapshotState().keys()].sort();
  const { bytesStored } = await addSomeParity(repository);
  expect(await removeParity(repository, { dryRun: true })).toMatchObject({ objectsRemoved: packs.length, bytesRemoved: bytesStored });
  expect(parityObjects(backend)).toHaveLength(packs.length);
  expect(await removeParity(repository, { dryRun: false })).toMatchObject({ isRemoval: true, objectsRemoved: packs.length, bytesRemoved: bytesStored, bytesStored: 0 });
  expect([...backend.snapshotState().keys()].sort()).toEqual(before);
});

test('a pack that was restored from its parity can be read as before', async () => {
  const { backend, repository, packs } = await sampleWithoutParity(300 * KiB);
  await addSomeParity(repository, { share: 0.1 });
  const wanted = await readAllSnapshots(await reopen(backend));
  let damaged = backend;
  for (const pack of packs) {
    const block = pack.type === 'tree' ? 1 : 40; // beyond the table, of which there are two
    damaged = replaced(damaged, nameOf(pack), withDamagedBlocks(storedBytes(backend, nameOf(pack)), 4096, [block], new SeededRandom(2)));
  }
  await expect(readAllSnapshots(await reopen(damaged))).rejects.toMatchObject({ kind: 'corrupt' });
  for (const pack of packs) {
    const bytes = await restoreFromParity(await reopen(damaged), pack);
    expect(compareBytes(bytes!, storedBytes(backend, nameOf(pack)))).toBe(0);
    damaged = replaced(damaged, nameOf(pack), bytes as Uint8Array<ArrayBuffer>);
  }
  expect(await readAllSnapshots(await reopen(damaged))).toEqual(wanted);
});

test('a pack without parity is not restored', async () => {
  const { repository, data } = await sampleWithoutParity(100 * KiB);
  expect(await restoreFromParity(repository, data)).toBeUndefined();
  expect(await restoreFromParity(repository, { type: 'data', id: packIdFromBytes(new Uint8Array(16)) })).toBeUndefined();
});

test('backups and snapshots do not care about parity', async () => {
  const { backend } = await sampleWithoutParity(100 * KiB);
  await addSomeParity(await reopen(backend));
  const root = temporaryDirectory();
  writeFileSync(join(root, 'file'), 'new');
  await backupPath(await reopen(backend), root);
  expect((await readAllSnapshots(await reopen(backend))).size).toBe(2);
  expect((await listPacks(backend)).length).toBeGreaterThan(parityObjects(backend).length);
});
