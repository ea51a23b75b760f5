import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SnapshotRecord } from '../../../src/repository/snapshots.ts';
import { parseCalendarDuration } from '../../../src/usecases/retention/calendar.ts';
import { NO_RULES, type KeepRules } from '../../../src/usecases/retention/keep-rules.ts';
import { decide, DEFAULT_POLICY, fitsStorageTime, timeOf, type Decision, type RetentionPolicy } from '../../../src/usecases/retention/retention-policy.ts';
import { numberOf, sketch, sketches, type RecordSketch } from './records.ts';
import { UTC } from './zones.ts';

const DAY = 86_400_000;
const NOW = Date.UTC(2026, 0, 31);
const calendar = { zone: UTC, nowMs: NOW };
const within = (duration: string): KeepRules => ({ ...NO_RULES, within: { all: parseCalendarDuration(duration) } });
const counts = (given: KeepRules['counts']): KeepRules => ({ ...NO_RULES, counts: given });
const policy = (rules: KeepRules, changes: Partial<RetentionPolicy> = {}): RetentionPolicy => ({ rules, kinds: {}, groupBy: ['series', 'kind'], ...changes });

function decisions(records: readonly SnapshotRecord[], by: RetentionPolicy, all = records): Decision[] {
  return decide(records, all, by, calendar).flat();
}
function kept(records: readonly SnapshotRecord[], by: RetentionPolicy, all = records): Record<number, readonly string[]> {
  return Object.fromEntries(decisions(records, by, all).filter(({ keeps }) => keeps).map(({ record, reasons }) => [numberOf(record), reasons]));
}
const daily = (days: number, changes: Partial<RecordSketch> = {}): RecordSketch[] =>
  Array.from({ length: days }, (_, i) => ({ time: NOW - (days - i) * DAY, ...changes }));

describe('every decision has its reasons', () => {
  test('for keeping and for not keeping', () => {
    const found = decisions(sketches(...daily(3)), policy(counts({ last: 2, daily: 1 })));
    expect(found.map(({ keeps, reasons }) => [keeps, reasons])).toEqual([
      [true, ['last 1 of 2', 'daily 1 of 1', 'newest of its series']], [true, ['last 2 of 2']], [false, ['not kept by any rule']],
    ]);
  });

  test('of every kind', () => {
    const records = sketches({ time: NOW - 9 * DAY, isPinned: true }, { time: NOW - 8 * DAY, tags: ['a', 'b'] }, { time: NOW - 3 * DAY, kind: 'full' }, { time: NOW - 2 * DAY });
    expect(kept(records, policy({ ...within('1d'), tags: [['b', 'a']] }, { kinds: { full: within('1h') } }))).toEqual({
      1: ['pinned'], 2: ['tag b,a'], 3: ['within 1d', 'full: within 1h'], 4: ['within 1d', 'newest of its series'],
    });
  });
});

describe('groups', () => {
  const records = sketches(
    { time: NOW - 5 * DAY, series: 'a', host: 'x', tags: ['t', 'u'] }, { time: NOW - 4 * DAY, series: 'a', kind: 'full', host: 'y', path: '/q' },
    { time: NOW - 3 * DAY, series: 'b', host: 'x', tags: ['u', 't'] }, { time: NOW - 2 * DAY, series: 'b', host: 'y', kind: 'config' },
  );
  test.each([
    [['series', 'kind'], [[1], [2], [3], [4]]], [['series'], [[2, 1], [4, 3]]], [['kind'], [[3, 1], [2], [4]]], [['host'], [[3, 1], [4, 2]]],
    [['paths'], [[4, 3, 1], [2]]], [['tags'], [[3, 1], [4, 2]]], [[], [[4, 3, 2, 1]]],
  ] as const)('by %j', (groupBy, expected) => {
    expect(decide(records, records, policy(counts({ last: 1 }), { groupBy }), calendar).map(group => group.map(({ record }) => numberOf(record)))).toEqual(expected);
  });

  test('are counted one by one', () => {
    expect(Object.keys(kept(sketches(...daily(3, { series: 'a' }), ...daily(3, { series: 'b' })), policy(counts({ last: 2 }))))).toEqual(['2', '3', '5', '6']);
  });

  test('with several kinds apply the rules of a kind to its own snapshots', () => {
    const records = sketches(...daily(3, { kind: 'full' }), ...daily(3, { kind: 'incremental' }));
    expect(Object.keys(kept(records, policy(NO_RULES, { kinds: { full: counts({ last: 1 }), incremental: counts({ last: 2 }) }, groupBy: ['series'] })))).toEqual(['3', '5', '6']);
  });
});

