/**
 * What one session may rely on: the packs that are listed now and neither condemned nor swept. The order of the three
 * listings is essential (repository design, section 6.1: W2 gc documents, W3 index, W4 packs; rule I4).
 */
import type { CallOptions } from '../base/call-options.ts';
import type { ReadBackend } from '../backend/backend.ts';
import type { PackId } from '../format/ids.ts';
import { parseObjectName, PREFIXES, type PackType } from '../format/object-names.ts';
import { isUnreadable } from './damage.ts';
import { loadGcView, type GcView } from './gc-view.ts';
import { loadIndex, type IndexLoadOptions } from './index-loader.ts';
import type { OpenRepository } from './opened-repository.ts';

export interface ListedPack {
  readonly id: PackId;
  readonly type: PackType;
  readonly sizeBytes: number;
}

export interface SessionView {
  /** Highest gc number seen in W2; 0 when there never was a plan. */
  readonly gcNumber: number;
  /** All packs of the repository, usable or not. */
  readonly packs: readonly ListedPack[];
  readonly excluded: ReadonlySet<string>;
}

/** Call only after the session is registered. Replaces the set of usable packs in the cache. */
export async function establishView(repository: OpenRepository, options: IndexLoadOptions = {}): Promise<SessionView> {
  const { backend, cache, objects } = repository;
  const gc = await loadGc(repository, options); // W2
  await loadIndex(backend, objects, cache.chunks, options); // W3
  const packs = await listPacks(backend, options); // W4
  const usable: number[] = [];
  for (const pack of packs) {
    if (gc.excluded.has(pack.id)) continue;
    const number = cache.chunks.packNumber(pack.id);
    // A pack whose size is not what the index says is truncated or replaced; as "absent" it is healed by storing again.
    if (number !== undefined && cache.chunks.pack(number)?.sizeBytes === pack.sizeBytes) usable.push(number);
  }
  cache.chunks.setUsable(usable);
  return { gcNumber: gc.highestNumber, packs, excluded: gc.excluded };
}

/** Gc documents that cannot be read stop whoever writes; a reader, who may use condemned packs as well, goes on without. */
async function loadGc(repository: OpenRepository, options: IndexLoadOptions): Promise<Pick<GcView, 'excluded' | 'highestNumber'>> {
  try {
    return await loadGcView(repository, options);
  } catch (error) {
    if (options.onDamagedObject === undefined || !isUnreadable(error)) throw error;
    options.onDamagedObject(String(error.context['name'] ?? PREFIXES.gc), error);
    return { excluded: new Set(), highestNumber: 0 };
  }
}

export async function listPacks(backend: ReadBackend, options: CallOptions = {}): Promise<ListedPack[]> {
  const packs: ListedPack[] = [];
  for await (const object of backend.list(PREFIXES.packs, options)) {
    const ref = parseObjectName(object.name);
    if (ref?.kind === 'pack') packs.push({ id: ref.id, type: ref.type, sizeBytes: object.sizeBytes });
  }
  return packs;
}
