import { expect, test } from 'vitest';
import type { Backend, ObjectChange, ObjectHistory } from '../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import { SnapError } from '../../src/base/errors.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { recover, type RecoverReport } from '../../src/usecases/recover.ts';
import { backupPath, makeRepository, reopen, SMALL_CHUNKS, temporaryDirectory } from '../support/memory-repository.ts';
import { changeTree, forget, runPrune } from '../support/prune-jobs.ts';
import { TestClock } from '../support/test-clock.ts';
import { damage, runVerify } from '../support/verify-jobs.ts';

/** Keeps one moment of the past; every change of the present is noted, and the connection may end after some. */
class KeptMoment implements ObjectHistory {
  readonly steps: string[] = [];
  failsAfter = Number.POSITIVE_INFINITY;
  readonly #then: MemoryState;
  readonly #present: MemoryBackend;
  readonly #clock: TestClock;

  constructor(then: MemoryState, present: MemoryBackend, clock: TestClock) {
    this.#then = then;
    this.#present = present;
    this.#clock = clock;
  }

  async asOf(): Promise<Backend> {
    return MemoryBackend.fromState(this.#then, { clock: this.#clock });
  }

  async *changesSince(): AsyncGenerator<ObjectChange> {
    const now = this.#present.snapshotState();
    for (const name of new Set([...this.#then.keys(), ...now.keys()])) {
      const [a, b] = [this.#then.get(name), now.get(name)];
      if (a !== undefined && b === undefined) yield { name, kind: 'missing', sizeBytes: a.bytes.length };
      else if (a === undefined && b !== undefined) yield { name, kind: 'new', sizeBytes: b.bytes.length };
      else if (a !== undefined && b !== undefined && Buffer.compare(a.bytes, b.bytes) !== 0) yield { name, kind: 'other', sizeBytes: a.bytes.length };
    }
  }

  async putBack(name: string): Promise<void> {
    if (this.steps.length >= this.failsAfter) throw new SnapError('UNAVAILABLE', 'The line was cut');
    this.steps.push(name);
    await this.#present.remove(name);
    await this.#present.create(name, [this.#then.get(name)!.bytes]);
  }
}

async function attacked(): Promise<{ clock: TestClock; present: MemoryBackend; history: KeptMoment; run(dryRun?: boolean): Promise<RecoverReport>; ids: readonly string[] }> {
  const clock = new TestClock();
  const present = new MemoryBackend({ clock });
  const repository = await makeRepository(present, { clock, chunker: SMALL_CHUNKS });
  const root = temporaryDirectory();
  const ids: string[] = [];
  for (let i = 0; i < 3; i++) {
    changeTree(root, i);
    ids.push((await backupPath(repository, root)).snapshotId!);
    clock.advance(3_600_000);
  }
  const then = present.snapshotState();
  changeTree(root, 3);
  const later = (await backupPath(repository, root)).snapshotId!;
  await forget(repository, ...ids);
  await runPrune(repository);
  const slot = [...present.snapshotState().keys()].find(name => name.startsWith('keys/'))!;
  await present.remove(slot);
  await present.create(slot, [new Uint8Array(50)]);
  await present.create('sessions/' + 'ab'.repeat(16), [new Uint8Array(50)]);
  const history = new KeptMoment(then, present, clock);
  const past = await reopen(await history.asOf(), { clock });
  return { clock, present, history, ids: [...ids, later], run: (dryRun = false) => recover(past, { present, history, time: 0, dryRun }) };
}

test('a dry run tells all and changes nothing', async () => {
  const { present, history, run } = await attacked();
  const before = present.snapshotState();
  const report = await run(true);
  expect(report).toMatchObject({ dryRun: true, snapshotsThen: 3, objectsReplaced: 1, snapshotsNewer: 1, sessions: 1 });
  expect(report.documentsRemoved).toHaveLength(4); // three markers and a sweep
  expect([history.steps, present.snapshotState()]).toEqual([[], before]);
});

test('packs come back first, then the index, keys, and snapshots last; every snapshot is whole, the later one too', async () => {
  const { clock, present, history, ids, run } = await attacked();
  await run();
  const kinds = history.steps.map(name => name.split('/')[0]!);
  expect([...new Set(kinds)]).toEqual(['packs', 'index', 'keys', 'snapshots']);
  expect(kinds).toEqual([...kinds].sort((a, b) => ['packs', 'index', 'keys', 'snapshots'].indexOf(a) - ['packs', 'index', 'keys', 'snapshots'].indexOf(b)));
  const repository = await reopen(present, { clock });
  expect((await loadSnapshots(repository)).snapshots.map(({ id }) => id).sort()).toEqual([...ids].sort());
  expect(damage(await runVerify(repository, { readData: true }))).toEqual([]);
  // A session that was there then stays away, and nothing is left to do.
  expect(await run()).toMatchObject({ objectsMissing: 0, objectsReplaced: 0, documentsRemoved: [] });
  await forget(repository, ids[0]!);
  await runPrune(repository);
  expect(damage(await runVerify(await reopen(present, { clock }), { readData: true }))).toEqual([]);
});

test('whenever it is interrupted, no snapshot becomes valid before all it needs is back, and the next run goes on', async () => {
  const { clock, present, history, ids, run } = await attacked();
  const total = (await run(true)).objectsMissing + (await run(true)).objectsReplaced;
  for (let failsAfter = 0; failsAfter < total; failsAfter += 3) {
    history.failsAfter = failsAfter;
    await expect(run()).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  }
  expect([...present.snapshotState().keys()].filter(name => name.startsWith('forgotten/'))).toHaveLength(3);
  history.failsAfter = Number.POSITIVE_INFINITY;
  await run();
  const repository = await reopen(present, { clock });
  expect((await loadSnapshots(repository)).snapshots).toHaveLength(ids.length);
  expect(damage(await runVerify(repository, { readData: true }))).toEqual([]);
});
