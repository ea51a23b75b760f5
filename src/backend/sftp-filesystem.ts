/**
 * The calls of the local adapter over SFTP, so that one publisher, one listing and one set of rules serve both. Differences:
 * names cannot be synced, a file has no count of names, and of most failures the server does not say why.
 */
import type { Stats } from 'ssh2';
import { Semaphore } from '../base/concurrency.ts';
import { type DirectoryEntry, type EntryKind, errnoError, errnoOf, type FileStat, type FileSystem, type NewFile, type OpenFile } from './local-filesystem.ts';
import { closeQuietly, SftpNewFile, SftpOpenFile } from './sftp-file.ts';
import { type SftpRequest, type SftpSession, UNSPECIFIED } from './sftp-session.ts';

/** Opens a connection; called again when one is lost. */
export type Connect = () => Promise<SftpSession>;

/** Less than this free: full, when a write fails without a reason. */
const NEARLY_FULL_BYTES = 2 * 1024 * 1024;
const FILE_MODE = 0o600;
const DIRECTORY_MODE = 0o700;
/** Directories of one listing that are read at once: a list of packs has 256, each with several round trips. */
const DIRECTORIES_AT_ONCE = 16;

export class SftpFileSystem implements FileSystem {
  readonly directoriesAtOnce = DIRECTORIES_AT_ONCE;
  readonly #connect: Connect;
  /** Servers bound the files that one session has open. */
  readonly #openFiles: Semaphore;
  #session: Promise<SftpSession> | undefined;
  #connecting: Promise<SftpSession> | undefined;
  #isClosed = false;
  #hasLinked = false;

  constructor(connect: Connect, openFiles: number) {
    this.#connect = connect;
    this.#openFiles = new Semaphore(openFiles);
  }

  async createFile(path: string): Promise<NewFile> {
    const explain = (error: unknown): Promise<unknown> => this.#explained(error, path);
    return this.#open(path, 'wx', (session, handle, release) => new SftpNewFile({ session, handle, release }, explain));
  }

  async openFile(path: string): Promise<OpenFile> {
    // Beside the opening, so that it costs no round trip of its own: SFTP cannot refuse links and pipes when it opens.
    const stat = this.stat(path).then(found => {
      if (found.kind === 'directory') throw errnoError('EISDIR', 'a directory');
      if (found.kind !== 'file') throw errnoError('ELOOP', 'not a plain file');
      return found;
    });
    const [opened, checked] = await Promise.allSettled([
      this.#open(path, 'r', (session, handle, release) => new SftpOpenFile({ session, handle, release })), stat,
    ]);
    if (checked.status === 'rejected') {
      if (opened.status === 'fulfilled') await opened.value.close();
      throw checked.reason;
    }
    if (opened.status === 'rejected') throw opened.reason;
    opened.value.knownSize = checked.value.sizeBytes;
    return opened.value;
  }

