/**
 * File-system calls that Node does not offer: names as bytes, paths of any length, calls relative to an open directory,
 * nanosecond times, extended attributes, device nodes, holes, and batches that save one crossing per file.
 *
 * The work is done by the addon in `native/filesystem` (built to `native/build/filesystem.node`). All calls are
 * synchronous. A failing call throws a `NativeError`; batch calls report an errno per entry instead; an argument of a wrong
 * type throws TypeError, one out of bounds RangeError. A `path` is raw bytes without NUL and may be longer than PATH_MAX (it
 * is opened piece by piece); a `name` is one path component of 1 to 4,095 bytes, never '.', '..' or with '/'; lists of names
 * are packed as name, NUL, name, NUL, ...
 */
import { createRequire } from 'node:module';
import type { Bytes } from './bytes.ts';

/** What the addon throws. */
export interface NativeError extends Error {
  /** 'ENOENT', 'EACCES', ... */
  readonly code: string;
  /** Positive errno. */
  readonly errno: number;
  readonly syscall: string;
}

/**
 * Layout of one stat record, little-endian. All fields but `errno` are zero when errno is not.
 *
 * | offset | field | | offset | field |
 * |---|---|---|---|---|
 * | 0 | u32 errno of the lstat | | 48 | u64 ctime seconds (two's complement) |
 * | 4 | u32 st_mode, type bits included | | 56 | u32 ctime nanoseconds |
 * | 8 | u32 uid | | 60 | u32 nlink |
 * | 12 | u32 gid | | 64 | u64 inode |
 * | 16 | u64 size | | 72 | u32 rdev major |
 * | 24 | u64 mtime seconds (two's complement) | | 76 | u32 rdev minor |
 * | 32 | u32 mtime nanoseconds | | 80 | u64 blocks of 512 B |
 * | 36 | u32 reserved, 0 | | 88 | u64 device |
 * | 40 | u64 reserved, 0 | | | |
 */
export const STAT_RECORD_BYTES = 96;

/** Numbers of the result record of `readFiles`, per file: see there. */
export const READ_RESULT_FIELDS = 4;
/** Flags in a `readFiles` result. */
export const READ_CHANGED = 1;
export const READ_TOO_LARGE = 2;

export interface OpenFlags {
  readonly write?: boolean;
  readonly create?: boolean;
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  /** Permission bits for a new file. */
  readonly mode?: number;
}

export interface NativeFileSystem {
  // --- opening; every descriptor is close-on-exec and never follows a symlink in the last component unless `follow` ---
  /** Without the right to list the directory the descriptor serves for calls relative to it only; `names` then fails with EACCES. */
  openDirectory(path: Bytes, follow: boolean): number;
  openDirectoryAt(directory: number, name: Bytes): number;
  /** Opens for reading without changing atime where allowed, never blocking on a fifo; with `write` for writing only. */
  openFileAt(directory: number, name: Bytes, flags: OpenFlags): number;
  close(fd: number): void;

  // --- reading ---
  /** Names in a directory, sorted by bytes, without '.' and '..', packed. */
  names(directory: number): Uint8Array;
  /** One stat record (lstat) for each packed name. */
  stats(directory: number, names: Bytes): Uint8Array;
  statDescriptor(fd: number): Uint8Array;
  /** lstat or stat of a path of any length. */
  statPath(path: Bytes, follow: boolean): Uint8Array;
  readLinkAt(directory: number, name: Bytes): Uint8Array;
  /**
   * Reads whole small files in one crossing. File i has the packed name i and the stat record i of `expected`; its bytes
   * go to `target` from `start`, one file directly after the other. The files from number `first` on are read. `results` gets
   * four numbers for file i, from 4i on: errno (0 = read), bytes read, flags (READ_CHANGED: size, mtime, ctime or inode differ
   * from `expected` before or after reading, or another number of bytes was there; READ_TOO_LARGE: does not fit between
   * `start` and the end of `target`, nothing stored), and position in `target`. Not a regular file: errno ESTALE.
   * Returns how many files were handled; fewer than asked only when `target` was full for the next one.
   */
  readFiles(directory: number, names: Bytes, expected: Bytes, first: number, target: Bytes, start: number, results: Float64Array): number;
  /** Bytes read at `position` into target[start, start+length); short only at the end of the file. */
  read(fd: number, target: Bytes, start: number, length: number, position: number): number;
  /** Offset of the next data and of the hole after it at or after `position`: [data, hole]; data = size at the end. */
  nextData(fd: number, position: number): [data: number, hole: number];
  /**
   * Extended attributes of each packed name (symlinks themselves, not their targets), POSIX ACLs included, packed per name:
   * u32 errno, u32 count, then per attribute u32 name length, name, u32 value length, value; sorted by name. A non-zero
   * errno says that the list or some value could not be read; the attributes given with it are right. Attributes below
   * security.* and trusted.* that this user may not read are left out without an errno. Needs /proc on Linux (else ENOSYS).
   */
  xattrs(directory: number, names: Bytes): Uint8Array;
  /** The same for one open descriptor. */
  xattrsOfDescriptor(fd: number): Uint8Array;
  /** Name of a user or group id, or undefined. */
  userName(uid: number): string | undefined;
  groupName(gid: number): string | undefined;
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;

