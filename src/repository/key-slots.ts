/** Key slots: find the one that a credential opens; add and remove slots (repository design, sections 4.3 and 12.2). */
import { SnapError } from '../base/errors.ts';
import { utf8, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Backend, ReadBackend, StoredObject, WriteBackend } from '../backend/backend.ts';
import type { ObjectCache } from '../cache/cache.ts';
import { XNONCE_BYTES } from '../format/header.ts';
import { slotIdFromBytes, type RepositoryId, type SlotId } from '../format/ids.ts';
import {
  DEFAULT_SCRYPT, deriveKek, isKekOf, openKeySlot, parseKeySlot, scryptFault, sealKeySlot, SLOT_SALT_BYTES, type Kdf, type ParsedKeySlot, type SlotSecrets,
} from '../format/key-slot.ts';
import { parseObjectName, PREFIXES, slotName } from '../format/object-names.ts';
import type { Kernel, ScryptParameters } from '../kernel/kernel.ts';
import type { Credential, Environment } from './opened-repository.ts';
import { withName } from './damage.ts';

export interface OpenedSlot {
  readonly id: SlotId;
  readonly secrets: SlotSecrets;
}

export interface ListedSlot {
  readonly id: SlotId;
  readonly kdf: Kdf['name'];
  readonly storedAt: number;
}

async function listSlotIds(backend: ReadBackend, options: CallOptions): Promise<{ id: SlotId; storedAt: number }[]> {
  const objects: StoredObject[] = [];
  for await (const object of backend.list(PREFIXES.slots, options)) objects.push(object);
  return slotsAmong(objects);
}

function slotsAmong(objects: readonly StoredObject[]): { id: SlotId; storedAt: number }[] {
  const slots: { id: SlotId; storedAt: number }[] = [];
  for (const { name, storedAt } of objects) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'slot') slots.push({ id: ref.id, storedAt });
  }
  return slots.sort((a, b) => a.storedAt - b.storedAt || (a.id < b.id ? -1 : 1));
}

export interface UnlockOptions extends CallOptions {
  /** What is stored under key names, where somebody has listed it just now. */
  readonly listed?: readonly StoredObject[] | undefined;
  /** Copies on this host of slots that opened; a slot that is not listed is never taken from there. */
  readonly copies?: (() => Promise<ObjectCache>) | undefined;
}

/**
 * Tries every slot. A wrong password is told from damage by the key-check value; damaged slots stop nothing as long as
 * another slot opens.
 * @param whileStretching called each time when the key stretching has begun, which goes on beside the calling thread
 * @throws WRONG_PASSWORD; OBJECT_CORRUPT when a slot is damaged and no other one opens
 */
export async function unlockSlot(
  backend: ReadBackend, repositoryId: RepositoryId, credential: Credential, kernel: Kernel, options: UnlockOptions = {}, whileStretching?: () => void,
): Promise<OpenedSlot> {
  const { listed, copies: openCopies } = options;
  const secret = secretBytes(credential);
  const slots = listed === undefined ? await listSlotIds(backend, options) : slotsAmong(listed);
  const copies = await openCopies?.();
  for (const { id } of slots) {
    const bytes = copies?.get(slotName(id));
    const opened = bytes === undefined ? undefined : await openCopy({ kernel, repositoryId, isKeyFile: credential.kind === 'keyfile', secret }, id, bytes);
    if (opened !== undefined) return opened;
  }
  let damage: unknown;
  let tried = 0;
  for (const { id } of slots) {
    try {
      const bytes = await backend.read(slotName(id), undefined, options);
      const slot = parseKeySlot(bytes, id);
      if ((slot.parameters.kdf.name === 'keyfile') !== (credential.kind === 'keyfile')) continue;
      tried++;
      const stretching = deriveKek(kernel, slot.parameters, secret);
      whileStretching?.();
      const kek = await stretching;
      if (!isKekOf(kernel, kek, slot.parameters)) continue;
      const secrets = openKeySlot(kernel, repositoryId, kek, slot);
      copies?.put(slotName(id), bytes);
      return { id, secrets };
    } catch (error) {
      if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) throw error;
      damage ??= withName(error, slotName(id));
    }
  }
  if (damage !== undefined) throw damage;
  const what = credential.kind === 'keyfile' ? 'key file' : 'password';
  if (tried === 0) throw new SnapError('WRONG_PASSWORD', `The repository at '${backend.location}' has no key slot for a ${what}`);
  throw new SnapError('WRONG_PASSWORD', `Wrong ${what} for the repository at '${backend.location}'`, {
    hint: tried === 1 ? `Its key slot for a ${what} does not open with it` : `None of its ${tried} key slots for a ${what} opens with it`,
  });
}

