/**
 * Calendar arithmetic in local time, pure: the offset of local time comes as a function, since only the command line knows a zone.
 * Durations and periods are those of restic, whose users expect the same snapshots to stay.
 */
import { SnapError } from '../../base/errors.ts';

/** How far local time is ahead of UTC at a moment, both in ms. */
export type ZoneOffset = (atMs: number) => number;

export const PERIODS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Period = (typeof PERIODS)[number];

/** `1y5m7d2h`: years and months by the calendar, so their length depends on where they begin. */
export interface CalendarDuration {
  readonly years: number;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
}

const UNITS = { y: 'years', m: 'months', d: 'days', h: 'hours' } as const;
const DURATION = /^(?:\d{1,6}[ymdh])+$/;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Each unit at most once, in any order. @throws USAGE */
export function parseCalendarDuration(text: string): CalendarDuration {
  const parts = DURATION.test(text) ? text.match(/\d+[ymdh]/g)! : [];
  const duration = { years: 0, months: 0, days: 0, hours: 0 };
  for (const part of parts) duration[UNITS[part.at(-1) as keyof typeof UNITS]] = Number(part.slice(0, -1));
  if (parts.length === 0 || new Set(parts.map(part => part.at(-1))).size < parts.length) {
    throw new SnapError('USAGE', `'${text}' is not a duration`, { hint: 'Write years, months, days and hours like 30d or 1y5m7d2h' });
  }
  return duration;
}

export function formatCalendarDuration({ years, months, days, hours }: CalendarDuration): string {
  const parts = [[years, 'y'], [months, 'm'], [days, 'd'], [hours, 'h']].filter(([count]) => count !== 0);
  return parts.length === 0 ? '0h' : parts.map(([count, unit]) => `${count}${unit}`).join('');
}

export function isZero({ years, months, days, hours }: CalendarDuration): boolean {
  return years === 0 && months === 0 && days === 0 && hours === 0;
}

/**
 * The moment that long before another one, as Go's `AddDate` and `Add` find it, which restic uses: years, months and days on
 * the local calendar (a day that a month does not have counts on into the next one), then hours as they pass.
 */
export function momentBefore(atMs: number, { years, months, days, hours }: CalendarDuration, zone: ZoneOffset): number {
  const local = new Date(atMs + zone(atMs));
  const shifted = local.setUTCFullYear(local.getUTCFullYear() - years, local.getUTCMonth() - months, local.getUTCDate() - days);
  // Before the calendar of JavaScript began, everything is later.
  if (Number.isNaN(shifted)) return Number.NEGATIVE_INFINITY;
  const guess = shifted - zone(shifted);
  return shifted - zone(guess) - hours * HOUR_MS;
}

/** Equal for two moments exactly when they lie in the same hour, day, ISO week (from Monday), month or year of local time. */
export function periodOf(period: Period, atMs: number, zone: ZoneOffset): number {
  const localMs = atMs + zone(atMs);
  switch (period) {
    case 'hourly': return Math.floor(localMs / HOUR_MS);
    case 'daily': return Math.floor(localMs / DAY_MS);
    case 'weekly': return Math.floor((Math.floor(localMs / DAY_MS) + 3) / 7); // 1970 began on a Thursday
    case 'monthly': return new Date(localMs).getUTCFullYear() * 12 + new Date(localMs).getUTCMonth();
    case 'yearly': return new Date(localMs).getUTCFullYear();
  }
}
