/**
 * Forgets a snapshot: the permanent marker first, then the record (repository design, P2). Frees nothing. A record that is
 * still there beside its marker was left by a run that was interrupted, and is removed by the next one.
 */
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { SnapshotId } from '../format/ids.ts';
import { forgottenName, parseObjectName, PREFIXES, snapshotName } from '../format/object-names.ts';
import { encodeForgotten, type Forgotten } from '../format/tombstone.ts';
import { isDamage, isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';
import { createSettled } from './settled-write.ts';

export interface ForgetSnapshotOptions extends CallOptions {
  /** The marker carries the record, by which the snapshot can be brought back as long as its data is there. Defaults to false. */
  readonly keepsRecord?: boolean | undefined;
}

/** Texts of markers are for people; longer ones are cut. */
const MAX_REASON_CHARACTERS = 1000;
const PARALLEL_CALLS = 8;

/** Before anything is changed. @throws DENIED without the admin key, and where nothing may be removed: a marker alone would forget as well */
export function checkMayForget({ backend, keys }: OpenRepository): void {
  keys.adminSeed();
  if (backend.capabilities.canRemove) return;
  throw new SnapError('DENIED', `Nothing can be removed from the repository at '${backend.location}', so no snapshot can be forgotten or replaced`, {
    hint: 'Open it without the append-only setting, with credentials that may delete',
  });
}

/** `reason` is for people who look at the repository. Forgetting twice is forgetting once. @throws DENIED as `checkMayForget` */
export async function forgetSnapshot(repository: OpenRepository, id: SnapshotId, reason: string, options: ForgetSnapshotOptions = {}): Promise<void> {
  const { backend, clock, cache } = repository;
  checkMayForget(repository);
  const record = await readRecord(repository, id, options);
  await placeMarker(repository, id, { reason: reason.slice(0, MAX_REASON_CHARACTERS), createdAt: clock.now(), ...record }, options);
  await backend.remove(snapshotName(id), options);
  cache.objects.delete(snapshotName(id));
}

/** What the marker says of the record: nothing when it is gone, no body when it cannot be opened. */
async function readRecord(
  { backend, objects, kernel }: OpenRepository, id: SnapshotId, { signal, keepsRecord = false }: ForgetSnapshotOptions,
): Promise<Pick<Forgotten, 'recordDigest' | 'snapshot'>> {
  const name = snapshotName(id);
  try {
    const bytes = await backend.read(name, undefined, { signal });
    const recordDigest = kernel.blake3(bytes);
    if (!keepsRecord) return { recordDigest };
    try {
      const { header, payload } = await objects.openFresh(name, bytes, { signal });
      return header.type === OBJECT_TYPES.snapshot ? { recordDigest, snapshot: payload } : { recordDigest };
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return { recordDigest };
    }
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return {};
    throw error;
  }
}

/** Something in its place that no admin key signed, or that is damaged, was never a marker: it makes room. */
async function placeMarker(repository: OpenRepository, id: SnapshotId, marker: Forgotten, options: CallOptions): Promise<void> {
  const { backend, objects } = repository;
  const name = forgottenName(id);
  const bytes = objects.seal(name, OBJECT_TYPES.forgotten, encodeForgotten(marker), { compress: true });
  if (await createSettled(backend, name, bytes, options) === 'created' || await isForgotten(repository, id, options)) return;
  await backend.remove(name, options);
  if (await createSettled(backend, name, bytes, options) === 'created' || await isForgotten(repository, id, options)) return;
  throw new SnapError('OBJECT_CONFLICT', `Something that is no marker appears again and again at '${name}'`, {
    hint: 'Somebody else who may write to the storage puts it there; the snapshot was not forgotten', context: { name },
  });
}

async function isForgotten({ objects }: OpenRepository, id: SnapshotId, options: CallOptions): Promise<boolean> {
  try {
    return (await objects.loadSigned(forgottenName(id), options)).isTrusted;
  } catch (error) {
    if (!isDamage(error) && !isUnreadable(error)) throw error;
    return false;
  }
}

/** Removes the records that stand beside a valid marker; returns how many. */
export async function removeLeftOverRecords(repository: OpenRepository, options: CallOptions = {}): Promise<number> {
  const { backend, cache } = repository;
  const marked = new Set<SnapshotId>();
  for await (const { name } of backend.list(PREFIXES.forgotten, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'forgotten') marked.add(ref.id);
  }
  const both: SnapshotId[] = [];
  for await (const { name } of backend.list(PREFIXES.snapshots, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'snapshot' && marked.has(ref.id)) both.push(ref.id);
  }
  let removed = 0;
  await mapBounded(both, PARALLEL_CALLS, async id => {
    if (!await isForgotten(repository, id, options)) return;
    await backend.remove(snapshotName(id), options);
    cache.objects.delete(snapshotName(id));
    removed++;
  });
  return removed;
}
