import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { Secret } from '../../src/base/secret.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { decodeHeader, OBJECT_TYPES } from '../../src/format/header.ts';
import { encodeKeyring } from '../../src/format/keyring.ts';
import { keyringName, PREFIXES } from '../../src/format/object-names.ts';
import { rotateKeyring } from '../../src/repository/key-rotation.ts';
import { addSlot } from '../../src/repository/key-slots.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Credential, OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { rotateKeys } from '../../src/usecases/rotate-keys.ts';
import { verify } from '../../src/usecases/verify/verify.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';
import { backupPath, engines, kernel, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../support/memory-repository.ts';
import { replaced } from '../support/parity-sample.ts';
import { readAllSnapshots } from '../support/read-snapshot.ts';
import { RecordingBackend } from '../support/recording-backend.ts';

const OPTIONS = { owner: OWNER, graceMs: 0 };

/** A folder whose content a backup stores, once more for every call. */
function folder(): { path: string; write: (name: string) => void } {
  const path = temporaryDirectory();
  return { path, write: name => { writeFileSync(join(path, name), `${name} `.repeat(3000)); } };
}

function epochsOf(backend: MemoryBackend, prefix: string): Set<number> {
  return new Set([...backend.snapshotState()].filter(([name]) => name.startsWith(prefix)).map(([, { bytes }]) => decodeHeader(bytes).epoch));
}

function verifyAll(repository: OpenRepository): ReturnType<typeof verify> {
  return verify(repository, { engines, owner: OWNER, readData: true });
}

describe('a rotation', () => {
  test('seals everything new under a new epoch, in the running process and in the next one', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const { path, write } = folder();
    write('first');
    await backupPath(repository, path);
    expect(await rotateKeys(repository, OPTIONS)).toMatchObject({ outcome: 'rotated', keyringNumber: 2, epoch: 2, packsLeft: 2, prune: undefined });
    write('second');
    await backupPath(repository, path);
    write('third');
    await backupPath(await reopen(backend), path);
    for (const prefix of [PREFIXES.dataPacks, PREFIXES.treePacks, PREFIXES.segments, PREFIXES.snapshots]) expect(epochsOf(backend, prefix)).toEqual(new Set([1, 2]));
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.dataPacks))).toHaveLength(3);
    const fresh = await reopen(backend);
    expect([...(await readAllSnapshots(fresh)).values()].map(files => [...files.keys()].filter(name => name !== path).length).sort()).toEqual([1, 2, 3]);
    expect(await verifyAll(fresh)).toMatchObject({ status: 'complete', snapshots: 3, findings: [] });
  });

  test('can be followed by the next one, and no content is stored again for that', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const { path, write } = folder();
    write('same');
    await backupPath(repository, path);
    for (const epoch of [2, 3]) {
      expect(await rotateKeys(repository, OPTIONS)).toMatchObject({ outcome: 'rotated', keyringNumber: epoch, epoch });
      expect(await backupPath(await reopen(backend), path, { kind: 'full' })).toMatchObject({ dataChunksAdded: 0 });
    }
    expect(repository.keys.keyring.epochs.map(({ epoch }) => epoch)).toEqual([1, 2, 3]);
    expect(await verifyAll(await reopen(backend))).toMatchObject({ status: 'complete', snapshots: 3, findings: [] });
  });

  test('keeps every key slot and the signatures of the admin', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    await rotateKeyring(repository);
    const fresh = await reopen(backend);
    expect(fresh.keys.adminSeed()).toEqual(repository.keys.adminSeed());
    expect(fresh.keys.keyring.dedupSecret).toEqual(repository.keys.keyring.dedupSecret);
  });

  test('needs the admin key, and changes nothing without', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    const writer: Credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32).fill(3)) };
    await addSlot(backend, repository.id, repository, { credential: writer, secrets: { keyringKey: repository.keys.keyringKey, label: 'writer', createdAt: 1 } });
    const asWriter = await openRepository(backend, writer, { kernel, clock: systemClock, random: systemRandom }, async () => openMemoryCache());
    await expect(rotateKeys(asWriter, OPTIONS)).rejects.toMatchObject({ code: 'DENIED' });
    expect(backend.snapshotState().has(keyringName(2))).toBe(false);
  });

  test('is refused where no storage decides which of two came first', async () => {
    const backend = new MemoryBackend({ clock: systemClock, createIfAbsent: 'none' });
    await expect(rotateKeys(await makeRepository(backend), OPTIONS)).rejects.toMatchObject({ code: 'UNSUPPORTED_STORE' });
  });
});