describe('what nobody gave a rule for', () => {
  test('is kept', () => {
    const records = sketches(...daily(3, { kind: 'full' }), ...daily(3));
    expect(kept(records, policy(NO_RULES, { kinds: { full: counts({ last: 1 }) } }))).toMatchObject({ 4: ['no rule for its kind'], 5: ['no rule for its kind'] });
    expect(decisions(records, policy(NO_RULES)).every(({ keeps }) => keeps)).toBe(true);
  });
});

describe('of every series', () => {
  const tagged = policy({ ...NO_RULES, tags: [['none']] });

  test('the newest snapshot and the newest complete one stay, whatever the policy', () => {
    const records = sketches(...daily(3, { series: 'a' }), ...daily(2, { series: 'b' }), ...daily(2, { series: 'b', sourceErrors: 1 }).map(each => ({ ...each, time: Number(each.time) + 3600_000 })));
    expect(kept(records, tagged)).toEqual({ 3: ['newest of its series'], 5: ['newest complete of its series'], 7: ['newest of its series'] });
  });

  test('the same counts among those with true times, so that a false one stands for nobody else', () => {
    const records = sketches({ time: NOW - 40 * DAY }, { time: NOW - 30 * DAY, sourceErrors: 1 }, { time: NOW - 10 * DAY, storedAt: NOW }, { time: NOW - 9 * DAY, storedAt: NOW, sourceErrors: 1 });
    expect(kept(records, tagged)).toEqual({
      4: ['newest of its series'], 3: ['newest complete of its series'], 2: ['newest with a true time of its series'], 1: ['newest complete with a true time of its series'],
    });
  });

  test('a configuration snapshot stands only for its like', () => {
    const records = sketches({ time: NOW - 3 * DAY, kind: 'full' }, { time: NOW - 2 * DAY, kind: 'config' }, { time: NOW - DAY, kind: 'config' });
    expect(Object.keys(kept(records, tagged))).toEqual(['1', '3']);
  });

  test('a full one stands for an incremental one and the other way round', () => {
    expect(Object.keys(kept(sketches({ time: NOW - 3 * DAY, kind: 'full' }, { time: NOW - 2 * DAY }), tagged))).toEqual(['2']);
  });

  test('the last ones are those of the repository, not of what the policy is about', () => {
    const all = sketches(...daily(2, { host: 'a' }), { time: NOW, host: 'b' });
    expect(Object.keys(kept(all.filter(({ snapshot }) => snapshot.host === 'a'), tagged, all))).toEqual([]);
  });
});

