import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MAX_RUNS_KEPT, planMerge } from '../../src/cache/merge-plan.ts';
import type { Run } from '../../src/cache/run-table.ts';

const runOf = (records: number, number: number): Run => ({ number, records, buckets: 1, filterBlocks: 1 });
const plannedSizes = (...sizes: number[]): number[] => planMerge(sizes.map(runOf)).map(run => run.records).sort((a, b) => a - b);

it('merges all runs when more than half of the records are dead', () => {
  expect(planMerge([runOf(100, 1), runOf(50, 2)], 75)).toEqual([]);
  expect(planMerge([runOf(100, 1), runOf(50, 2)], 76).length).toBe(2);
  expect(planMerge([], 0)).toEqual([]);
});

it('merges nothing while there are few runs', () => expect(plannedSizes(1, 2, 3, 4, 5, 6, 7, 8)).toEqual([]));

it('merges the smallest runs and leaves one that is larger than they are together', () => {
  expect(plannedSizes(1_000_000, 5, 5, 5, 5, 5, 5, 5, 5)).toEqual([5, 5, 5, 5, 5, 5, 5, 5]);
  expect(plannedSizes(100, 200, 400, 800, 1600, 3200, 6400, 30, 31)).toEqual([30, 31]);
});

it('leaves as many runs as may be kept, whatever their sizes', () => {
  fc.assert(fc.property(fc.array(fc.nat(1_000_000), { maxLength: 40 }), sizes => {
    const plan = planMerge(sizes.map(runOf));
    const left = sizes.length - plan.length + (plan.length > 0 ? 1 : 0);
    expect(left).toBeLessThanOrEqual(MAX_RUNS_KEPT);
    expect(plan.length).not.toBe(1);
  }));
});

it('copies a record about as often as the index doubles', () => {
  let runs: Run[] = [];
  let copied = 0;
  for (let number = 0; number < 1000; number++) {
    runs.push(runOf(1000, number));
    const plan = planMerge(runs);
    if (plan.length === 0) continue;
    const records = plan.reduce((sum, run) => sum + run.records, 0);
    copied += records;
    runs = [...runs.filter(run => !plan.includes(run)), runOf(records, number)];
  }
  expect(copied / 1_000_000).toBeLessThan(Math.log2(1000));
});
