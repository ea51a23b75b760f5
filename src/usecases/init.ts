/** Makes a new repository. */
import type { Backend } from '../backend/backend.ts';
import { createRepository, type CreatedRepository, type CreateOptions } from '../repository/create-repository.ts';
import type { Environment } from '../repository/opened-repository.ts';

export type InitOptions = CreateOptions;

/** @throws REPOSITORY_EXISTS, LOCATION_NOT_EMPTY, UNSUPPORTED_STORE */
export function initRepository(backend: Backend, environment: Environment, options: InitOptions): Promise<CreatedRepository> {
  return createRepository(backend, environment, options);
}
