/**
 * Many seeds of the simulation (`test/simulation`), and the test of that test: planted mistakes must be found.
 * SNAP_SIMULATION_SEEDS says how many seeds; SNAP_SIMULATION_SEED=n with `npm test` replays one.
 */
import { describe, expect, test } from 'vitest';
import { MISTAKES, STRESS } from '../simulation/mistakes.ts';
import { countEvents, expectKept, groupsOf, optionsOf } from '../simulation/seeds.ts';
import { simulate } from '../simulation/simulation.ts';

/** Those below belong to the quick tests. */
const FIRST_SEED = 101;
const SEEDS = Number(process.env['SNAP_SIMULATION_SEEDS'] ?? 200);

describe('whatever fails, what was reported as saved can be restored, and nothing live is deleted', () => {
  const seen = new Map<string, number>();

  test.each(groupsOf(FIRST_SEED, SEEDS, 25))('seeds $from to $to', async ({ from, to }) => {
    for (let seed = from; seed <= to; seed++) {
      const result = await expectKept(optionsOf(seed));
      for (const [name, count] of countEvents(result)) seen.set(name, (seen.get(name) ?? 0) + count);
    }
  });

  test.runIf(SEEDS >= 200)('and every race happened that matters', () => {
    expect([...seen].filter(([, count]) => count === 0)).toEqual([]);
  });
});

describe('the simulation finds the mistake', () => {
  test.each(Object.entries(MISTAKES))('%s', async (_name, { mistake, seeds, finds }) => {
    const found: string[] = [];
    for (let seed = 1; seed <= seeds && !found.some(problem => finds.test(problem)); seed++) {
      const { problem } = await simulate({ seed, wrap: mistake, weather: STRESS, jobsPerHost: 6 });
      if (problem !== undefined) found.push(problem);
    }
    expect(found.at(-1) ?? `nothing in ${seeds} seeds`).toMatch(finds);
  });
});
