/**
 * The commit point: one create-only write of `snapshots/<sid>`, decided against a revocation at the same key (repository
 * design, W7; section 10.1 for stores without create-only writes). Nothing else in snap makes a snapshot valid.
 */
import { hasCode, SnapError } from '../base/errors.ts';
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Backend, ReadBackend } from '../backend/backend.ts';
import { decodeHeader, OBJECT_TYPES } from '../format/header.ts';
import type { SnapshotId } from '../format/ids.ts';
import { forgottenName, revokedName, snapshotName } from '../format/object-names.ts';
import type { StoreMode } from '../format/config.ts';

/**
 * 'committed': the snapshot is valid. 'revoked': a prune took the session for dead, or the snapshot was forgotten meanwhile.
 * 'occupied': something else is there; it is reported and the commit repeated under a new ID.
 */
export type CommitOutcome = 'committed' | 'revoked' | 'occupied';

/** `bytes` is the sealed record; a repetition must use the same bytes, since they tell our own write from another. */
export async function commitRecord(
  backend: Backend, storeMode: StoreMode, id: SnapshotId, bytes: Bytes, options: CallOptions = {},
): Promise<CommitOutcome> {
  assertDecidesRaces(backend, storeMode);
  const placed = storeMode === 'create-only'
    ? await placeCreateOnly(backend, id, bytes, options)
    : await placeFallback(backend, id, bytes, options);
  if (placed !== 'committed') return placed;
  // Committed and forgotten while the answer was on its way: the permanent marker decides.
  return await exists(backend, forgottenName(id), options) ? 'revoked' : 'committed';
}

/**
 * A store can be weaker than when the repository was made, or weaker on the way that this run takes (another server, a disk
 * without hard links). A commit that only looks first could then replace a revocation. @throws UNSUPPORTED_STORE
 */
export function assertDecidesRaces(backend: ReadBackend, storeMode: StoreMode): void {
  if (storeMode !== 'create-only' || backend.capabilities.createIfAbsent === 'atomic') return;
  throw new SnapError('UNSUPPORTED_STORE', `The storage at '${backend.location}' does not decide races between writes, but the repository relies on it`, {
    hint: 'Reach it in the way in which it was made, or bring it back to a storage with create-only writes',
  });
}

async function placeCreateOnly(backend: Backend, id: SnapshotId, bytes: Bytes, options: CallOptions): Promise<CommitOutcome> {
  const name = snapshotName(id);
  let doubt: SnapError | undefined;
  try {
    if (await backend.createIfAbsent(name, bytes, options) === 'created') return 'committed';
  } catch (error) {
    if (!(error instanceof SnapError) || error.context['effectUnknown'] !== 1) throw error;
    doubt = error;
  }
  try {
    // What lies there now is the truth.
    return compareStored(await backend.read(name, undefined, options), bytes);
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    // It was there and is forgotten already; or, when the answer was lost, it never came there.
    if (doubt === undefined || await exists(backend, forgottenName(id), options)) return 'revoked';
    throw doubt;
  }
}

function compareStored(stored: Bytes, own: Bytes): CommitOutcome {
  if (equalBytes(stored, own)) return 'committed';
  try {
    return decodeHeader(stored).type === OBJECT_TYPES.tombstone ? 'revoked' : 'occupied';
  } catch (error) {
    if (error instanceof SnapError && (error.kind === 'corrupt' || error.kind === 'unsupported')) return 'occupied';
    throw error;
  }
}

async function placeFallback(backend: Backend, id: SnapshotId, bytes: Bytes, options: CallOptions): Promise<CommitOutcome> {
  await backend.create(snapshotName(id), [bytes], options);
  return await exists(backend, revokedName(id), options) ? 'revoked' : 'committed';
}

export async function exists(backend: ReadBackend, name: string, options: CallOptions = {}): Promise<boolean> {
  try {
    await backend.stat(name, options);
    return true;
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return false;
    throw error;
  }
}
