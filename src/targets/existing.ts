/** What lies at the place of an entry, and whether the overwrite mode lets it be replaced. */
import { constants } from 'node:os';
import { getSystemErrorName } from 'node:util';
import type { Bytes } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, unpackNames } from '../base/stat-record.ts';
import type { Time } from '../format/tree-node.ts';
import { DIRECTORY_CASE_SENSITIVE, type DirectoryTable } from './directory-table.ts';
import { packedName } from './spot.ts';
import type { OverwriteMode, TargetHandle } from './target.ts';

/** The entry itself, not what a symlink points to; undefined when there is none. @throws NativeError */
export function statAt(fs: NativeFileSystem, directory: number, name: Bytes): StatRecords | undefined {
  const found = new StatRecords(fs.stats(directory, packedName(name)));
  const errno = found.errno(0);
  if (errno === 0) return found;
  if (errno === constants.errno.ENOENT) return undefined;
  const code = getSystemErrorName(-errno);
  throw Object.assign(new Error(`${code}: lstat failed`), { code, errno, syscall: 'fstatat' });
}

/** May the entry of this time take the place of something of that time? */
export function mayReplace(mode: OverwriteMode, wanted: Time, found: Time): boolean {
  switch (mode) {
    case 'always':
    case 'if-changed': return true;
    case 'if-newer': return wanted[0] > found[0] || (wanted[0] === found[0] && wanted[1] > found[1]);
    case 'never': return false;
  }
}

/**
 * Finds out whether an existing entry was looked up under another spelling: some file systems take names for equal that
 * differ by case or Unicode form, and restoring both would let one overwrite the other.
 */
export class Spelling {
  readonly #fs: NativeFileSystem;
  readonly #table: DirectoryTable;
  #listed: TargetHandle | undefined;
  #names = new Set<string>();

  constructor(fs: NativeFileSystem, table: DirectoryTable) {
    this.#fs = fs;
    this.#table = table;
  }

  /** For a name under which something was found. @throws NativeError */
  differs(handle: TargetHandle, directory: number, name: Bytes): boolean {
    if (isAscii(name) && this.#isCaseSensitive(handle, directory, name)) return false;
    const key = latin1(name);
    if (this.#listed === handle && this.#names.has(key)) return false;
    this.#list(handle, directory);
    return !this.#names.has(key);
  }

  /**
   * One lstat tells for a whole directory: it finds nothing under the name with its letters in the other case. An ASCII name
   * without letters has one spelling anyway.
   */
  #isCaseSensitive(handle: TargetHandle, directory: number, name: Bytes): boolean {
    if (this.#table.has(handle, DIRECTORY_CASE_SENSITIVE)) return true;
    const swapped = swapCase(name);
    if (swapped === undefined) return true;
    if (statAt(this.#fs, directory, swapped) !== undefined) return false;
    this.#table.mark(handle, DIRECTORY_CASE_SENSITIVE);
    return true;
  }

  #list(handle: TargetHandle, directory: number): void {
    const packed = this.#fs.names(directory);
    let count = 0;
    for (let at = packed.indexOf(0); at !== -1; at = packed.indexOf(0, at + 1)) count++;
    this.#names = new Set(unpackNames(packed, count).map(latin1));
    this.#listed = handle;
  }
}

function isAscii(name: Bytes): boolean {
  for (let i = 0; i < name.length; i++) if (name[i]! >= 0x80) return false;
  return true;
}

/** Undefined when there is no letter. */
function swapCase(name: Bytes): Bytes | undefined {
  const swapped = Uint8Array.from(name, byte => (isLetter(byte | 0x20) ? byte ^ 0x20 : byte));
  return swapped.some((byte, i) => byte !== name[i]) ? swapped : undefined;
}

/** `a` to `z`. */
function isLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a;
}

function latin1(name: Bytes): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}
