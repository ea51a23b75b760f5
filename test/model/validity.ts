/** What counts in a store: which snapshots are valid, which packs plans take away, and what must never be seen. */
import type { Configuration } from './configurations.ts';
import { holds, namesOf, type Chunks, type Content, type Names, type Plan, type Reader, type Store } from './state.ts';

/** A commit record counts as a snapshot only if nothing declares it dead. An actor may have listed the markers earlier. */
export function isValid({ features, mutation }: Configuration, store: Store, sid: string, forgotten: Names = store.forgotten): boolean {
  if (store.snapshots[sid] === undefined || forgotten.includes(sid)) return false;
  if (!features.has('no-create-only')) return true;
  return !(mutation === 'invalid-when-revoked' ? store.revoked : store.rejected).includes(sid);
}

export function validSnapshots(configuration: Configuration, store: Store, forgotten: Names = store.forgotten): Content {
  return Object.fromEntries(Object.entries(store.snapshots).filter(([sid]) => isValid(configuration, store, sid, forgotten)));
}

/** Packs that a writer must not use: condemned packs of unswept plans, F of swept plans. */
export function excludedPacks(plans: Readonly<Record<string, Plan>>): Names {
  return namesOf(Object.values(plans).flatMap(plan => plan.sweep ?? plan.condemned));
}

/** Packs that are or will be deleted for certain. */
export function sweptPacks(plans: Readonly<Record<string, Plan>>): Names {
  return namesOf(Object.values(plans).flatMap(plan => plan.sweep ?? []));
}

export function indexedPacks(store: Store): Names {
  return namesOf(Object.values(store.segments).flat());
}

/** I2 (closure), and: what was reported as saved is valid until it is forgotten. Undefined when all is well. */
export function problemOf(configuration: Configuration, store: Store): string | undefined {
  const { features } = configuration;
  for (const [sid, chunks] of Object.entries(validSnapshots(configuration, store))) {
    const chunk = missingOf(configuration, store, chunks);
    if (chunk !== undefined) return `snapshot ${sid} lost chunk ${chunk}`;
  }
  if (!features.has('fine') && !features.has('no-create-only')) return undefined;
  for (const [sid, told] of Object.entries(store.reported)) {
    if (told === 'too late') return `snapshot ${sid} was reported as saved after it had been forgotten`;
    if (!store.forgotten.includes(sid) && !isValid(configuration, store, sid)) return `snapshot ${sid} was reported as saved, but is invalid`;
  }
  return undefined;
}

/** While a reader restores, it needs every chunk of its snapshot, forgotten or not. */
export function problemOfReader(configuration: Configuration, store: Store, reader: Reader): string | undefined {
  const chunk = reader.step === 'R3' ? missingOf(configuration, store, reader.chunks) : undefined;
  return chunk === undefined ? undefined : `the reader lost chunk ${chunk}`;
}

/** A chunk that no pack holds; with `indexed`, no pack that a segment lists. */
function missingOf({ features }: Configuration, store: Store, chunks: Chunks): string | undefined {
  const listed = features.has('indexed') ? indexedPacks(store) : Object.keys(store.packs);
  return [...chunks].find(chunk => !listed.some(pack => holds(store.packs[pack], chunk)));
}
