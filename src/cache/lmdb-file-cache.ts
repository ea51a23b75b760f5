/** Directory records in LMDB. Records are collected and stored in batches, each in one durable transaction. */
import type { Bytes } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { FileCache } from './cache.ts';
import { bytesKey, KEY_SPACE } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';

const KEY_BYTES = 32;
const BATCH_BYTES = 4 * MiB;
/** What a record costs beside its bytes. */
const ENTRY_BYTES = 128;

export class LmdbFileCache implements FileCache {
  readonly #store: LmdbStore;
  /** By the key as characters 0 to 255. */
  #pending = new Map<string, Uint8Array>();
  #pendingBytes = 0;

  constructor(store: LmdbStore) {
    this.#store = store;
  }

  get(key: Bytes): Uint8Array | undefined {
    checkKey(key);
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key));
    return pending?.slice() ?? this.#store.get(bytesKey(KEY_SPACE.file, key));
  }

  /** @throws NO_SPACE */
  put(key: Bytes, record: Bytes): void {
    checkKey(key);
    this.#pending.set(textOf(key), record.slice());
    this.#pendingBytes += record.length + ENTRY_BYTES;
    if (this.#pendingBytes >= BATCH_BYTES) this.#storePending();
  }

  async flush(): Promise<void> {
    this.#storePending();
  }

  #storePending(): void {
    if (this.#pending.size === 0) return;
    this.#store.write(() => {
      for (const [key, record] of this.#pending) this.#store.put(bytesKey(KEY_SPACE.file, Buffer.from(key, 'latin1')), record);
    });
    this.#pending = new Map();
    this.#pendingBytes = 0;
  }
}

function textOf(key: Bytes): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

function checkKey(key: Bytes): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`The key of a directory record has ${KEY_BYTES} bytes, not ${key.length}`);
}
