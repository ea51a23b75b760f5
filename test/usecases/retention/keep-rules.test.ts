import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PERIODS, parseCalendarDuration, type CalendarDuration, type Period } from '../../../src/usecases/retention/calendar.ts';
import { applyRules, hasRules, NO_RULES, type Candidate, type KeepRules } from '../../../src/usecases/retention/keep-rules.ts';
import { UTC, zoneOf } from './zones.ts';

const NOW = Date.UTC(2026, 0, 1);
const candidate = (time: string, changes: Partial<Candidate> = {}): Candidate => ({ timeMs: Date.parse(time), tags: [], isPartial: false, ...changes });
/** Given oldest first; the kept ones by their place in the list, with their reasons. */
function kept(list: readonly Candidate[], rules: Partial<KeepRules>, zone = UTC): Record<number, string[]> {
  const found = applyRules([...list].reverse(), { ...NO_RULES, ...rules }, { zone, nowMs: NOW });
  return Object.fromEntries([...found].map(([each, reasons]) => [list.indexOf(each), reasons.map(({ text }) => text)]));
}

describe('what restic keeps is kept', () => {
  interface Recorded {
    readonly zone: string;
    readonly snapshots: readonly { readonly time: string; readonly tags: readonly string[] }[];
    readonly cases: readonly { readonly options: readonly string[]; readonly kept: readonly { readonly snapshot: number; readonly matches: readonly string[] }[] }[];
  }
  const recorded = JSON.parse(readFileSync('test/usecases/retention/restic-cases.json', 'utf8')) as Recorded;
  const snapshots = recorded.snapshots.map(({ time, tags }) => candidate(time, { tags }));
  const zone = zoneOf(recorded.zone);

  function rulesOf(options: readonly string[]): KeepRules {
    const rules = { counts: {} as Record<string, number>, within: {} as Record<string, CalendarDuration>, tags: [] as string[][] };
    for (let i = 0; i < options.length; i += 2) {
      const [name, value] = [options[i]!.slice('--keep-'.length), options[i + 1]!];
      if (name === 'tag') rules.tags.push(value.split(','));
      else if (name.startsWith('within')) rules.within[name.slice('within-'.length) || 'all'] = parseCalendarDuration(value);
      else rules.counts[name] = Number(value);
    }
    return rules;
  }

  /** `daily 2 of 7` -> `daily snapshot`, `daily within 2d` as it is, `tag a,b` -> `has tags [a, b]`. */
  const inTheirWords = (reason: string): string => reason.replace(/^(\w+) \d+ of \d+$/, '$1 snapshot').replace(/^tag (.*)$/, (_, tags: string) => `has tags [${tags.split(',').join(', ')}]`);

  test.each(recorded.cases.map(each => [each.options.join(' '), each] as const))('%s', (_, { options, kept: expected }) => {
    const found = kept(snapshots, rulesOf(options), zone);
    // The recording is of a version that did not keep the oldest one yet.
    const comparable = Object.entries(found).map(([i, reasons]) => [Number(i), reasons.filter(reason => !reason.startsWith('oldest')).map(inTheirWords).sort()] as const)
      .filter(([, reasons]) => reasons.length > 0);
    expect(new Map(comparable)).toEqual(new Map(expected.map(({ snapshot, matches }) => [snapshot, [...matches].sort()])));
    const oldest = Object.entries(found).filter(([, reasons]) => reasons.some(reason => reason.startsWith('oldest')));
    expect(oldest.map(([i]) => i).filter(i => i !== '0')).toEqual([]);
  });
});

describe('while a count is not used up', () => {
  const month = ['2024-01-02T13:42:44Z', '2024-01-03T01:04:38Z', '2024-01-04T20:09:54Z', '2024-01-04T20:20:32Z'].map(time => candidate(time));

  test('the oldest snapshot is kept as well', () => {
    expect(kept(month, { counts: { monthly: 4 } })).toEqual({ 3: ['monthly 1 of 4'], 0: ['oldest monthly'] });
    expect(kept(month, { counts: { monthly: Number.POSITIVE_INFINITY } })).toEqual({ 3: ['monthly 1'], 0: ['oldest monthly'] });
    expect(kept(month, { within: { monthly: parseCalendarDuration('1y') } })).toEqual({ 3: ['monthly within 1y'], 0: ['oldest monthly within 1y'] });
  });

  test('but not when the count is used up, or it is not in time', () => {
    expect(kept(month, { counts: { monthly: 1 } })).toEqual({ 3: ['monthly 1 of 1'] });
    expect(kept(month, { counts: { daily: 3 } })).toEqual({ 3: ['daily 1 of 3'], 1: ['daily 2 of 3'], 0: ['daily 3 of 3'] });
    expect(kept(month, { within: { monthly: parseCalendarDuration('2d') } })).toEqual({ 3: ['monthly within 2d'] });
  });
});

describe('a snapshot with unreadable sources', () => {
  const day = (partial: readonly boolean[]): Candidate[] => partial.map((isPartial, hour) => candidate(`2024-05-01T0${hour}:00:00Z`, { isPartial }));

  test('stands for its day only when no complete one does', () => {
    expect(kept(day([false, false, true]), { counts: { daily: 1 } })).toEqual({ 1: ['daily 1 of 1'] });
    expect(kept(day([true, true]), { counts: { daily: 1 } })).toEqual({ 1: ['daily 1 of 1'] });
    expect(kept(day([false, true, true]), { within: { daily: parseCalendarDuration('1d') } })).toMatchObject({ 0: ['daily within 1d'] });
  });

  test('is the oldest one only when no complete one of that day is', () => {
    expect(kept(day([true, false, false]), { counts: { daily: 2 } })).toEqual({ 2: ['daily 1 of 2'], 1: ['oldest daily'] });
    expect(kept(day([true, false]), { counts: { daily: 2 } })).toEqual({ 1: ['daily 1 of 2'] });
    expect(kept(day([true, true]), { counts: { daily: 2 } })).toEqual({ 1: ['daily 1 of 2'], 0: ['oldest daily'] });
  });

  test('counts as one of the last', () => {
    expect(kept(day([false, true]), { counts: { last: 1 } })).toEqual({ 1: ['last 1 of 1'] });
  });
});

