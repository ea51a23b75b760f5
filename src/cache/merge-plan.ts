/** Which runs of the chunk index to merge. */
import type { Run } from './run-table.ts';

/** Every look-up of a new chunk asks the filter of each run. */
export const MAX_RUNS_KEPT = 8;

/**
 * All runs when more than half of the records are of packs that are gone. Nothing while there are few runs; else the
 * smallest ones down to the number that may be kept, and every further run that is not larger than those before it together.
 * So a record is copied about as often as the index doubles in size.
 */
export function planMerge(runs: readonly Run[], deadRecords = 0): Run[] {
  if (2 * deadRecords > runs.reduce((sum, run) => sum + run.records, 0)) return [...runs];
  if (runs.length <= MAX_RUNS_KEPT) return [];
  const bySize = [...runs].sort((a, b) => a.records - b.records);
  const plan = bySize.splice(0, runs.length - MAX_RUNS_KEPT + 1);
  let records = plan.reduce((sum, run) => sum + run.records, 0);
  for (const run of bySize) {
    if (run.records > records) break;
    plan.push(run);
    records += run.records;
  }
  return plan;
}
