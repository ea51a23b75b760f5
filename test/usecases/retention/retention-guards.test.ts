import { describe, expect, test } from 'vitest';
import type { SnapshotRecord } from '../../../src/repository/snapshots.ts';
import { findObjections, type GuardOptions } from '../../../src/usecases/retention/retention-guards.ts';
import type { Decision, DecisionGroup } from '../../../src/usecases/retention/retention-policy.ts';
import { numberOf, sketches, type RecordSketch } from './records.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 31);

/** All of them one group, of which the given ones go. */
function groupOf(records: readonly SnapshotRecord[], removed: (number: number) => boolean): DecisionGroup {
  return records.map((record): Decision => ({ record, keeps: !removed(numberOf(record)), reasons: ['test'], isAssured: false, hasTrueTime: true })).reverse();
}
function objections(list: readonly RecordSketch[], removed: (number: number) => boolean, options: Partial<GuardOptions> = {}): string[] {
  const records = sketches(...list);
  return findObjections([groupOf(records, removed)], records, { nowMs: NOW, groupBy: ['series', 'kind'], ...options });
}
const daily = (days: number, changes: Partial<RecordSketch> = {}): RecordSketch[] => Array.from({ length: days }, (_, i) => ({ time: NOW - (days - i) * DAY, ...changes }));

describe('a run that forgets nearly everything is objected to', () => {
  test.each([
    [32, 31, true], // 31 of 32 is more than 95 %
    [31, 30, false], // 30 are harmless
    [40, 38, false], // exactly 95 %
    [1000, 951, true], [1000, 950, false],
  ])('of %i snapshots %i: %j', (total, removed, expected) => {
    const found = objections(daily(total), number => number <= removed);
    expect(found.some(each => each.includes('more than 95 %'))).toBe(expected);
  });

  test('with another share, also few of them count', () => {
    expect(objections(daily(3), number => number < 3, { maxForgetShare: 0.5 })).toEqual(["2 of 3 snapshots of series 's', kind incremental would go, more than 50 %"]);
    expect(objections(daily(4), number => number < 3, { maxForgetShare: 0.5 })).toEqual([]);
    expect(objections(daily(100), number => number < 100, { maxForgetShare: 1 })).toEqual([]);
  });

  test('each group for itself', () => {
    const [a, b] = [sketches(...daily(100, { series: 'a' })), sketches(...daily(100, { series: 'b' }))];
    expect(findObjections([groupOf(a, number => number < 98), groupOf(b, number => number < 50)], [...a, ...b], { nowMs: NOW, groupBy: ['series'] }))
      .toEqual(["97 of 100 snapshots of series 'a' would go, more than 95 %"]);
  });
});

describe('a snapshot that is dated in the future is objected to', () => {
  test.each([
    ['later than now', { time: NOW + DAY + 1000, storedAt: NOW + DAY + 1000 }, true],
    ['later than it was stored', { time: NOW - 5 * DAY, storedAt: NOW - 6 * DAY - 1000 }, true],
    ['by a day', { time: NOW + DAY, storedAt: NOW + DAY }, false],
    ['by less than a day against its storage', { time: NOW, storedAt: NOW - DAY }, false],
  ])('%s', (_, ahead, expected) => {
    expect(objections([{ time: NOW - 30 * DAY }, ahead], () => false).some(each => each.includes('in the future'))).toBe(expected);
  });

  test('all of them in one sentence', () => {
    expect(objections([{ time: NOW + 3 * DAY }, { time: NOW + 2 * DAY }], () => false)).toEqual([expect.stringMatching(/^2 snapshots are dated in the future \(2026-02-03, '0+1'\): was a clock wrong\?$/)]);
  });
});

describe('a series whose newest snapshot shrank is objected to', () => {
  const large = { files: 1000, bytes: 50 * 2 ** 20 };
  const last = (changes: Partial<RecordSketch>): RecordSketch => ({ time: NOW, ...changes });
  const isSuspicious = (list: readonly RecordSketch[], removed: (number: number) => boolean = number => number === 1): boolean => objections(list, removed).some(each => each.includes('are usual'));

  test.each([
    ['fewer than half of the files', { files: 499, bytes: 50 * 2 ** 20 }, true],
    ['fewer than half of the bytes', { files: 1000, bytes: 24 * 2 ** 20 }, true],
    ['half of both', { files: 500, bytes: 25 * 2 ** 20 }, false],
  ])('%s', (_, newest, expected) => {
    expect(isSuspicious([...daily(6, large), last(newest)])).toBe(expected);
  });

  test('compared with the median of the last five complete ones that hold something', () => {
    // The oldest ones do not count, nor do partial and tiny ones: three of five are large.
    const list = [...daily(20, { files: 100 }), { time: NOW - 500, ...large }, { time: NOW - 400, ...large }, { time: NOW - 300, ...large }];
    expect(isSuspicious([...list, last({ files: 99, bytes: 2000 })])).toBe(true);
    expect(isSuspicious([...list.slice(0, -1), { time: NOW - 300, ...large, sourceErrors: 1 }, last({ files: 99, bytes: 2000 })])).toBe(false);
    expect(isSuspicious([...daily(5, { files: 99, bytes: 10 * 2 ** 20 - 1 }), last({ files: 0, bytes: 0 })])).toBe(false);
    expect(isSuspicious([...daily(5, { files: 1, bytes: 10 * 2 ** 20 }), last({ files: 1, bytes: 0 })])).toBe(true);
  });

  test('only when the series loses something', () => {
    expect(isSuspicious([...daily(6, large), last({ files: 1 })], () => false)).toBe(false);
    const other = [...daily(6, large), last({ files: 1 }), { time: NOW - 100, series: 'other' }];
    expect(isSuspicious(other, number => number === 8)).toBe(false);
  });

  test('a configuration snapshot is compared with its like', () => {
    expect(isSuspicious([...daily(6, large), last({ files: 3, kind: 'config' })])).toBe(false);
  });
});
