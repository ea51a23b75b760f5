/** The one place where ports meet their adapters. Everything that is opened here is closed here, also after a failure. */
import { availableParallelism, homedir, platform } from 'node:os';
import { systemClock, systemRandom } from '../base/ambient.ts';
import { hasCode } from '../base/errors.ts';
import type { Backend } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { cacheDirectory, listCaches, removeCache, type CacheFolder } from '../cache/cache-directory.ts';
import { openLmdbCache } from '../cache/lmdb-cache.ts';
import type { Engine } from '../engine/engine.ts';
import { JOBS_PER_WORKER } from '../engine/messages.ts';
import { createPoolEngine } from '../engine/pool-engine.ts';
import { parseHostId, type RepositoryId } from '../format/ids.ts';
import { createFastKernel } from '../kernel/fast.ts';
import { openRepository, readConfigBytes } from '../repository/open-repository.ts';
import type { Environment, OpenRepository } from '../repository/opened-repository.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import type { SessionOwner } from '../repository/registration.ts';
import type { JobContext } from '../usecases/events.ts';
import type { EngineFactory } from '../usecases/ingest-engine.ts';
import type { FlagSet } from './flag.ts';
import { hostIdentity } from './host-identity.ts';
import { repositoryLocation } from './location.ts';
import { programVersion } from './program-version.ts';
import { hasGivenCredential, readCredential, type Credential } from './secrets.ts';
import type { VerbContext } from './verb.ts';

export type { OpenRepository, SnapshotRecord };

/** What of a verb's context decides about adapters. */
export type Surroundings = Pick<VerbContext<FlagSet>, 'globals' | 'credentialOrigin' | 'terminal' | 'signal' | 'environment'>;

/** More threads than this wait for storage and memory, not for a processor. */
const MAX_DEFAULT_THREADS = 8;

/** Kernel, clock and chance for everything below. */
export function newEnvironment(): Environment {
  return { kernel: createFastKernel(), clock: systemClock, random: systemRandom };
}

export function sessionOwner(surroundings: Surroundings, host?: string): SessionOwner {
  const identity = hostIdentity(surroundings.environment);
  return { ...identity, host: host ?? identity.host, hostId: parseHostId(identity.hostId), program: `snap ${programVersion()}` };
}

export interface BackendChoice {
  /** Makes the place of a new repository. */
  readonly create: boolean;
  /** A writer removes what writers left in mid-write a day ago or longer. */
  readonly tidies?: boolean;
  readonly location?: string;
}

export async function withBackend<T>(
  surroundings: Surroundings, job: JobContext, options: BackendChoice, work: (backend: Backend) => Promise<T>,
): Promise<T> {
  const { globals } = surroundings;
  const { backend, local } = await openBackend(options.location ?? repositoryLocation(globals), {
    clock: systemClock, random: systemRandom, create: options.create,
    uploadBytesPerSecond: globals.limitUpload, downloadBytesPerSecond: globals.limitDownload,
    onRetry: ({ operation, attempt, delayMs }) => job.onEvent?.({ type: 'retry-scheduled', operation, attempt, delayMs }),
  });
  return closing(backend, async () => {
    if (options.tidies === true) await local?.sweepTemporaryFiles({ signal: job.signal });
    return work(backend);
  });
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

/** Opens the repository that the globals name, with the credential that they name or that a person types. */
export function withRepository<T>(
  surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository, credential: Credential) => Promise<T>, tidies: boolean = false,
): Promise<T> {
  return withBackend(surroundings, job, { create: false, tidies }, async backend => {
    // Nobody is asked for the password of a repository that is not there.
    if (!hasGivenCredential(surroundings)) await readConfigBytes(backend, job);
    const credential = await readCredential(surroundings);
    return withOpened(backend, credential, surroundings, job, repository => work(repository, credential));
  });
}

export async function withOpened<T>(
  backend: Backend, credential: Credential, surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository) => Promise<T>,
): Promise<T> {
  const directory = cachesDirectory(surroundings);
  const openCache = (repositoryId: RepositoryId): ReturnType<typeof openLmdbCache> =>
    openLmdbCache({ directory, repositoryId, random: systemRandom, clock: systemClock });
  const repository = await openRepository(backend, credential, newEnvironment(), openCache, { signal: job.signal });
  return closing({ close: () => repository.cache.close() }, () => work(repository));
}

/** Engines on worker threads, one per processor unless told otherwise. */
export function engineFactory(threads: number | undefined): EngineFactory {
  const workers = threads ?? Math.min(MAX_DEFAULT_THREADS, availableParallelism());
  const open = (): Engine => createPoolEngine({ workers, openPacks: workers === 1 ? 2 : 1, workerUrl: new URL('../engine/worker.js', import.meta.url) });
  return { capacity: workers * JOBS_PER_WORKER, open };
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
    const { id } = await readConfigBytes(backend, job);
    removeCache(cachesDirectory(surroundings), id);
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
