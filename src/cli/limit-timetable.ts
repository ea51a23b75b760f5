/**
 * Limits that depend on the hour: the list `limits` of the configuration file. Days and hours are those of the local calendar,
 * asked of the calendar each time, so that changes to and from summer time need no arithmetic here.
 */
import { SnapError } from '../base/errors.ts';
import { parseRate, type Flag } from './flag.ts';

const DAYS: readonly RegExp[] = [/^sun(day)?$/, /^mon(day)?$/, /^tue(s|sday)?$/, /^wed(nesday)?$/, /^thu(rs|rsday)?$/, /^fri(day)?$/, /^sat(urday)?$/];
const MINUTES_OF_DAY = 24 * 60;
const FIELDS = ['days', 'from', 'to', 'upload', 'download'] as const;

export interface LimitPeriod {
  /** Days on which it begins, 0 = Sunday. */
  readonly days: ReadonlySet<number>;
  /** Minutes after midnight. When `toMinute` is not greater, it ends on the day after. */
  readonly fromMinute: number;
  readonly toMinute: number;
  /** Bytes per second; 'unlimited'; undefined: says nothing about this direction. */
  readonly upload: number | 'unlimited' | undefined;
  readonly download: number | 'unlimited' | undefined;
}

export interface Limits {
  readonly upload: number | undefined;
  readonly download: number | undefined;
}

/** The periods of the file. Each of its items comes as the JSON of its keys and values. */
export const LIMITS_FLAG: Flag<readonly LimitPeriod[]> = {
  name: 'limits', help: 'limits at certain hours', value: 'PERIOD', isList: true, hasNegation: false, isNegation: false, inFile: true, isFileOnly: true,
  fields: FIELDS, initial: [], parse: texts => texts.map(text => parsePeriod(JSON.parse(text) as Readonly<Record<string, string>>)),
};

/** @throws USAGE naming the key */
export function parsePeriod(given: Readonly<Record<string, string>>): LimitPeriod {
  const { days, from, to, upload, download } = given;
  if ((from === undefined) !== (to === undefined)) {
    const [there, missing] = from === undefined ? ['to', 'from'] : ['from', 'to'];
    throw wrong(`'limits' has '${there}' without '${missing}'`, 'Give both, or neither for the whole day');
  }
  if (upload === undefined && download === undefined) throw wrong("'limits' has a period without a limit", 'Give it upload or download, such as upload: 1M');
  const fromMinute = from === undefined ? 0 : parseHour(from, 'from');
  const toMinute = to === undefined ? MINUTES_OF_DAY : parseHour(to, 'to');
  if (fromMinute === toMinute) throw wrong("'limits' has a period that ends when it begins", "Leave out 'from' and 'to' for the whole day");
  return { days: parseDays(days ?? 'mon-sun'), fromMinute, toMinute, upload: parseLimit(upload, 'upload'), download: parseLimit(download, 'download') };
}

/** What holds at a moment: of the periods that it lies in, the first that speaks of a direction; else the limits without a timetable. */
export function limitsAt(periods: readonly LimitPeriod[], otherwise: Limits, milliseconds: number): Limits {
  const local = new Date(milliseconds);
  const minute = local.getHours() * 60 + local.getMinutes();
  const day = local.getDay();
  const now = periods.filter(period => holds(period, day, minute));
  const limit = (direction: 'upload' | 'download'): number | undefined => {
    const said = now.find(period => period[direction] !== undefined)?.[direction];
    return said === 'unlimited' ? undefined : said ?? otherwise[direction];
  };
  return { upload: limit('upload'), download: limit('download') };
}

/** Periods without what a flag or a variable says, which counts at every hour. */
export function withoutDirections(periods: readonly LimitPeriod[], overruled: { readonly upload: boolean; readonly download: boolean }): readonly LimitPeriod[] {
  return periods.map(period => ({
    ...period, upload: overruled.upload ? undefined : period.upload, download: overruled.download ? undefined : period.download,
  }));
}

function holds({ days, fromMinute, toMinute }: LimitPeriod, day: number, minute: number): boolean {
  if (fromMinute < toMinute) return days.has(day) && minute >= fromMinute && minute < toMinute;
  return (days.has(day) && minute >= fromMinute) || (days.has((day + 6) % 7) && minute < toMinute);
}

function parseDays(text: string): Set<number> {
  const days = new Set<number>();
  for (const part of text.split(',')) {
    const [first, last = first] = part.trim().toLowerCase().split('-').map(word => DAYS.findIndex(day => day.test(word.trim())));
    if (first === undefined || first < 0 || last === undefined || last < 0 || part.split('-').length > 2) {
      throw wrong(`'${part.trim()}' in 'days' of 'limits' is neither a day nor a range of days`, 'Write days like mon-fri, sat,sun or mon');
    }
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return days;
}

function parseHour(text: string, key: string): number {
  const match = /^(\d{1,2}):(\d\d)$/.exec(text.trim());
  const minutes = match === null ? Number.NaN : Number(match[1]) * 60 + Number(match[2]);
  if (!(minutes <= MINUTES_OF_DAY) || Number(match![2]) > 59) throw wrong(`'${text}' in '${key}' of 'limits' is not an hour`, "Write it like '08:00'");
  return minutes;
}

function parseLimit(text: string | undefined, key: string): number | 'unlimited' | undefined {
  if (text === undefined || text === 'unlimited') return text;
  try {
    return parseRate(text);
  } catch (error) {
    if (!(error instanceof SnapError)) throw error;
    throw wrong(`'${key}' of 'limits': ${error.message}`, "Write it like 1M, 500K or 'unlimited'");
  }
}

function wrong(message: string, hint: string): SnapError {
  return new SnapError('USAGE', message, { hint });
}
