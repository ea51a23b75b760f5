/** The one place where ports meet their adapters. Everything that is opened here is closed here, also after a failure. */
import { readlinkSync } from 'node:fs';
import { homedir, platform } from 'node:os';
import { join } from 'node:path';
import { systemClock, systemRandom } from '../base/ambient.ts';
import { utf8, type Bytes } from '../base/bytes.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import type { Backend, ObjectHistory, ObjectLocks } from '../backend/backend.ts';
import type { LocalBackend } from '../backend/local.ts';
import { parseLocation } from '../backend/location.ts';
import { remoteFileSystem } from '../backend/remote-mounts.ts';
import { openBackend } from '../backend/open.ts';
import { TransferLimits } from '../backend/transfer-limits.ts';
import { cacheDirectory, cacheFolderFor, listCaches, removeCache, type CacheFolder, type CachePosition } from '../cache/cache-directory.ts';
import { withoutMemory } from '../cache/without-memory.ts';
import type { Cache } from '../cache/cache.ts';
import { parseHostId, type RepositoryId } from '../format/ids.ts';
import { createFastKernel } from '../kernel/fast.ts';
import { openRepository, readConfigBytes } from '../repository/open-repository.ts';
import type { Environment, OpenRepository } from '../repository/opened-repository.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import type { SessionOwner } from '../repository/registration.ts';
import { resolvePath } from '../sources/raw-path.ts';
import type { JobContext } from '../usecases/events.ts';
import type { PruneOptions } from '../usecases/prune/prune.ts';
import type { FlagSet } from './flag.ts';
import { hostIdentity } from './host-identity.ts';
import { limitsAt } from './limit-timetable.ts';
import { repositoryLocation } from './location.ts';
import { programVersion } from './program-version.ts';
import { azureChoices, s3Choices, sshChoices } from './remote-settings.ts';
import { hasGivenCredential, readCredential, type Credential } from './secrets.ts';
import type { VerbContext } from './verb.ts';

export type { OpenRepository, SnapshotRecord };

/** What of a verb's context decides about adapters. */
export type Surroundings = Pick<VerbContext<FlagSet>, 'globals' | 'credentialOrigin' | 'terminal' | 'signal' | 'environment'>;

/** Kernel, clock and chance for everything below. */
export function newEnvironment(): Environment {
  return { kernel: createFastKernel(), clock: systemClock, random: systemRandom };
}

export function sessionOwner(surroundings: Surroundings, host?: string): SessionOwner {
  const identity = hostIdentity(surroundings.environment);
  return { ...identity, host: host ?? identity.host, hostId: parseHostId(identity.hostId), program: `snap ${programVersion()}` };
}

/** Where others see late what one host writes, or a store lies, packs that were condemned wait so long. */
const GRACE_MS = 24 * 60 * 60 * 1000;

/**
 * What a prune does unless a flag says otherwise. In a folder of this machine nothing waits: the probe of the run itself shows that it
 * keeps its promises. A mounted one of another machine may show it to this host only.
 */
export function pruneDefaults(surroundings: Surroundings): Omit<PruneOptions, 'dryRun'> {
  const place = parseLocation(repositoryLocation(surroundings.globals));
  const isFolder = place.kind === 'local' && remoteFileSystem(place.path) === undefined;
  return { owner: sessionOwner(surroundings), limits: { repackSmall: true }, graceMs: isFolder ? 0 : GRACE_MS, isProcessAlive };
}

function isProcessAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'; // EPERM: somebody else's
  }
}

/** Of the disk of a repository in a folder, here or on an SSH server. */
export type DiskSpace = Awaited<ReturnType<LocalBackend['space']>>;

export interface BackendChoice {
  /** Makes the place of a new repository. */
  readonly create: boolean;
  /** A writer removes what writers left in mid-write a day ago or longer. */
  readonly tidies?: boolean;
  readonly location?: string;
  /** The repository as it is, whatever --as-of says. */
  readonly isPresent?: boolean;
}

