/**
 * Which packs a prune may count on: listed, of the type and size that the index says, and not about to be deleted (repository
 * design, section 7, P3 and P8). The gc documents must have been read before the packs are listed.
 */
import type { CallOptions } from '../base/call-options.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { PackId } from '../format/ids.ts';
import { parseObjectName, PREFIXES } from '../format/object-names.ts';
import { excludedBy } from './gc-view.ts';
import type { GcPlans } from './gc-plans.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { ListedPack } from './session-view.ts';

export interface PackView {
  /** Number and size of all packs that are listed. */
  readonly packs: number;
  readonly bytes: number;
  /** Packs of which the index finds chunks now: those that are usable, and those that are condemned but not in a sweep. */
  readonly found: readonly PackNumber[];
  /** Of these, the condemned ones: they may be deleted at any time, and are counted on only where there is nothing else. */
  readonly condemned: ReadonlySet<PackNumber>;
  /** Packs that no segment lists. */
  readonly unindexed: readonly ListedPack[];
  /** Packs that are not what the index says. */
  readonly misfits: readonly ListedPack[];
  /** What is condemned or in a sweep, and still there. */
  readonly excluded: ReadonlyMap<PackId, ListedPack>;
}

/** `gone`: packs that are taken for deleted, in a dry run. Replaces the set of usable packs in the cache. */
export async function loadPackView({ backend, cache: { chunks } }: OpenRepository, { plans }: GcPlans, gone: ReadonlySet<PackId>, options: CallOptions = {}): Promise<PackView> {
  const condemnedIds = new Set<PackId>();
  const sweptIds = new Set<PackId>();
  for (const plan of plans) for (const id of excludedBy(plan)) (plan.swept === undefined ? condemnedIds : sweptIds).add(id);
  const view = { packs: 0, bytes: 0, found: [] as PackNumber[], condemned: new Set<PackNumber>(), unindexed: [] as ListedPack[], misfits: [] as ListedPack[], excluded: new Map<PackId, ListedPack>() };
  for await (const { name, sizeBytes } of backend.list(PREFIXES.packs, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind !== 'pack' || gone.has(ref.id)) continue;
    const { id, type } = ref;
    view.packs++;
    view.bytes += sizeBytes;
    const isSwept = sweptIds.has(id);
    const isCondemned = condemnedIds.has(id);
    if (isSwept || isCondemned) view.excluded.set(id, { id, type, sizeBytes });
    if (isSwept) continue;
    const number = chunks.packNumber(id);
    const record = number === undefined ? undefined : chunks.pack(number);
    if (number === undefined || record === undefined) view.unindexed.push({ id, type, sizeBytes });
    else if (record.sizeBytes !== sizeBytes || record.type !== type) view.misfits.push({ id, type, sizeBytes });
    else {
      view.found.push(number);
      if (isCondemned) view.condemned.add(number);
    }
  }
  chunks.setUsable(view.found);
  return view;
}
