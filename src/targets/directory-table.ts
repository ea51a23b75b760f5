/**
 * All directories of one restore: place, and the metadata that they get at the end. About 60 bytes each plus the name, in
 * columns instead of objects, since a restore keeps every directory until `finish`.
 */
import type { Bytes } from '../base/bytes.ts';
import type { Xattr } from '../format/tree-node.ts';
import { ROOT_DIRECTORY, type TargetHandle } from './target.ts';

/** Made by this restore, so whatever is in it is of this restore. */
export const DIRECTORY_NEW = 1;
/** Dry run: does not exist. */
export const DIRECTORY_PHANTOM = 2;
/** Gets metadata at the end; `DIRECTORY_MODE_ONLY` narrows it to the mode. */
export const DIRECTORY_DESCRIBED = 4;
export const DIRECTORY_MODE_ONLY = 8;
/** Names that differ only by case are different here. */
export const DIRECTORY_CASE_SENSITIVE = 16;
/** Owner and group that new files get here are known. */
export const DIRECTORY_BIRTH_KNOWN = 32;
/** New files inherit an access control list here. */
export const DIRECTORY_INHERITED_ACL = 64;

/** Owner ID that means "leave it as it is". */
export const ANY_OWNER = -1;

export interface Ownership {
  /** -1 to 2^32 - 1. */
  readonly uid: number;
  readonly gid: number;
}

export interface DirectoryMetadata extends Ownership {
  readonly mode: number;
  readonly mtime: readonly [seconds: number, nanoseconds: number];
  readonly xattrs?: readonly Xattr[] | undefined;
}

const SLASH = Uint8Array.of(0x2f);

export class DirectoryTable {
  #capacity = 256;
  #count = 0;
  #parents = new Uint32Array(this.#capacity);
  #nameStarts = new Float64Array(this.#capacity + 1);
  #flags = new Uint8Array(this.#capacity);
  #modes = new Uint16Array(this.#capacity);
  #nanoseconds = new Uint32Array(this.#capacity);
  #seconds = new Float64Array(this.#capacity);
  /** Four to a directory: wanted uid and gid, uid and gid of new files. */
  #owners = new Float64Array(4 * this.#capacity);
  #names = new Uint8Array(4096);
  readonly #xattrs = new Map<TargetHandle, readonly Xattr[]>();

  constructor() {
    this.add(ROOT_DIRECTORY, new Uint8Array(0), 0);
  }

  get count(): number {
    return this.#count;
  }

  /** Handles ascend, so a parent always has a smaller one than what is below it. */
  add(parent: TargetHandle, name: Bytes, flags: number): TargetHandle {
    const handle = this.#count;
    if (handle === this.#capacity) this.#grow();
    const start = this.#nameStarts[handle]!;
    if (start + name.length > this.#names.length) this.#names = grown(this.#names, Math.max(2 * this.#names.length, start + name.length));
    this.#names.set(name, start);
    this.#nameStarts[handle + 1] = start + name.length;
    this.#parents[handle] = parent;
    this.#flags[handle] = flags;
    this.#count++;
    return handle;
  }

  #grow(): void {
    this.#capacity *= 2;
    this.#parents = grown(this.#parents, this.#capacity);
    this.#nameStarts = grown(this.#nameStarts, this.#capacity + 1);
    this.#flags = grown(this.#flags, this.#capacity);
    this.#modes = grown(this.#modes, this.#capacity);
    this.#nanoseconds = grown(this.#nanoseconds, this.#capacity);
    this.#seconds = grown(this.#seconds, this.#capacity);
    this.#owners = grown(this.#owners, 4 * this.#capacity);
  }

  parent(handle: TargetHandle): TargetHandle {
    this.#check(handle);
    return this.#parents[handle]!;
  }

  /** A view that stays valid. */
  name(handle: TargetHandle): Bytes {
    return this.#names.subarray(this.#nameStarts[handle]!, this.#nameStarts[handle + 1]!);
  }

  has(handle: TargetHandle, flag: number): boolean {
    this.#check(handle);
    return (this.#flags[handle]! & flag) !== 0;
  }

  mark(handle: TargetHandle, flag: number): void {
    this.#flags[handle]! |= flag;
  }

  describe(handle: TargetHandle, metadata: DirectoryMetadata): void {
    this.#modes[handle] = metadata.mode;
    this.#owners[4 * handle] = metadata.uid;
    this.#owners[4 * handle + 1] = metadata.gid;
    this.#seconds[handle] = metadata.mtime[0];
    this.#nanoseconds[handle] = metadata.mtime[1];
    if (metadata.xattrs !== undefined) this.#xattrs.set(handle, metadata.xattrs);
    this.mark(handle, DIRECTORY_DESCRIBED);
  }

  metadata(handle: TargetHandle): DirectoryMetadata {
    return {
      mode: this.#modes[handle]!,
      uid: this.#owners[4 * handle]!,
      gid: this.#owners[4 * handle + 1]!,
      mtime: [this.#seconds[handle]!, this.#nanoseconds[handle]!],
      xattrs: this.#xattrs.get(handle),
    };
  }

  setBirth(handle: TargetHandle, owner: Ownership): void {
    this.#owners[4 * handle + 2] = owner.uid;
    this.#owners[4 * handle + 3] = owner.gid;
    this.mark(handle, DIRECTORY_BIRTH_KNOWN);
  }

  /** Valid with `DIRECTORY_BIRTH_KNOWN`. */
  birthUid(handle: TargetHandle): number {
    return this.#owners[4 * handle + 2]!;
  }

  birthGid(handle: TargetHandle): number {
    return this.#owners[4 * handle + 3]!;
  }

  /** Path of an entry in a directory relative to the root; without a name that of the directory. */
  path(handle: TargetHandle, name?: Bytes): Bytes {
    const parts: Bytes[] = name === undefined ? [] : [name];
    for (let at = handle; at !== ROOT_DIRECTORY; at = this.#parents[at]!) {
      if (parts.length > 0) parts.push(SLASH);
      parts.push(this.name(at));
    }
    return Buffer.concat(parts.reverse());
  }

  #check(handle: TargetHandle): void {
    if (!(handle < this.#count)) throw new RangeError(`No directory ${handle} in this restore`);
  }
}

function grown<Column extends Uint8Array | Uint16Array | Uint32Array | Float64Array>(column: Column, length: number): Column {
  const larger = new (column.constructor as new (length: number) => Column)(length);
  larger.set(column);
  return larger;
}
