/** How much of the stored data was verified lately, by any host, so that partial runs add up to a promise. */
import type { PackId } from '../../format/ids.ts';
import type { PackCheckResult } from '../../repository/ledger.ts';

/** Days within which all data should be verified, unless told otherwise. */
export const COVERAGE_DAYS = 35;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface Coverage {
  /** When it was looked at, ms since 1970, and the days before that count. */
  readonly at: number;
  readonly days: number;
  readonly packsTotal: number;
  readonly bytesTotal: number;
  /** Packs, and their stored bytes, whose data was verified within the days and found whole by the newest check. */
  readonly packsVerified: number;
  readonly bytesVerified: number;
  /** Packs whose data was never verified. */
  readonly packsNever: number;
  /** Packs in which the newest check found damage. */
  readonly packsDamaged: number;
  /** Of the packs that were verified ever, the one whose newest check is the oldest, ms since 1970. */
  readonly oldestCheckAt: number | undefined;
}

type Sums = { -readonly [Field in keyof Coverage]: Coverage[Field] };

export function coverageOf(
  packs: Iterable<{ readonly id: PackId; readonly sizeBytes: number }>, checkOf: (id: PackId) => PackCheckResult | undefined, now: number, days: number = COVERAGE_DAYS,
): Coverage {
  const coverage: Sums = { at: now, days, packsTotal: 0, bytesTotal: 0, packsVerified: 0, bytesVerified: 0, packsNever: 0, packsDamaged: 0, oldestCheckAt: undefined };
  for (const { id, sizeBytes } of packs) {
    const check = checkOf(id);
    coverage.packsTotal++;
    coverage.bytesTotal += sizeBytes;
    if (check?.result === 'damaged') coverage.packsDamaged++;
    if (check === undefined || (check.result === 'good' && check.detail !== 'data')) {
      coverage.packsNever++;
      continue;
    }
    if (coverage.oldestCheckAt === undefined || check.checkedAt < coverage.oldestCheckAt) coverage.oldestCheckAt = check.checkedAt;
    if (check.result !== 'good' || now - check.checkedAt > days * DAY_MS) continue;
    coverage.packsVerified++;
    coverage.bytesVerified += sizeBytes;
  }
  return coverage;
}

/** Bytes verified of all, 0 to 1; an empty repository is verified. */
export function coveredShare({ bytesTotal, bytesVerified }: Pick<Coverage, 'bytesTotal' | 'bytesVerified'>): number {
  return bytesTotal === 0 ? 1 : bytesVerified / bytesTotal;
}