describe('rotations at the same time', () => {
  test('have one winner, and both go on with its epoch', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const [one, other] = [await reopen(backend), await reopen(backend)];
    const outcomes = await Promise.all([rotateKeyring(one), rotateKeyring(other)]);
    expect(outcomes.sort()).toEqual(['lost', 'rotated']);
    expect(one.keys.keyring).toEqual(other.keys.keyring);
    expect([one.keyringNumber, one.keys.currentEpoch]).toEqual([2, 2]);
  });

  test('also when the answer to the winner was lost', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const faulty = new FaultyBackend(backend, [{ verb: 'createIfAbsent', name: keyringName(2), effect: 'fail-after' }]);
    const repository = await reopen(faulty);
    expect(await rotateKeyring(repository)).toBe('rotated');
    faulty.assertAllHit();
    expect((await reopen(backend)).keys.keyring).toEqual(repository.keys.keyring);
  });

  test('and when a third one is already further', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const slow = await reopen(backend);
    await rotateKeyring(await reopen(backend));
    await rotateKeyring(await reopen(backend));
    expect(await rotateKeyring(slow)).toBe('rotated');
    expect([slow.keyringNumber, slow.keys.currentEpoch]).toEqual([4, 4]);
  });
});

describe('a crash', () => {
  test('at any write of a rotation and the backup after it leaves a repository that opens and can be rotated', async () => {
    const backend = memoryBackend();
    await makeRepository(backend);
    const { path, write } = folder();
    write('before');
    await backupPath(await reopen(backend), path);
    const recording = new RecordingBackend(backend, { clock: systemClock, initial: backend.snapshotState() });
    const repository = await reopen(recording);
    await rotateKeys(repository, OPTIONS);
    write('after');
    await backupPath(repository, path);
    for (let count = 0; count <= recording.changes.length; count++) {
      const left = await recording.replayPrefix(count);
      const opened = await reopen(left);
      expect(await verifyAll(opened)).toMatchObject({ status: 'complete' });
      expect(await rotateKeyring(opened)).toBe('rotated');
      await backupPath(await reopen(left), path);
    }
  });
});

describe('encrypting anew', () => {
  /** Three data packs and three tree packs of epoch 1. */
  async function threeBackups(): Promise<{ backend: MemoryBackend; path: string }> {
    const backend = memoryBackend();
    await makeRepository(backend);
    const { path, write } = folder();
    for (const name of ['first', 'second', 'third']) {
      write(name);
      await backupPath(await reopen(backend), path);
    }
    return { backend, path };
  }

  test('goes on run by run until no pack is of an older epoch, and says how much is left', async () => {
    const { backend, path } = await threeBackups();
    const wanted = await readAllSnapshots(await reopen(backend));
    const packBytes = Math.max(...[...backend.snapshotState()].filter(([name]) => name.startsWith(PREFIXES.packs)).map(([, { bytes }]) => bytes.length));
    const left: number[] = [];
    let outcomes = '';
    while (left.at(-1) !== 0 && left.length < 10) {
      const rotation = await rotateKeys(await reopen(backend), { ...OPTIONS, resealBytes: packBytes });
      outcomes += rotation.outcome.slice(0, 1);
      left.push(rotation.packsLeft);
      expect(rotation).toMatchObject({ epoch: 2, keyringNumber: 2, prune: { job: 'prune' } });
      expect(rotation.bytesLeft > 0).toBe(rotation.packsLeft > 0);
    }
    expect(left.at(-1)).toBe(0);
    expect(left).toEqual([...left].sort((a, b) => b - a));
    expect(left.length).toBeGreaterThan(1);
    expect(outcomes).toMatch(/^rc+$/);
    expect(epochsOf(backend, PREFIXES.packs)).toEqual(new Set([2]));
    expect(await readAllSnapshots(await reopen(backend))).toEqual(wanted);
    expect(await verifyAll(await reopen(backend))).toMatchObject({ status: 'complete', findings: [] });
    expect(await backupPath(await reopen(backend), path, { kind: 'full' })).toMatchObject({ dataChunksAdded: 0 });
  });

  test('everything at once leaves nothing, and the next time begins the next rotation', async () => {
    const { backend } = await threeBackups();
    const resealBytes = 1e9;
    expect(await rotateKeys(await reopen(backend), { ...OPTIONS, resealBytes })).toMatchObject({ outcome: 'rotated', epoch: 2, packsLeft: 0, bytesLeft: 0 });
    expect(await rotateKeys(await reopen(backend), { ...OPTIONS, resealBytes })).toMatchObject({ outcome: 'rotated', epoch: 3, packsLeft: 0 });
    expect(epochsOf(backend, PREFIXES.packs)).toEqual(new Set([3]));
    expect((await readAllSnapshots(await reopen(backend))).size).toBe(3);
  });

  test('of nothing, for lack of room, changes no pack', async () => {
    const { backend } = await threeBackups();
    const packs = [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.packs)).sort();
    expect(await rotateKeys(await reopen(backend), { ...OPTIONS, resealBytes: 1 })).toMatchObject({ outcome: 'rotated', packsLeft: packs.length, prune: { packsRewritten: 0 } });
    expect([...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.packs)).sort()).toEqual(packs);
  });
});

