/** Makes a repository: keyring and key slot first, `config` last; the repository exists from that moment on. */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { Bytes } from '../base/bytes.ts';
import type { Backend, WriteBackend } from '../backend/backend.ts';
import type { ChunkerParameters } from '../format/chunking.ts';
import { CHUNK_ID_ALGORITHM, encodeConfig, PADDING_RULE } from '../format/config.ts';
import { OBJECT_TYPES, XNONCE_BYTES } from '../format/header.ts';
import { ID_BYTES, repositoryIdFromBytes, type RepositoryId, type SlotId } from '../format/ids.ts';
import { encodeKeyring, sealAdminSeed, type Keyring } from '../format/keyring.ts';
import { configName, keyringName, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { adminKeyId } from '../format/sealed-object.ts';
import type { AeadSuite, ScryptParameters } from '../kernel/kernel.ts';
import { addSlot, unlockSlot } from './key-slots.ts';
import type { Credential, Environment, OpenRepository } from './opened-repository.ts';
import { probeBackend } from './probe.ts';
import { RepositoryKeys } from './repository-keys.ts';
import { SealedObjects } from './sealed-objects.ts';
import { createSettled } from './settled-write.ts';

export interface CreateOptions extends CallOptions {
  readonly credential: Credential;
  readonly suite: AeadSuite;
  readonly chunker: ChunkerParameters;
  /** Name of the first key slot, for people. */
  readonly label: string;
  readonly scrypt?: ScryptParameters | undefined;
  /** Of another repository: equal chunks get equal IDs in both. */
  readonly dedupSecret?: Bytes | undefined;
}

/** A replica has the ID and the keys of its source, so packs can be copied as they are. */
export interface CreateReplicaOptions extends CallOptions {
  readonly source: OpenRepository;
  /** What opened the source, in a slot that holds the admin key. */
  readonly sourceCredential: Credential;
  readonly credential: Credential;
  /** Defaults to that of the source. */
  readonly suite?: AeadSuite | undefined;
  readonly label: string;
  readonly scrypt?: ScryptParameters | undefined;
}

export interface CreatedRepository {
  readonly id: RepositoryId;
  readonly slotId: SlotId;
}

/** @throws REPOSITORY_EXISTS, LOCATION_NOT_EMPTY, UNSUPPORTED_STORE */
export async function createRepository(backend: Backend, environment: Environment, options: CreateOptions): Promise<CreatedRepository> {
  await refuseUsedLocation(backend, options);
  const { storeMode } = await probeStoreMode(backend, environment, options);
  const { kernel, random, clock } = environment;
  const id = repositoryIdFromBytes(random.bytes(16));
  const keyringKey = random.bytes(32);
  const adminKey = random.bytes(32);
  const seed = random.bytes(32);
  const publicKey = kernel.ed25519PublicKey(seed);
  const keyId = adminKeyId(kernel, publicKey);
  const keyring: Keyring = {
    epochs: [{ epoch: 1, secret: random.bytes(32) }],
    dedupSecret: options.dedupSecret ?? random.bytes(32),
    adminKeys: [{ keyId, publicKey, validFrom: 1 }],
    sealedAdminSeed: sealAdminSeed(kernel, adminKey, id, seed, random.bytes(XNONCE_BYTES)),
  };
  const objects = new SealedObjects(kernel, random, new RepositoryKeys(kernel, id, keyringKey, { keyring, number: 1 }, seed), backend);
  const now = clock.now();
  await objects.save(backend, keyringName(1), OBJECT_TYPES.keyring, encodeKeyring(keyring), options);
  const secrets = { keyringKey, adminKey, label: options.label, createdAt: now };
  const slotId = await addSlot(backend, id, environment, { credential: options.credential, secrets, scrypt: options.scrypt }, options);
  const config = encodeConfig({
    repositoryId: id, createdSeconds: Math.floor(now / 1000), chunkIdAlgorithm: CHUNK_ID_ALGORITHM, defaultSuite: options.suite,
    chunker: options.chunker, paddingRule: PADDING_RULE, adminKeyId: keyId, storeMode, stalenessMs: 0,
  });
  if (await createSettled(backend, configName, objects.seal(configName, OBJECT_TYPES.config, config), options) === 'exists') {
    throw alreadyThere(backend);
  }
  return { id, slotId };
}

/**
 * Keyrings byte by byte, a key slot of its own, and a config of its own, since the storage may decide races in another way.
 * @throws REPOSITORY_EXISTS, LOCATION_NOT_EMPTY, UNSUPPORTED_STORE; DENIED when the slot of the source does not hold the admin key
 */
export async function createReplica(backend: Backend, environment: Environment, options: CreateReplicaOptions): Promise<CreatedRepository> {
  const { source, credential, scrypt } = options;
  const { id, config: { chunkIdAlgorithm, paddingRule, chunker, defaultSuite, adminKeyId }, objects } = source;
  source.keys.adminSeed();
  await refuseUsedLocation(backend, options);
  const { storeMode } = await probeStoreMode(backend, environment, options);
  const { secrets } = await unlockSlot(source.backend, id, options.sourceCredential, environment.kernel, options);
  const now = environment.clock.now();
  await copyKeyrings(source, backend, 0, options);
  const slotId = await addSlot(backend, id, environment, { credential, secrets: { ...secrets, label: options.label, createdAt: now }, scrypt }, options);
  const config = encodeConfig({
    repositoryId: id, createdSeconds: Math.floor(now / 1000), chunkIdAlgorithm, defaultSuite: options.suite ?? defaultSuite, chunker, paddingRule,
    adminKeyId, storeMode, stalenessMs: 0, copyId: environment.random.bytes(ID_BYTES),
  });
  if (await createSettled(backend, configName, objects.seal(configName, OBJECT_TYPES.config, config), options) === 'exists') throw alreadyThere(backend);
  return { id, slotId };
}

/** Keyrings of `source` with numbers above `above`, in their order, to another place. */
export async function copyKeyrings(source: Pick<OpenRepository, 'backend' | 'keyringNumber'>, target: WriteBackend, above: number, options: CallOptions = {}): Promise<void> {
  const names: string[] = [];
  for await (const { name } of source.backend.list(PREFIXES.keyrings, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'keyring' && ref.number > above && ref.number <= source.keyringNumber) names.push(name);
  }
  for (const name of names.sort()) await createSettled(target, name, await source.backend.read(name, undefined, options), options);
}

async function refuseUsedLocation(backend: Backend, options: CallOptions): Promise<void> {
  for await (const { name } of backend.list('', options)) {
    if (name === configName) throw alreadyThere(backend);
    throw new SnapError('LOCATION_NOT_EMPTY', `There are other files at '${backend.location}', such as '${name}'`, {
      hint: 'Choose an empty place for a new repository. If an earlier `snap init` was interrupted here, remove what it left',
    });
  }
}

function alreadyThere(backend: Backend): SnapError {
  return new SnapError('REPOSITORY_EXISTS', `There is already a repository at '${backend.location}'`, {
    hint: 'Use it, or choose another place; snap never overwrites a repository',
  });
}

async function probeStoreMode(backend: Backend, { random }: Environment, options: CallOptions): Promise<{ storeMode: 'create-only' | 'fallback' }> {
  const probe = await probeBackend(backend, random, options);
  return { storeMode: probe.createIfAbsent === 'atomic' ? 'create-only' : 'fallback' };
}
