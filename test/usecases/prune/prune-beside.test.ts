/** Each cell of the table in docs/concurrency.md that has a prune in it. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MemoryBackend, type MemoryState } from '../../../src/backend/memory.ts';
import { SnapError } from '../../../src/base/errors.ts';
import { loadGcPlans } from '../../../src/repository/gc-plans.ts';
import { listSessions } from '../../../src/repository/sessions.ts';
import { loadSnapshots } from '../../../src/repository/snapshots.ts';
import { ReadingSession } from '../../../src/repository/reading-session.ts';
import { closePlans } from '../../../src/usecases/prune/prune.ts';
import { changeTags } from '../../../src/usecases/labels.ts';
import type { SnapEvent } from '../../../src/usecases/events.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { Gate, HookedBackend } from '../../support/hooked-backend.ts';
import { backupPath, makeRepository, OWNER, reopen, SMALL_CHUNKS, temporaryDirectory } from '../../support/memory-repository.ts';
import { changeTree, forget, generations, namesBelow, packBytes, runPrune, type Generations } from '../../support/prune-jobs.ts';
import { readSnapshot } from '../../support/read-snapshot.ts';
import { SeededRandom } from '../../support/seeded-random.ts';
import { TestClock } from '../../support/test-clock.ts';

const HOUR = 3_600_000;

type Mode = 'atomic' | 'none';

interface Place extends Omit<Generations, 'backend'> {
  readonly store: MemoryBackend;
  readonly storeClock: TestClock;
  /** Of snapshot 0, and of a new backup. */
  readonly content: ReadonlyMap<string, string>;
}

const root = mkdtempSync(join(tmpdir(), 'snap-test-'));
const made = new Map<Mode, { readonly state: MemoryState; readonly ids: readonly string[]; readonly contents: Generations['contents'] }>();
beforeAll(async () => {
  for (const createIfAbsent of ['atomic', 'none'] as const) {
    rmSync(root, { recursive: true });
    mkdirSync(root);
    const store = new MemoryBackend({ clock: new TestClock(), createIfAbsent });
    const { repository, ids, contents } = await generations(2, store, {}, root);
    await forget(repository, ids[0]!);
    made.set(createIfAbsent, { state: store.snapshotState(), ids, contents });
    for (let i = 1; i < 4; i++) rmSync(join(root, `shared/${i}/file-1`));
    rmSync(join(root, 'shared/3'), { recursive: true });
    changeTree(root, 0);
  }
});
afterAll(() => { rmSync(root, { recursive: true }); });

/** Snapshots 0 and 1; 0 is forgotten, and the tree is as it was for it: a backup would use what a prune is about to remove. */
async function sample(createIfAbsent: Mode = 'atomic'): Promise<Place> {
  const { state, ids, contents } = made.get(createIfAbsent)!;
  const storeClock = new TestClock();
  const store = MemoryBackend.fromState(state, { clock: storeClock, createIfAbsent });
  return { store, storeClock, repository: await reopen(store), root, ids, contents, content: contents.get(ids[0]!)! };
}

/** A backup that has done everything but its commit, or but its index, when this returns; `finish` lets it go on. */
async function pausedBackup({ store, root }: { store: MemoryBackend; root: string }, events: SnapEvent[] = [], before = /^snapshots\//): Promise<{ finish: () => Promise<string> }> {
  const [reached, gate] = [new Gate(), new Gate()];
  const hooked = new HookedBackend(store);
  for (const verb of ['createIfAbsent', 'create'] as const) {
    hooked.before(verb, before, async () => {
      reached.open();
      await gate.passed;
    });
  }
  const running = backupPath(await reopen(hooked, { clock: new TestClock() }), root, { kind: 'full' }, { onEvent: event => events.push(event) });
  await Promise.race([reached.passed, running]);
  return {
    finish: async () => {
      gate.open();
      return (await running).snapshotId!;
    },
  };
}

async function expectWhole(backend: MemoryBackend, id: string, content: ReadonlyMap<string, string>): Promise<void> {
  const repository = await reopen(backend);
  const record = (await loadSnapshots(repository)).snapshots.find(each => each.id === id)!;
  const session = await ReadingSession.begin(repository, OWNER, [record]); // who, other than a writer, also reads condemned packs
  expect(await readSnapshot(repository, id)).toEqual(content);
  await session.end();
}