/** Undefined for a copy that does not open, whatever the reason: the stored slot says why. */
async function openCopy(
  { kernel, repositoryId, isKeyFile, secret }: { readonly kernel: Kernel; readonly repositoryId: RepositoryId; readonly isKeyFile: boolean; readonly secret: Bytes },
  id: SlotId, bytes: Bytes,
): Promise<OpenedSlot | undefined> {
  try {
    const slot = parseKeySlot(bytes, id);
    if ((slot.parameters.kdf.name === 'keyfile') !== isKeyFile) return undefined;
    const kek = await deriveKek(kernel, slot.parameters, secret);
    return isKekOf(kernel, kek, slot.parameters) ? { id, secrets: openKeySlot(kernel, repositoryId, kek, slot) } : undefined;
  } catch (error) {
    if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) throw error;
    return undefined;
  }
}

async function readSlot(backend: ReadBackend, id: SlotId, options: CallOptions): Promise<ParsedKeySlot> {
  return parseKeySlot(await backend.read(slotName(id), undefined, options), id);
}

export async function listSlots(backend: ReadBackend, options: CallOptions = {}): Promise<ListedSlot[]> {
  const slots: ListedSlot[] = [];
  for (const { id, storedAt } of await listSlotIds(backend, options)) {
    const { parameters } = await readSlot(backend, id, options).catch((error: unknown) => { throw withName(error, slotName(id)); });
    slots.push({ id, kdf: parameters.kdf.name, storedAt });
  }
  return slots;
}

export interface AddSlotOptions {
  readonly credential: Credential;
  readonly secrets: SlotSecrets;
  /** Defaults to the strength of the repository design; weaker ones are refused. */
  readonly scrypt?: ScryptParameters | undefined;
}

/** Seals the secrets in a new slot and stores it. */
export async function addSlot(
  backend: WriteBackend, repositoryId: RepositoryId, { kernel, random }: Environment, { credential, secrets, scrypt = DEFAULT_SCRYPT }: AddSlotOptions,
  options: CallOptions = {},
): Promise<SlotId> {
  const fault = scryptFault(scrypt);
  if (fault !== undefined) throw new RangeError(`scrypt parameters are refused: ${fault}`);
  const slotId = slotIdFromBytes(random.bytes(16));
  const salt = random.bytes(SLOT_SALT_BYTES);
  const kdf: Kdf = credential.kind === 'keyfile' ? { name: 'keyfile' } : { name: 'scrypt', ...scrypt };
  const kek = await deriveKek(kernel, { kdf, salt }, secretBytes(credential));
  const bytes = sealKeySlot({ kernel, repositoryId, slotId, kek, kdf, salt, secrets, nonce: random.bytes(XNONCE_BYTES) });
  await backend.create(slotName(slotId), [bytes], options);
  return slotId;
}

/** @throws LAST_KEY_SLOT: without a slot nobody could ever open the repository again */
export async function removeSlot(backend: Backend, id: SlotId, options: CallOptions = {}): Promise<void> {
  const slots = await listSlotIds(backend, options);
  if (!slots.some(slot => slot.id === id)) throw new SnapError('KEY_SLOT_NOT_FOUND', `There is no key slot '${id}'`);
  if (slots.length === 1) {
    throw new SnapError('LAST_KEY_SLOT', 'Cannot remove the last key slot', { hint: 'Add another password first, with `snap key add`' });
  }
  await backend.remove(slotName(id), options);
}

/** Unicode normal form C, so that the same password typed on another system is the same bytes. */
function secretBytes(credential: Credential): Bytes {
  return credential.kind === 'keyfile' ? credential.key.reveal() : utf8(credential.password.reveal().normalize('NFC'));
}