describe('a run that began before a rotation', () => {
  test('goes on with its old epoch, and everybody can read what it stores', async () => {
    const backend = memoryBackend();
    const old = await makeRepository(backend);
    await rotateKeyring(await reopen(backend));
    const { path, write } = folder();
    write('old');
    await backupPath(old, path);
    expect(epochsOf(backend, PREFIXES.packs)).toEqual(new Set([1]));
    expect((await readAllSnapshots(await reopen(backend))).size).toBe(1);
  });

  test('takes the newer keyring as soon as it meets an object of the new epoch', async () => {
    const backend = memoryBackend();
    const old = await makeRepository(backend);
    const { path, write } = folder();
    write('new');
    const other = await reopen(backend);
    await rotateKeyring(other);
    const { snapshotId } = await backupPath(other, path);
    expect((await loadSnapshots(old)).snapshots.map(({ id }) => id)).toEqual([snapshotId]);
    expect(old.keyringNumber).toBe(2);
    expect(await backupPath(old, path)).toMatchObject({ parentId: snapshotId, dataChunksAdded: 0 });
  });

  test('says that a keyring is missing, not that data is damaged, when the newest one is hidden', async () => {
    const backend = memoryBackend();
    const repository = await makeRepository(backend);
    await rotateKeyring(repository);
    const { path, write } = folder();
    write('file');
    await backupPath(repository, path);
    await backend.remove(keyringName(2));
    const [listing] = (await loadSnapshots(await reopen(backend))).unreadable;
    expect(listing!.error).toMatchObject({ code: 'UNSUPPORTED_FORMAT', message: expect.stringContaining('no epoch 2') as string, hint: expect.stringContaining('hidden') as string });
  });
});

describe('keyrings in the storage', () => {
  async function rotated(): Promise<{ backend: MemoryBackend; bytes: (number: number) => Uint8Array<ArrayBuffer> }> {
    const backend = memoryBackend();
    await rotateKeyring(await makeRepository(backend));
    return { backend, bytes: number => backend.snapshotState().get(keyringName(number))!.bytes.slice() };
  }

  test('a damaged old one does no harm, since the newer one holds all of it', async () => {
    const { backend, bytes } = await rotated();
    const damaged = bytes(1).fill(0, 70, 80);
    expect((await reopen(replaced(backend, keyringName(1), damaged))).keyringNumber).toBe(2);
  });

  test('a damaged newest one stops everything: an older one would pass for the newest', async () => {
    const { backend, bytes } = await rotated();
    const damaged = replaced(backend, keyringName(2), bytes(2).fill(0, 70, 80));
    await expect(reopen(damaged)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', context: { name: keyringName(2) } });
  });

  test('one that nobody entitled signed is passed over, and its number stays used', async () => {
    const { backend } = await rotated();
    const stranger = await makeRepository(memoryBackend());
    const repository = await reopen(backend);
    const forged = stranger.keys.adminSeed();
    const forger = await reopen(backend);
    Object.defineProperty(forger.keys, 'adminSeed', { value: () => forged });
    await backend.createIfAbsent(keyringName(3), forger.objects.seal(keyringName(3), OBJECT_TYPES.keyring, encodeKeyring(repository.keys.keyring)));
    expect((await reopen(backend)).keyringNumber).toBe(2);
    expect(await rotateKeyring(repository)).toBe('rotated');
    expect((await reopen(backend)).keyringNumber).toBe(4);
  });

  test('a host notices that the newest one was taken away again', async () => {
    const { backend } = await rotated();
    const { path, write } = folder();
    write('file');
    const cache = await openMemoryCache();
    const withCache = (from: Backend): Promise<OpenRepository> => reopen(from, { cache: async () => cache });
    await rotateKeys(await withCache(backend), OPTIONS);
    await backend.remove(keyringName(3));
    const report = await backupPath(await withCache(backend), path);
    expect(report.problems.map(({ code, message }) => [code, message])).toContainEqual(['ROLLBACK_SUSPECTED', expect.stringContaining('number 3')]);
  });
});