describe.each(['atomic', 'none'] as const)('beside a backup (create-only writes: %s), a prune', createIfAbsent => {
  test('waits for one that had begun before the plan, and the next one goes on', async () => {
    const place = await sample(createIfAbsent);
    const backup = await pausedBackup(place);
    const packs = await namesBelow(place.store, 'packs/');
    const report = await runPrune(await reopen(place.store));
    expect(report).toMatchObject({ isPending: true, pendingReason: expect.stringContaining('backup that is still running') as string });
    expect(report.bytesFreed).toBeGreaterThan(0);
    expect(await namesBelow(place.store, 'packs/')).toEqual(expect.arrayContaining(packs));
    const id = await backup.finish();
    await expectWhole(place.store, id, place.content);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false });
    await expectWhole(place.store, id, place.content);
    expect(await namesBelow(place.store, 'sessions/')).toEqual([]);
  });

  test('is not hindered by one that begins after the plan, which stores anew what is condemned', async () => {
    const place = await sample(createIfAbsent);
    const hooked = new HookedBackend(place.store);
    let id = '';
    hooked.before('list', /^sessions\//, async () => { id = (await backupPath(await reopen(place.store), place.root, { kind: 'full' })).snapshotId!; }, 1);
    const report = await runPrune(await reopen(hooked));
    hooked.assertAllStruck();
    expect(report).toMatchObject({ isPending: false, packsRescued: 0 });
    expect(report.packsDropped + report.packsRewritten).toBeGreaterThan(0);
    await expectWhole(place.store, id, place.content);
  });

  test('rescues what one needs that commits while the prune waits for it', async () => {
    const place = await sample(createIfAbsent);
    const backup = await pausedBackup(place);
    let id = '';
    class WaitingClock extends TestClock {
      override async sleep(): Promise<void> {
        id = await backup.finish();
      }
    }
    const report = await runPrune(await reopen(place.store, { clock: new WaitingClock() }), { waitMs: HOUR });
    expect(report.isPending).toBe(false);
    expect(report.packsRescued).toBeGreaterThan(0);
    await expectWhole(place.store, id, place.content);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false });
    await expectWhole(place.store, id, place.content);
  });

  test.each(['its host is asleep for a day', 'its process is gone'])('revokes one when %s; it commits again, with everything stored', async reason => {
    const place = await sample(createIfAbsent);
    const events: SnapEvent[] = [];
    const backup = await pausedBackup(place, events);
    const isAsleep = reason.includes('asleep');
    if (isAsleep) place.storeClock.advance(25 * HOUR);
    const report = await runPrune(await reopen(place.store), isAsleep ? {} : { isProcessAlive: () => false });
    expect(report).toMatchObject({ isPending: false, sessionsRevoked: 1, packsRescued: 0 });
    expect(report.packsDropped + report.packsRewritten).toBeGreaterThan(0);
    const id = await backup.finish();
    expect(events.filter(({ type }) => type === 'session-revoked')).toHaveLength(1);
    await expectWhole(place.store, id, place.content);
  });

  test('does not revoke one of this host whose process is alive, nor one of another host', async () => {
    const place = await sample(createIfAbsent);
    const backup = await pausedBackup(place);
    expect(await runPrune(await reopen(place.store), { isProcessAlive: () => true })).toMatchObject({ isPending: true, sessionsRevoked: 0 });
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: true, sessionsRevoked: 0 });
    await expectWhole(place.store, await backup.finish(), place.content);
  });

  test.each(['snapshot', 'index segment'])('does not condemn the packs of one that has not written its %s yet', async what => {
    const place = { ...await sample(createIfAbsent), root: temporaryDirectory() };
    writeFileSync(join(place.root, 'new'), new SeededRandom(99).bytes(200_000));
    const before = new Set(await namesBelow(place.store, 'packs/'));
    const backup = await pausedBackup(place, [], what === 'snapshot' ? /^snapshots\// : /^index\//);
    const own = (await namesBelow(place.store, 'packs/')).filter(name => !before.has(name));
    expect(own.length).toBeGreaterThan(0);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: true });
    const condemned = (await loadGcPlans(place.repository)).plans.flatMap(plan => (plan.isDone ? [] : [...plan.condemned!.packs]));
    for (const name of own) expect(condemned).not.toContain(name.slice(-32));
    await backup.finish();
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false, packsRescued: 0 });
    expect(await namesBelow(place.store, 'packs/')).toEqual(expect.arrayContaining(own));
  });
});

