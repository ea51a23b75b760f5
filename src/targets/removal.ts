/**
 * Removes trees relative to open directories: depth first, never through a symlink, never into another file system, and
 * with a bounded number of descriptors for any depth.
 */
import type { Bytes } from '../base/bytes.ts';
import type { SnapError } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords } from '../base/stat-record.ts';
import { DIRECTORY_PHANTOM } from './directory-table.ts';
import { failedWith, occupied, targetError } from './target-error.ts';
import type { Removed, TargetHandle } from './target.ts';
import type { TargetTree } from './target-tree.ts';

/** Together with the directories and files of the restore below the usual limit of 1,024 descriptors. */
const MAX_OPEN_LEVELS = 256;
const CLOSED = -1;
const PRIVATE_MODE = 0o700;

interface Level {
  readonly name: Bytes;
  readonly names: NameQueue;
  descriptor: number;
  /** Something in it could not be removed and was reported, so it must stay as well. */
  isKept: boolean;
}

interface RemovalFault {
  /** Names below the directory that the removal began in. */
  readonly path: readonly Bytes[];
  readonly error: SnapError;
}

/** See `TreeTarget.removeOthers`. */
export function removeOthers(tree: TargetTree, handle: TargetHandle, keep: (name: Bytes) => boolean): Removed {
  const { fs, table, chain, options } = tree;
  const result: Removed = { removed: [], problems: [] };
  if (table.has(handle, DIRECTORY_PHANTOM)) return result;
  try {
    const directory = chain.descriptor(handle);
    const names = new NameQueue(fs.names(directory));
    for (let name = names.next(); name !== undefined; name = names.next()) {
      if (keep(name)) continue;
      const faults = options.dryRun ? [] : new Removal(fs, directory, name).run();
      if (faults.length === 0) result.removed.push(table.path(handle, name));
      for (const { path, error } of faults) result.problems.push({ path: Buffer.concat(joined(table.path(handle), path)), error });
    }
  } catch (error) {
    result.problems.push({ path: table.path(handle), error: targetError('remove what is not in the snapshot', error) });
  }
  return result;
}

function joined(directory: Bytes, names: readonly Bytes[]): Bytes[] {
  const slash = Uint8Array.of(0x2f);
  return (directory.length === 0 ? names : [directory, ...names]).flatMap((part, i) => (i === 0 ? [part] : [slash, part]));
}

/** One removal of `name` in `directory`, with all below; what cannot be removed is returned, the rest goes. */
class Removal {
  readonly #fs: NativeFileSystem;
  readonly #directory: number;
  readonly #name: Bytes;
  readonly #levels: Level[] = [];
  readonly #faults: RemovalFault[] = [];
  #device: Bytes = new Uint8Array(0);

  constructor(fs: NativeFileSystem, directory: number, name: Bytes) {
    this.#fs = fs;
    this.#directory = directory;
    this.#name = name;
  }

  run(): readonly RemovalFault[] {
    try {
      this.#device = deviceOf(this.#fs, this.#directory);
      this.#removeIn(this.#directory, this.#name);
      while (this.#levels.length > 0) this.#step(this.#levels.at(-1)!);
    } finally {
      for (const level of this.#levels) this.#close(level);
    }
    return this.#faults;
  }

  #step(level: Level): void {
    const name = level.names.next();
    if (name === undefined) return this.#leave(level);
    try {
      this.#removeIn(this.#descriptor(this.#levels.length - 1), name);
    } catch (error) {
      this.#fault(name, error);
    }
  }

  /** Without a stat: the answer of unlink tells whether it is a directory. */
  #removeIn(directory: number, name: Bytes): void {
    try {
      this.#fs.unlinkAt(directory, name, false);
    } catch (error) {
      if (failedWith(error, 'ENOENT')) return;
      // POSIX says EPERM for a directory, Linux EISDIR; when EPERM meant something else, entering fails with ENOTDIR.
      if (!failedWith(error, 'EISDIR', 'EPERM')) return this.#fault(name, error);
      this.#enter(directory, name, error);
    }
  }

