/** The one place where ports meet their adapters. Everything that is opened here is closed here, also after a failure. */
import { availableParallelism, homedir, platform } from 'node:os';
import { systemClock, systemRandom } from '../base/ambient.ts';
import type { Backend } from '../backend/backend.ts';
import { openBackend } from '../backend/open.ts';
import { cacheDirectory } from '../cache/cache-directory.ts';
import { openLmdbCache } from '../cache/lmdb-cache.ts';
import type { Engine } from '../engine/engine.ts';
import { createPoolEngine } from '../engine/pool-engine.ts';
import type { RepositoryId } from '../format/ids.ts';
import { parseHostId } from '../format/ids.ts';
import { createFastKernel } from '../kernel/fast.ts';
import { openRepository, readConfigBytes } from '../repository/open-repository.ts';
import type { Environment, OpenRepository } from '../repository/opened-repository.ts';
import type { SessionOwner } from '../repository/registration.ts';
import type { JobContext } from '../usecases/events.ts';
import type { Source } from '../sources/source.ts';
import { CACHE_DIRECTORY_MARKER, compileExcludes, parseMarker, parsePatternFile, type ExcludeMatcher } from '../sources/exclude.ts';
import { parseFileList, type FileListFormat } from '../sources/file-list.ts';
import { openFileTree } from '../sources/files.ts';
import { openCommand } from '../sources/command.ts';
import { openStdin } from '../sources/stdin.ts';
import type { FlagSet, ValuesOf } from './flag.ts';
import type { BACKUP_FLAGS } from './flags.ts';
import { hostIdentity } from './host-identity.ts';
import { repositoryLocation } from './location.ts';
import { programVersion } from './program-version.ts';
import { hasGivenCredential, readCredential, type Credential } from './secrets.ts';
import type { VerbContext } from './verb.ts';

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

/** @param create makes the place of a new repository */
export async function withBackend<T>(
  surroundings: Surroundings, job: JobContext, options: { readonly create: boolean; readonly location?: string }, work: (backend: Backend) => Promise<T>,
): Promise<T> {
  const { globals } = surroundings;
  const { backend } = await openBackend(options.location ?? repositoryLocation(globals), {
    clock: systemClock, random: systemRandom, create: options.create,
    uploadBytesPerSecond: globals.limitUpload, downloadBytesPerSecond: globals.limitDownload,
    onRetry: ({ operation, attempt, delayMs }) => job.onEvent?.({ type: 'retry-scheduled', operation, attempt, delayMs }),
  });
  return closing(backend, work);
}

/** Opens the repository that the globals name, with the credential that they name or that a person types. */
export function withRepository<T>(surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository) => Promise<T>): Promise<T> {
  return withBackend(surroundings, job, { create: false }, async backend => {
    // Nobody is asked for the password of a repository that is not there.
    if (!hasGivenCredential(surroundings)) await readConfigBytes(backend, job);
    const credential = await readCredential(surroundings);
    return withOpened(backend, credential, surroundings, job, work);
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

/** Threads start at once, so that they are there when the key is derived. */
export async function withEngine<T>(threads: number | undefined, work: (engine: Engine) => Promise<T>): Promise<T> {
  const workers = threads ?? Math.min(MAX_DEFAULT_THREADS, availableParallelism());
  const engine = createPoolEngine({ workers, workerUrl: new URL('../engine/worker.js', import.meta.url) });
  return closing(engine, work);
}

/** The folder of all caches: flag or variable, systemd's CACHE_DIRECTORY, then the custom of the system. */
export function cachesDirectory({ globals, environment }: Surroundings): string {
  return cacheDirectory({
    explicit: globals.cacheDir ?? environment['CACHE_DIRECTORY']?.split(':')[0], xdgCacheHome: environment['XDG_CACHE_HOME'],
    localAppData: environment['LOCALAPPDATA'], home: homedir(), platform: platform(),
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
