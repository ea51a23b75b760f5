/** The keys of an unlocked repository, derived once. Secrets stay in here; only derived keys leave, and only to where they are used. */
import { SnapError } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import type { Hasher, Kernel } from '../kernel/kernel.ts';
import { encodeHeader } from '../format/header.ts';
import { idBytes, type RepositoryId } from '../format/ids.ts';
import { unknownEpoch } from '../format/sealed-object.ts';
import {
  deriveContentKeys, deriveEpochRoots, derivePackKeys, packObjectType, type ContentKeys, type EpochRoots, type PackIdentity, type PackKeys,
} from '../format/key-derivation.ts';
import type { Keyring } from '../format/keyring.ts';
import { concatBytes } from '../base/bytes.ts';

export interface AdminKey {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Bytes;
}

export class RepositoryKeys {
  readonly repositoryId: RepositoryId;
  /** Seals config and keyrings; stands in every key slot. */
  readonly keyringKey: Bytes;
  readonly keyring: Keyring;
  readonly content: ContentKeys;
  readonly #kernel: Kernel;
  readonly #adminSeed: Bytes | undefined;
  readonly #roots = new Map<number, EpochRoots>();
  #auxiliaryHasher: Hasher | undefined;
  #treeHasher: Hasher | undefined;

  constructor(kernel: Kernel, repositoryId: RepositoryId, keyringKey: Bytes, keyring: Keyring, adminSeed: Bytes | undefined) {
    this.#kernel = kernel;
    this.repositoryId = repositoryId;
    this.keyringKey = keyringKey;
    this.keyring = keyring;
    this.#adminSeed = adminSeed;
    this.content = deriveContentKeys(kernel, keyring.dedupSecret);
  }

  /** The epoch that new packs and objects use. */
  get currentEpoch(): number {
    return Math.max(...this.keyring.epochs.map(epoch => epoch.epoch));
  }

  /** Hasher of name hashes and hard-link groups. */
  get auxiliaryHasher(): Hasher {
    return this.#auxiliaryHasher ??= this.#kernel.createHasher(this.content.auxKey);
  }

  /** Hasher of the IDs of tree nodes. */
  get treeHasher(): Hasher {
    return this.#treeHasher ??= this.#kernel.createHasher(this.content.idKeyTree);
  }

  get adminPublicKeys(): readonly Bytes[] {
    return this.keyring.adminKeys.map(key => key.publicKey);
  }

  /** @throws DENIED when this key slot does not hold the admin key */
  adminSeed(): Bytes {
    if (this.#adminSeed === undefined) {
      throw new SnapError('DENIED', 'This key slot does not hold the admin key', { hint: 'Use a password of an admin key slot' });
    }
    return this.#adminSeed;
  }

  /** Secret of `openObject`: the keyring key for epoch 0, else the meta root; undefined when the keyring lacks the epoch. */
  secretOf(epoch: number): Bytes | undefined {
    return epoch === 0 ? this.keyringKey : this.#rootsOf(epoch)?.metaRoot;
  }

  /** @throws UNSUPPORTED_FORMAT for an epoch that the keyring does not have */
  packKeys(pack: PackIdentity): PackKeys {
    const roots = this.#rootsOf(pack.epoch);
    if (roots === undefined) throw unknownEpoch(`${pack.type} pack`, pack.epoch);
    return derivePackKeys(this.#kernel, pack.type === 'data' ? roots.dataRoot : roots.treeRoot, pack, this.repositoryId);
  }

  /** Constant part of the additional data of the frames of one pack: header bytes 0 to 59, repository ID. */
  framePrefix(pack: PackIdentity): Uint8Array<ArrayBuffer> {
    const header = encodeHeader({
      type: packObjectType(pack.type), suite: pack.suite, isCompressed: false, epoch: pack.epoch, objectId: idBytes(pack.id), random: pack.salt,
      sealedBytes: 0,
    });
    return concatBytes([header.subarray(0, 60), idBytes(this.repositoryId)]);
  }

  #rootsOf(epoch: number): EpochRoots | undefined {
    const known = this.#roots.get(epoch);
    if (known !== undefined) return known;
    const secret = this.keyring.epochs.find(each => each.epoch === epoch)?.secret;
    if (secret === undefined) return undefined;
    const roots = deriveEpochRoots(this.#kernel, secret);
    this.#roots.set(epoch, roots);
    return roots;
  }
}

