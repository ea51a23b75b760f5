import { afterEach, describe, expect, test } from 'vitest';
import { limitsAt, parsePeriod, withoutDirections, type LimitPeriod } from '../../src/cli/limit-timetable.ts';

const zone = process.env['TZ'];
afterEach(() => {
  if (zone === undefined) delete process.env['TZ'];
  else process.env['TZ'] = zone;
});

const MiB = 1024 * 1024;
const otherwise = { upload: 5 * MiB, download: undefined };
/** Upload at a local hour of a day in May 2026; the 4th is a Monday. */
const upload = (periods: readonly LimitPeriod[], day: number, hour: number, minute = 0): number | undefined =>
  limitsAt(periods, otherwise, new Date(2026, 4, day, hour, minute).getTime()).upload;

describe('a timetable', () => {
  const office = [parsePeriod({ days: 'mon-fri', from: '08:00', to: '18:00', upload: '1MiB/s' })];

  test('holds from its first minute to before its last, on its days, and the default holds outside', () => {
    expect([upload(office, 4, 7, 59), upload(office, 4, 8), upload(office, 8, 17, 59), upload(office, 8, 18), upload(office, 9, 12)])
      .toEqual([5 * MiB, MiB, MiB, 5 * MiB, 5 * MiB]);
  });
  test('over midnight it belongs to the day on which it begins', () => {
    const night = [parsePeriod({ days: 'fri', from: '22:00', to: '06:00', upload: 'unlimited' })];
    expect([upload(night, 8, 21), upload(night, 8, 23), upload(night, 9, 5, 59), upload(night, 9, 6), upload(night, 9, 23)])
      .toEqual([5 * MiB, undefined, undefined, 5 * MiB, 5 * MiB]);
  });
  test('days may be listed, go over the week-end, and are all days when they are left out', () => {
    const days = (text: string): number[] => [...parsePeriod({ days: text, upload: '1M' }).days].sort();
    expect([days('sat-mon'), days('tue, Thursday'), days('sun')]).toEqual([[0, 1, 6], [2, 4], [0]]);
    expect(upload([parsePeriod({ upload: '2M' })], 10, 3)).toBe(2 * MiB);
  });
  test('the first period that speaks of a direction counts', () => {
    const both = [parsePeriod({ from: '12:00', to: '13:00', download: '1M' }), parsePeriod({ from: '08:00', to: '18:00', upload: '3M', download: '2M' })];
    expect(limitsAt(both, otherwise, new Date(2026, 4, 4, 12, 30).getTime())).toEqual({ upload: 3 * MiB, download: MiB });
    expect(limitsAt(both, otherwise, new Date(2026, 4, 4, 15).getTime())).toEqual({ upload: 3 * MiB, download: 2 * MiB });
  });
  test('what a flag says counts at every hour', () => {
    expect(upload(withoutDirections(office, { upload: true, download: false }), 4, 12)).toBe(5 * MiB);
    expect(upload(withoutDirections(office, { upload: false, download: true }), 4, 12)).toBe(MiB);
  });
  test('follows the clock on the wall when summer time begins and ends', () => {
    process.env['TZ'] = 'Europe/Berlin';
    const early = [parsePeriod({ days: 'sun', from: '01:30', to: '03:30', upload: '1M' })];
    const at = (text: string): number | undefined => limitsAt(early, otherwise, Date.parse(text)).upload;
    // On 29 March 02:00 is skipped: the period lasts an hour.
    expect([at('2026-03-29T00:29:00Z'), at('2026-03-29T00:30:00Z'), at('2026-03-29T01:29:00Z'), at('2026-03-29T01:30:00Z')]).toEqual([5 * MiB, MiB, MiB, 5 * MiB]);
    // On 25 October 02:00 comes twice: three hours.
    expect([at('2026-10-24T23:29:00Z'), at('2026-10-24T23:30:00Z'), at('2026-10-25T02:29:00Z'), at('2026-10-25T02:30:00Z')]).toEqual([5 * MiB, MiB, MiB, 5 * MiB]);
  });
});

describe('a period that cannot be meant', () => {
  test.each([
    [{ from: '08:00', upload: '1M' }, "'from' without 'to'"],
    [{ from: '08:00', to: '18:00' }, 'without a limit'],
    [{ from: '8', to: '18:00', upload: '1M' }, "'8' in 'from' of 'limits' is not an hour"],
    [{ from: '08:00', to: '24:01', upload: '1M' }, "'24:01' in 'to' of 'limits' is not an hour"],
    [{ from: '08:60', to: '10:00', upload: '1M' }, "'08:60'"],
    [{ from: '08:00', to: '08:00', upload: '1M' }, 'ends when it begins'],
    [{ days: 'mon-fry', upload: '1M' }, "'mon-fry' in 'days' of 'limits' is neither a day"],
    [{ days: 'mon-tue-wed', upload: '1M' }, 'neither a day'],
    [{ upload: 'fast' }, "'upload' of 'limits': 'fast' is not a size"],
    [{ download: '0' }, 'would stop all transfer'],
    [{ download: '100B' }, 'time out'],
  ])('%j', (given, message) => {
    expect(() => parsePeriod(given)).toThrow(message);
  });
});