  // --- writing, relative to an open directory; nothing follows a symlink; modes of new entries are subject to the umask ---
  makeDirectoryAt(directory: number, name: Bytes, mode: number): void;
  makeSymlinkAt(target: Bytes, directory: number, name: Bytes): void;
  makeLinkAt(fromDirectory: number, fromName: Bytes, directory: number, name: Bytes): void;
  /** `mode` with type bits: fifo, socket, character or block device. Not on macOS: ENOTSUP. */
  makeNodeAt(directory: number, name: Bytes, mode: number, major: number, minor: number): void;
  renameAt(fromDirectory: number, fromName: Bytes, directory: number, name: Bytes): void;
  unlinkAt(directory: number, name: Bytes, isDirectory: boolean): void;
  /** Writes source[start, start+length) at `position`; always all of it, or it throws. */
  write(fd: number, source: Bytes, start: number, length: number, position: number): number;
  /**
   * New files of a directory, on another thread: each is made (EEXIST when its name is taken), written, given mode and time, and
   * closed. `files` has five numbers for each packed name: start and length in `content`, mode, and seconds and nanoseconds of its
   * mtime. Resolves to an errno for each; a file whose errno is not 0 is not there. `content` must stay as it is until then, and
   * must not be transferred; `directory` may be closed.
   */
  writeNewFiles(directory: number, names: Bytes, content: Bytes, files: Float64Array): Promise<Float64Array>;
  truncate(fd: number, size: number): void;
  /** Reserves space and so fails early with ENOSPC, without changing the size; quietly does nothing where it is not supported. */
  allocate(fd: number, size: number): void;
  sync(fd: number): void;
  /** Flushes the whole file system that holds the descriptor. */
  syncFileSystem(fd: number): void;
  /** An id of -1 stays as it is. */
  setOwnerAt(directory: number, name: Bytes, uid: number, gid: number): void;
  /** Not for symlinks: ENOTSUP. */
  setModeAt(directory: number, name: Bytes, mode: number): void;
  /** atime stays as it is. */
  setTimesAt(directory: number, name: Bytes, mtimeSeconds: number, mtimeNanoseconds: number): void;
  setXattrAt(directory: number, name: Bytes, attribute: Bytes, value: Bytes): void;
  removeXattrAt(directory: number, name: Bytes, attribute: Bytes): void;
  setOwner(fd: number, uid: number, gid: number): void;
  setMode(fd: number, mode: number): void;
  setTimes(fd: number, mtimeSeconds: number, mtimeNanoseconds: number): void;
  setXattr(fd: number, attribute: Bytes, value: Bytes): void;
  /** [free bytes for this user, total bytes] of the file system that holds the descriptor. */
  freeSpace(fd: number): [free: number, total: number];

  /** Gives memory that was freed by any thread of the process back to the system; does nothing where that is not needed. Takes 1 to 3 ms. */
  returnFreeMemory(): void;
}

let loaded: NativeFileSystem | undefined;

/** The addon; loaded once per thread, on first use. */
export function nativeFileSystem(): NativeFileSystem {
  loaded ??= createRequire(import.meta.url)('../../native/build/filesystem.node') as NativeFileSystem;
  return loaded;
}
