/** Key slots as their users see them: list, add, remove, change the password. The keys of the repository stay as they are. */
import { SnapError } from '../base/errors.ts';
import type { SlotId } from '../format/ids.ts';
import type { ScryptParameters } from '../kernel/kernel.ts';
import { addSlot, listSlots, removeSlot, unlockSlot, type ListedSlot } from '../repository/key-slots.ts';
import type { Credential, OpenRepository } from '../repository/opened-repository.ts';
import type { JobContext } from './events.ts';

export interface KeySlotReport extends ListedSlot {
  /** The slot that opened the repository in this run. */
  readonly isCurrent: boolean;
}

export async function listKeys({ backend, slotId }: OpenRepository, { signal }: JobContext = {}): Promise<KeySlotReport[]> {
  return (await listSlots(backend, { signal })).map(slot => ({ ...slot, isCurrent: slot.id === slotId }));
}

export interface NewKey {
  /** What opens the repository now; it is asked for again, so that a borrowed terminal is not enough. */
  readonly current: Credential;
  readonly added: Credential;
  /** For people: where this password is kept, whose it is. */
  readonly label: string;
  readonly scrypt?: ScryptParameters | undefined;
  /** Without the admin key: it opens everything, and can sign nothing away (repository design, section 15). */
  readonly isWriter?: boolean | undefined;
}

/** @throws WRONG_PASSWORD */
export async function addKey(repository: OpenRepository, { current, added, label, scrypt, isWriter = false }: NewKey, { signal }: JobContext = {}): Promise<SlotId> {
  const { backend, id, kernel, clock } = repository;
  const { secrets } = await unlockSlot(backend, id, current, kernel, { signal });
  const adminKey = isWriter ? undefined : secrets.adminKey;
  return addSlot(backend, id, repository, { credential: added, secrets: { ...secrets, adminKey, label, createdAt: clock.now() }, scrypt }, { signal });
}

/** `text` is a slot ID or a unique beginning of one of at least 4 digits. @throws KEY_SLOT_NOT_FOUND, LAST_KEY_SLOT */
export async function removeKey(repository: OpenRepository, text: string, { signal }: JobContext = {}): Promise<SlotId> {
  const slots = await listSlots(repository.backend, { signal });
  const found = slots.filter(slot => text.length >= 4 && slot.id.startsWith(text));
  if (found.length === 0) {
    throw new SnapError('KEY_SLOT_NOT_FOUND', `There is no key slot '${text}'`, { hint: 'See `snap key list` for the slots' });
  }
  if (found.length > 1) throw new SnapError('USAGE', `${found.length} key slots begin with '${text}'`, { hint: 'Write more of the ID' });
  const { id } = found[0]!;
  if (id === repository.slotId && slots.length > 1) {
    throw new SnapError('USAGE', `Key slot '${id}' opened the repository in this run`, { hint: 'Open the repository with another password to remove it' });
  }
  await removeSlot(repository.backend, id, { signal });
  return id;
}

/** Writes a new slot, then removes the one that was used; both open until the second step is done. */
export async function changePassword(repository: OpenRepository, change: NewKey, context: JobContext = {}): Promise<SlotId> {
  const id = await addKey(repository, change, context);
  await removeSlot(repository.backend, repository.slotId, { signal: context.signal });
  return id;
}
