/**
 * Which snapshots of one group the rules keep, and why: restic's semantics (pure). "daily 7" keeps the newest snapshot of each of
 * the last seven days *that have snapshots*; while a count is not used up, the oldest snapshot is kept as well, so that history
 * grows to the full length (restic from 0.16 on). `restic-cases.json` beside the tests records what restic does.
 *
 * One thing differs: a snapshot whose source could not be read completely stands for its hour, day, ... only when no complete
 * one can.
 */
import { formatCalendarDuration, isZero, momentBefore, PERIODS, periodOf, type CalendarDuration, type Period, type ZoneOffset } from './calendar.ts';

/** Absent, 0 and empty ones say nothing. */
export interface KeepRules {
  /** How many; Infinity: all. */
  readonly counts: { readonly [Key in 'last' | Period]?: number | undefined };
  /** Back from the newest snapshot of the group that is not dated in the future; `all`: every snapshot of that time. */
  readonly within: { readonly [Key in 'all' | Period]?: CalendarDuration | undefined };
  /** Each a set of tags that must all be there. */
  readonly tags: readonly (readonly string[])[];
}

export const NO_RULES: KeepRules = { counts: {}, within: {}, tags: [] };

/** What the rules look at. */
export interface Candidate {
  /** Its own time, ms since 1970. */
  readonly timeMs: number;
  readonly tags: readonly string[];
  readonly isPartial: boolean;
}

export interface Calendar {
  readonly zone: ZoneOffset;
  readonly nowMs: number;
}

/** Why a snapshot is kept: for people, and stable for scripts. */
export interface KeepReason {
  readonly text: string;
  /** A tag is a wish for this very snapshot, which no limit of space may break. */
  readonly isByTag: boolean;
}

export function hasRules({ counts, within, tags }: KeepRules): boolean {
  return tags.length > 0 || Object.values(counts).some(count => count !== undefined && count > 0)
    || Object.values(within).some(duration => duration !== undefined && !isZero(duration));
}

/** Those that are kept. `candidates` newest first. */
export function applyRules<C extends Candidate>(candidates: readonly C[], rules: KeepRules, calendar: Calendar): Map<C, KeepReason[]> {
  const kept = new Map<C, KeepReason[]>();
  const keep = (candidate: C, text: string, isByTag = false): void => {
    const reasons = kept.get(candidate);
    if (reasons === undefined) kept.set(candidate, [{ text, isByTag }]);
    else reasons.push({ text, isByTag });
  };
  for (const set of rules.tags) {
    for (const candidate of candidates) if (set.every(tag => candidate.tags.includes(tag))) keep(candidate, `tag ${set.join(',')}`, true);
  }
  const since = (duration: CalendarDuration): readonly C[] => newerThan(candidates, duration, calendar);
  const { within, counts } = rules;
  if (isSet(within.all)) for (const candidate of since(within.all)) keep(candidate, `within ${formatCalendarDuration(within.all)}`);
  keepCounted(candidates.map(candidate => [candidate]), counts.last ?? 0, 'last', keep);
  for (const period of PERIODS) {
    keepCounted(divide(candidates, period, calendar.zone), counts[period] ?? 0, period, keep);
    const duration = within[period];
    if (isSet(duration)) keepWithin(since(duration), candidates, period, duration, calendar.zone, keep);
  }
  return kept;
}

type Keep<C> = (candidate: C, text: string) => void;

function isSet(duration: CalendarDuration | undefined): duration is CalendarDuration {
  return duration !== undefined && !isZero(duration);
}

/** Without one that is not dated in the future nothing is known to be old, and all are in time. */
function newerThan<C extends Candidate>(candidates: readonly C[], duration: CalendarDuration, { zone, nowMs }: Calendar): readonly C[] {
  const newest = candidates.find(({ timeMs }) => timeMs <= nowMs);
  if (newest === undefined) return candidates;
  const cutOff = momentBefore(newest.timeMs, duration, zone);
  return candidates.filter(({ timeMs }) => timeMs > cutOff);
}

/** Snapshots of one period after the other, newest period first. */
function divide<C extends Candidate>(candidates: readonly C[], period: Period, zone: ZoneOffset): C[][] {
  const periods: C[][] = [];
  let last: number | undefined;
  for (const candidate of candidates) {
    const number = periodOf(period, candidate.timeMs, zone);
    if (number === last) periods.at(-1)!.push(candidate);
    else periods.push([candidate]);
    last = number;
  }
  return periods;
}

function keepCounted<C extends Candidate>(periods: readonly (readonly C[])[], count: number, name: string, keep: Keep<C>): void {
  for (const [i, period] of periods.slice(0, count).entries()) keep(keeperOf(period), `${name} ${i + 1}${count === Number.POSITIVE_INFINITY ? '' : ` of ${count}`}`);
  if (periods.length < count) keepOldest(periods, name, keep);
}

function keepWithin<C extends Candidate>(
  inTime: readonly C[], all: readonly C[], period: Period, duration: CalendarDuration, zone: ZoneOffset, keep: Keep<C>,
): void {
  const name = `${period} within ${formatCalendarDuration(duration)}`;
  const periods = divide(inTime, period, zone);
  for (const each of periods) keep(keeperOf(each), name);
  if (inTime.length === all.length) keepOldest(periods, name, keep);
}

/** Of one period, newest first. */
function keeperOf<C extends Candidate>(period: readonly C[]): C {
  return period.find(({ isPartial }) => !isPartial) ?? period[0]!;
}

function keepOldest<C extends Candidate>(periods: readonly (readonly C[])[], name: string, keep: Keep<C>): void {
  const oldestPeriod = periods.at(-1);
  if (oldestPeriod === undefined) return;
  const oldest = oldestPeriod.findLast(({ isPartial }) => !isPartial) ?? oldestPeriod.at(-1)!;
  if (oldest !== keeperOf(oldestPeriod)) keep(oldest, `oldest ${name}`);
}
