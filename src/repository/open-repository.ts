/** Opens a repository: read the config, open a key slot, then the newest keyring that is validly signed. */
import { SnapError, hasCode } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Backend, ReadBackend } from '../backend/backend.ts';
import type { Cache } from '../cache/cache.ts';
import { decodeConfig, type Config } from '../format/config.ts';
import { corrupt } from '../format/decode-error.ts';
import type { RepositoryId } from '../format/ids.ts';
import { decodeKeyring, extendsKeyring, openAdminSeed, type Keyring } from '../format/keyring.ts';
import { configName, keyringName, numberedObjectId, objectTypesOf, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { openObject, readRepositoryId, splitSigned, verifySigned } from '../format/sealed-object.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { unlockSlot, type OpenedSlot } from './key-slots.ts';
import type { Credential, Environment, OpenRepository } from './opened-repository.ts';
import { RepositoryKeys } from './repository-keys.ts';
import { SealedObjects, withName } from './sealed-objects.ts';

/** Numbers that far above the highest valid keyring are ignored (repository design, section 4.3). */
const MAX_NUMBER_GAP = 2 ** 20;

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

/** `openCache` gets the repository ID before the key is known, so that both can be opened at the same time. */
export async function openRepository(
  backend: Backend, credential: Credential, environment: Environment, openCache: (id: RepositoryId) => Promise<Cache>, options: CallOptions = {},
): Promise<OpenRepository> {
  const { kernel, random } = environment;
  const { id, bytes } = await readConfigBytes(backend, options);
  // Key stretching and opening the cache both take long, so they run side by side; a failure of one must not leak the other.
  const [slotOutcome, cacheOutcome] = await Promise.allSettled([unlockSlot(backend, id, credential, kernel, options), openCache(id)]);
  try {
    if (slotOutcome.status === 'rejected') throw slotOutcome.reason;
    if (cacheOutcome.status === 'rejected') throw cacheOutcome.reason;
    const slot = slotOutcome.value;
    const { keyring, number } = await loadKeyring(backend, id, slot, kernel, options);
    const keys = new RepositoryKeys(kernel, id, slot.secrets.keyringKey, keyring, openSeed(kernel, id, slot, keyring));
    const objects = new SealedObjects(kernel, random, keys, backend);
    const config = openConfig(objects, id, bytes);
    return { ...environment, id, backend, config, keys, slotId: slot.id, keyringNumber: number, objects, cache: cacheOutcome.value };
  } catch (error) {
    if (cacheOutcome.status === 'fulfilled') await cacheOutcome.value.close();
    throw error;
  }
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

/**
 * Follows the chain of keyrings: each next one holds everything of the one before and is signed by a key that that one
 * lists. The first one is authenticated by the keyring key alone, which only a key slot gives.
 */
async function loadKeyring(
  backend: ReadBackend, id: RepositoryId, slot: OpenedSlot, kernel: Kernel, options: CallOptions,
): Promise<{ keyring: Keyring; number: number }> {
  let current: { keyring: Keyring; number: number } | undefined;
  for (const number of await listKeyrings(backend, options)) {
    if (current !== undefined && number > current.number + MAX_NUMBER_GAP) break;
    const opened = openKeyring(await backend.read(keyringName(number), undefined, options), number, id, slot, kernel, current?.keyring);
    if (opened !== undefined) current = { keyring: opened, number };
  }
  if (current === undefined) throw corrupt('keyring', 'no valid keyring is there', { name: PREFIXES.keyrings });
  return current;
}

async function listKeyrings(backend: ReadBackend, options: CallOptions): Promise<number[]> {
  const numbers: number[] = [];
  for await (const { name } of backend.list(PREFIXES.keyrings, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'keyring' && ref.suffix === '') numbers.push(ref.number);
  }
  return numbers.sort((a, b) => a - b);
}

/** Undefined for a keyring that nobody entitled signed: it was never valid. */
function openKeyring(bytes: Bytes, number: number, id: RepositoryId, slot: OpenedSlot, kernel: Kernel, previous: Keyring | undefined): Keyring | undefined {
  const name = keyringName(number);
  try {
    const objectId = numberedObjectId(number);
    const types = objectTypesOf({ kind: 'keyring', number, suffix: '' });
    const { payload, header } = openObject({
      kernel, bytes, repositoryId: id, types, objectId, secretOf: epoch => epoch === 0 ? slot.secrets.keyringKey : undefined,
    });
    const keyring = decodeKeyring(splitSigned(payload, header.type).body);
    const signers = (previous ?? keyring).adminKeys.map(key => key.publicKey);
    const { isTrusted } = verifySigned(kernel, signers, { type: header.type, repositoryId: id, objectId }, payload);
    if (!isTrusted || (previous !== undefined && !extendsKeyring(previous, keyring))) return undefined;
    return keyring;
  } catch (error) {
    throw withName(error, name);
  }
}

