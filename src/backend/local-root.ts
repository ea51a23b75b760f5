import { dirname } from 'node:path';
import type { Random } from '../base/ambient.ts';
import { toHex } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { BackendCapabilities } from './backend.ts';
import { localError, rootVanished, saysMissing } from './local-errors.ts';
import { errnoOf, type FileSystem } from './local-filesystem.ts';
import { printable, TEMPORARY_DIRECTORY } from './object-arguments.ts';
import type { Failure } from './object-errors.ts';

/** What link answers on a file system without hard links: vfat and exfat EPERM, others the rest. */
const NO_HARD_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'];
/** Why a file for a trial cannot be made although the directory can be read. */
const NO_TRIAL = ['EACCES', 'EPERM', 'EROFS', 'ENOSPC', 'EDQUOT'];

/** The directory of a repository, and whether it is still the one that was opened. */
export class LocalRoot {
  readonly fileSystem: FileSystem;
  /** Absolute. */
  readonly path: string;
  readonly location: string;
  readonly createIfAbsent: BackendCapabilities['createIfAbsent'];
  #device: number;

  constructor(fileSystem: FileSystem, path: string, found: { location: string; device: number; createIfAbsent: BackendCapabilities['createIfAbsent'] }) {
    this.fileSystem = fileSystem;
    this.path = path;
    this.location = found.location;
    this.createIfAbsent = found.createIfAbsent;
    this.#device = found.device;
  }

  /** False when nothing below the root can be judged: it is gone, or it is the empty mount point of a disk that is gone. */
  async isThere(): Promise<boolean> {
    try {
      const { kind, device } = await this.fileSystem.stat(`${this.path}/.`);
      if (kind !== 'directory') return false;
      // An automounter may have mounted the same disk anew, under another number.
      if (device !== this.#device && (await this.fileSystem.readDirectory(this.path)).length === 0) return false;
      this.#device = device;
      return true;
    } catch {
      // Whatever the reason: nobody can tell what is there, and the caller reports the error that made it ask.
      return false;
    }
  }

  /** @throws UNAVAILABLE with the given cause unless the root is there */
  async assertIsThere(failure: Failure, cause?: unknown): Promise<void> {
    if (!await this.isThere()) throw rootVanished(failure, cause);
  }
}

export interface RootOptions {
  readonly create: boolean;
  readonly random: Random;
  /** Printable; default the path. */
  readonly location?: string | undefined;
}

/** @throws REPOSITORY_NOT_FOUND when there is no directory and `create` is not set */
export async function openRoot(fileSystem: FileSystem, path: string, options: RootOptions): Promise<LocalRoot> {
  const { location = printable(path) } = options;
  const failure: Failure = { verb: 'open', location, name: '' };
  try {
    if (options.create) await makeDurably(fileSystem, path);
    // The dot follows a symbolic link to the directory.
    const { device } = await fileSystem.stat(`${path}/.`);
    const hasHardLinks = await probeHardLinks(fileSystem, path, options);
    return new LocalRoot(fileSystem, path, { location, device, createIfAbsent: hasHardLinks ? 'atomic' : 'none' });
  } catch (error) {
    // A connection that could not be made, say.
    if (error instanceof SnapError) throw error;
    if (!saysMissing(error) || options.create) throw localError(failure, error);
    throw new SnapError('REPOSITORY_NOT_FOUND', `There is no directory '${failure.location}'`, {
      cause: error, hint: 'Check the location and that its disk is mounted', context: { location: failure.location },
    });
  }
}

async function makeDurably(fileSystem: FileSystem, path: string): Promise<void> {
  const parent = dirname(path);
  try {
    await fileSystem.makeDirectory(path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return;
    if (errnoOf(error) !== 'ENOENT' || parent === path) throw error;
    await makeDurably(fileSystem, parent);
    await makeDurably(fileSystem, path);
    return;
  }
  await fileSystem.syncDirectory(parent);
}

async function probeHardLinks(fileSystem: FileSystem, path: string, options: { create: boolean; random: Random }): Promise<boolean> {
  const directory = `${path}/${TEMPORARY_DIRECTORY}`;
  const trial = `${directory}/${toHex(options.random.bytes(16))}`;
  let isOurs = false;
  try {
    isOurs = await makeUnlessThere(fileSystem, directory);
    await (await fileSystem.createFile(trial)).close();
  } catch (error) {
    // A read-only or full store must open all the same. Nothing is risked: with this answer all writes use link.
    if (NO_TRIAL.includes(errnoOf(error))) return true;
    throw error;
  }
  try {
    await fileSystem.link(trial, `${trial}.link`);
    await fileSystem.unlink(`${trial}.link`);
    return true;
  } catch (error) {
    if (NO_HARD_LINKS.includes(errnoOf(error))) return false;
    throw error;
  } finally {
    await fileSystem.unlink(trial);
    // A directory that is only looked at, perhaps by a slip of the pen, stays as it was.
    if (isOurs && !options.create) await removeUnlessUsed(fileSystem, directory);
  }
}

async function makeUnlessThere(fileSystem: FileSystem, path: string): Promise<boolean> {
  try {
    await fileSystem.makeDirectory(path);
    return true;
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
    return false;
  }
}

async function removeUnlessUsed(fileSystem: FileSystem, path: string): Promise<void> {
  try {
    await fileSystem.removeDirectory(path);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(errnoOf(error))) throw error;
  }
}