  #enter(directory: number, name: Bytes, refusal: unknown): void {
    let descriptor: number;
    try {
      descriptor = this.#open(directory, name);
    } catch (error) {
      return this.#fault(name, failedWith(error, 'ENOTDIR', 'ELOOP') ? refusal : error);
    }
    const level: Level = { name, names: new NameQueue(new Uint8Array(0)), descriptor, isKept: false };
    try {
      if (Buffer.compare(deviceOf(this.#fs, descriptor), this.#device) !== 0) {
        this.#close(level);
        return this.#fault(name, occupied('Another file system is mounted there, so it was not removed'));
      }
      this.#levels.push({ ...level, names: new NameQueue(this.#fs.names(descriptor)) });
    } catch (error) {
      this.#close(level);
      return this.#fault(name, error);
    }
    const old = this.#levels[this.#levels.length - 1 - MAX_OPEN_LEVELS];
    if (old !== undefined) this.#close(old);
  }

  /** Whoever may remove a directory may be without the right to list it or to remove what is in it. */
  #open(directory: number, name: Bytes): number {
    let descriptor: number;
    try {
      descriptor = this.#fs.openDirectoryAt(directory, name);
    } catch (error) {
      if (!failedWith(error, 'EACCES')) throw error;
      this.#fs.setModeAt(directory, name, PRIVATE_MODE);
      return this.#fs.openDirectoryAt(directory, name);
    }
    try {
      const stat = new StatRecords(this.#fs.statDescriptor(descriptor));
      if ((stat.mode(0) & PRIVATE_MODE) !== PRIVATE_MODE) this.#fs.setMode(descriptor, PRIVATE_MODE);
    } catch (error) {
      // Not its owner: the removals below tell whether that matters.
      if (!failedWith(error, 'EPERM', 'EROFS')) {
        this.#fs.close(descriptor);
        throw error;
      }
    }
    return descriptor;
  }

  #leave(level: Level): void {
    this.#levels.pop();
    this.#close(level);
    if (level.isKept) return this.#keepParent();
    try {
      const parent = this.#levels.length === 0 ? this.#directory : this.#descriptor(this.#levels.length - 1);
      this.#fs.unlinkAt(parent, level.name, true);
    } catch (error) {
      if (!failedWith(error, 'ENOENT')) this.#fault(level.name, error);
    }
  }

  #keepParent(): void {
    const parent = this.#levels.at(-1);
    if (parent !== undefined) parent.isKept = true;
  }

  /** Opened again by walking down from the nearest open level. */
  #descriptor(depth: number): number {
    let from = depth;
    while (from >= 0 && this.#levels[from]!.descriptor === CLOSED) from--;
    let descriptor = from < 0 ? this.#directory : this.#levels[from]!.descriptor;
    for (let i = from + 1; i <= depth; i++) {
      const level = this.#levels[i]!;
      descriptor = this.#fs.openDirectoryAt(descriptor, level.name);
      level.descriptor = descriptor;
      // Of the levels on the way only the last ones stay open, since the removal goes up from here.
      if (i > 0 && i - 1 <= depth - MAX_OPEN_LEVELS) this.#close(this.#levels[i - 1]!);
    }
    return descriptor;
  }

  #close(level: Level): void {
    if (level.descriptor === CLOSED) return;
    this.#fs.close(level.descriptor);
    level.descriptor = CLOSED;
  }

  #fault(name: Bytes, error: unknown): void {
    this.#faults.push({ path: [...this.#levels.map(level => level.name), name], error: targetError('remove the entry', error) });
    this.#keepParent();
  }
}

/** Packed names, taken one by one. */
class NameQueue {
  readonly #packed: Bytes;
  #at = 0;

  constructor(packed: Bytes) {
    this.#packed = packed;
  }

  next(): Bytes | undefined {
    if (this.#at >= this.#packed.length) return undefined;
    const end = this.#packed.indexOf(0, this.#at);
    const name = this.#packed.subarray(this.#at, end);
    this.#at = end + 1;
    return name;
  }
}

function deviceOf(fs: NativeFileSystem, descriptor: number): Bytes {
  return new StatRecords(fs.statDescriptor(descriptor)).deviceBytes(0);
}
