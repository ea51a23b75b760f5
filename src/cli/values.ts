/** Reads values that only the command line knows: moments, durations, compression words, chunk sizes, shares. */
import { systemClock } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import { KiB, MiB, parseSize } from '../base/units.ts';
import { MAX_PARITY_SHARE, MIN_PARITY_SHARE } from '../format/parity.ts';

/** Seconds since 1970 and nanoseconds. */
export type Moment = readonly [seconds: number, nanoseconds: number];

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i;

/** `now`, `2026-05-31`, `2026-05-31 14:00[:00[.5]]` (local time), or RFC 3339 with a zone. @throws USAGE */
export function parseMoment(text: string): Moment {
  if (text === 'now') return systemClock.nowPair();
  const match = MOMENT.exec(text.trim());
  if (match === null) throw notAMoment(text);
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(part => Number(part ?? 0)) as [number, number, number, number, number, number];
  const isCalendarDay = month >= 1 && month <= 12 && day >= 1 && day <= new Date(Date.UTC(year, month, 0)).getUTCDate();
  if (!isCalendarDay || hour > 23 || minute > 59 || second > 59) throw notAMoment(text);
  const zone = match[8];
  const ms = zone === undefined
    ? new Date(year, month - 1, day, hour, minute, second).getTime()
    : Date.UTC(year, month - 1, day, hour, minute, second) - zoneMinutes(zone) * 60_000;
  return [Math.floor(ms / 1000), Number((match[7] ?? '0').padEnd(9, '0'))];
}

/** A moment that has passed, ms since 1970. @throws USAGE */
export function parsePast(text: string): number {
  const [seconds, nanoseconds] = parseMoment(text);
  const ms = seconds * 1000 + Math.floor(nanoseconds / 1e6);
  if (ms > systemClock.now()) throw new SnapError('USAGE', `'${text}' has not passed yet`);
  return ms;
}

function zoneMinutes(zone: string): number {
  if (zone.toUpperCase() === 'Z') return 0;
  const digits = zone.slice(1).replace(':', '');
  const minutes = Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2));
  return zone.startsWith('-') ? -minutes : minutes;
}

function notAMoment(text: string): SnapError {
  return new SnapError('USAGE', `'${text}' is not a time`, { hint: "Write it like '2026-05-31 14:00:00' (local time), '2026-05-31T12:00:00Z' or 'now'" });
}

const COMPRESSION_WORDS: Readonly<Record<string, number>> = { fastest: 1, auto: 1, better: 3, max: 19 };

/** A zstd level. Level 1 is the measured default: lower ones gain little speed and lose much size. @throws USAGE */
export function parseCompression(text: string): number {
  const level = COMPRESSION_WORDS[text] ?? (/^\d+$/.test(text) ? Number(text) : Number.NaN);
  if (!(level >= 1 && level <= 19)) {
    throw new SnapError('USAGE', `'${text}' is not a compression level`, { hint: 'Write fastest, auto, better, max or a number from 1 to 19' });
  }
  return level;
}

export interface ChunkSizes {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

/** `256K` (with a quarter of it as least and four times as most) or `64K,256K,1M`. @throws USAGE */
export function parseChunker(text: string): ChunkSizes {
  const sizes = text.split(',').map(parseSize);
  const wrong = (message: string): SnapError =>
    new SnapError('USAGE', message, { hint: 'Write one average such as 256K, or least, average and most such as 64K,256K,1M' });
  if (sizes.length !== 1 && sizes.length !== 3) throw wrong(`'${text}' is neither one size nor three`);
  const averageBytes = sizes.length === 1 ? sizes[0]! : sizes[1]!;
  const minBytes = sizes.length === 1 ? averageBytes / 4 : sizes[0]!;
  const maxBytes = sizes.length === 1 ? averageBytes * 4 : sizes[2]!;
  if (!Number.isInteger(Math.log2(averageBytes))) throw wrong('The average chunk size is not a power of two');
  // A window of the cutter holds the largest chunk; tiny chunks cost more in the index than they save.
  if (minBytes < 4 * KiB || minBytes > averageBytes || averageBytes > maxBytes || maxBytes > 8 * MiB) {
    throw wrong('Chunk sizes must satisfy 4K <= least <= average <= most <= 8M');
  }
  return { minBytes, averageBytes, maxBytes };
}

/** `5%` or `5`, as a share from 0.01 to 0.5. @throws USAGE */
export function parseParityShare(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*%?$/.exec(text.trim());
  const share = match === null ? Number.NaN : Number(match[1]) / 100;
  if (!(share >= MIN_PARITY_SHARE && share <= MAX_PARITY_SHARE)) {
    throw new SnapError('USAGE', `'${text}' is not a share of parity`, { hint: 'Write a percentage from 1% to 50%, such as 5%' });
  }
  return share;
}

/** `85%` or `85`, as a share from 0 to 1. @throws USAGE */
export function parseShare(text: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,6})?)\s*%?$/.exec(text.trim());
  const share = match === null ? Number.NaN : Number(match[1]) / 100;
  if (!(share <= 1)) throw new SnapError('USAGE', `'${text}' is not a percentage`, { hint: 'Write a percentage up to 100%, such as 85%' });
  return share;
}

const DURATION_UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 };

/** `90s`, `30m`, `24h`, `7d`, `2w` or `0`, in milliseconds. @throws USAGE */
export function parseDuration(text: string): number {
  const given = text.trim();
  if (given === '0') return 0;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])$/i.exec(given);
  if (match === null) throw new SnapError('USAGE', `'${text}' is not a duration`, { hint: "Write it like '90s', '30m', '24h', '7d' or '0'" });
  return Math.round(Number(match[1]) * DURATION_UNITS[match[2]!.toLowerCase()]!);
}

/** What a prune may leave unused: `5%`, `2G` or `unlimited`. @throws USAGE */
export function parseUnused(text: string): { readonly maxUnusedShare: number } | { readonly maxUnusedBytes: number } {
  const given = text.trim();
  if (given.toLowerCase() === 'unlimited') return { maxUnusedShare: 1 };
  const match = /^(\d{1,3}(?:\.\d{1,6})?)\s*%$/.exec(given);
  if (match === null) return { maxUnusedBytes: parseSize(given) };
  const share = Number(match[1]) / 100;
  if (share > 1) throw new SnapError('USAGE', `'${text}' is more than everything`, { hint: 'Write a percentage up to 100%, a size such as 2G, or unlimited' });
  return { maxUnusedShare: share };
}
