import { describe, expect, test } from 'vitest';
import { formatCalendarDuration, isZero, momentBefore, parseCalendarDuration, periodOf } from '../../../src/usecases/retention/calendar.ts';
import { UTC, zoneOf } from './zones.ts';

const BERLIN = zoneOf('Europe/Berlin');
const at = (time: string): number => Date.parse(time);

describe('a duration', () => {
  test.each([['30d', '30d'], ['1y5m7d2h', '1y5m7d2h'], ['2h1y', '1y2h'], ['0d', '0h'], ['010d', '10d']])('%s is %s', (text, expected) => {
    expect(formatCalendarDuration(parseCalendarDuration(text))).toBe(expected);
  });

  test.each(['', '30', 'd', '1w', '-1d', '1.5d', '1d1d', '1d ', '1D', '9999999d'])('is not %j', text => {
    expect(() => parseCalendarDuration(text)).toThrow(expect.objectContaining({ code: 'USAGE' }));
  });

  test('of nothing is zero', () => {
    expect([isZero(parseCalendarDuration('0y0h')), isZero(parseCalendarDuration('1h'))]).toEqual([true, false]);
  });
});

describe('the moment before', () => {
  test.each([
    ['2024-03-31T12:00:00Z', '1m', '2024-03-02T12:00:00Z', 'a day that February does not have counts on into March'],
    ['2024-02-29T12:00:00Z', '1y', '2023-03-01T12:00:00Z', 'so does a leap day'],
    ['2024-01-15T12:00:00Z', '1y2m3d4h', '2022-11-12T08:00:00Z', 'all units together'],
  ])('%s less %s is %s: %s', (from, duration, expected) => {
    expect(momentBefore(at(from), parseCalendarDuration(duration), UTC)).toBe(at(expected));
  });

  test('keeps the local hour over a change of the clock, while hours pass as they are', () => {
    expect(momentBefore(at('2024-04-01T12:00:00+02:00'), parseCalendarDuration('2d'), BERLIN)).toBe(at('2024-03-30T12:00:00+01:00'));
    expect(momentBefore(at('2024-04-01T12:00:00+02:00'), parseCalendarDuration('48h'), BERLIN)).toBe(at('2024-03-30T11:00:00+01:00'));
  });

  test('is right just before a change of the clock, too', () => {
    expect(momentBefore(at('2024-04-01T01:30:00+02:00'), parseCalendarDuration('1d'), BERLIN)).toBe(at('2024-03-31T01:30:00+01:00'));
  });

  test('is before everything when it leaves the calendar', () => {
    expect(momentBefore(0, parseCalendarDuration('999999y'), UTC)).toBe(Number.NEGATIVE_INFINITY);
    expect(momentBefore(0, parseCalendarDuration('1970y'), UTC)).toBe(at('0000-01-01T00:00:00Z'));
  });
});

describe('two moments are in the same', () => {
  test.each([
    ['hourly', '2024-10-27T00:30:00Z', '2024-10-27T01:30:00Z', true], // 02:30 twice
    ['daily', '2024-05-01T22:30:00Z', '2024-05-02T21:30:00Z', true],
    ['daily', '2024-05-01T21:30:00Z', '2024-05-01T22:30:00Z', false],
    ['weekly', '2024-12-30T12:00:00Z', '2025-01-05T12:00:00Z', true],
    ['weekly', '2025-01-05T12:00:00Z', '2025-01-06T12:00:00Z', false],
    ['weekly', '1969-12-29T12:00:00Z', '1970-01-04T12:00:00Z', true],
    ['monthly', '2024-01-31T12:00:00Z', '2025-01-31T12:00:00Z', false],
    ['yearly', '2024-12-31T22:30:00Z', '2024-12-31T23:30:00Z', false],
  ] as const)('%s period in Berlin: %s and %s: %j', (period, a, b, expected) => {
    expect(periodOf(period, at(a), BERLIN) === periodOf(period, at(b), BERLIN)).toBe(expected);
  });
});
