/**
 * What a session must know of garbage collection: the packs that no new reference may use, and the highest gc number
 * (repository design, section 6.1, W2).
 */
import { equalBytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { PackId } from '../format/ids.ts';
import { loadGcPlans, type GcPlanState } from './gc-plans.ts';
import type { OpenRepository } from './opened-repository.ts';

export interface GcView {
  /** Pack IDs that are condemned by an unfinished plan, or in a sweep. */
  readonly excluded: ReadonlySet<string>;
  /** 0 when there never was a plan. */
  readonly highestNumber: number;
  /** Names that are not signed by an admin key and so were never valid. */
  readonly ignored: readonly string[];
}

/** @throws as `loadGcPlans` */
export async function loadGcView(repository: OpenRepository, options: CallOptions = {}): Promise<GcView> {
  const { plans, highestNumber, ignored } = await loadGcPlans(repository, options);
  const excluded = new Set<string>();
  for (const plan of plans) for (const id of excludedBy(plan)) excluded.add(id);
  return { excluded, highestNumber, ignored };
}

const NONE: ReadonlySet<PackId> = new Set();

/**
 * The sweep decides when there is one: condemned packs outside it are rescued. Until a sweep that does not belong to its plan is
 * cleared up, both count. A plan that is done without a sweep deleted nothing.
 */
export function excludedBy({ swept, sweptDigest, condemned, isDone }: GcPlanState): ReadonlySet<PackId> {
  if (swept === undefined) return isDone || condemned === undefined ? NONE : condemned.packs;
  const isOther = condemned !== undefined && sweptDigest !== undefined && !equalBytes(condemned.digest, sweptDigest);
  return isOther && !isDone ? new Set([...swept, ...condemned.packs]) : swept;
}
