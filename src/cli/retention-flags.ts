/**
 * The flags of a retention policy, and the policy that they make. Each keep flag exists once for all snapshots and, in the
 * configuration file only, once more for each kind:
 *
 *   forget:
 *     keep-daily: 7
 *     full: { keep-within: 30d }
 */
import { SnapError } from '../base/errors.ts';
import { formatSize, parseSize } from '../base/units.ts';
import { SNAPSHOT_KINDS, type SnapshotKind } from '../format/snapshot.ts';
import { formatCalendarDuration, parseCalendarDuration, PERIODS } from '../usecases/retention/calendar.ts';
import { hasRules, type KeepRules } from '../usecases/retention/keep-rules.ts';
import { DEFAULT_MAX_BYTES, DEFAULT_POLICY, GROUP_KEYS, type GroupKey, type RetentionPolicy } from '../usecases/retention/retention-policy.ts';
import { list, valued, type Flag, type ValuesOf } from './flag.ts';
import { tagsOf } from './verbs/tags.ts';

const UNLIMITED = 'unlimited';

function count(name: string, what: string, short?: string): Flag<number | undefined> {
  const base = `keep-${name}`;
  return valued(base, 'N', `keep ${what} (unlimited: all)`, parseCount, { ...short === undefined ? {} : { short }, environment: variableOf(base), inFile: true });
}

function within(name: string, what: string): Flag<ReturnType<typeof parseCalendarDuration> | undefined> {
  return valued(name, 'DURATION', `keep ${what} back from the newest, such as 30d or 1y5m7d2h`, parseCalendarDuration, { environment: variableOf(name), inFile: true });
}

/** `keep-daily` -> `SNAP_KEEP_DAILY`. */
function variableOf(name: string): string {
  return `SNAP_${name.toUpperCase().replaceAll('-', '_')}`;
}

const KEEP_FLAGS = {
  keepLast: count('last', 'the newest N', 'l'),
  keepHourly: count('hourly', 'the newest of each of the last N hours that have any'),
  keepDaily: count('daily', 'the newest of each of the last N days that have any', 'd'),
  keepWeekly: count('weekly', 'the same by weeks, from Monday', 'w'),
  keepMonthly: count('monthly', 'the same by months', 'm'),
  keepYearly: count('yearly', 'the same by years', 'y'),
  keepWithin: within('keep-within', 'everything so long'),
  keepWithinHourly: within('keep-within-hourly', 'one an hour so long'),
  keepWithinDaily: within('keep-within-daily', 'one a day so long'),
  keepWithinWeekly: within('keep-within-weekly', 'one a week so long'),
  keepWithinMonthly: within('keep-within-monthly', 'one a month so long'),
  keepWithinYearly: within('keep-within-yearly', 'one a year so long'),
  keepTag: list('keep-tag', 'TAG[,TAG]', 'keep those with all these tags (may be repeated)', { environment: 'SNAP_KEEP_TAG', inFile: true }),
};
type KeepFlags = typeof KEEP_FLAGS;
type KindFlags = { readonly [Key in keyof KeepFlags & string as `${SnapshotKind}.${Key}`]: KeepFlags[Key] };

/** The same flags for one kind, in a section of its own: `full.keep-daily`. */
const KIND_FLAGS = Object.fromEntries(SNAPSHOT_KINDS.flatMap(kind => Object.entries(KEEP_FLAGS).map(([key, { short: _short, environment: _environment, ...each }]) =>
  [`${kind}.${key}`, { ...each, name: `${kind}.${each.name}`, isFileOnly: true }]))) as unknown as KindFlags;

export const RETENTION_FLAGS = {
  ...KEEP_FLAGS,
  maxSize: valued('max-size', 'SIZE', 'then forget the oldest until the rest takes at most SIZE, such as 50G (unlimited: no limit)', parseMaxSize, {
    environment: 'SNAP_MAX_SIZE', inFile: true,
  }),
  maxForget: valued('max-forget', 'PERCENT', 'stop when more of a group would go at once (default 95%, and 30 snapshots may always go)', parsePercent, {
    environment: 'SNAP_MAX_FORGET', inFile: true,
  }),
  groupBy: valued('group-by', 'KEYS', `count together what has these in common: ${GROUP_KEYS.join(',')}, or '' for all (default series,kind)`, parseGroupKeys, {
    short: 'g', environment: 'SNAP_GROUP_BY', inFile: true,
  }),
  ...KIND_FLAGS,
};
type RetentionValues = ValuesOf<typeof RETENTION_FLAGS>;