describe('a backup whose commit got no answer', () => {
  test('stays registered, so that its record cannot appear behind the back of a prune', async () => {
    const place = await sample();
    let late: (() => Promise<unknown>) | undefined;
    class BreakingBackend extends HookedBackend {
      override async createIfAbsent(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
        if (!name.startsWith('snapshots/')) return super.createIfAbsent(name, bytes);
        late = () => super.createIfAbsent(name, bytes); // the request is still on its way when the connection breaks
        throw new SnapError('UNAVAILABLE', 'no answer', { context: { effectUnknown: 1 } });
      }
    }
    const repository = await reopen(new BreakingBackend(place.store));
    await expect(backupPath(repository, place.root)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect((await listSessions(repository)).sessions).toHaveLength(1);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: true });
    place.storeClock.advance(25 * HOUR);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false, sessionsRevoked: 1 });
    expect(await late!()).toBe('exists');
    expect((await loadSnapshots(await reopen(place.store))).snapshots.map(({ id }) => id)).toEqual([place.ids[1]]);
  });
});

describe('beside a change of tags, a prune', () => {
  test('keeps what the new record needs, in whatever step it is written', async () => {
    for (const [verb, name, after] of [['list', /^gc\/$/, 0], ['list', /^sessions\/$/, 0], ['createIfAbsent', /^gc\//, 0], ['list', /^sessions\/$/, 1], ['list', /^forgotten\/$/, 1], ['list', /^packs\/$/, 1]] as const) {
      const place = await sample();
      const hooked = new HookedBackend(place.store);
      let to = '';
      hooked.before(verb, name, async () => {
        const other = await reopen(place.store);
        [{ to } = { to: '' }] = await changeTags(other, OWNER, (await loadSnapshots(other)).snapshots, { add: ['new'] });
      }, after);
      await runPrune(await reopen(hooked));
      hooked.assertAllStruck();
      await expectWhole(place.store, to, place.contents.get(place.ids[1]!)!);
    }
  });

  test('that slept while the old record was forgotten and its data deleted writes no new one', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    hooked.before('createIfAbsent', /^snapshots\//, async () => {
      await forget(place.repository, place.ids[1]!);
      place.storeClock.advance(25 * HOUR);
      expect(await runPrune(await reopen(place.store))).toMatchObject({ sessionsRevoked: 1, packsKept: 0 });
    });
    const sleeping = await reopen(hooked, { clock: new TestClock() });
    await expect(changeTags(sleeping, OWNER, (await loadSnapshots(sleeping)).snapshots, { add: ['new'] })).rejects.toMatchObject({ code: 'SESSION_REVOKED' });
    expect((await loadSnapshots(await reopen(place.store))).snapshots).toEqual([]);
  });
});

