import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { SnapError } from '../../src/base/errors.ts';
import { Secret } from '../../src/base/secret.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Credential, OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { addKey, changePassword, listKeys, removeKey } from '../../src/usecases/keys.ts';
import { changedTags, changeTags, setPinned } from '../../src/usecases/labels.ts';
import { backupPath, kernel, KEY, makeRepository, memoryBackend, OWNER, reopen, temporaryDirectory } from '../support/memory-repository.ts';
import { readAllSnapshots } from '../support/read-snapshot.ts';

async function withSnapshot(): Promise<{ repository: OpenRepository; backend: ReturnType<typeof memoryBackend>; id: string }> {
  const backend = memoryBackend();
  const repository = await makeRepository(backend);
  const root = temporaryDirectory();
  writeFileSync(join(root, 'file'), 'content');
  const { snapshotId } = await backupPath(repository, root, { tags: ['daily'] });
  return { repository, backend, id: snapshotId! };
}

describe('tags and pins', () => {
  test.each([
    [['a', 'b'], { add: ['c'] }, ['a', 'b', 'c']],
    [['a', 'b'], { remove: ['a'] }, ['b']],
    [['a'], { set: ['x', 'x'], add: ['y'], remove: ['x'] }, ['y']],
  ])('%j changed by %j are %j', (tags, change, expected) => { expect(changedTags(tags, change)).toEqual(expected); });

  test('a change makes a new record with the same content and forgets the old one', async () => {
    const { repository, backend, id } = await withSnapshot();
    const before = (await readAllSnapshots(await reopen(backend))).get(id);
    const [changed] = await changeTags(repository, OWNER, (await loadSnapshots(repository)).snapshots, { add: ['keep'] });
    const { snapshots } = await loadSnapshots(await reopen(backend));
    expect(snapshots.map(each => [each.id, each.snapshot.tags, each.snapshot.originalId])).toEqual([[changed!.to, ['daily', 'keep'], id]]);
    expect((await readAllSnapshots(await reopen(backend))).get(changed!.to)).toEqual(before);
  });

  test('a change that changes nothing leaves the snapshot as it is', async () => {
    const { repository, id } = await withSnapshot();
    expect(await changeTags(repository, OWNER, (await loadSnapshots(repository)).snapshots, { add: ['daily'] })).toEqual([{ from: id, to: id }]);
  });

  test('a pin is set and taken away again, and the first ID is remembered', async () => {
    const { repository, id } = await withSnapshot();
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots, true);
    expect((await loadSnapshots(repository)).snapshots[0]!.snapshot).toMatchObject({ protected: true, originalId: id });
    await setPinned(repository, OWNER, (await loadSnapshots(repository)).snapshots, false);
    expect((await loadSnapshots(repository)).snapshots[0]!.snapshot).toMatchObject({ protected: false, originalId: id });
  });
});

describe('key slots', () => {
  const other: Credential = { kind: 'keyfile', key: new Secret(new Uint8Array(32).fill(9)) };

  test('a second credential opens the same repository', async () => {
    const { repository, backend } = await withSnapshot();
    await addKey(repository, { current: KEY, added: other, label: 'second' });
    expect((await readAllSnapshots(await reopenWith(backend, other))).size).toBe(1);
    expect((await listKeys(repository)).map(slot => slot.isCurrent).sort()).toEqual([false, true]);
  });

  test('a wrong current credential adds nothing', async () => {
    const { repository } = await withSnapshot();
    await expect(addKey(repository, { current: other, added: other, label: 'x' })).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
    expect(await listKeys(repository)).toHaveLength(1);
  });

  test('a changed credential replaces the one that was used', async () => {
    const { repository, backend } = await withSnapshot();
    await changePassword(repository, { current: KEY, added: other, label: 'new' });
    await expect(reopenWith(backend, KEY)).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
    expect((await reopenWith(backend, other)).id).toBe(repository.id);
  });

  test('the cache is opened while the password is stretched, not before, and not without a slot to try', async () => {
    const { repository, backend } = await withSnapshot();
    const password: Credential = { kind: 'password', password: new Secret('four words are enough') };
    const steps: string[] = [];
    const scrypt: typeof kernel.scrypt = async (...given) => {
      steps.push('stretching');
      const key = await kernel.scrypt(...given);
      steps.push('stretched');
      return key;
    };
    const open = (): Promise<OpenRepository> => openRepository(backend, password, { kernel: { ...kernel, scrypt }, clock: systemClock, random: systemRandom }, async () => {
      steps.push('cache');
      return openMemoryCache();
    });
    await expect(open()).rejects.toMatchObject({ code: 'WRONG_PASSWORD' });
    expect(steps).toEqual([]);
    await addKey(repository, { current: KEY, added: password, label: 'second' });
    await open();
    expect(steps).toEqual(['stretching', 'cache', 'stretched']);
  });

  test.each([
    ['at once', () => { throw new SnapError('DENIED', 'no cache here'); }],
    ['soon', () => Promise.reject(new SnapError('DENIED', 'no cache here'))],
  ])('a cache that is refused %s fails the opening, and nothing is left unhandled', async (_, openCache) => {
    const { repository, backend } = await withSnapshot();
    const password: Credential = { kind: 'password', password: new Secret('four words are enough') };
    await addKey(repository, { current: KEY, added: password, label: 'second' });
    const unhandled: unknown[] = [];
    const listener = (error: unknown): void => { unhandled.push(error); };
    process.on('unhandledRejection', listener);
    try {
      await expect(openRepository(backend, password, { kernel, clock: systemClock, random: systemRandom }, openCache)).rejects.toMatchObject({ code: 'DENIED' });
      expect(unhandled).toEqual([]);
    } finally {
      process.off('unhandledRejection', listener);
    }
  });

  test('the last slot and the slot in use are not removed', async () => {
    const { repository } = await withSnapshot();
    const [slot] = await listKeys(repository);
    await expect(removeKey(repository, slot!.id)).rejects.toMatchObject({ code: 'LAST_KEY_SLOT' });
    await addKey(repository, { current: KEY, added: other, label: 'second' });
    await expect(removeKey(repository, slot!.id)).rejects.toMatchObject({ code: 'USAGE' });
    const added = (await listKeys(repository)).find(each => !each.isCurrent)!;
    expect(await removeKey(repository, added.id.slice(0, 8))).toBe(added.id);
    await expect(removeKey(repository, 'ffff')).rejects.toMatchObject({ code: 'KEY_SLOT_NOT_FOUND' });
  });
});

function reopenWith(backend: ReturnType<typeof memoryBackend>, credential: Credential): Promise<OpenRepository> {
  return openRepository(backend, credential, { kernel, clock: systemClock, random: systemRandom }, async () => openMemoryCache());
}