function parseCount(text: string): number {
  if (text === UNLIMITED || text === '-1') return Number.POSITIVE_INFINITY;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new SnapError('USAGE', `'${text}' is not a number of snapshots`, { hint: `Write a whole number, or '${UNLIMITED}'` });
}

function parseMaxSize(text: string): number {
  const bytes = text === UNLIMITED ? Number.POSITIVE_INFINITY : parseSize(text);
  if (bytes === 0) throw new SnapError('USAGE', 'Nothing fits into a size of 0', { hint: `Write '${UNLIMITED}' for no limit` });
  return bytes;
}

function parsePercent(text: string): number {
  const match = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text);
  const percent = match === null ? Number.NaN : Number(match[1]);
  if (!(percent <= 100)) throw new SnapError('USAGE', `'${text}' is not a share`, { hint: 'Write it like 50%' });
  return percent / 100;
}

function parseGroupKeys(text: string): readonly GroupKey[] {
  return text === '' ? [] : [...new Set(text.split(','))].map(word => {
    const key = GROUP_KEYS.find(each => each === word.trim());
    if (key === undefined) throw new SnapError('USAGE', `'${word}' is nothing to group by`, { hint: `Write one or several of ${GROUP_KEYS.join(', ')}, with commas` });
    return key;
  });
}

export interface ChosenPolicy {
  readonly policy: RetentionPolicy;
  readonly maxBytes: number | undefined;
  readonly isDefaultLimit: boolean;
  /** What is to be said when the rules or the limit are not the user's own. */
  readonly note: string | undefined;
}

/** Any keep flag replaces all default rules, and the default limit with them. @throws USAGE when only flags that keep nothing are given */
export function policyOf(flags: RetentionValues): ChosenPolicy {
  const rules = rulesOf(flags);
  const kinds = Object.fromEntries(SNAPSHOT_KINDS.map(kind => [kind, rulesOf(ofKind(flags, kind))])) as Record<SnapshotKind, KeepRules>;
  const groupBy = flags.groupBy ?? DEFAULT_POLICY.groupBy;
  const isGiven = Object.keys(KEEP_FLAGS).some(key => [key, ...SNAPSHOT_KINDS.map(kind => `${kind}.${key}`)].some(each => isSet(flags[each as keyof RetentionValues])));
  const limit = flags.maxSize === Number.POSITIVE_INFINITY ? undefined : flags.maxSize;
  if (!isGiven) {
    const isDefaultLimit = flags.maxSize === undefined;
    return { policy: { ...DEFAULT_POLICY, groupBy }, maxBytes: isDefaultLimit ? DEFAULT_MAX_BYTES : limit, isDefaultLimit, note: defaultNote(isDefaultLimit) };
  }
  if (![rules, ...Object.values(kinds)].some(hasRules)) {
    throw new SnapError('USAGE', 'The keep options keep nothing', { hint: 'Give at least one that is not 0, or none at all for the default policy' });
  }
  return { policy: { rules, kinds, groupBy }, maxBytes: limit, isDefaultLimit: false, note: undefined };
}

function isSet(value: unknown): boolean {
  return Array.isArray(value) ? value.length > 0 : value !== undefined;
}

function ofKind(flags: RetentionValues, kind: SnapshotKind): ValuesOf<KeepFlags> {
  return Object.fromEntries(Object.keys(KEEP_FLAGS).map(key => [key, flags[`${kind}.${key}` as keyof RetentionValues]])) as unknown as ValuesOf<KeepFlags>;
}

function rulesOf(flags: ValuesOf<KeepFlags>): KeepRules {
  return {
    counts: { last: flags.keepLast, hourly: flags.keepHourly, daily: flags.keepDaily, weekly: flags.keepWeekly, monthly: flags.keepMonthly, yearly: flags.keepYearly },
    within: {
      all: flags.keepWithin, hourly: flags.keepWithinHourly, daily: flags.keepWithinDaily, weekly: flags.keepWithinWeekly,
      monthly: flags.keepWithinMonthly, yearly: flags.keepWithinYearly,
    },
    tags: flags.keepTag.map(text => tagsOf([text])),
  };
}

function defaultNote(isDefaultLimit: boolean): string {
  const { rules, kinds } = DEFAULT_POLICY;
  const counts = PERIODS.flatMap(period => (rules.counts[period] === undefined ? [] : [`${rules.counts[period]} ${period}`]));
  const whole = SNAPSHOT_KINDS.map(kind => `${formatCalendarDuration(kinds[kind]!.within.all!)} of ${kind}`);
  return `No keep options were given, so the default policy applies: keep ${counts.join(', ')}, and everything within ${whole.join(', ')} snapshots`
    + (isDefaultLimit ? `; at most ${formatSize(DEFAULT_MAX_BYTES)}` : '');
}
