/**
 * The folder of one repository's cache: opened when it can be trusted, otherwise wiped and begun anew (repository design,
 * section 18.4). In doubt are: files of another format or repository, LMDB files that are damaged (`lmdb-pages.ts`), exchanged,
 * cut off or put back to an older state (`cache-state-file.ts`), and a dirty marker, which stands in LMDB from before a step that removes
 * entries until the transaction that ends the step.
 */
import { chmodSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { toHex } from '../base/bytes.ts';
import type { Random } from '../base/ambient.ts';
import { SnapError } from '../base/errors.ts';
import { makeDirectories } from '../base/make-directories.ts';
import type { RepositoryId } from '../format/ids.ts';
import { tagCacheDirectory } from './cache-directory.ts';
import { readCacheState, STATE_FILE, writeCacheState } from './cache-state-file.ts';
import { isNoDatabase } from './lmdb-header.ts';
import { metaKey } from './lmdb-keys.ts';
import { hasWholeTrees } from './lmdb-pages.ts';
import { DATA_FILE, isDamage, LOCK_FILE, LmdbStore } from './lmdb-store.ts';

/** Of the content of the LMDB database; another number means another layout. */
const CACHE_FORMAT = 2;

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
  /** Name of the folder in it; defaults to the ID of the repository. See `cacheFolderFor`. */
  readonly folderName?: string | undefined;
  readonly random: Random;
  /** Keeps nothing of a cache that is there but what this host has seen of the repository. */
  readonly beginsAnew?: boolean | undefined;
}

export class LmdbEnvironment {
  readonly folder: string;
  readonly store: LmdbStore;
  /** 32 hex digits, random for every newly built cache. */
  readonly generation: string;

  constructor(folder: string, store: LmdbStore) {
    this.folder = folder;
    this.store = store;
    this.generation = generationOf(store);
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
    const result = this.store.write(() => {
      putNumber(this.store, RESERVATIONS, getNumber(this.store, RESERVATIONS) + 1);
      return take();
    });
    this.noteState();
    return result;
  }

  /** Writes down how things stand, for the next opening, unless that shall begin anew. */
  noteState(): void {
    if (this.store.isDamaged) return;
    const reservations = getNumber(this.store, RESERVATIONS);
    writeCacheState(this.folder, { generation: this.generation, reservations, sizeBytes: this.sizeBytes() });
  }

  sizeBytes(): number {
    return dataBytes(this.folder);
  }
}

/** @throws DENIED, NO_SPACE, UNAVAILABLE, CACHE_BUSY */
export async function openEnvironment(options: EnvironmentOptions): Promise<LmdbEnvironment> {
  const folder = join(options.directory, options.folderName ?? options.repositoryId);
  prepareFolder(options.directory, folder);
  const found = await openTrusted(folder, options);
  if (found instanceof LmdbEnvironment && options.beginsAnew !== true) return found;
  const memory = found instanceof LmdbEnvironment ? await closeForGood(found) : found.memory;
  // A process that has the files open goes on with its own, now nameless, copy.
  for (const file of [DATA_FILE, LOCK_FILE, STATE_FILE]) rmSync(join(folder, file), { force: true });
  const fresh = await openTrusted(folder, options);
  if (!(fresh instanceof LmdbEnvironment)) {
    throw new SnapError('CACHE_BUSY', `Another process keeps changing the local cache in '${folder}'`, { hint: 'Try again' });
  }
  if (memory !== undefined) fresh.store.write(() => fresh.store.put(HOST_MEMORY, memory));
  return fresh;
}

async function closeForGood({ store }: LmdbEnvironment): Promise<Uint8Array | undefined> {
  const memory = store.get(HOST_MEMORY);
  await store.close();
  return memory;
}

/** What is worth keeping of a cache that is not trusted: what this host has seen of the repository (section 15). */
interface Distrusted {
  readonly memory: Uint8Array | undefined;
}

async function openTrusted(folder: string, options: EnvironmentOptions): Promise<LmdbEnvironment | Distrusted> {
  // Before LMDB is read: another process that changes the cache in between makes LMDB newer than this, never older.
  const state = readCacheState(folder);
  if (isNoDatabase(folder) || (typeof state === 'object' && dataBytes(folder) < state.sizeBytes)) return { memory: undefined };
  const store = await openUnlessDamaged(folder);
  if (store === undefined) return { memory: undefined };
  try {
    if (!isWhole(store, folder)) {
      await store.close();
      return { memory: undefined };
    }
    initialise(store, options);
    const isOwn = getText(store, REPOSITORY) === options.repositoryId;
    if (isOwn && isTrusted(store, state)) return completed(new LmdbEnvironment(folder, store), state);
    const memory = isOwn ? store.get(HOST_MEMORY) : undefined;
    await store.close();
    return { memory };
  } catch (error) {
    await store.close();
    if (error instanceof SnapError && isDamage(error.cause)) return { memory: undefined };
    throw error;
  }
}

function completed(environment: LmdbEnvironment, state: ReturnType<typeof readCacheState>): LmdbEnvironment {
  if (state === 'missing') environment.noteState();
  return environment;
}

async function openUnlessDamaged(folder: string): Promise<LmdbStore | undefined> {
  // Damage that shows up later: the next opening begins anew.
  const onDamage = (): void => writeCacheState(folder, { generation: 'damaged', reservations: 0, sizeBytes: 0 });
  try {
    return await LmdbStore.open(folder, 'write', onDamage);
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}

/** Twice, since another process may write a meta page just when it is read. */
function isWhole(store: LmdbStore, folder: string): boolean {
  const reader = store.snapshot();
  try {
    return hasWholeTrees(folder) || hasWholeTrees(folder);
  } finally {
    reader.close();
  }
}

/** Gives an empty database its identity; of several processes the first one does. */
function initialise(store: LmdbStore, options: EnvironmentOptions): void {
  if (store.peek(FORMAT) !== undefined || !store.isEmpty()) return;
  store.write(() => {
    if (!store.isEmpty()) return;
    putNumber(store, FORMAT, CACHE_FORMAT);
    store.put(REPOSITORY, Buffer.from(options.repositoryId));
    store.put(GENERATION, Buffer.from(toHex(options.random.bytes(16))));
  });
}

function isTrusted(store: LmdbStore, state: ReturnType<typeof readCacheState>): boolean {
  if (getNumber(store, FORMAT) !== CACHE_FORMAT || store.peek(DIRTY) !== undefined || state === 'damaged') return false;
  return state === 'missing' || (state.generation === generationOf(store) && state.reservations <= getNumber(store, RESERVATIONS));
}

function prepareFolder(directory: string, folder: string): void {
  try {
    tagCacheDirectory(directory);
    makeDirectories(folder, 0o700);
    chmodSync(folder, 0o700);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'NO_SPACE' : 'DENIED';
    throw new SnapError(code, `Cannot create the local cache in '${folder}'`, { cause: error });
  }
}

function dataBytes(folder: string): number {
  return statSync(join(folder, DATA_FILE), { throwIfNoEntry: false })?.size ?? 0;
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