describe('beside another prune, a prune', () => {
  test('that was forestalled goes on with the plan of the other one, or finds nothing left to do', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    hooked.before('createIfAbsent', /^gc\//, async () => { expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false }); });
    expect(await runPrune(await reopen(hooked))).toMatchObject({ isPending: false });
    hooked.assertAllStruck();
    await expectWhole(place.store, place.ids[1]!, place.contents.get(place.ids[1]!)!);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ packsDropped: 0, packsRewritten: 0, bytesFreed: 0 });
  });

  test.each([0, 1, 2, 3, 4, 5])('may run at the same time (%s)', async seed => {
    const place = await sample();
    const random = new SeededRandom(seed);
    const pause = (): Promise<void> => new Promise(resolve => { setTimeout(resolve, random.below(3)); });
    const slow = (): HookedBackend => {
      const hooked = new HookedBackend(place.store);
      for (const verb of ['list', 'read', 'create', 'createIfAbsent', 'remove'] as const) for (let i = 0; i < 40; i++) hooked.before(verb, /./, pause, random.below(60));
      return hooked;
    };
    const outcomes = await Promise.allSettled([runPrune(await reopen(slow())), runPrune(await reopen(slow())), runPrune(await reopen(slow()))]);
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
    await expectWhole(place.store, place.ids[1]!, place.contents.get(place.ids[1]!)!);
    await runPrune(await reopen(place.store));
    expect(await runPrune(await reopen(place.store))).toMatchObject({ packsDropped: 0, packsRewritten: 0, bytesFreed: 0 });
    await expectWhole(place.store, place.ids[1]!, place.contents.get(place.ids[1]!)!);
  });

  test('that slept while the other one deleted adopts its sweep and deletes nothing else', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    let left: string[] = [];
    hooked.before('createIfAbsent', /^gc\/\d+\.sweep$/, async () => {
      await runPrune(await reopen(place.store));
      left = await namesBelow(place.store, 'packs/');
    });
    await runPrune(await reopen(hooked));
    hooked.assertAllStruck();
    expect(await namesBelow(place.store, 'packs/')).toEqual(left);
  });

  test('that decided otherwise obeys the sweep that was written first', async () => {
    const place = await sample();
    const backup = await pausedBackup(place);
    await runPrune(await reopen(place.store));
    const id = await backup.finish(); // needs what is condemned: the first one to look rescues it
    const [second, gate] = [new Gate(), new Gate()];
    let other: Promise<unknown> | undefined;
    const slow = new HookedBackend(place.store);
    slow.before('createIfAbsent', /\.sweep$/, async () => {
      second.open();
      await gate.passed;
    });
    const hooked = new HookedBackend(place.store);
    hooked.before('createIfAbsent', /\.sweep$/, async () => {
      await forget(place.repository, id); // so the second one decides to delete it
      other = runPrune(await reopen(slow));
      await second.passed;
    });
    let snapshotId: string | undefined;
    hooked.before('createIfAbsent', /\.done$/, async () => {
      // What was rescued is usable again, and is used.
      ({ snapshotId } = await backupPath(await reopen(place.store), place.root, { kind: 'full' }));
    });
    expect((await runPrune(await reopen(hooked), { limits: { maxUnusedShare: 1, repackSmall: false } })).packsRescued).toBeGreaterThan(0);
    hooked.assertAllStruck();
    gate.open();
    await other;
    await expectWhole(place.store, snapshotId!, place.content);
  });

  test('that slept until the plan was done and its documents were removed deletes nothing', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    let left: string[] = [];
    hooked.before('createIfAbsent', /^gc\/\d+\.sweep$/, async () => {
      const other = await reopen(place.store);
      await runPrune(other);
      await forget(other, place.ids[1]!); // a second plan, so that the first one is not the highest any more
      await runPrune(other);
      place.storeClock.advance(25 * HOUR);
      await runPrune(other);
      expect(await namesBelow(place.store, 'gc/')).toEqual(['gc/0000000002', 'gc/0000000002.done', 'gc/0000000002.sweep']);
      await backupPath(other, place.root);
      left = await namesBelow(place.store, 'packs/');
    });
    await runPrune(await reopen(hooked));
    hooked.assertAllStruck();
    expect(await namesBelow(place.store, 'packs/')).toEqual(left);
    expect(await namesBelow(place.store, 'gc/')).toEqual(['gc/0000000002', 'gc/0000000002.done', 'gc/0000000002.sweep']);
  });

  test('does not use the number of an old plan again, however long it slept', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    hooked.before('createIfAbsent', /^gc\//, async () => {
      const other = await reopen(place.store);
      await runPrune(other);
      await forget(other, place.ids[1]!);
      await runPrune(other);
      place.storeClock.advance(25 * HOUR);
      await runPrune(other);
    });
    const report = await runPrune(await reopen(hooked));
    hooked.assertAllStruck();
    expect([undefined, 3]).toContain(report.planNumber);
    const documents = await namesBelow(place.store, 'gc/');
    expect(documents.filter(name => name.startsWith('gc/0000000001'))).toSatisfy((names: string[]) => names.length === 0 || names.some(name => name.endsWith('.done')));
    expect((await reopen(place.store)).id).toBe(place.repository.id);
  });
});

