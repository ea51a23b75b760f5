/** Body of `keyring/<n>`: the secrets of a repository by epoch, signed (repository design, sections 4.4 and 12.3). */
import { type Bytes, concatBytes, equalBytes } from '../base/bytes.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { bodyCodec, type BodyCodec, fixedBytes, list, mapOf, required, tuple, uint } from './body-codec.ts';
import { corrupt } from './decode-error.ts';
import { TAG_BYTES, XNONCE_BYTES } from './header.ts';
import { idBytes, type RepositoryId } from './ids.ts';
import { deriveAdminSeedKey, KEY_BYTES } from './key-derivation.ts';
import { KEY_ID_BYTES, openBytes, sealBytes } from './sealed-object.ts';

export interface Epoch {
  /** At least 1. */
  readonly epoch: number;
  readonly secret: Bytes;
}

export interface AdminKey {
  /** First 8 bytes of BLAKE3 of the public key. */
  readonly keyId: Bytes;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Bytes;
  /** Number of the first keyring in which the key counts. */
  readonly validFrom: number;
}

export interface Keyring {
  /** At least one, strictly ascending; the last one is used for new objects. */
  readonly epochs: readonly Epoch[];
  /** 32 bytes, the same in every keyring of a repository. */
  readonly dedupSecret: Bytes;
  readonly adminKeys: readonly AdminKey[];
  /** 72 bytes: nonce, ciphertext and tag of the signing seed; see `sealAdminSeed`. */
  readonly sealedAdminSeed: Bytes;
}

const ADMIN_SEED_BYTES = 32;
const SEALED_SEED_BYTES = XNONCE_BYTES + ADMIN_SEED_BYTES + TAG_BYTES;

const body: BodyCodec<Keyring> = bodyCodec('keyring', mapOf<Keyring>({
  epochs: required(1, list(tuple<Epoch>([['epoch', uint(0xffff_ffff)], ['secret', fixedBytes(KEY_BYTES)]]))),
  dedupSecret: required(2, fixedBytes(KEY_BYTES)),
  adminKeys: required(3, list(tuple<AdminKey>([['keyId', fixedBytes(KEY_ID_BYTES)], ['publicKey', fixedBytes(32)], ['validFrom', uint()]]))),
  sealedAdminSeed: required(4, fixedBytes(SEALED_SEED_BYTES)),
}, keyringFault));

function keyringFault(keyring: Keyring): string | undefined {
  if (keyring.epochs.length === 0 || keyring.adminKeys.length === 0) return 'it has no epoch or no admin key';
  let previous = 0;
  for (const { epoch } of keyring.epochs) {
    if (epoch <= previous) return 'the epochs are not in order';
    previous = epoch;
  }
  return undefined;
}

/** @throws RangeError for values that the decoder would refuse */
export const encodeKeyring: (keyring: Keyring) => Uint8Array<ArrayBuffer> = body.encode;
/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export const decodeKeyring: (bytes: Bytes) => Keyring = body.decode;

/** Whether `newer` holds every epoch, the deduplication secret and every admin key of `older`, as each next keyring must. */
export function extendsKeyring(older: Keyring, newer: Keyring): boolean {
  const secrets = new Map(newer.epochs.map(({ epoch, secret }) => [epoch, secret]));
  return equalBytes(older.dedupSecret, newer.dedupSecret)
    && older.epochs.every(({ epoch, secret }) => equalBytes(secrets.get(epoch) ?? new Uint8Array(0), secret))
    && older.adminKeys.every(({ publicKey }) => newer.adminKeys.some(key => equalBytes(key.publicKey, publicKey)));
}

/** The secret of an epoch; undefined when this keyring does not have it. */
export function findEpochSecret(keyring: Keyring, epoch: number): Bytes | undefined {
  return keyring.epochs.find(candidate => candidate.epoch === epoch)?.secret;
}

/** Seals the Ed25519 seed under the admin key; the additional data is repository ID ‖ public key. `nonce`: 24 fresh random bytes. */
export function sealAdminSeed(
  kernel: Kernel, adminKey: Bytes, repositoryId: RepositoryId, seed: Bytes, nonce: Bytes,
): Uint8Array<ArrayBuffer> {
  if (seed.length !== ADMIN_SEED_BYTES) throw new RangeError('An Ed25519 seed has 32 bytes');
  const additional = concatBytes([idBytes(repositoryId), kernel.ed25519PublicKey(seed)]);
  return concatBytes([nonce, sealBytes(kernel, 3, deriveAdminSeedKey(kernel, adminKey, repositoryId), nonce, additional, seed)]);
}

/** @throws OBJECT_CORRUPT when the seed does not open with this admin key, or was not sealed for this public key */
export function openAdminSeed(
  kernel: Kernel, adminKey: Bytes, repositoryId: RepositoryId, publicKey: Bytes, sealed: Bytes,
): Uint8Array<ArrayBufferLike> {
  if (sealed.length !== SEALED_SEED_BYTES) throw corrupt('admin signing seed', `${sealed.length} bytes`);
  const additional = concatBytes([idBytes(repositoryId), publicKey]);
  const key = deriveAdminSeedKey(kernel, adminKey, repositoryId);
  const seed = openBytes(kernel, 3, key, sealed.subarray(0, XNONCE_BYTES), additional, sealed.subarray(XNONCE_BYTES));
  if (seed === undefined) throw corrupt('admin signing seed', 'its seal does not match');
  return seed;
}
