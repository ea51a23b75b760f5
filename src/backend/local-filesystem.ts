/**
 * The few file-system calls that the local adapter stands on, so that a test can put a simulated file system with
 * crashes in their place. Paths are absolute; a failing call throws an error with an errno name as `code`.
 */
import { constants, lstat, type Stats } from 'node:fs';
import { chmod, type FileHandle, link, mkdir, open, readdir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import { platform } from 'node:os';
import type { Bytes } from '../base/bytes.ts';

/** `other` is everything that is neither a plain file nor a directory: devices, pipes, links to files. */
export type EntryKind = 'file' | 'directory' | 'other';

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: EntryKind;
  /** Where a directory tells it without further questions. */
  readonly stat?: FileStat | undefined;
}

export interface FileStat {
  readonly kind: EntryKind;
  readonly sizeBytes: number;
  /** Milliseconds since 1970 by the clock of the storage. */
  readonly modifiedAt: number;
  /** How many names the file has. */
  readonly links: number;
  /** Number of the file system that it lies on. */
  readonly device: number;
}

export interface NewFile {
  /** Appends all parts, or throws. */
  write(parts: readonly Bytes[]): Promise<void>;
  /** Resolves when the content survives a power cut; the name needs `syncDirectory`. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface OpenFile {
  /** EISDIR for a directory. */
  sizeBytes(): Promise<number>;
  /** Fills `target` from `position`; returns how many bytes there were, fewer only at the end of the file. */
  read(target: Uint8Array<ArrayBuffer>, position: number): Promise<number>;
  close(): Promise<void>;
}

export interface FileSystem {
  /** How many directories of one listing are best read at once; default 1. */
  readonly directoriesAtOnce?: number;
  /** A new file with mode 600 whatever the umask; EEXIST when the name is taken. */
  createFile(path: string): Promise<NewFile>;
  /** Never follows a symbolic link in the last component (ELOOP) and never blocks on a pipe. */
  openFile(path: string): Promise<OpenFile>;
  /** Gives a file a second name; EEXIST when that is taken. */
  link(existing: string, path: string): Promise<void>;
  /** Replaces what has the new name. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** A new directory with mode 700 whatever the umask; EEXIST when the name is taken. */
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  /** Resolves when all names that were made in or removed from the directory before the call survive a power cut. */
  syncDirectory(path: string): Promise<void>;
  /** A symbolic link to a directory counts as a directory. */
  readDirectory(path: string): Promise<readonly DirectoryEntry[]>;
  /** Does not follow a symbolic link in the last component. */
  stat(path: string): Promise<FileStat>;
  /** Like `stat`, for many names of one directory; undefined for a name that has vanished. */
  statAll(directory: string, names: readonly string[]): Promise<readonly (FileStat | undefined)[]>;
  /** Of the disk, bytes; free is what an unprivileged user can still write. */
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
}

/** The errno name of a failed system call; empty for any other error. */
export function errnoOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** An error in the shape of Node's own system errors. */
export function errnoError(code: string, detail: string): Error {
  return Object.assign(new Error(`${code}: ${detail}`), { code });
}

const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
// Windows has neither flag; there a link is followed and no pipe has a name in a directory.
const READ_FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
/** What a file system answers that offers no sync of directories; restic `internal/backend/local/local_unix.go` has the same list. */
const NO_DIRECTORY_SYNC = ['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];
/** What a file system without permission bits answers to chmod; the Linux vfat driver says EPERM. */
const NO_MODES = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'];

class NodeNewFile implements NewFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(parts: readonly Bytes[]): Promise<void> {
    let pending = parts.filter(part => part.length > 0);
    while (pending.length > 0) {
      // A short count tells of a full disk or of the 2 GiB limit of writev; the next call gets the error, if there is one.
      const { bytesWritten } = await this.#handle.writev(pending);
      if (bytesWritten === 0) throw errnoError('EIO', 'the file takes no more bytes, writev');
      pending = afterBytes(pending, bytesWritten);
    }
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

function afterBytes(parts: readonly Bytes[], count: number): Bytes[] {
  let left = count;
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i]!;
    if (left < part.length) return [part.subarray(left), ...parts.slice(i + 1)];
    left -= part.length;
  }
  return [];
}

class NodeOpenFile implements OpenFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async sizeBytes(): Promise<number> {
    const stats = await this.#handle.stat();
    if (!stats.isFile()) throw errnoError('EISDIR', 'not a plain file, fstat');
    return stats.size;
  }

  async read(target: Uint8Array<ArrayBuffer>, position: number): Promise<number> {
    let filled = 0;
    while (filled < target.length) {
      const { bytesRead } = await this.#handle.read(target, filled, target.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

const toFileStat = (stats: Stats): FileStat => ({
  kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : 'other',
  sizeBytes: stats.size,
  modifiedAt: Math.floor(stats.mtimeMs),
  links: stats.nlink,
  device: stats.dev,
});

/** The callback form: a promise of `node:fs/promises` per file costs a third more, and a listing has a million files. */
function lstatNow(path: string): Promise<FileStat> {
  return new Promise((resolve, reject) => {
    lstat(path, (error, stats) => error === null ? resolve(toFileStat(stats)) : reject(error));
  });
}

async function tolerateMissing(codes: readonly string[], call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!codes.includes(errnoOf(error))) throw error;
  }
}

async function createFile(path: string): Promise<NewFile> {
  const handle = await open(path, 'wx', FILE_MODE);
  try {
    await tolerateMissing(NO_MODES, handle.chmod(FILE_MODE));
    return new NodeNewFile(handle);
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function makeDirectory(path: string): Promise<void> {
  await mkdir(path, DIRECTORY_MODE);
  await tolerateMissing(NO_MODES, chmod(path, DIRECTORY_MODE));
}

async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory for that; NTFS journals names by itself.
  if (platform() === 'win32') return;
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await tolerateMissing(NO_DIRECTORY_SYNC, handle.sync());
  } finally {
    await handle.close();
  }
}

async function readDirectory(path: string): Promise<readonly DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  for (const entry of await readdir(path, { withFileTypes: true })) {
    const isDirectory = entry.isDirectory() || (entry.isSymbolicLink() && await leadsToDirectory(`${path}/${entry.name}`));
    entries.push({ name: entry.name, kind: entry.isFile() ? 'file' : isDirectory ? 'directory' : 'other' });
  }
  return entries;
}

async function leadsToDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch (error) {
    if (['ENOENT', 'ELOOP', 'ENOTDIR'].includes(errnoOf(error))) return false;
    throw error;
  }
}

async function statAll(directory: string, names: readonly string[]): Promise<readonly (FileStat | undefined)[]> {
  return Promise.all(names.map(name => lstatNow(`${directory}/${name}`).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  })));
}

/** The file system of the operating system. */
export const nodeFileSystem: FileSystem = {
  createFile,
  openFile: async path => new NodeOpenFile(await open(path, READ_FLAGS)),
  link,
  rename,
  unlink,
  makeDirectory,
  removeDirectory: rmdir,
  syncDirectory,
  readDirectory,
  stat: lstatNow,
  statAll,
  space: async path => {
    const { bavail, bfree, blocks, bsize } = await statfs(path);
    // As df(1) counts: what is reserved for the administrator is neither free nor used.
    return { freeBytes: bavail * bsize, totalBytes: (blocks - bfree + bavail) * bsize };
  },
};