/** Whoever calls it closes the backend. */
export function openBackendAt(surroundings: Surroundings, job: JobContext, options: BackendChoice): ReturnType<typeof openBackend> {
  const { globals } = surroundings;
  return openBackend(options.location ?? repositoryLocation(globals), {
    clock: systemClock, random: systemRandom, create: options.create,
    limits: transferLimits(globals), asOf: options.isPresent === true ? undefined : globals.asOf,
    s3: s3Choices(globals, surroundings.environment), ssh: sshChoices(globals, surroundings.environment),
    azure: azureChoices(globals, surroundings.environment), signal: job.signal,
    onRetry: ({ operation, attempt, delayMs }) => job.onEvent?.({ type: 'retry-scheduled', operation, attempt, delayMs }),
  });
}

export async function withBackend<T>(
  surroundings: Surroundings, job: JobContext, options: BackendChoice,
  work: (backend: Backend, space: (() => Promise<DiskSpace>) | undefined, history: ObjectHistory | undefined, locks: ObjectLocks | undefined) => Promise<T>,
): Promise<T> {
  const { backend, local, history, locks } = await openBackendAt(surroundings, job, options);
  try {
    return await closing(backend, async () => {
      if (options.tidies === true) await local?.sweepTemporaryFiles({ signal: job.signal });
      return work(backend, local === undefined ? undefined : () => local.space(), history, locks);
    });
  } finally {
    tellRequests(backend, job);
  }
}

/** What was sent to a storage that charges for it; when all is done. */
export function tellRequests({ location, requests }: Backend, job: JobContext): void {
  if (requests !== undefined) job.onEvent?.({ type: 'requests-counted', location, counts: { ...requests } });
}

/** One for the whole run: several repositories share the same line. */
const LIMITS = new WeakMap<Surroundings['globals'], TransferLimits>();

function transferLimits(globals: Surroundings['globals']): TransferLimits | undefined {
  const { limits: periods, limitUpload: upload, limitDownload: download } = globals;
  if (periods.length === 0 && upload === undefined && download === undefined) return undefined;
  const known = LIMITS.get(globals);
  if (known !== undefined) return known;
  const made = new TransferLimits(systemClock, () => limitsAt(periods, { upload, download }, systemClock.now()));
  LIMITS.set(globals, made);
  return made;
}

/** The printable location of a repository that is there already; for looking before anybody is asked for a password. */
export async function existingRepository(surroundings: Surroundings, job: JobContext): Promise<string | undefined> {
  try {
    return await withBackend(surroundings, job, { create: false }, async backend => {
      await readConfigBytes(backend, job);
      return backend.location;
    });
  } catch (error) {
    if (hasCode(error, 'REPOSITORY_NOT_FOUND')) return undefined;
    throw error;
  }
}

export interface RepositoryChoice extends Pick<BackendChoice, 'tidies'> {
  /** Called once while the password is stretched on another thread, for work that needs nothing of the repository. */
  readonly meanwhile?: (() => void) | undefined;
  /** The cache that is there is dropped; what this host has seen of the repository is kept. */
  readonly dropsCache?: boolean;
}

/** Opens the repository that the globals name, with the credential that they name or that a person types. */
export function withRepository<T>(
  surroundings: Surroundings, job: JobContext,
  work: (repository: OpenRepository, credential: Credential, space: (() => Promise<DiskSpace>) | undefined) => Promise<T>, choice: RepositoryChoice = {},
): Promise<T> {
  return withBackend(surroundings, job, { ...choice, create: false }, async (backend, space) => {
    // Nobody is asked for the password of a repository that is not there.
    if (!hasGivenCredential(surroundings)) await readConfigBytes(backend, job);
    const credential = await readCredential(surroundings);
    return withOpened(backend, credential, surroundings, job, repository => work(repository, credential, space), choice);
  });
}

export async function withOpened<T>(
  backend: Backend, credential: Credential, surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository) => Promise<T>,
  { dropsCache, meanwhile }: RepositoryChoice = {},
): Promise<T> {
  const isPast = surroundings.globals.asOf !== undefined;
  const directory = isPast ? join(cachesDirectory(surroundings), 'as-of') : cachesDirectory(surroundings);
  const openCache = async (repositoryId: RepositoryId, config: Bytes): Promise<Cache> => {
    meanwhile?.();
    const cache = await openCacheIn(cacheFolderFor(directory, repositoryId, config), repositoryId, dropsCache);
    return isPast ? withoutMemory(cache) : cache;
  };
  const repository = await openRepository(backend, credential, newEnvironment(), openCache, { signal: job.signal });
  return closing({ close: () => repository.cache.close() }, () => work(repository));
}

