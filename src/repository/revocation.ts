/**
 * Makes sure that a session never commits, or has committed: the counterpart of `commit.ts` (repository design, P6; section 10.1
 * for stores without create-only writes). What is written here stays for ever.
 */
import type { CallOptions } from '../base/call-options.ts';
import { hasCode } from '../base/errors.ts';
import { OBJECT_TYPES, type ObjectType } from '../format/header.ts';
import type { SessionId } from '../format/ids.ts';
import { forgottenName, rejectedName, revokedName, snapshotName } from '../format/object-names.ts';
import { encodeTombstone } from '../format/tombstone.ts';
import { exists } from './commit.ts';
import type { OpenRepository } from './opened-repository.ts';
import { createSettled } from './settled-write.ts';

/** Whether the fate of the session is decided already: a record, a tombstone or a marker is there. */
export async function isResolved({ backend, config }: OpenRepository, id: SessionId, options: CallOptions = {}): Promise<boolean> {
  if (await exists(backend, snapshotName(id), options) || await exists(backend, forgottenName(id), options)) return true;
  return config.storeMode === 'fallback' && exists(backend, rejectedName(id), options);
}

/** Either outcome resolves the session. @throws DENIED without the admin key */
export async function revokeSession(repository: OpenRepository, id: SessionId, planNumber: number, options: CallOptions = {}): Promise<'revoked' | 'committed'> {
  const { backend, config } = repository;
  if (config.storeMode === 'create-only') {
    return await mark(repository, snapshotName(id), OBJECT_TYPES.tombstone, planNumber, options) === 'created' ? 'revoked' : 'committed';
  }
  await mark(repository, revokedName(id), OBJECT_TYPES.revoked, planNumber, options);
  if (await exists(backend, snapshotName(id), options)) return 'committed';
  await mark(repository, rejectedName(id), OBJECT_TYPES.rejected, planNumber, options);
  return 'revoked';
}

/**
 * What a revoked writer does where the storage has no create-only writes, before it commits under another ID: the prune may have seen
 * its record. The mark comes first, since a write that was repeated may still be on its way and bring the record back. Without the
 * admin key the record stays: it is whole, or the prune has marked it.
 */
export async function withdrawRecord(repository: OpenRepository, id: SessionId, planNumber: number, options: CallOptions = {}): Promise<void> {
  const { backend } = repository;
  try {
    await mark(repository, rejectedName(id), OBJECT_TYPES.rejected, planNumber, options);
  } catch (error) {
    if (hasCode(error, 'DENIED')) return;
    throw error;
  }
  if (backend.capabilities.canRemove) await backend.remove(snapshotName(id), options);
}

function mark({ backend, objects, clock }: OpenRepository, name: string, type: ObjectType, planNumber: number, options: CallOptions): Promise<'created' | 'exists'> {
  return createSettled(backend, name, objects.seal(name, type, encodeTombstone({ planNumber, createdAt: clock.now() })), options);
}
