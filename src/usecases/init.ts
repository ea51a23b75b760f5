/** Makes a new repository. */
import type { Backend } from '../backend/backend.ts';
import { createReplica, createRepository, type CreatedRepository, type CreateOptions, type CreateReplicaOptions } from '../repository/create-repository.ts';
import type { Environment } from '../repository/opened-repository.ts';

export type InitOptions = CreateOptions;

/** @throws REPOSITORY_EXISTS, LOCATION_NOT_EMPTY, UNSUPPORTED_STORE */
export function initRepository(backend: Backend, environment: Environment, options: InitOptions): Promise<CreatedRepository> {
  return createRepository(backend, environment, options);
}

/** An empty copy of a repository, with its ID and its keys. @throws as `initRepository`, and DENIED */
export function initReplica(backend: Backend, environment: Environment, options: CreateReplicaOptions): Promise<CreatedRepository> {
  return createReplica(backend, environment, options);
}
