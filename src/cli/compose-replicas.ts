/** Opens the repositories that a replication copies to, all at the same time: one that cannot be opened must not stop the others. */
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { parseLocation } from '../backend/location.ts';
import type { Backend } from '../backend/backend.ts';
import { cacheFolderFor, cacheFolderForLocation } from '../cache/cache-directory.ts';
import { openRepository } from '../repository/open-repository.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import type { JobContext } from '../usecases/events.ts';
import type { ReplicaPlace } from '../usecases/replicate/replica-target.ts';
import { cachesDirectory, newEnvironment, openBackendAt, openCacheIn, tellRequests, type Surroundings } from './compose.ts';
import { repositoryLocation } from './location.ts';
import type { Credential } from './secrets.ts';

export interface ReplicaChoice {
  readonly location: string;
  readonly label: string | undefined;
  readonly credential: Credential;
}

/** As records of replicas name it: absolute, without credentials. @throws USAGE */
export function printableLocation(text: string): string {
  return parseLocation(text).printable;
}

/** @throws USAGE for a place that is named twice, or is the repository itself */
export async function withReplicas<T>(
  surroundings: Surroundings, job: JobContext, source: OpenRepository, choices: readonly ReplicaChoice[], work: (places: readonly ReplicaPlace[]) => Promise<T>,
): Promise<T> {
  checkPlaces(surroundings, choices);
  const cachesInUse = new Set([source.cache.describe().location]);
  const opened = await Promise.all(choices.map(choice => open(surroundings, job, cachesInUse, choice)));
  try {
    return await work(opened.map(({ place }) => place));
  } finally {
    for (const { close } of opened) await close();
  }
}

function checkPlaces({ globals }: Surroundings, choices: readonly ReplicaChoice[]): void {
  const seen = new Set([parseLocation(repositoryLocation(globals)).printable]);
  const hint = 'Name each copy once, and at another place than the repository';
  for (const { location } of choices) {
    const { printable } = parseLocation(location);
    if (seen.has(printable)) throw new SnapError('USAGE', `'${printable}' is named twice, or is the repository itself`, { hint });
    seen.add(printable);
  }
}

interface OpenedPlace {
  readonly place: ReplicaPlace;
  readonly close: () => Promise<void>;
}

async function open(surroundings: Surroundings, job: JobContext, cachesInUse: Set<string>, { location, label, credential }: ReplicaChoice): Promise<OpenedPlace> {
  const { printable } = parseLocation(location);
  let backend: Backend | undefined;
  try {
    ({ backend } = await openBackendAt(surroundings, job, { create: false, location }));
    const repository = await openReplica(surroundings, job, cachesInUse, backend, credential);
    const close = async (): Promise<void> => {
      await repository.cache.close();
      await repository.backend.close();
      tellRequests(repository.backend, job);
    };
    return { place: { location: printable, label, repository }, close };
  } catch (error) {
    await backend?.close();
    if (!(error instanceof SnapError) || error.code === 'CANCELLED' || error.code === 'INTERNAL') throw error;
    return { place: { location: printable, label, repository: withAdvice(error) }, close: async () => undefined };
  }
}

function openReplica(surroundings: Surroundings, job: JobContext, cachesInUse: Set<string>, backend: Backend, credential: Credential): Promise<OpenRepository> {
  const directory = cachesDirectory(surroundings);
  return openRepository(backend, credential, newEnvironment(), async (repositoryId, config) => {
    let position = cacheFolderFor(directory, repositoryId, config);
    if (cachesInUse.has(join(position.directory, position.folderName))) position = cacheFolderForLocation(directory, repositoryId, backend.location);
    cachesInUse.add(join(position.directory, position.folderName));
    return openCacheIn(position, repositoryId);
  }, { signal: job.signal });
}

function withAdvice(error: SnapError): SnapError {
  const hint = error.code === 'WRONG_PASSWORD' ? 'Give --to-password-file, --to-password-command or --to-key-file, or set SNAP_TO_PASSWORD'
    : error.code === 'REPOSITORY_NOT_FOUND' ? 'Make it with `snap -r REPLICA init --from REPOSITORY`, which takes over the keys, or with `snap init`' : error.hint;
  return new SnapError(error.code, error.message, { hint, cause: error, context: error.context });
}
