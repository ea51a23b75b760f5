/**
 * The folder of one repository's cache: opened when it can be trusted, otherwise wiped and begun anew (repository design,
 * section 18.4). In doubt are: files of another format or repository, LMDB files that are damaged, exchanged or put back to
 * an older state (`state.json`), and a dirty marker, which stands in LMDB from before a step that removes entries until the
 * transaction that ends the step.
 */
import { chmodSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../base/bytes.ts';
import type { Random } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import type { RepositoryId } from '../format/ids.ts';
import { tagCacheDirectory } from './cache-directory.ts';
import { readCacheState, writeCacheState } from './cache-state-file.ts';
import { isStoreDamaged } from './lmdb-file-check.ts';
import { metaKey } from './lmdb-keys.ts';
import { DATA_FILE, isDamage, LmdbStore, removeStore } from './lmdb-store.ts';

/** Of the content of the LMDB database; another number means another layout. */
const CACHE_FORMAT = 1;

const FORMAT = metaKey('format');
const REPOSITORY = metaKey('repository');
const GENERATION = metaKey('generation');
const DIRTY = metaKey('dirty');
const RESERVATIONS = metaKey('reservations');
export const HOST_MEMORY = metaKey('memory');

export interface EnvironmentOptions {
  /** Folder of all caches; the cache is a folder in it, named after the repository. */
  readonly directory: string;
  readonly repositoryId: RepositoryId;
  readonly random: Random;
}

export class LmdbEnvironment {
  readonly folder: string;
  readonly store: LmdbStore;
  /** 32 hex digits, random for every newly built cache. */
  readonly generation: string;

  constructor(folder: string, store: LmdbStore, generation: string) {
    this.folder = folder;
    this.store = store;
    this.generation = generation;
  }

  /** For every step that removes entries: until `change` is committed, a crash makes the next opening begin anew. */
  removeEntries<Result>(change: () => Result): Result {
    this.store.write(() => this.store.put(DIRTY, new Uint8Array(1)));
    return this.store.write(() => {
      this.store.remove(DIRTY);
      return change();
    });
  }

  /** Runs `take`, which sets pack numbers aside, in a transaction that makes a later roll-back of the LMDB files visible. */
  reserve<Result>(take: () => Result): Result {
    const [result, reservations] = this.store.write(() => {
      const count = getNumber(this.store, RESERVATIONS) + 1;
      putNumber(this.store, RESERVATIONS, count);
      return [take(), count] as const;
    });
    writeCacheState(this.folder, { generation: this.generation, reservations });
    return result;
  }

  sizeBytes(): number {
    return statSync(join(this.folder, DATA_FILE)).size;
  }
}

/** @throws DENIED, NO_SPACE, UNAVAILABLE */
export async function openEnvironment(options: EnvironmentOptions): Promise<LmdbEnvironment> {
  const folder = join(options.directory, options.repositoryId);
  prepareFolder(options.directory, folder);
  const found = await openTrusted(folder, options);
  if (found instanceof LmdbEnvironment) return found;
  removeStore(folder);
  rmSync(join(folder, 'state.json'), { force: true });
  const fresh = await openTrusted(folder, options);
  if (!(fresh instanceof LmdbEnvironment)) {
    throw new SnapError('CACHE_BUSY', `Another process keeps changing the local cache in '${folder}'`, { hint: 'Try again' });
  }
  if (found.memory !== undefined) fresh.store.write(() => fresh.store.put(HOST_MEMORY, found.memory!));
  return fresh;
}

/** What is worth keeping of a cache that is not trusted: what this host has seen of the repository (section 15). */
interface Distrusted {
  readonly memory: Uint8Array | undefined;
}

async function openTrusted(folder: string, options: EnvironmentOptions): Promise<LmdbEnvironment | Distrusted> {
  if (isStoreDamaged(folder)) return { memory: undefined };
  const store = await openUnlessDamaged(folder);
  if (store === undefined) return { memory: undefined };
  initialise(store, options);
  const isOwn = getText(store, REPOSITORY) === options.repositoryId;
  if (isOwn && isTrusted(folder, store)) return completed(folder, store);
  const memory = isOwn ? store.get(HOST_MEMORY) : undefined;
  await store.close();
  return { memory };
}

async function openUnlessDamaged(folder: string): Promise<LmdbStore | undefined> {
  try {
    return await LmdbStore.open(folder, 'write');
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Gives an empty database its identity; of several processes the first one does. */
function initialise(store: LmdbStore, options: EnvironmentOptions): void {
  if (!store.isEmpty()) return;
  store.write(() => {
    if (!store.isEmpty()) return;
    putNumber(store, FORMAT, CACHE_FORMAT);
    store.put(REPOSITORY, Buffer.from(options.repositoryId));
    store.put(GENERATION, Buffer.from(toHex(options.random.bytes(16))));
  });
}

function isTrusted(folder: string, store: LmdbStore): boolean {
  // Before LMDB: another process that sets numbers aside in between makes the database newer than this, never older.
  const state = readCacheState(folder);
  store.refresh();
  if (getNumber(store, FORMAT) !== CACHE_FORMAT || store.peek(DIRTY) !== undefined || state === 'damaged') return false;
  return state === 'missing'
    || (state.generation === getText(store, GENERATION) && state.reservations <= getNumber(store, RESERVATIONS));
}

function completed(folder: string, store: LmdbStore): LmdbEnvironment {
  const generation = getText(store, GENERATION);
  if (readCacheState(folder) === 'missing') writeCacheState(folder, { generation, reservations: getNumber(store, RESERVATIONS) });
  return new LmdbEnvironment(folder, store, generation);
}

function prepareFolder(directory: string, folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    tagCacheDirectory(directory);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'NO_SPACE' : 'DENIED';
    throw new SnapError(code, `Cannot create the local cache in '${folder}'`, { cause: error });
  }
}

/** The generation that a store was begun with; '' for one that was not. */
export function generationOf(store: LmdbStore): string {
  return getText(store, GENERATION);
}

function getText(store: LmdbStore, key: Uint8Array): string {
  return Buffer.from(store.get(key) ?? []).toString('latin1');
}

/** A u32 of the meta key space; 0 when it is absent. */
export function getNumber(store: LmdbStore, key: Uint8Array): number {
  const bytes = store.get(key);
  return bytes?.length === 4 ? new DataView(bytes.buffer, bytes.byteOffset).getUint32(0) : 0;
}

export function putNumber(store: LmdbStore, key: Uint8Array, number: number): void {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  store.put(key, bytes);
}
