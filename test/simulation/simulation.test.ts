/**
 * The real code under a simulated storage, clock and fate: see `simulation.ts`. SNAP_SIMULATION_SEED=n replays one seed and
 * shows its whole trace; many more seeds, and the proof that planted mistakes are found, are in `test/slow/simulation.test.ts`.
 */
import { describe, expect, test } from 'vitest';
import { expectKept, groupsOf, optionsOf, replayed } from './seeds.ts';
import { simulate } from './simulation.ts';

const QUICK_SEEDS = 16;

describe.skipIf(replayed !== undefined)('whatever fails, what was reported as saved can be restored, and nothing live is deleted', () => {
  test.each(groupsOf(1, QUICK_SEEDS, 4))('seeds $from to $to', { timeout: 120_000 }, async ({ from, to }) => {
    for (let seed = from; seed <= to; seed++) await expectKept(optionsOf(seed));
  });
});

test.runIf(replayed !== undefined)('the replayed seed', { timeout: 60_000 }, async () => {
  const { trace } = await expectKept(optionsOf(replayed!));
  console.log(trace.join('\n'));
});

test('the same seed makes the same run, another one another', { timeout: 60_000 }, async () => {
  const digests = [];
  for (const seed of [1, 1, 2]) digests.push((await simulate(optionsOf(seed))).digest);
  expect(digests[1]).toBe(digests[0]);
  expect(digests[2]).not.toBe(digests[0]);
});
