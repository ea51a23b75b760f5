/** Where metadata is set: an open descriptor, or a name in an open directory for what cannot be opened. */
import type { Bytes } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';

export interface Spot {
  setOwner(uid: number, gid: number): void;
  setMode(mode: number): void;
  setTimes(seconds: number, nanoseconds: number): void;
  setXattr(name: Bytes, value: Bytes): void;
  removeXattr(name: Bytes): void;
  /** Packed as `NativeFileSystem.xattrs` does. */
  xattrs(): Bytes;
}

export class NameSpot implements Spot {
  readonly #fs: NativeFileSystem;
  readonly #directory: number;
  readonly #name: Bytes;

  constructor(fs: NativeFileSystem, directory: number, name: Bytes) {
    this.#fs = fs;
    this.#directory = directory;
    this.#name = name;
  }

  setOwner(uid: number, gid: number): void { this.#fs.setOwnerAt(this.#directory, this.#name, uid, gid); }
  setMode(mode: number): void { this.#fs.setModeAt(this.#directory, this.#name, mode); }
  setTimes(seconds: number, nanoseconds: number): void { this.#fs.setTimesAt(this.#directory, this.#name, seconds, nanoseconds); }
  setXattr(name: Bytes, value: Bytes): void { this.#fs.setXattrAt(this.#directory, this.#name, name, value); }
  removeXattr(name: Bytes): void { this.#fs.removeXattrAt(this.#directory, this.#name, name); }
  xattrs(): Bytes { return this.#fs.xattrs(this.#directory, packedName(this.#name)); }
}

export class DescriptorSpot implements Spot {
  readonly #fs: NativeFileSystem;
  readonly #descriptor: number;
  readonly #directory: number;
  readonly #name: Bytes;

  /** Directory and name of the same file serve the one call that has no form for descriptors. */
  constructor(fs: NativeFileSystem, descriptor: number, directory: number, name: Bytes) {
    this.#fs = fs;
    this.#descriptor = descriptor;
    this.#directory = directory;
    this.#name = name;
  }

  setOwner(uid: number, gid: number): void { this.#fs.setOwner(this.#descriptor, uid, gid); }
  setMode(mode: number): void { this.#fs.setMode(this.#descriptor, mode); }
  setTimes(seconds: number, nanoseconds: number): void { this.#fs.setTimes(this.#descriptor, seconds, nanoseconds); }
  setXattr(name: Bytes, value: Bytes): void { this.#fs.setXattr(this.#descriptor, name, value); }
  removeXattr(name: Bytes): void { this.#fs.removeXattrAt(this.#directory, this.#name, name); }
  xattrs(): Bytes { return this.#fs.xattrsOfDescriptor(this.#descriptor); }
}

/** One name as a list of names. */
export function packedName(name: Bytes): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(name.length + 1);
  packed.set(name);
  return packed;
}
