/** Which packs a partial run reads, and what it says of the others: pure decisions (repository design, section 16.2, level 3). */
import type { Random } from '../../base/ambient.ts';
import type { PackId } from '../../format/ids.ts';

/** Some of the stored data. */
export type DataSample =
  /** Of all bytes, 0 < share <= 1. */
  | { readonly kind: 'share'; readonly share: number; readonly order: SampleOrder }
  | { readonly kind: 'bytes'; readonly bytes: number; readonly order: SampleOrder }
  /** Part n of m, 1 <= n <= m: always the same packs, and all m parts together are everything. */
  | { readonly kind: 'part'; readonly part: number; readonly parts: number };

/** 'oldest': those whose data was verified longest ago, or never, first. */
export type SampleOrder = 'random' | 'oldest';

export interface SampledPack {
  readonly id: PackId;
  readonly sizeBytes: number;
}

/** What a sample of packs says of all of them. */
export interface SampleStatement {
  readonly packs: number;
  readonly packsTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  /** When nothing was found in a random sample: with 95 % confidence at most so many packs of all are damaged. */
  readonly mostDamagedPacks?: number | undefined;
}

export const CONFIDENCE = 0.95;

/** At least one pack, if there is any; the last one may go over the share or the bytes. `checkedAt` is undefined for never. */
export function choosePacks<Pack extends SampledPack>(
  packs: readonly Pack[], sample: DataSample, checkedAt: (id: PackId) => number | undefined, random: Random,
): Pack[] {
  if (sample.kind === 'part') return packs.filter(({ id }) => Number.parseInt(id.slice(0, 8), 16) % sample.parts === sample.part - 1);
  const total = packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const wanted = sample.kind === 'bytes' ? sample.bytes : sample.share * total;
  const ordered = sample.order === 'random' ? shuffled(packs, random) : byAge(packs, checkedAt);
  const chosen: Pack[] = [];
  let bytes = 0;
  for (const pack of ordered) {
    if (bytes >= wanted) break;
    chosen.push(pack);
    bytes += pack.sizeBytes;
  }
  return chosen;
}

function byAge<Pack extends SampledPack>(packs: readonly Pack[], checkedAt: (id: PackId) => number | undefined): Pack[] {
  const age = new Map(packs.map(({ id }) => [id, checkedAt(id) ?? Number.NEGATIVE_INFINITY]));
  return packs.toSorted((a, b) => compare(age.get(a.id)!, age.get(b.id)!) || compare(a.id, b.id));
}

function compare<Value extends number | string>(a: Value, b: Value): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Fisher and Yates. */
function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** Pack IDs are random, so a part is as good as a random choice; the oldest ones are not. */
export function isRandomSample(sample: DataSample): boolean {
  return sample.kind === 'part' || sample.order === 'random';
}

/**
 * The largest number of damaged packs among `total` with which a random choice of `chosen`, none twice, still has a chance of at
 * least 1 - confidence to meet none of them (hypergeometric distribution).
 */
export function mostDamaged(total: number, chosen: number, confidence: number = CONFIDENCE): number {
  let chance = 1;
  for (let damaged = 0; ; damaged++) {
    chance *= (total - chosen - damaged) / (total - damaged);
    if (damaged >= total - chosen || chance < 1 - confidence) return damaged;
  }
}
