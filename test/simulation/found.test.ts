/** Faults that the simulation found, each in as few steps as it takes. */
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import type { Backend, CallOptions } from '../../src/backend/backend.ts';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { parseSessionId } from '../../src/format/ids.ts';
import { rotateKeyring } from '../../src/repository/key-rotation.ts';
import { revokeSession } from '../../src/repository/revocation.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { changeTags } from '../../src/usecases/labels.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';
import { HookedBackend } from '../support/hooked-backend.ts';
import { backupPath, OWNER, reopen } from '../support/memory-repository.ts';
import { changeTree, forget, generations, namesBelow, runPrune, storedGenerations } from '../support/prune-jobs.ts';
import { memoryDirectory, restoreTo } from '../support/read-jobs.ts';
import { readAllSnapshots } from '../support/read-snapshot.ts';
import { ScriptedBackend } from '../support/scripted-backend.ts';
import { TestClock } from '../support/test-clock.ts';

describe('a prune', () => {
  test('does not take back its sweep when it misreads the plan, since the sweep counts for others already', async () => {
    const { backend, ids } = await storedGenerations(3);
    const faulty = new FaultyBackend(backend);
    const hooked = new HookedBackend(faulty);
    const repository = await reopen(hooked);
    await forget(repository, ids[0]!);
    hooked.before('createIfAbsent', /\.sweep$/, async () => { faulty.plan({ verb: 'read', name: /^gc\/\d+$/, effect: 'flip' }); });
    await expect(runPrune(repository)).rejects.toMatchObject({ kind: 'corrupt' });
    faulty.assertAllHit();
    expect(await namesBelow(backend, 'gc/')).toEqual(['gc/0000000001', 'gc/0000000001.sweep']);
    expect(await runPrune(await reopen(backend))).toMatchObject({ isPending: false });
  });

  test('on a store without create-only writes never replaces its sweep, also when a deletion fails', async () => {
    const store = new OverwritingBackend({ clock: new TestClock(), createIfAbsent: 'none' });
    const { ids } = await generations(3, store);
    const faulty = new FaultyBackend(store, [{ verb: 'remove', name: /^packs\//, effect: 'fail-before', after: 1 }]);
    const repository = await reopen(faulty);
    await forget(repository, ids[0]!, ids[1]!);
    await expect(runPrune(repository)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    faulty.assertAllHit();
    expect(store.replaced.filter(name => name.endsWith('.sweep'))).toEqual([]);
    // Another run finishes the deletions.
    expect(await runPrune(await reopen(store))).toMatchObject({ isPending: false });
    expect([...(await readAllSnapshots(await reopen(store))).keys()]).toEqual([ids[2]]);
  });

  test.each([['while it marks', 0], ['while it looks again', 1]])('that meets a snapshot which is forgotten and swept %s begins again', async (_when, listings) => {
    const { backend, ids, contents } = await storedGenerations(3);
    const other = await reopen(backend);
    await forget(other, ids[0]!);
    const hooked = new HookedBackend(backend);
    const repository = await reopen(hooked);
    // After the snapshots were listed, and before the index is.
    hooked.before('list', /^index\//, async () => {
      await forget(other, ids[1]!);
      await runPrune(other);
    }, listings);
    expect(await runPrune(repository)).toMatchObject({ isPending: false, findings: [] });
    hooked.assertAllStruck();
    expect(await readAllSnapshots(await reopen(backend))).toEqual(new Map([[ids[2], contents.get(ids[2]!)]]));
  });

  test('whose merged index segment is merged by another one before it is read back leaves the rest to that one', async () => {
    const { backend, ids, contents } = await storedGenerations(5);
    const hooked = new HookedBackend(backend);
    const repository = await reopen(hooked);
    await forget(repository, ids[0]!);
    // After the deletions the index is merged; the first read after the new segment is written reads it back.
    hooked.before('createIfAbsent', /\.done$/, async () => {
      hooked.before('create', /^index\//, async () => {
        hooked.before('read', /^index\//, async () => { await runPrune(await reopen(backend)); });
      });
    });
    expect(await runPrune(repository)).toMatchObject({ isPending: false });
    expect(await readAllSnapshots(await reopen(backend))).toEqual(new Map(ids.slice(1).map(id => [id, contents.get(id)])));
    hooked.assertAllStruck();
  });
});

describe('where nothing may be removed', () => {
  test('a snapshot is neither forgotten nor replaced, and nothing is written before that is said', async () => {
    const { backend, ids } = await storedGenerations(2);
    const before = await namesBelow(backend, '');
    const repository = await reopen(withoutRemove(backend));
    await expect(forget(repository, ids[0]!)).rejects.toMatchObject({ code: 'DENIED' });
    await expect(changeTags(repository, OWNER, (await loadSnapshots(repository)).snapshots, { add: ['new'] })).rejects.toMatchObject({ code: 'DENIED' });
    expect(await namesBelow(backend, '')).toEqual(before);
  });
});

describe('a restore', () => {
  test('finds what a prune moved between its looks at the index and at the packs', async () => {
    const { backend, ids } = await storedGenerations(3);
    const hooked = new HookedBackend(backend);
    const reader = await reopen(hooked);
    hooked.before('list', /^packs\//, () => forgetAndMove(backend, ids[0]!, ids[1]!));
    const report = await restoreTo(reader, memoryDirectory(), { snapshot: ids[2]! });
    hooked.assertAllStruck();
    expect(report).toMatchObject({ status: 'complete', findings: [], problems: [] });
  });

  test('finds what was moved once more while it looked again', async () => {
    const { backend, ids } = await storedGenerations(5);
    const hooked = new HookedBackend(backend);
    const reader = await reopen(hooked);
    hooked.before('list', /^packs\//, () => forgetAndMove(backend, ids[0]!, ids[1]!), 0);
    hooked.before('list', /^packs\//, () => forgetAndMove(backend, ids[2]!, ids[3]!), 1);
    const report = await restoreTo(reader, memoryDirectory(), { snapshot: ids[4]! });
    hooked.assertAllStruck();
    expect(report).toMatchObject({ status: 'complete', findings: [], problems: [] });
  });

  test.each([['tree', /^packs\/t\//], ['data', /^packs\/d\//]])('finds what was moved once more after it looked again, of a %s pack', async (_type, name) => {
    const { backend, ids } = await storedGenerations(5);
    const hooked = new HookedBackend(backend);
    const reader = await reopen(hooked);
    hooked.before('read', name, async () => {
      await forgetAndMove(backend, ids[0]!, ids[1]!);
      // The look that follows finds the new place; before that is read, it is not there any more either.
      hooked.before('list', /^packs\//, async () => {
        hooked.before('read', name, () => forgetAndMove(backend, ids[2]!, ids[3]!));
      });
    });
    const report = await restoreTo(reader, memoryDirectory(), { snapshot: ids[4]! });
    hooked.assertAllStruck();
    expect(report).toMatchObject({ status: 'complete', findings: [], problems: [] });
  });

  test('takes for missing what is in no pack of a repository that stands still, without many looks for it', async () => {
    const { backend, ids } = await storedGenerations(2);
    for (const name of await namesBelow(backend, 'packs/d/')) await backend.remove(name);
    const hooked = new HookedBackend(backend);
    const reader = await reopen(hooked);
    hooked.before('list', /^packs\//, async () => { hooked.before('list', /^packs\//, async () => { throw new Error('A third look'); }, 1); });
    expect(await restoreTo(reader, memoryDirectory(), { snapshot: ids[1]! })).toMatchObject({ status: 'partial' });
  });
});

describe('beside a rotation of the keys', () => {
  test('several objects of the new epoch are opened by one look for the new keyring', async () => {
    const { backend, root } = await generations(1);
    const writer = await reopen(backend);
    const other = await reopen(backend);
    expect(await rotateKeyring(other)).toBe('rotated');
    for (const generation of [1, 2, 3]) {
      changeTree(root, generation);
      await backupPath(other, root);
    }
    changeTree(root, 4);
    await backupPath(writer, root);
    expect((await readAllSnapshots(await reopen(backend))).size).toBe(5);
  });

  test('a rotation that gets no answer and did not happen says what happened', async () => {
    const { backend } = await storedGenerations(1);
    const lost = new SnapError('UNAVAILABLE', 'No answer', { context: { effectUnknown: 1 } });
    const repository = await reopen(new ScriptedBackend(backend, async (verb, name) => { if (verb === 'createIfAbsent' && name.startsWith('keyring/')) throw lost; }));
    await expect(rotateKeyring(repository)).rejects.toBe(lost);
  });
});

describe('a backup whose commit got no answer', () => {
  test('and whose snapshot is forgotten before it can look is committed anew', async () => {
    const { backend, repository, ids, root } = await generations(1);
    const faulty = new FaultyBackend(backend, [{ verb: 'createIfAbsent', name: /^snapshots\//, effect: 'fail-after' }]);
    const hooked = new HookedBackend(faulty);
    const writer = await reopen(hooked);
    let lost = '';
    hooked.before('createIfAbsent', /^snapshots\//, async () => {
      hooked.before('read', /^snapshots\//, async () => {
        lost = (await loadSnapshots(repository)).snapshots.at(-1)!.id;
        await forget(repository, lost);
      });
    });
    changeTree(root, 1);
    const { snapshotId } = await backupPath(writer, root);
    hooked.assertAllStruck();
    faulty.assertAllHit();
    expect([...(await readAllSnapshots(await reopen(backend))).keys()].sort()).toEqual([ids[0]!, snapshotId!].sort());
    expect(snapshotId).not.toBe(lost);
  });

  test('and arrives once more, on a store without create-only writes, stays dead after it was revoked', async () => {
    const store = new OverwritingBackend({ clock: new TestClock(), createIfAbsent: 'none' });
    const { ids, root } = await generations(1, store);
    const hooked = new HookedBackend(store);
    let late: [name: string, bytes: Bytes] | undefined;
    hooked.before('stat', /^revoked\//, async () => {
      const name = (await namesBelow(store, 'snapshots/')).find(each => !each.includes(ids[0]!))!;
      late = [name, await store.read(name)];
      expect(await revokeSession(await reopen(store), parseSessionId(name.split('/')[1]!), 1)).toBe('committed');
    });
    changeTree(root, 1);
    const { snapshotId } = await backupPath(await reopen(hooked), root);
    hooked.assertAllStruck();
    const other = await reopen(store);
    await forget(other, snapshotId!);
    expect(await runPrune(other)).toMatchObject({ isPending: false });
    await store.create(late![0], [late![1]]);
    expect([...(await readAllSnapshots(await reopen(store))).keys()]).toEqual([ids[0]]);
  });
});

/** What a prune does to packs that hold something of other snapshots as well. */
async function forgetAndMove(backend: Backend, ...ids: readonly string[]): Promise<void> {
  const repository = await reopen(backend);
  await forget(repository, ...ids);
  expect((await runPrune(repository)).packsRewritten).toBeGreaterThan(0);
}

/** Ignores the condition of create-only writes, as some S3 clones do, and notes what was replaced. */
class OverwritingBackend extends MemoryBackend {
  readonly replaced: string[] = [];

  override async createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    const isThere = await this.stat(name).then(() => true, () => false);
    if (isThere && !name.startsWith('probe/')) this.replaced.push(name);
    if (isThere) await this.remove(name, options);
    return super.createIfAbsent(name, bytes, options);
  }
}
