/** Reads the stat records of `native-filesystem.ts` in place, without an object per record. */
import { viewOf, type Bytes } from './bytes.ts';
import { STAT_RECORD_BYTES } from './native-filesystem.ts';

/** `st_mode & FILE_TYPE_MASK` is one of the following. */
export const FILE_TYPE_MASK = 0o170000;
export const TYPE_FIFO = 0o010000;
export const TYPE_CHARACTER_DEVICE = 0o020000;
export const TYPE_DIRECTORY = 0o040000;
export const TYPE_BLOCK_DEVICE = 0o060000;
export const TYPE_FILE = 0o100000;
export const TYPE_SYMLINK = 0o120000;
export const TYPE_SOCKET = 0o140000;

/** Seconds as signed 64 bit, nanoseconds upwards from the second. */
export type TimePair = [seconds: number, nanoseconds: number];

export class StatRecords {
  readonly bytes: Bytes;
  readonly #view: DataView;

  constructor(bytes: Bytes) {
    this.bytes = bytes;
    this.#view = viewOf(bytes);
  }

  get count(): number {
    return this.bytes.length / STAT_RECORD_BYTES;
  }

  #u32(i: number, field: number): number {
    return this.#view.getUint32(i * STAT_RECORD_BYTES + field, true);
  }

  #u64(i: number, field: number): number {
    const at = i * STAT_RECORD_BYTES + field;
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** Seconds are signed; beyond 2^53 the nearest number, which no file system reaches. */
  #time(i: number, field: number): TimePair {
    const at = i * STAT_RECORD_BYTES + field;
    return [this.#view.getUint32(at, true) + this.#view.getInt32(at + 4, true) * 2 ** 32, this.#view.getUint32(at + 8, true)];
  }

  /** errno of the lstat; 0 when the record is valid. */
  errno(i: number): number { return this.#u32(i, 0); }
  mode(i: number): number { return this.#u32(i, 4); }
  type(i: number): number { return this.#u32(i, 4) & FILE_TYPE_MASK; }
  uid(i: number): number { return this.#u32(i, 8); }
  gid(i: number): number { return this.#u32(i, 12); }
  size(i: number): number { return this.#u64(i, 16); }
  mtime(i: number): TimePair { return this.#time(i, 24); }
  ctime(i: number): TimePair { return this.#time(i, 48); }
  linkCount(i: number): number { return this.#u32(i, 60); }
  inode(i: number): number { return this.#u64(i, 64); }
  /** Inode as the exact 64 bits, for comparisons and hashes. */
  inodeBytes(i: number): Bytes { return this.bytes.subarray(i * STAT_RECORD_BYTES + 64, i * STAT_RECORD_BYTES + 72); }
  deviceMajor(i: number): number { return this.#u32(i, 72); }
  deviceMinor(i: number): number { return this.#u32(i, 76); }
  allocatedBytes(i: number): number { return this.#u64(i, 80) * 512; }
  /** Number of the file system, as 8 bytes. */
  deviceBytes(i: number): Bytes { return this.bytes.subarray(i * STAT_RECORD_BYTES + 88, i * STAT_RECORD_BYTES + 96); }
  /** One record. */
  at(i: number): Bytes { return this.bytes.subarray(i * STAT_RECORD_BYTES, (i + 1) * STAT_RECORD_BYTES); }
}

/** Names packed as name, NUL, name, NUL, ... as views of the packed bytes. */
export function unpackNames(packed: Bytes, count: number): Bytes[] {
  const names: Bytes[] = new Array<Bytes>(count);
  let at = 0;
  for (let i = 0; i < count; i++) {
    const end = packed.indexOf(0, at);
    names[i] = packed.subarray(at, end);
    at = end + 1;
  }
  return names;
}