/** Loaded only here, since the password is being stretched by then. */
export async function openCacheIn(position: CachePosition, repositoryId: RepositoryId, beginsAnew?: boolean): Promise<Cache> {
  const { openLmdbCache } = await import('../cache/lmdb-cache.ts');
  return openLmdbCache({ ...position, repositoryId, random: systemRandom, clock: systemClock, beginsAnew });
}

/**
 * Opens another repository beside the one that the globals name. A copy has the same ID, so its cache lies apart.
 * @throws USAGE when it is the same one; WRONG_PASSWORD naming it
 */
export async function withOtherRepository<T>(
  surroundings: Surroundings, job: JobContext, { location, credential }: { readonly location: string; readonly credential: Credential }, work: (repository: OpenRepository) => Promise<T>,
): Promise<T> {
  const printable = (text: string): string => parseLocation(text).printable;
  if (printable(location) === printable(repositoryLocation(surroundings.globals))) {
    throw new SnapError('USAGE', `'${printable(location)}' is the repository itself`, { hint: 'Name a copy of it at another place' });
  }
  const directory = join(cachesDirectory(surroundings), 'from');
  const openCache = (repositoryId: RepositoryId, config: Bytes): Promise<Cache> => openCacheIn(cacheFolderFor(directory, repositoryId, config), repositoryId);
  return withBackend(surroundings, job, { create: false, location }, async backend => {
    const repository = await openRepository(backend, credential, newEnvironment(), openCache, { signal: job.signal }).catch((error: unknown) => {
      if (!hasCode(error, 'WRONG_PASSWORD')) throw error;
      throw new SnapError('WRONG_PASSWORD', `No key slot of '${backend.location}' opens with the password`, {
        hint: 'Give --from-password-file, --from-password-command or --from-key-file, or set SNAP_FROM_PASSWORD', cause: error,
      });
    });
    return closing({ close: () => repository.cache.close() }, () => work(repository));
  });
}

/** As a snapshot of this machine would name the path; links are not followed. */
export function absolutePath(path: Bytes): Bytes {
  return resolvePath(workingDirectory(), path);
}

/** As bytes where the system gives them: a folder may have a name that is not UTF-8. */
export function workingDirectory(): Bytes {
  try {
    return readlinkSync('/proc/self/cwd', { encoding: 'buffer' });
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return utf8(process.cwd());
  }
}

/** The folder of all caches: flag or variable, systemd's CACHE_DIRECTORY, then the custom of the system. */
export function cachesDirectory({ globals, environment }: Surroundings): string {
  return cacheDirectory({
    explicit: globals.cacheDir ?? environment['CACHE_DIRECTORY']?.split(':')[0], xdgCacheHome: environment['XDG_CACHE_HOME'],
    localAppData: environment['LOCALAPPDATA'], home: homedir(), platform: platform(),
  });
}

export function cacheFolders(surroundings: Surroundings): CacheFolder[] {
  return listCaches(cachesDirectory(surroundings));
}

/** Removes the cache of the repository that the globals name; needs no password. */
export function removeRepositoryCache(surroundings: Surroundings, job: JobContext): Promise<{ id: RepositoryId; location: string }> {
  return withBackend(surroundings, job, { create: false }, async backend => {
    const { id, bytes } = await readConfigBytes(backend, job);
    removeCache(cachesDirectory(surroundings), id, bytes);
    return { id, location: backend.location };
  });
}

/** Closes in any case. When both fail, the error of the work counts, and that of closing becomes its cause unless it has one. */
async function closing<R extends { close(): Promise<void> }, T>(resource: R, work: (resource: R) => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work(resource);
  } catch (error) {
    await resource.close().catch((closeError: unknown) => {
      if (error instanceof Error) error.cause ??= closeError;
    });
    throw error;
  }
  await resource.close();
  return result;
}
