/**
 * LMDB as the cache uses it: one ordered map from bytes to bytes, transactions that are durable when they return.
 *
 * Nothing here relaxes syncing: every commit is flushed before `write` returns (LMDB, "commit"), so a crash leaves the
 * state of one commit. Several processes and several threads of one process may have the same folder open.
 */
import { statfsSync } from 'node:fs';
import type { RootDatabase } from 'lmdb';
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';

export const DATA_FILE = 'data.mdb';
export const LOCK_FILE = 'lock.mdb';

/** LMDB's own codes for a file that is damaged or was written by something else (lmdb.h, "Return Codes"). */
const DAMAGE_CODES: ReadonlySet<unknown> = new Set([-30797, -30796, -30795, -30794, -30793, -30779]);
/** LMDB calls a write that stopped half-way an I/O error; on a full disk that is the usual end of a write. */
const EIO = 5;
const NEARLY_FULL_BYTES = 16 * MiB;
const ENOSPC = 28;
const EDQUOT = 122;
const DENIED_CODES: ReadonlySet<unknown> = new Set([1, 13, 30]);

type Database = RootDatabase<Buffer, Uint8Array>;

export class LmdbStore {
  readonly #folder: string;
  readonly #database: Database;
  readonly #onDamage: () => void;
  #deferred: (() => void)[] = [];
  #isWriting = false;
  #isDamaged = false;

  private constructor(folder: string, database: Database, onDamage: () => void) {
    this.#folder = folder;
    this.#database = database;
    this.#onDamage = onDamage;
  }

  /**
   * Loads LMDB on first use (30 ms). `onDamage` is called when a later call meets damage.
   * @throws DENIED, or an error for which `isDamage` is true
   */
  static async open(folder: string, mode: 'read' | 'write', onDamage: () => void = () => undefined): Promise<LmdbStore> {
    const { open } = await import('lmdb');
    const options = {
      path: folder, noSubdir: false, encoding: 'binary', keyEncoding: 'binary', readOnly: mode === 'read',
      overlappingSync: false, eventTurnBatching: false, permissionsMode: 0o600,
    } as const;
    try {
      return new LmdbStore(folder, open<Buffer, Uint8Array>(options), onDamage);
    } catch (error) {
      throw isDamage(error) ? error : cacheError('open', folder, error);
    }
  }

  /** A call met damage. */
  get isDamaged(): boolean {
    return this.#isDamaged;
  }

  /** The value in memory of its own. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#guard('read', () => this.#database.getBinary(key));
  }

  /** A view of the value that the next call overwrites; its `length` is right, its `buffer` is larger. */
  peek(key: Uint8Array): Bytes | undefined {
    try {
      return this.#database.getBinaryFast(key);
    } catch (error) {
      throw this.#translated('read', error);
    }
  }

  /** Entries whose key starts with `prefix`, in key order, as of the first step; those before `from` are left out. */
  *entries(prefix: Uint8Array, from: Uint8Array = prefix): Generator<{ readonly key: Uint8Array; readonly value: Uint8Array }> {
    try {
      for (const { key, value } of this.#database.getRange({ start: from, end: after(prefix) })) yield { key, value };
    } catch (error) {
      throw this.#translated('read', error);
    }
  }

  *keys(prefix: Uint8Array): Generator<Uint8Array> {
    try {
      yield* this.#database.getKeys({ start: prefix, end: after(prefix) });
    } catch (error) {
      throw this.#translated('read', error);
    }
  }

  isEmpty(): boolean {
    return this.#guard('read', () => [...this.#database.getKeys({ limit: 1 })].length === 0);
  }

  /** A reader that keeps seeing the state of now, until it is closed. */
  snapshot(): StoreSnapshot {
    const transaction = this.#database.useReadTransaction();
    return {
      get: key => this.#guard('read', () => this.#database.get(key, { transaction })),
      close: () => transaction.done(),
    };
  }

  /** Runs `change` in a transaction: all of it durable, or an error and nothing. A call inside `change` joins it. */
  write<Result>(change: () => Result): Result {
    if (this.#isWriting) return change();
    const deferred = this.#deferred;
    this.#isWriting = true;
    try {
      const result = this.#guard('write', () => this.#database.transactionSync(() => {
        for (const each of deferred) each();
        return change();
      }));
      this.#deferred = this.#deferred.slice(deferred.length);
      return result;
    } finally {
      this.#isWriting = false;
    }
  }

  /** Becomes the first part of the next transaction; for what must be durable before something else, but not yet. */
  defer(change: () => void): void {
    this.#deferred = [...this.#deferred, change];
  }

  /** Stores what was deferred. */
  flush(): void {
    if (this.#deferred.length > 0) this.write(() => undefined);
  }

  /** The three below only inside `write`. The value may be changed after the call. */
  put(key: Uint8Array, value: Bytes): void {
    this.#database.putSync(key, value as Buffer);
  }

  /** Faster and denser than `put` when the key is above all others. */
  append(key: Uint8Array, value: Bytes): void {
    if (this.#database.putSync(key, value as Buffer, { append: true }) as unknown === false) this.put(key, value);
  }

  remove(key: Uint8Array): void {
    this.#database.removeSync(key);
  }

  /** Lets the next read see what others have committed. */
  refresh(): void {
    this.#database.resetReadTxn();
  }

  async close(): Promise<void> {
    await this.#database.close();
  }

  #guard<Result>(doing: 'read' | 'write', call: () => Result): Result {
    try {
      return call();
    } catch (error) {
      throw this.#translated(doing, error);
    }
  }

  #translated(doing: 'read' | 'write', error: unknown): unknown {
    if (isDamage(error)) {
      this.#isDamaged = true;
      this.#onDamage();
    }
    return cacheError(doing, this.#folder, error);
  }
}

export interface StoreSnapshot {
  get(key: Uint8Array): Uint8Array | undefined;
  close(): void;
}

export function isDamage(error: unknown): boolean {
  return error instanceof Error && DAMAGE_CODES.has((error as Error & { code?: unknown }).code);
}

/** First key after all keys with the prefix; key spaces stay below 255, so there is always a byte to count up. */
function after(prefix: Uint8Array): Uint8Array {
  let last = prefix.length - 1;
  while (prefix[last] === 0xff) last--;
  const end = prefix.slice(0, last + 1);
  end[last] = end[last]! + 1;
  return end;
}

/** Translates errors of LMDB, which have a numeric code; everything else passes as it is. */
function cacheError(doing: 'open' | 'read' | 'write', folder: string, cause: unknown): unknown {
  const code = cause instanceof Error ? (cause as Error & { code?: unknown }).code : undefined;
  if (typeof code !== 'number') return cause;
  const options = { cause, context: { folder } };
  if (code === ENOSPC || code === EDQUOT || (code === EIO && freeBytes(folder) < NEARLY_FULL_BYTES)) {
    return new SnapError('NO_SPACE', `Cannot ${doing} the local cache in '${folder}': no space is left`, options);
  }
  if (DENIED_CODES.has(code)) return new SnapError('DENIED', `Cannot ${doing} the local cache in '${folder}'`, options);
  return new SnapError('UNAVAILABLE', `Cannot ${doing} the local cache in '${folder}'`, {
    ...options, hint: 'Run the command again; if that does not help, remove this folder: the cache is built again from the repository',
  });
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
