/** Opens a repository: read the config, open a key slot, then the newest keyring that is validly signed. */
import { SnapError, hasCode, invariant } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Backend, ReadBackend, StoredObject } from '../backend/backend.ts';
import type { Cache, ObjectCache } from '../cache/cache.ts';
import { decodeConfig, type Config } from '../format/config.ts';
import { corrupt } from '../format/decode-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import { openAdminSeed, type Keyring } from '../format/keyring.ts';
import { configName } from '../format/object-names.ts';
import { readRepositoryId } from '../format/sealed-object.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { withName } from './damage.ts';
import { unlockSlot, type OpenedSlot } from './key-slots.ts';
import { loadKeyring } from './keyrings.ts';
import type { Credential, Environment, OpenRepository } from './opened-repository.ts';
import { RepositoryKeys } from './repository-keys.ts';
import { SealedObjects } from './sealed-objects.ts';

/** What `keys/` and `keyring/` begin with. */
const KEY_OBJECTS = 'key';

/** The repository ID, from the clear header of `config`; needs no key. @throws REPOSITORY_NOT_FOUND */
export async function readConfigBytes(backend: ReadBackend, options: CallOptions = {}): Promise<{ id: RepositoryId; bytes: Bytes }> {
  let bytes: Bytes;
  try {
    bytes = await backend.read(configName, undefined, options);
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    throw new SnapError('REPOSITORY_NOT_FOUND', `There is no repository at '${backend.location}'`, {
      hint: 'Check the location, or make a new repository there with `snap init`', cause: error,
    });
  }
  try {
    return { id: readRepositoryId(bytes), bytes };
  } catch (error) {
    throw withName(error, configName);
  }
}

/**
 * `openCache` gets the repository ID, and the stored config, which tells copies with one ID apart, before the key is known. It is called
 * as soon as the password is being stretched, which takes longest and therefore comes first; whatever else the caller has to do may be
 * begun there as well.
 */
export async function openRepository(
  backend: Backend, credential: Credential, environment: Environment, openCache: (id: RepositoryId, config: Bytes) => Promise<Cache>, options: CallOptions = {},
): Promise<OpenRepository> {
  const { kernel, random } = environment;
  const { id, bytes } = await readConfigBytes(backend, options);
  const listed = await listKeyObjects(backend, options);
  let opening: Promise<Cache> | undefined;
  const open = (): Promise<Cache> => {
    if (opening === undefined) {
      opening = (async () => openCache(id, bytes))();
      opening.catch(() => undefined); // it is looked at below, maybe long after it failed
    }
    return opening;
  };
  // Where requests cost money and time, a slot and a keyring that this host has opened before are not fetched again.
  const copies = backend.requests === undefined ? undefined : async (): Promise<ObjectCache> => (await open()).objects;
  const unlocking = unlockSlot(backend, id, credential, kernel, { ...options, listed, copies }, () => { void open(); });
  const [slotOutcome] = await Promise.allSettled([unlocking]);
  const [cacheOutcome] = await Promise.allSettled([opening]); // a failure of one must not leak the other
  try {
    if (slotOutcome.status === 'rejected') throw slotOutcome.reason;
    if (cacheOutcome.status === 'rejected') throw cacheOutcome.reason;
    const cache = cacheOutcome.value;
    invariant(cache !== undefined, 'A key slot was opened without its key');
    const slot = slotOutcome.value;
    const { keyringKey } = slot.secrets;
    const newest = await loadKeyring({ backend, kernel, repositoryId: id, keyringKey, listed, copies: await copies?.() }, options);
    const keys = new RepositoryKeys(kernel, id, keyringKey, newest, openSeed(kernel, id, slot, newest.keyring));
    const objects = new SealedObjects(kernel, random, keys, backend);
    const config = openConfig(objects, id, bytes);
    objects.bindTo(config.copyId);
    return {
      ...environment, id, backend, config, keys, slotId: slot.id, objects, cache,
      get keyringNumber() { return keys.keyringNumber; },
    };
  } catch (error) {
    if (cacheOutcome.status === 'fulfilled') await cacheOutcome.value?.close();
    throw error;
  }
}

/** Slots and keyrings: one listing shows both. */
async function listKeyObjects(backend: ReadBackend, options: CallOptions): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for await (const object of backend.list(KEY_OBJECTS, options)) objects.push(object);
  return objects;
}

function openConfig(objects: SealedObjects, id: RepositoryId, bytes: Bytes): Config {
  const { body, isTrusted } = objects.openSigned(configName, bytes);
  if (!isTrusted) throw corrupt('config', 'it is not signed by an admin key of the keyring', { name: configName });
  const config = decodeConfig(body);
  if (config.repositoryId !== id) throw corrupt('config', 'header and body name different repositories', { name: configName });
  return config;
}

function openSeed(kernel: Kernel, id: RepositoryId, slot: OpenedSlot, keyring: Keyring): Bytes | undefined {
  const { adminKey } = slot.secrets;
  const newest = keyring.adminKeys.at(-1)!;
  return adminKey === undefined ? undefined : openAdminSeed(kernel, adminKey, id, newest.publicKey, keyring.sealedAdminSeed);
}