describe('false times', () => {
  test.each([[0, true], [-3 * DAY, true], [-3 * DAY - 1, false], [DAY, true], [DAY + 1, false]])('%d ms from the time of storage: fits %j', (offset, expected) => {
    expect(fitsStorageTime(sketch(1, { time: NOW + offset, storedAt: NOW }))).toBe(expected);
  });

  test('junk that was stored today pushes nothing out that was stored more than three days ago', () => {
    const honest = daily(20);
    const junk = daily(40).map(({ time }) => ({ time: Number(time) + 3600_000, storedAt: NOW }));
    const alone = kept(sketches(...honest), policy(counts({ daily: 10, weekly: 4 })));
    const beside = kept(sketches(...honest, ...junk), policy(counts({ daily: 10, weekly: 4 })));
    expect(Object.keys(alone)).toEqual(['1', '8', '11', '12', '13', '14', '15', '16', '17', '18', '19', '20']);
    expect(Object.keys(beside).map(Number).filter(number => number <= 20)).toEqual([1, 8, 11, 12, 13, 14, 15, 16, 17]);
  });

  test('an imported history is thinned out by its own times', () => {
    const records = sketches(...daily(60).map(({ time }) => ({ time: Number(time) - 100 * DAY, storedAt: NOW })));
    expect(Object.keys(kept(records, policy(counts({ daily: 3 }))))).toEqual(['58', '59', '60']);
  });

  test('what only the round without them keeps says so', () => {
    const records = sketches({ time: NOW - 30 * DAY }, { time: NOW - 29 * DAY }, { time: NOW - 10 * DAY, storedAt: NOW }, { time: NOW - 9 * DAY, storedAt: NOW });
    expect(kept(records, policy(counts({ last: 2 })))).toEqual({
      4: ['last 1 of 2', 'newest of its series'], 3: ['last 2 of 2'], 2: ['newest with a true time of its series', 'last 1 of 2 of those with true times'], 1: ['last 2 of 2 of those with true times'],
    });
  });

  test('times beyond every calendar are survived', () => {
    const records = sketches({ time: NOW - DAY }, { time: NOW });
    const far = { ...records[1]!, snapshot: { ...records[1]!.snapshot, startedAt: [Number.MAX_SAFE_INTEGER, 0] as const } };
    expect(Number.isFinite(timeOf(far.snapshot))).toBe(true);
    expect(decisions([records[0]!, far], policy(counts({ daily: 1, yearly: 1 })))).toHaveLength(2);
  });

  const sketchLists = fc.array(fc.record({ day: fc.nat(60), storedLater: fc.constantFrom(0, 3600_000, 30 * DAY, 90 * DAY), sourceErrors: fc.constantFrom(0, 0, 1), tags: fc.subarray(['x']) }), { maxLength: 40 });
  const someRules = fc.record({ counts: fc.record({ last: fc.nat(4), daily: fc.nat(7), monthly: fc.nat(2) }), within: fc.record({ all: fc.constantFrom(undefined, parseCalendarDuration('5d')) }), tags: fc.constantFrom([], [['x']]) });

  test('whatever is added with them, everything that was kept without it is kept', () => {
    fc.assert(fc.property(sketchLists, someRules, (list, rules) => {
      const records = list.map((each, i) => sketch(i + 1, { ...each, time: NOW - each.day * DAY, storedAt: NOW - each.day * DAY + each.storedLater }))
        .sort((a, b) => a.snapshot.startedAt[0] - b.snapshot.startedAt[0] || numberOf(a) - numberOf(b));
      const honest = records.filter(fitsStorageTime);
      const without = Object.keys(kept(honest, policy(rules)));
      expect(Object.keys(kept(records, policy(rules)))).toEqual(expect.arrayContaining(without));
    }));
  });

  test('nothing is kept by both rounds that neither would keep', () => {
    fc.assert(fc.property(sketchLists, someRules, (list, rules) => {
      const records = list.map((each, i) => sketch(i + 1, { ...each, time: NOW - each.day * DAY, storedAt: NOW - each.day * DAY + each.storedLater }))
        .sort((a, b) => a.snapshot.startedAt[0] - b.snapshot.startedAt[0] || numberOf(a) - numberOf(b));
      const trueTimes = records.map(each => ({ ...each, storedAt: timeOf(each.snapshot) }));
      const either = new Set([...Object.keys(kept(trueTimes, policy(rules))), ...Object.keys(kept(records.filter(fitsStorageTime), policy(rules)))]);
      const lastOnes = Object.entries(kept(records, policy(rules))).filter(([, reasons]) => reasons.some(reason => reason.endsWith('of its series'))).map(([id]) => id);
      for (const id of Object.keys(kept(records, policy(rules)))) expect(either.has(id) || lastOnes.includes(id)).toBe(true);
    }));
  });
});

describe('the default policy', () => {
  test('keeps 7 daily, 4 weekly, 3 monthly, and every snapshot of a while that depends on its kind', () => {
    const records = sketches(...daily(100, { kind: 'full' }));
    const ages = decisions(records, DEFAULT_POLICY).filter(({ keeps }) => keeps).map(({ record }) => Math.round((NOW - timeOf(record.snapshot)) / DAY));
    expect(ages.slice(0, 30)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
    expect(ages.length).toBeLessThan(34);
    expect(decisions(sketches(...daily(100)), DEFAULT_POLICY).filter(({ reasons }) => reasons.some(reason => reason === 'incremental: within 7d'))).toHaveLength(7);
    expect(decisions(sketches(...daily(100, { kind: 'config' })), DEFAULT_POLICY).filter(({ keeps }) => keeps).length).toBeGreaterThanOrEqual(90);
  });
});
