/** What was forgotten, from the markers that carry the records (see `forget.ts`). */
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { SnapError } from '../base/errors.ts';
import { corrupt } from '../format/decode-error.ts';
import type { SnapshotId } from '../format/ids.ts';
import { forgottenName, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { decodeSnapshot, type Snapshot } from '../format/snapshot.ts';
import { decodeForgotten } from '../format/tombstone.ts';
import { isDamage, isUnreadable, withName } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

export interface ForgottenSnapshot {
  readonly id: SnapshotId;
  /** By the clock of whoever forgot it, ms since 1970. */
  readonly forgottenAt: number;
  readonly reason: string;
  readonly snapshot: Snapshot;
}

export interface ForgottenListing {
  /** Last forgotten first. */
  readonly forgotten: readonly ForgottenSnapshot[];
  /** Markers that cannot be read, or whose record cannot. */
  readonly unreadable: readonly { readonly id: SnapshotId; readonly error: SnapError }[];
}

const PARALLEL_READS = 8;

/** Markers without a record are left out: another record took their place, or it could not be read. */
export async function loadForgotten(repository: OpenRepository, options: CallOptions = {}): Promise<ForgottenListing> {
  const ids: SnapshotId[] = [];
  for await (const { name } of repository.backend.list(PREFIXES.forgotten, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'forgotten') ids.push(ref.id);
  }
  const forgotten: ForgottenSnapshot[] = [];
  const unreadable: { id: SnapshotId; error: SnapError }[] = [];
  await mapBounded(ids, PARALLEL_READS, async id => {
    try {
      const found = await loadMarker(repository, id, options);
      if (found !== undefined) forgotten.push(found);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      unreadable.push({ id, error });
    }
  });
  return { forgotten: forgotten.sort((a, b) => b.forgottenAt - a.forgottenAt || (a.id < b.id ? -1 : 1)), unreadable };
}

/**
 * Undefined for a marker without a record, or one that no admin key signed. Markers stay for ever and never change, so a copy of each is
 * kept in the cache. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT, OBJECT_NOT_FOUND
 */
async function loadMarker({ backend, objects, cache }: OpenRepository, id: SnapshotId, options: CallOptions): Promise<ForgottenSnapshot | undefined> {
  const name = forgottenName(id);
  const kept = cache.objects.get(name);
  const bytes = kept ?? await backend.read(name, undefined, options);
  await objects.openFresh(name, bytes, options);
  const { isTrusted, body } = objects.openSigned(name, bytes);
  if (!isTrusted) return undefined;
  if (kept === undefined) cache.objects.put(name, bytes);
  try {
    const { reason, createdAt, snapshot: record } = decodeForgotten(body);
    if (record === undefined) return undefined;
    const snapshot = decodeSnapshot(record);
    if (snapshot.id !== id) throw corrupt('forgotten marker', 'it carries another snapshot');
    return { id, forgottenAt: createdAt, reason, snapshot };
  } catch (error) {
    throw withName(error, name);
  }
}
