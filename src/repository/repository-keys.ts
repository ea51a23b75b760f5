/** The keys of an unlocked repository, derived once. Secrets stay in here; only derived keys leave, and only to where they are used. */
import { SnapError } from '../base/errors.ts';
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { ReadBackend } from '../backend/backend.ts';
import type { Hasher, Kernel } from '../kernel/kernel.ts';
import type { RepositoryId } from '../format/ids.ts';
import type { PackType } from '../format/object-names.ts';
import { unknownEpoch } from '../format/sealed-object.ts';
import {
  deriveContentKeys, deriveEpochRoots, derivePackKeys, type ContentKeys, type EpochRoots, type PackIdentity, type PackKeys,
} from '../format/key-derivation.ts';
import type { Keyring } from '../format/keyring.ts';
import { loadKeyring, type NumberedKeyring } from './keyrings.ts';

export interface AdminKey {
  /** Ed25519 seed, 32 bytes. */
  readonly seed: Bytes;
}

export class RepositoryKeys {
  readonly repositoryId: RepositoryId;
  /** Seals config and keyrings; stands in every key slot. */
  readonly keyringKey: Bytes;
  readonly content: ContentKeys;
  readonly #kernel: Kernel;
  readonly #adminSeed: Bytes | undefined;
  readonly #roots = new Map<number, EpochRoots>();
  #newest: NumberedKeyring;
  #auxiliaryHasher: Hasher | undefined;
  #treeHasher: Hasher | undefined;

  constructor(kernel: Kernel, repositoryId: RepositoryId, keyringKey: Bytes, newest: NumberedKeyring, adminSeed: Bytes | undefined) {
    this.#kernel = kernel;
    this.repositoryId = repositoryId;
    this.keyringKey = keyringKey;
    this.#newest = newest;
    this.#adminSeed = adminSeed;
    this.content = deriveContentKeys(kernel, newest.keyring.dedupSecret);
  }

  /** The newest one that was seen. */
  get keyring(): Keyring {
    return this.#newest.keyring;
  }

  get keyringNumber(): number {
    return this.#newest.number;
  }

  /** Looks for a newer keyring, which a rotation makes at any time, and uses it from then on; true when there was one. @throws OBJECT_CORRUPT */
  async refresh(backend: ReadBackend, options: CallOptions = {}): Promise<boolean> {
    const { repositoryId, keyringKey } = this;
    const newest = await loadKeyring({ backend, kernel: this.#kernel, repositoryId, keyringKey, known: this.#newest }, options);
    if (newest.number <= this.#newest.number) return false;
    this.#newest = newest;
    return true;
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
    const root = this.packRoot(pack.type, pack.epoch);
    if (root === undefined) throw unknownEpoch(`${pack.type} pack`, pack.epoch);
    return derivePackKeys(this.#kernel, root, pack, this.repositoryId);
  }

  /** Data or tree root of an epoch; undefined when the keyring does not have it. */
  packRoot(type: PackType, epoch: number): Bytes | undefined {
    const roots = this.#rootsOf(epoch);
    return type === 'data' ? roots?.dataRoot : roots?.treeRoot;
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

