/**
 * The size limit of a retention policy: the oldest snapshots go until what the others reach together fits. Snapshots with false
 * times go before those with true ones, since otherwise junk that claims to be new would take the place of what is older.
 */
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { timeOf, type Decision, type DecisionGroup } from './retention-policy.ts';

/** Stored bytes that this snapshot reaches together with all those given before. */
export type ReachTogether = (record: SnapshotRecord) => Promise<number>;

export const OVER_LIMIT = 'over the size limit';

export interface Fitted {
  readonly groups: readonly DecisionGroup[];
  /** Stored bytes that the kept snapshots reach; above the limit when those that stay in any case do. */
  readonly keptBytes: number;
  readonly overLimit: number;
}

/** One walk from newest to oldest, which ends where the limit is passed: everything older goes. Assured snapshots come first and stay. */
export async function fitToSize(groups: readonly DecisionGroup[], maxBytes: number, reach: ReachTogether): Promise<Fitted> {
  const kept = groups.flat().filter(({ keeps }) => keeps).sort(byWorth);
  const removed = new Set<Decision>();
  let keptBytes = 0;
  for (const [i, decision] of kept.entries()) {
    const bytes = await reach(decision.record);
    if (bytes > maxBytes && !decision.isAssured) {
      for (const each of kept.slice(i)) removed.add(each);
      break;
    }
    keptBytes = bytes;
  }
  const fitted = groups.map(group => group.map(each => (removed.has(each) ? { ...each, keeps: false, reasons: [OVER_LIMIT] } : each)));
  return { groups: fitted, keptBytes, overLimit: removed.size };
}

/** Assured ones, then true times, then the others; newest first in each. */
function byWorth(a: Decision, b: Decision): number {
  return Number(b.isAssured) - Number(a.isAssured) || Number(b.hasTrueTime) - Number(a.hasTrueTime)
    || timeOf(b.record.snapshot) - timeOf(a.record.snapshot) || (a.record.id < b.record.id ? 1 : -1);
}
