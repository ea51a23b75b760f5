/** Wire audit: the order of a prune's operations is the protocol (repository design, rule I5), and no name is written twice. */
import { expect, test } from 'vitest';
import { toHex } from '../../../src/base/bytes.ts';
import { RecordingBackend, type RecordedOperation } from '../../support/recording-backend.ts';
import { reopen } from '../../support/memory-repository.ts';
import { forget, runPrune, storedGenerations } from '../../support/prune-jobs.ts';
import { TestClock } from '../../support/test-clock.ts';

async function operationsOf(count: number, ...forgotten: readonly number[]): Promise<readonly RecordedOperation[]> {
  const { backend, repository, ids } = await storedGenerations(count);
  await forget(repository, ...forgotten.map(i => ids[i]!));
  const recording = new RecordingBackend(backend, { clock: new TestClock() });
  const report = await runPrune(await reopen(recording));
  expect(report).toMatchObject({ isPending: false, planNumber: 1 });
  expect(report.packsRewritten).toBeGreaterThan(0);
  return recording.operations;
}

test('a prune publishes, resolves, looks again, decides and deletes in this order', async () => {
  const operations = await operationsOf(3, 0);
  const isOf = (verb: RecordedOperation['verb'], name: RegExp) => (each: RecordedOperation): boolean => each.verb === verb && name.test(each.name);
  const first = (verb: RecordedOperation['verb'], name: RegExp, after = -1): RecordedOperation => {
    const found = operations.find(each => each.startedAt > after && isOf(verb, name)(each));
    expect(found, `${verb} ${name.source} after ${after}`).toBeDefined();
    return found!;
  };
  /** Each begins after the one before has ended. */
  const sequence = (...steps: readonly (readonly [RecordedOperation['verb'], RegExp])[]): RecordedOperation[] => {
    let after = -1;
    return steps.map(([verb, name]) => {
      const found = first(verb, name, after);
      after = found.finishedAt!;
      return found;
    });
  };
  const [, , , , , , , plan] = sequence(
    ['createIfAbsent', /^probe\//], ['list', /^gc\/$/], ['list', /^forgotten\/$/], ['list', /^snapshots\/$/], ['list', /^sessions\/$/], ['list', /^index\/$/], ['list', /^packs\/$/],
    ['createIfAbsent', /^gc\/0000000001$/],
    ['list', /^sessions\/$/],
    ['list', /^forgotten\/$/], ['list', /^snapshots\/$/], ['list', /^sessions\/$/], ['list', /^index\/$/],
    ['list', /^gc\/$/], ['list', /^packs\/$/],
    ['createIfAbsent', /^gc\/0000000001\.sweep$/],
    ['remove', /^packs\//],
    ['createIfAbsent', /^gc\/0000000001\.done$/],
    ['create', /^index\//], ['read', /^index\//], ['remove', /^index\//],
  );
  // Replacement packs, then their segment, are durable before the plan.
  const newPacks = operations.filter(isOf('create', /^packs\//));
  const [segment] = operations.filter(isOf('create', /^index\//));
  for (const each of newPacks) expect(each.finishedAt!).toBeLessThan(segment!.startedAt);
  expect(segment!.finishedAt!).toBeLessThan(plan!.startedAt);
  // Nothing is deleted before the decision is durable, and everything before it is called done.
  const sweep = first('createIfAbsent', /\.sweep$/);
  const done = first('createIfAbsent', /\.done$/);
  for (const each of operations.filter(isOf('remove', /^(packs|index|snapshots|forgotten|gc)\//))) expect(each.startedAt).toBeGreaterThan(sweep.finishedAt!);
  for (const each of operations.filter(isOf('remove', /^packs\//))) expect(each.finishedAt!).toBeLessThan(done.startedAt);
  expect(operations.filter(isOf('remove', /^(snapshots|forgotten)\//))).toEqual([]);
});

test('a prune never writes a name twice with different bytes', async () => {
  const written = new Map<string, string>();
  for (const { verb, name, bytes, outcome } of await operationsOf(4, 0, 2)) {
    if ((verb !== 'create' && verb !== 'createIfAbsent') || (outcome !== 'done' && outcome !== 'created')) continue;
    expect(written.has(name), name).toBe(false);
    written.set(name, toHex(bytes.subarray(0, 64)));
  }
  expect(written.size).toBeGreaterThan(5);
});
