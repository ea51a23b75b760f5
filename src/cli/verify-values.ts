/** Reads how deep a check looks and which part of the data it reads. */
import { SnapError } from '../base/errors.ts';
import { parseSize } from '../base/units.ts';
import { VERIFY_LEVELS, type VerifyLevel } from '../usecases/verify/verify-levels.ts';
import type { DataSample } from '../usecases/verify/verify-sample.ts';

/** `0` to `4`, or the word for it. @throws USAGE */
export function parseLevel(text: string): VerifyLevel {
  const level = /^[0-4]$/.test(text) ? VERIFY_LEVELS[Number(text)] : VERIFY_LEVELS.find(each => each === text);
  if (level !== undefined) return level;
  throw new SnapError('USAGE', `'${text}' is not a level`, { hint: `Write a number from 0 to 4, or ${VERIFY_LEVELS.join(', ')}` });
}

const PART = /^(\d{1,7})\/(\d{1,7})$/;
const SHARE = /^(oldest:)?(\d{1,3}(?:\.\d{1,6})?)%$/;
const BYTES = /^(oldest:)?(\d+(?:\.\d+)?[kmgt](?:i?b)?)$/i;

/** `5%`, `2G`, `1/10`, `oldest:5%`, `oldest:2G`. @throws USAGE */
export function parseSubset(text: string): DataSample {
  const [part, share, bytes] = [PART.exec(text), SHARE.exec(text), BYTES.exec(text)];
  const sample = part !== null ? { kind: 'part', part: Number(part[1]), parts: Number(part[2]) } as const
    : share !== null ? { kind: 'share', share: Number(share[2]) / 100, order: orderOf(share[1]) } as const
    : bytes !== null ? { kind: 'bytes', bytes: parseSize(bytes[2]!), order: orderOf(bytes[1]) } as const : undefined;
  if (sample !== undefined && isLegal(sample)) return sample;
  throw new SnapError('USAGE', `'${text}' is not a part of the data`, {
    hint: 'Write a share such as 5%, a size such as 2G, or part 1/10; oldest:5% and oldest:2G take what was verified longest ago',
  });
}

function orderOf(prefix: string | undefined): 'oldest' | 'random' {
  return prefix === undefined ? 'random' : 'oldest';
}

function isLegal(sample: DataSample): boolean {
  switch (sample.kind) {
    case 'part': return sample.part >= 1 && sample.part <= sample.parts;
    case 'share': return sample.share > 0 && sample.share <= 1;
    case 'bytes': return sample.bytes > 0;
  }
}
