/** Where the caches of this host lie, one folder per repository, and what can be said of them without opening one. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { makeDirectories } from '../base/make-directories.ts';
import { parseRepositoryId, type RepositoryId } from '../format/ids.ts';

/** Values that the command line reads from flags and environment. */
export interface CachePlace {
  /** `--cache-dir` or SNAP_CACHE_DIR. */
  readonly explicit?: string | undefined;
  /** XDG_CACHE_HOME. */
  readonly xdgCacheHome?: string | undefined;
  /** LOCALAPPDATA. */
  readonly localAppData?: string | undefined;
  readonly home: string;
  /** As in `os.platform()`. */
  readonly platform: string;
}

/** The folder of all caches. XDG Base Directory Specification: a relative XDG_CACHE_HOME is to be ignored. */
export function cacheDirectory(place: CachePlace): string {
  const { explicit, xdgCacheHome, localAppData, home, platform } = place;
  if (explicit !== undefined && explicit !== '') return explicit;
  if (platform === 'win32' && localAppData !== undefined && localAppData !== '') return join(localAppData, 'snap', 'cache');
  if (xdgCacheHome !== undefined && xdgCacheHome.startsWith('/')) return join(xdgCacheHome, 'snap');
  return platform === 'darwin' ? join(home, 'Library', 'Caches', 'snap') : join(home, '.cache', 'snap');
}

export interface CacheFolder {
  readonly repositoryId: RepositoryId;
  readonly location: string;
  /** Of all files in the folder. */
  readonly sizeBytes: number;
  /** Time of the last change, in milliseconds since 1970. */
  readonly changedAt: number;
}

/** The caches in a directory, by repository ID; none when the directory does not exist. @throws DENIED */
export function listCaches(directory: string): CacheFolder[] {
  return guarded(directory, () => namesIn(directory).filter(name => FOLDER_NAME.test(name)).sort().map(name => describeFolder(directory, name)));
}

/**
 * Removes the cache of one repository; absent is fine. A process that has it open goes on with its own copy. `config`: as stored, when
 * only the cache of this copy of it is meant. @throws DENIED
 */
export function removeCache(directory: string, repositoryId: RepositoryId, config?: Uint8Array): void {
  const folderName = config === undefined ? repositoryId : cacheFolderFor(directory, repositoryId, config).folderName;
  guarded(directory, () => rmSync(join(directory, folderName), { recursive: true, force: true }));
}

/** The ID of a repository, and for copies that share it some digits more. */
const FOLDER_NAME = /^[0-9a-f]{32}(\.[0-9a-f]{16})?$/;
const ID_DIGITS = 32;
const CONFIG_FILE = 'config';

/**
 * Which folder is for which of the copies of a repository that share its ID: they have different snapshots and gc numbers, so one must not
 * be taken for a rolled-back other one. Each has a config of its own, which never changes; the first one that this host meets gets the
 * plain name. @throws DENIED
 */
export function cacheFolderFor(directory: string, repositoryId: RepositoryId, config: Uint8Array): CachePosition {
  return guarded(directory, () => {
    const digest = createHash('sha256').update(config).digest('hex');
    makeDirectories(join(directory, repositoryId), 0o700);
    const isFirst = noteConfig(join(directory, repositoryId, CONFIG_FILE), digest) === digest;
    return { directory, folderName: isFirst ? repositoryId : `${repositoryId}.${digest.slice(0, 16)}` };
  });
}

/** For a copy that was made byte by byte, config and all, while the cache of the other one is open. */
export function cacheFolderForLocation(directory: string, repositoryId: RepositoryId, location: string): CachePosition {
  return { directory: join(directory, 'replicas'), folderName: `${repositoryId}.${createHash('sha256').update(location).digest('hex').slice(0, 16)}` };
}

export interface CachePosition {
  readonly directory: string;
  readonly folderName: string;
}

/** The digest that the file holds; a file that is not there gets this one. */
function noteConfig(path: string, digest: string): string {
  try {
    writeFileSync(path, digest, { flag: 'wx', mode: 0o600 });
    return digest;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return readFileSync(path, 'utf8');
  }
}

const TAG_NAME = 'CACHEDIR.TAG';
const TAG = `Signature: 8a477f597d28d172789f06886806bc55
# This directory holds caches of snap and need not be backed up.
# For information about cache directory tags see https://bford.info/cachedir/
`;

/** Marks the directory as a cache, so that backup programs can skip it (https://bford.info/cachedir/). */
export function tagCacheDirectory(directory: string): void {
  makeDirectories(directory, 0o700);
  try {
    writeFileSync(join(directory, TAG_NAME), TAG, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

function describeFolder(directory: string, name: string): CacheFolder {
  const location = join(directory, name);
  let sizeBytes = 0;
  let changedAt = 0;
  for (const file of namesIn(location)) {
    const stat = statSync(join(location, file), { throwIfNoEntry: false });
    if (stat === undefined) continue;
    sizeBytes += stat.size;
    changedAt = Math.max(changedAt, stat.mtimeMs);
  }
  return { repositoryId: parseRepositoryId(name.slice(0, ID_DIGITS)), location, sizeBytes, changedAt };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function guarded<Result>(directory: string, call: () => Result): Result {
  try {
    return call();
  } catch (error) {
    throw new SnapError('DENIED', `Cannot use the cache directory '${directory}'`, { cause: error });
  }
}
