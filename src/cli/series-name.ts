import { createHash } from 'node:crypto';
import type { Bytes } from '../base/bytes.ts';
import { printableName } from './printable.ts';

/** Longer names are cut and made unique by a digest, so that tables stay readable. */
const MAX_CHARACTERS = 80;

/** The series of a backup that names none: host and sources, in any order of the sources. */
export function defaultSeries(host: string, sources: readonly Bytes[]): string {
  const sorted = [...sources].sort(Buffer.compare);
  const name = `${host}:${sorted.map(printableName).join(',')}`;
  if ([...name].length <= MAX_CHARACTERS) return name;
  const hash = createHash('sha256');
  for (const source of sorted) hash.update(source).update('\0');
  return `${[...name].slice(0, MAX_CHARACTERS - 10).join('')}… ${hash.digest('hex').slice(0, 8)}`;
}
