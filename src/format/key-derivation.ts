/**
 * Every key of a repository and its HKDF label (repository design, section 12.3).
 *
 * HKDF is HKDF-SHA-256 (RFC 5869). `info` is a label, one zero byte, and fields of fixed length, so that two different
 * inputs never coincide. "No salt" is the empty salt. All keys and secrets have 32 bytes.
 */
import { type Bytes, concatBytes, utf8 } from '../base/bytes.ts';
import type { AeadSuite, Kernel } from '../kernel/kernel.ts';
import { OBJECT_TYPES, type ObjectType } from './header.ts';
import { idBytes, type PackId, type RepositoryId, type SlotId } from './ids.ts';
import type { PackType } from './object-names.ts';

export const KEY_BYTES = 32;

type Key = Uint8Array<ArrayBuffer>;

const NO_SALT = new Uint8Array(0);

/** HKDF of a secret under a label; shared by everything below. */
export function deriveKey(kernel: Kernel, secret: Bytes, salt: Bytes, label: string, fields: readonly Bytes[] = [], length: number = KEY_BYTES): Key {
  return kernel.hkdf(secret, salt, concatBytes([utf8(`${label}\0`), ...fields]), length);
}

/** Seals the secrets in a key slot; `kek` comes from the password or is the key file. */
export function deriveSlotKey(kernel: Kernel, kek: Bytes, repositoryId: RepositoryId, slotId: SlotId): Key {
  return deriveKey(kernel, kek, NO_SALT, 'snap/1/slot', [idBytes(repositoryId), idBytes(slotId)]);
}

/** Seals `config`. */
export function deriveConfigKey(kernel: Kernel, keyringKey: Bytes, repositoryId: RepositoryId): Key {
  return deriveKey(kernel, keyringKey, NO_SALT, 'snap/1/config', [idBytes(repositoryId)]);
}

/** Seals `keyring/<n>`. */
export function deriveKeyringKey(kernel: Kernel, keyringKey: Bytes, repositoryId: RepositoryId): Key {
  return deriveKey(kernel, keyringKey, NO_SALT, 'snap/1/keyring', [idBytes(repositoryId)]);
}

/** Seals the admin signing seed inside a keyring. */
export function deriveAdminSeedKey(kernel: Kernel, adminKey: Bytes, repositoryId: RepositoryId): Key {
  return deriveKey(kernel, adminKey, NO_SALT, 'snap/1/admin-seed', [idBytes(repositoryId)]);
}

/** Keys that last as long as the repository: a change ends deduplication. */
export interface ContentKeys {
  /** Key of the IDs of data chunks, and of tree nodes. */
  readonly idKeyData: Key;
  readonly idKeyTree: Key;
  /** Secret of the Gear table. */
  readonly chunkerKey: Key;
  /** Name hashes and hard-link groups. */
  readonly auxKey: Key;
}

export function deriveContentKeys(kernel: Kernel, dedupSecret: Bytes): ContentKeys {
  const derive = (label: string): Key => deriveKey(kernel, dedupSecret, NO_SALT, label);
  return {
    idKeyData: derive('snap/1/id-data'),
    idKeyTree: derive('snap/1/id-tree'),
    chunkerKey: derive('snap/1/chunker'),
    auxKey: derive('snap/1/aux'),
  };
}

/** Roots of the keys of one epoch: data packs, tree packs, sealed objects. */
export interface EpochRoots {
  readonly dataRoot: Key;
  readonly treeRoot: Key;
  readonly metaRoot: Key;
}

export function deriveEpochRoots(kernel: Kernel, epochSecret: Bytes): EpochRoots {
  const derive = (label: string): Key => deriveKey(kernel, epochSecret, NO_SALT, label);
  return { dataRoot: derive('snap/1/data-root'), treeRoot: derive('snap/1/tree-root'), metaRoot: derive('snap/1/meta-root') };
}

/** What the keys of one pack build depend on; salt (32 bytes) and ID are fresh for every build. */
export interface PackIdentity {
  readonly type: PackType;
  readonly suite: AeadSuite;
  readonly epoch: number;
  readonly id: PackId;
  readonly salt: Bytes;
}

export interface PackKeys {
  readonly frameKey: Key;
  readonly tableKey: Key;
}

/** `root` is the data or tree root of the epoch of the pack. */
export function derivePackKeys(kernel: Kernel, root: Bytes, pack: PackIdentity, repositoryId: RepositoryId): PackKeys {
  const fields = [typeField(packObjectType(pack.type)), idBytes(repositoryId), idBytes(pack.id)];
  return {
    frameKey: deriveKey(kernel, root, pack.salt, 'snap/1/frame', fields),
    tableKey: deriveKey(kernel, root, pack.salt, 'snap/1/table', fields),
  };
}

export function packObjectType(type: PackType): ObjectType {
  return type === 'data' ? OBJECT_TYPES.dataPack : OBJECT_TYPES.treePack;
}

/** Key of one sealed object under suites 1 and 2; with nonce 0, since the salt is fresh. */
export function deriveObjectKey(
  kernel: Kernel, metaRoot: Bytes, salt: Bytes, type: ObjectType, repositoryId: RepositoryId, objectId: Bytes,
): Key {
  return deriveKey(kernel, metaRoot, salt, 'snap/1/object', [typeField(type), idBytes(repositoryId), objectId]);
}

/** Key of all sealed objects of one type under suite 3; each has a random 192-bit nonce. */
export function deriveXObjectKey(kernel: Kernel, metaRoot: Bytes, type: ObjectType, repositoryId: RepositoryId): Key {
  return deriveKey(kernel, metaRoot, NO_SALT, 'snap/1/xobject', [typeField(type), idBytes(repositoryId)]);
}

function typeField(type: ObjectType): Bytes {
  return Uint8Array.of(type);
}

/** HMAC-SHA-256(KEK, "snap kcv"), 16 bytes: tells a wrong password from damage. */
export function keyCheckValue(kernel: Kernel, kek: Bytes): Uint8Array<ArrayBuffer> {
  return kernel.hmacSha256(kek, utf8('snap kcv')).slice(0, 16);
}