describe('after a prune that died on a storage without create-only writes', () => {
  test('the next one leaves its plan alone, deletes the same packs by a plan of its own, and an operator can close the first', async () => {
    const place = await sample('none');
    const dying = new FaultyBackend(place.store, [{ verb: 'createIfAbsent', name: /\.sweep$/, effect: 'fail-before' }]);
    await expect(runPrune(await reopen(dying))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const before = await packBytes(place.store);
    const report = await runPrune(await reopen(place.store));
    expect(report).toMatchObject({ isPending: false, planNumber: 2, packsRescued: 0 });
    expect(before - await packBytes(place.store)).toBe(report.bytesFreed);
    expect(report.bytesFreed).toBeGreaterThan(0);
    await expectWhole(place.store, place.ids[1]!, place.contents.get(place.ids[1]!)!);
    expect(await closePlans(await reopen(place.store))).toEqual([1]);
    await expectWhole(place.store, place.ids[1]!, place.contents.get(place.ids[1]!)!);
    const { snapshotId } = await backupPath(await reopen(place.store), place.root);
    await runPrune(await reopen(place.store));
    await expectWhole(place.store, snapshotId!, place.content);
  });
});

describe('beside a reader, a prune', () => {
  test('keeps what it has pinned, and removes it when the reader has ended', async () => {
    const place = await sample();
    await runPrune(await reopen(place.store));
    const reading = await reopen(place.store);
    const record = (await loadSnapshots(reading)).snapshots[0]!;
    const session = await ReadingSession.begin(reading, OWNER, [record]);
    await forget(place.repository, record.id);
    expect(await runPrune(await reopen(place.store))).toMatchObject({ isPending: false });
    expect(await readPinned(reading, session, record)).toBeGreaterThan(10);
    await session.end();
    await runPrune(await reopen(place.store));
    expect(await packBytes(place.store)).toBe(0);
  });

  test('keeps a pinned snapshot of single files, whose content its record names itself', async () => {
    const root = temporaryDirectory();
    writeFileSync(join(root, 'single'), new SeededRandom(1).bytes(100_000));
    const store = new MemoryBackend({ clock: new TestClock() });
    const repository = await makeRepository(store, { chunker: SMALL_CHUNKS });
    const { snapshotId } = await backupPath(repository, join(root, 'single'));
    const expected = await readSnapshot(repository, snapshotId!);
    const record = (await loadSnapshots(repository)).snapshots[0]!;
    expect(record.snapshot.components[0]!.root.content!.length).toBeGreaterThan(5);
    const session = await ReadingSession.begin(repository, OWNER, [record]);
    const other = await reopen(store);
    await forget(other, snapshotId!);
    await runPrune(other);
    for (const { id } of record.snapshot.components[0]!.root.content!) {
      expect(await session.packs.chunk(id!, repository.cache.chunks.find(id!)!)).toBeDefined();
    }
    expect(expected.size).toBe(1);
    await session.end();
    await runPrune(other);
    expect(await packBytes(store)).toBe(0);
  });

  test('does not wait for one that gave no sign of life for a day', async () => {
    const place = await sample();
    const reading = await reopen(place.store, { clock: new TestClock() });
    const session = await ReadingSession.begin(reading, OWNER, (await loadSnapshots(reading)).snapshots);
    await forget(place.repository, place.ids[1]!);
    place.storeClock.advance(25 * HOUR);
    await runPrune(await reopen(place.store));
    expect(await packBytes(place.store)).toBe(0);
    expect(await namesBelow(place.store, 'sessions/')).toEqual([]);
    await session.end();
  });
});

async function readPinned(repository: Awaited<ReturnType<typeof reopen>>, session: ReadingSession, { snapshot }: Awaited<ReturnType<typeof loadSnapshots>>['snapshots'][number]): Promise<number> {
  let files = 0;
  const visit = async (node: NonNullable<(typeof snapshot.components)[number]['root']['directoryNode']>): Promise<void> => {
    for await (const entry of session.trees.entries(node)) {
      if (entry.directoryNode !== undefined) await visit(entry.directoryNode);
      else {
        for await (const items of session.trees.content(entry)) for (const { id } of items) if (id !== undefined) await session.packs.chunk(id, repository.cache.chunks.find(id)!);
        files++;
      }
    }
  };
  for (const { root } of snapshot.components) await visit(root.directoryNode!);
  return files;
}

describe('beside a forget, a prune', () => {
  test('keeps what is forgotten after it has looked, and the next one removes it', async () => {
    const place = await sample();
    const hooked = new HookedBackend(place.store);
    hooked.before('list', /^gc\//, () => forget(place.repository, place.ids[1]!), 3);
    await runPrune(await reopen(hooked));
    hooked.assertAllStruck();
    expect(await packBytes(place.store)).toBeGreaterThan(0);
    await runPrune(await reopen(place.store));
    expect(await packBytes(place.store)).toBe(0);
  });
});