describe('time is counted back from the newest snapshot', () => {
  test('that is not dated in the future', () => {
    const list = [candidate('2025-12-01T00:00:00Z'), candidate('2025-12-25T00:00:00Z'), candidate('2026-02-01T00:00:00Z')];
    expect(Object.keys(kept(list, { within: { all: parseCalendarDuration('10d') } }))).toEqual(['1', '2']);
    expect(Object.keys(kept(list.slice(2), { within: { all: parseCalendarDuration('10d') } }))).toEqual(['0']);
  });
});

test('rules that say nothing keep nothing', () => {
  const nothing: KeepRules = { counts: { last: 0, daily: 0 }, within: { all: parseCalendarDuration('0d'), weekly: parseCalendarDuration('0h') }, tags: [] };
  expect(hasRules(nothing)).toBe(false);
  expect(kept([candidate('2025-01-01T00:00:00Z')], nothing)).toEqual({});
  expect([{ counts: { daily: 1 } }, { within: { yearly: parseCalendarDuration('1y') } }, { tags: [['a']] }].map(each => hasRules({ ...NO_RULES, ...each }))).toEqual([true, true, true]);
});

describe('the rules, by their definitions', () => {
  /** Names of hours, days, ISO weeks, ... by another way than the program's. */
  const nameOf = (period: Period, { timeMs }: Candidate): string => {
    const iso = new Date(timeMs).toISOString();
    if (period !== 'weekly') return iso.slice(0, { hourly: 13, daily: 10, monthly: 7, yearly: 4 }[period]);
    const monday = new Date(timeMs);
    while (monday.getUTCDay() !== 1) monday.setUTCDate(monday.getUTCDate() - 1);
    return monday.toISOString().slice(0, 10);
  };
  /** Of snapshots newest first: one for each of the first `count` names, and the oldest one when names are left. */
  function keepers(list: readonly Candidate[], period: Period, count: number, reachesOldest: boolean): Candidate[] {
    const names = [...new Set(list.map(each => nameOf(period, each)))];
    const best = (name: string, order: readonly Candidate[]): Candidate => {
      const those = order.filter(each => nameOf(period, each) === name);
      return those.filter(each => !each.isPartial)[0] ?? those[0]!;
    };
    return [...names.slice(0, count).map(name => best(name, list)), ...reachesOldest && names.length > 0 && names.length < count ? [best(names.at(-1)!, [...list].reverse())] : []];
  }
  const times = fc.oneof(fc.integer({ min: Date.UTC(2025, 10, 28), max: NOW }), fc.integer({ min: Date.UTC(2020, 0, 1), max: NOW }));
  const lists = fc.uniqueArray(fc.record<Candidate>({ timeMs: times, isPartial: fc.boolean(), tags: fc.subarray(['a', 'b', 'c']) }), { maxLength: 40, selector: each => each.timeMs })
    .map(list => list.sort((a, b) => b.timeMs - a.timeMs));
  const counts = fc.option(fc.oneof(fc.nat(6), fc.constant(Number.POSITIVE_INFINITY)), { nil: undefined });
  const spans = fc.option(fc.record({ years: fc.nat(2), months: fc.constant(0), days: fc.nat(40), hours: fc.nat(30) }), { nil: undefined });
  const ofPeriods = <T>(values: fc.Arbitrary<T>): Record<Period, fc.Arbitrary<T>> => Object.fromEntries(PERIODS.map(period => [period, values])) as Record<Period, fc.Arbitrary<T>>;
  const rules: fc.Arbitrary<KeepRules> = fc.record({
    counts: fc.record({ last: counts, ...ofPeriods(counts) }), within: fc.record({ all: spans, ...ofPeriods(spans) }),
    tags: fc.array(fc.subarray(['a', 'b', 'c'], { minLength: 1 }), { maxLength: 2 }),
  });
  const isAfter = ({ timeMs }: Candidate, newest: Candidate, { years, days, hours }: CalendarDuration): boolean => {
    const cut = new Date(newest.timeMs);
    cut.setUTCFullYear(cut.getUTCFullYear() - years);
    return timeMs > cut.getTime() - (days * 24 + hours) * 3_600_000;
  };

  test('together keep what each of them keeps', () => {
    fc.assert(fc.property(lists, rules, (list, { counts, within, tags }) => {
      const expected = new Set(list.slice(0, counts.last ?? 0));
      for (const each of list) if (tags.some(set => set.every(tag => each.tags.includes(tag)))) expected.add(each);
      for (const period of PERIODS) for (const each of keepers(list, period, counts[period] ?? 0, true)) expected.add(each);
      for (const period of ['all', ...PERIODS] as const) {
        const span = within[period];
        if (span === undefined || span.years + span.days + span.hours === 0) continue;
        const inTime = list.filter(each => isAfter(each, list[0]!, span));
        const those = period === 'all' ? inTime : keepers(inTime, period, Number.POSITIVE_INFINITY, inTime.length === list.length);
        for (const each of those) expected.add(each);
      }
      expect(new Set(applyRules(list, { counts, within, tags }, { zone: UTC, nowMs: NOW }).keys())).toEqual(expected);
    }), { numRuns: 400 });
  });
});
