/** An opened, unlocked repository, as every session and use case sees it. */
import type { Clock, Random } from '../base/ambient.ts';
import type { Secret } from '../base/secret.ts';
import type { Backend } from '../backend/backend.ts';
import type { Cache } from '../cache/cache.ts';
import type { Config } from '../format/config.ts';
import type { RepositoryId, SlotId } from '../format/ids.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { RepositoryKeys } from './repository-keys.ts';
import type { SealedObjects } from './sealed-objects.ts';

/** What opens a key slot: a password, or the 32 bytes of a key file. */
export type Credential =
  | { readonly kind: 'password'; readonly password: Secret<string> }
  | { readonly kind: 'keyfile'; readonly key: Secret<Uint8Array> };

/** Everything that tests replace. */
export interface Environment {
  readonly kernel: Kernel;
  readonly clock: Clock;
  readonly random: Random;
}

export interface OpenRepository extends Environment {
  readonly id: RepositoryId;
  readonly backend: Backend;
  readonly config: Config;
  readonly keys: RepositoryKeys;
  /** The slot that the credential opened. */
  readonly slotId: SlotId;
  /** That of the newest keyring seen; a rotation raises it. */
  readonly keyringNumber: number;
  readonly objects: SealedObjects;
  readonly cache: Cache;
}