  async link(existing: string, path: string): Promise<void> {
    try {
      await this.#request((sftp, done) => sftp.ext_openssh_hardlink(existing, path, done));
      this.#hasLinked = true;
    } catch (error) {
      // In a directory of our own 'permission denied' is what file systems without hard links say (EPERM).
      if (errnoOf(error) === 'EACCES') throw errnoError('EPERM', 'the server refuses hard links');
      if (errnoOf(error) !== UNSPECIFIED) throw error;
      if (await this.#kindOf(path) !== undefined) throw errnoError('EEXIST', 'the name is taken');
      if (!this.#hasLinked) throw errnoError('EOPNOTSUPP', 'the server makes no hard links');
      throw await this.#explained(error, path);
    }
  }

  async rename(from: string, to: string): Promise<void> {
    try {
      await this.#request((sftp, done) => sftp.ext_openssh_rename(from, to, done));
    } catch (error) {
      if (errnoOf(error) !== 'ENOTSUP') throw await this.#explained(error, to);
      // The plain call does not replace; whatever it answers when the name is taken, nothing is lost.
      await this.#request((sftp, done) => sftp.rename(from, to, done));
    }
  }

  async unlink(path: string): Promise<void> {
    try {
      await this.#request((sftp, done) => sftp.unlink(path, done));
    } catch (error) {
      if ([UNSPECIFIED, 'EACCES'].includes(errnoOf(error)) && await this.#kindOf(path) === 'directory') throw errnoError('EISDIR', 'a directory');
      throw await this.#explained(error, path);
    }
  }

  async makeDirectory(path: string): Promise<void> {
    try {
      await this.#request((sftp, done) => sftp.mkdir(path, { mode: DIRECTORY_MODE }, done));
    } catch (error) {
      // Some servers answer 'permission denied' for a directory that is there.
      if ([UNSPECIFIED, 'EACCES'].includes(errnoOf(error)) && await this.#kindOf(path) !== undefined) throw errnoError('EEXIST', 'the name is taken');
      throw await this.#explained(error, path);
    }
  }

  async removeDirectory(path: string): Promise<void> {
    try {
      await this.#request((sftp, done) => sftp.rmdir(path, done));
    } catch (error) {
      throw errnoOf(error) === UNSPECIFIED ? errnoError('ENOTEMPTY', 'the directory is in use') : error;
    }
  }

  /** SFTP has no such call: how long a new name survives a power cut of the server is up to its file system. */
  async syncDirectory(): Promise<void> {
    // Nothing can be done.
  }

  async readDirectory(path: string): Promise<readonly DirectoryEntry[]> {
    const session = await this.#current();
    const handle = await session.request<Buffer>((sftp, done) => sftp.opendir(path, done)).catch(async (error: unknown) => {
      throw errnoOf(error) === UNSPECIFIED && await this.#kindOf(path) === 'file' ? errnoError('ENOTDIR', 'not a directory') : error;
    });
    try {
      const entries = await session.entries(handle);
      return await Promise.all(entries.map(async ({ filename: name, attrs }): Promise<DirectoryEntry> => {
        const stat = toFileStat(attrs);
        if (!attrs.isSymbolicLink()) return { name, kind: stat.kind, stat };
        return { name, kind: await this.#leadsToDirectory(`${path}/${name}`) ? 'directory' : 'other' };
      }));
    } finally {
      await closeQuietly(session, handle);
    }
  }

  async stat(path: string): Promise<FileStat> {
    const stat = toFileStat(await this.#request<Stats>((sftp, done) => sftp.lstat(path, done)));
    // Only the root is asked for in this way, to find out whether its disk is still the same.
    return path.endsWith('/.') ? { ...stat, device: await this.#fileSystemNumber(path) } : stat;
  }

  async statAll(directory: string, names: readonly string[]): Promise<readonly (FileStat | undefined)[]> {
    return Promise.all(names.map(name => this.stat(`${directory}/${name}`).catch((error: unknown) => {
      if (errnoOf(error) === 'ENOENT') return undefined;
      throw error;
    })));
  }

  async space(path: string): Promise<{ freeBytes: number; totalBytes: number }> {
    const { f_bavail, f_bfree, f_blocks, f_frsize } = await this.#request<VolumeStats>((sftp, done) => sftp.ext_openssh_statvfs(path, done as never));
    return { freeBytes: f_bavail * f_frsize, totalBytes: (f_blocks - f_bfree + f_bavail) * f_frsize };
  }

  /** Absolute path of the directory that a session begins in, which is the home directory. */
  homeDirectory(): Promise<string> {
    return this.#request((sftp, done) => sftp.realpath('.', done));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const session = await this.#session?.catch(() => undefined);
    session?.close();
  }

  async #request<T = void>(send: SftpRequest<T>): Promise<T> {
    return (await this.#current()).request(send);
  }

  /** The error with what can be found out about its reason: a full disk is the one that people can do something about. */
  async #explained(error: unknown, path: string): Promise<unknown> {
    if (errnoOf(error) !== UNSPECIFIED) return error;
    const volume = await this.#request<VolumeStats>((sftp, done) => sftp.ext_openssh_statvfs(parentOf(path), done as never)).catch(() => undefined);
    if (volume !== undefined && volume.f_bavail * volume.f_frsize < NEARLY_FULL_BYTES) return errnoError('ENOSPC', 'no space left on the disk of the server');
    if (volume !== undefined && volume.f_files > 0 && volume.f_favail === 0) return errnoError('ENOSPC', 'no free inode left on the disk of the server');
    return errnoError('EIO', "the server says only 'Failure': a quota may be used up; or the disk fails");
  }

  /** The session that lives, or a new one; callers at one time share the connecting. */
  async #current(): Promise<SftpSession> {
    if (this.#isClosed) throw errnoError('ECONNRESET', 'the connection is closed');
    const session = await this.#session?.catch(() => undefined);
    if (session?.isOpen === true) return session;
    if (this.#connecting === undefined) {
      const connecting = this.#connect().finally(() => { this.#connecting = undefined; });
      this.#connecting = connecting;
      this.#session = connecting;
    }
    return this.#connecting;
  }

  async #open<F>(path: string, flags: 'r' | 'wx', make: (session: SftpSession, handle: Buffer, release: () => void) => F): Promise<F> {
    await this.#openFiles.acquire();
    try {
      const session = await this.#current();
      const handle = await session.request<Buffer>((sftp, done) => flags === 'r' ? sftp.open(path, 'r', done) : sftp.open(path, 'wx', { mode: FILE_MODE }, done));
      return make(session, handle, () => this.#openFiles.release());
    } catch (error) {
      this.#openFiles.release();
      throw flags === 'r' ? error : await this.#explained(error, path);
    }
  }

  async #kindOf(path: string): Promise<EntryKind | undefined> {
    try {
      return (await this.stat(path)).kind;
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error))) return undefined;
      throw error;
    }
  }

  async #leadsToDirectory(path: string): Promise<boolean> {
    try {
      return (await this.#request<Stats>((sftp, done) => sftp.stat(path, done))).isDirectory();
    } catch (error) {
      if (['ENOENT', 'ELOOP', 'ENOTDIR', UNSPECIFIED].includes(errnoOf(error))) return false;
      throw error;
    }
  }

  async #fileSystemNumber(path: string): Promise<number> {
    try {
      return Number((await this.#request<VolumeStats>((sftp, done) => sftp.ext_openssh_statvfs(path, done as never))).f_sid);
    } catch (error) {
      if (!['ENOTSUP', UNSPECIFIED].includes(errnoOf(error))) throw error;
      return 0;
    }
  }
}

/** Answer of statvfs@openssh.com. */
interface VolumeStats {
  readonly f_frsize: number;
  readonly f_bavail: number;
  readonly f_bfree: number;
  readonly f_blocks: number;
  readonly f_files: number;
  readonly f_favail: number;
  /** ssh2's name for f_fsid. */
  readonly f_sid: number;
}

function toFileStat(attrs: Stats): FileStat {
  return {
    kind: attrs.isFile() ? 'file' : attrs.isDirectory() ? 'directory' : 'other',
    sizeBytes: attrs.size, modifiedAt: attrs.mtime * 1000,
    // The protocol tells neither.
    links: 1, device: 0,
  };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}
