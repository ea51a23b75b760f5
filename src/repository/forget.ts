/** Forgets a snapshot: the permanent marker first, then the record (repository design, P2). Frees nothing. */
import type { CallOptions } from '../base/call-options.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { SnapshotId } from '../format/ids.ts';
import { forgottenName, snapshotName } from '../format/object-names.ts';
import { encodeForgotten } from '../format/tombstone.ts';
import { hasCode } from '../base/errors.ts';
import type { OpenRepository } from './opened-repository.ts';

/** `reason` is for people who look at the repository. Forgetting twice is forgetting once. @throws DENIED without the admin key */
export async function forgetSnapshot(repository: OpenRepository, id: SnapshotId, reason: string, options: CallOptions = {}): Promise<void> {
  const { backend, objects, kernel, clock, cache } = repository;
  const recordDigest = await readDigest();
  const body = encodeForgotten({ reason, createdAt: clock.now(), ...(recordDigest === undefined ? {} : { recordDigest }) });
  await backend.createIfAbsent(forgottenName(id), objects.seal(forgottenName(id), OBJECT_TYPES.forgotten, body), options);
  await backend.remove(snapshotName(id), options);
  cache.objects.delete(snapshotName(id));

  async function readDigest(): Promise<Uint8Array | undefined> {
    try {
      return kernel.blake3(await backend.read(snapshotName(id), undefined, options));
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return undefined;
      throw error;
    }
  }
}
