import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Decision } from '../../../src/usecases/retention/retention-policy.ts';
import { fitToSize, OVER_LIMIT } from '../../../src/usecases/retention/retention-size.ts';
import { numberOf, sketch } from './records.ts';

interface Item {
  readonly keeps: boolean;
  readonly isAssured: boolean;
  readonly hasTrueTime: boolean;
  /** Parts, each of a size of its own, that snapshots share. */
  readonly parts: readonly number[];
}

const sizeOf = (parts: Iterable<number>): number => [...parts].reduce((sum, part) => sum + part + 1, 0);
const together = (items: readonly Item[]): number => sizeOf(new Set(items.flatMap(({ parts }) => parts)));

/** Item 0 is the newest. */
async function fit(items: readonly Item[], maxBytes: number): Promise<{ kept: number[]; keptBytes: number; overLimit: number; walked: number }> {
  const decisions = items.map(({ keeps, isAssured, hasTrueTime }, i): Decision => ({ record: sketch(i, { time: 1e12 - i * 1000 }), keeps, isAssured, hasTrueTime, reasons: ['test'] }));
  const reached = new Set<number>();
  let walked = 0;
  const { groups, ...rest } = await fitToSize([decisions], maxBytes, async record => {
    walked++;
    for (const part of items[numberOf(record)]!.parts) reached.add(part);
    return sizeOf(reached);
  });
  return { ...rest, walked, kept: groups[0]!.flatMap((decision, i) => (decision.keeps ? [i] : [])) };
}

const items = fc.array(fc.record<Item>({ keeps: fc.constantFrom(true, true, true, false), isAssured: fc.constantFrom(false, false, true), hasTrueTime: fc.constantFrom(true, true, false), parts: fc.subarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) }), { maxLength: 12 });

test('the oldest ones go, those with false times first, until the rest fits', async () => {
  await fc.assert(fc.asyncProperty(items, fc.nat(60), async (list, maxBytes) => {
    const kept = list.map((item, i) => ({ item, i })).filter(({ item }) => item.keeps);
    const leaving = [...kept.filter(({ item }) => !item.hasTrueTime).reverse(), ...kept.filter(({ item }) => item.hasTrueTime).reverse()].filter(({ item }) => !item.isAssured);
    let left = kept;
    while (together(left.map(({ item }) => item)) > maxBytes && leaving.length > 0) {
      const gone = leaving.shift()!;
      left = left.filter(each => each !== gone);
    }
    const found = await fit(list, maxBytes);
    expect(found.kept).toEqual(left.map(({ i }) => i));
    expect(found.keptBytes).toBe(together(left.map(({ item }) => item)));
    expect(found.overLimit).toBe(kept.length - left.length);
  }));
});

test('what goes says why, and nothing behind it is walked', async () => {
  const item: Item = { keeps: true, isAssured: false, hasTrueTime: true, parts: [1] };
  const decisions = [0, 1, 2, 3].map((i): Decision => ({ ...item, record: sketch(i, { time: 1e12 - i * 1000 }), reasons: ['daily 1'] }));
  const walked: number[] = [];
  const { groups } = await fitToSize([decisions], 2, async record => walked.push(numberOf(record)));
  expect(groups[0]!.map(({ keeps, reasons }) => [keeps, reasons])).toEqual([[true, ['daily 1']], [true, ['daily 1']], [false, [OVER_LIMIT]], [false, [OVER_LIMIT]]]);
  expect(walked).toEqual([0, 1, 2]);
});
