/**
 * Directory records in LMDB, collected and stored in batches, each in one durable transaction.
 *
 * Before a record stand the day of its last use and a checksum: a backup takes a whole directory over on the word of its record,
 * so one that the disk has changed must not be believed. Records that were long not used are removed, or a cache would keep
 * every directory that there ever was.
 */
import { crc32 } from 'node:zlib';
import type { Clock } from '../base/ambient.ts';
import { viewOf, type Bytes } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { FileCache } from './cache.ts';
import { getNumber, putNumber } from './lmdb-environment.ts';
import { bytesKey, KEY_SPACE, metaKey, numberKey } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';

const KEY_BYTES = 32;
const BATCH_BYTES = 4 * MiB;
/** What a record costs beside its bytes. */
const ENTRY_BYTES = 128;
/** u32 day since 1970, u32 CRC-32 of key and record. */
const HEAD_BYTES = 8;
const DAY_MS = 86_400_000;
/** The day of the last use is renewed only after so many, or every run would write all records. */
const RENEWED_AFTER_DAYS = 7;
const TIDIED_EVERY_DAYS = 7;
const KEPT_DAYS = 100;
/** Beyond it the longest unused go first; records of three million directories. */
const MAX_BYTES = 1024 * MiB;
const REMOVALS_PER_TRANSACTION = 8192;

const LAST_TIDIED = metaKey('files tidied');

export class LmdbFileCache implements FileCache {
  readonly #store: LmdbStore;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  /** By the key as characters 0 to 255. */
  #pending = new Map<string, Uint8Array>();
  #pendingBytes = 0;
  #hasStored = false;

  constructor(store: LmdbStore, clock: Clock, maxBytes: number = MAX_BYTES) {
    this.#store = store;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  get(key: Bytes): Uint8Array | undefined {
    checkKey(key);
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(textOf(key));
    if (pending !== undefined) return new Uint8Array(pending);
    const value = this.#store.get(bytesKey(KEY_SPACE.file, key));
    if (value === undefined || value.length < HEAD_BYTES) return undefined;
    const record = new Uint8Array(value.buffer, value.byteOffset + HEAD_BYTES, value.length - HEAD_BYTES);
    if (viewOf(value).getUint32(4) !== checkOf(key, record)) return undefined;
    if (Math.abs(this.#today() - dayOf(value)) >= RENEWED_AFTER_DAYS) this.put(key, record);
    return record;
  }

  /** @throws NO_SPACE */
  put(key: Bytes, record: Bytes): void {
    checkKey(key);
    this.#pending.set(textOf(key), new Uint8Array(record));
    this.#pendingBytes += record.length + ENTRY_BYTES;
    if (this.#pendingBytes >= BATCH_BYTES) this.#storePending();
  }

  async flush(): Promise<void> {
    this.#storePending();
  }

  /** For the end of a session: removes what was long not used, if this session stored anything and the last time is a week ago. */
  tidy(): void {
    const today = this.#today();
    if (!this.#hasStored || Math.abs(today - getNumber(this.#store, LAST_TIDIED)) < TIDIED_EVERY_DAYS) return;
    this.#removeOlderThan(Math.max(today - KEPT_DAYS, Math.min(today, this.#firstDayThatFits())));
    this.#store.write(() => putNumber(this.#store, LAST_TIDIED, today));
  }

  #storePending(): void {
    if (this.#pending.size === 0) return;
    const day = this.#today();
    this.#store.write(() => {
      for (const [text, record] of this.#pending) {
        const key = Buffer.from(text, 'latin1');
        const value = new Uint8Array(HEAD_BYTES + record.length);
        viewOf(value).setUint32(0, day);
        viewOf(value).setUint32(4, checkOf(key, record));
        value.set(record, HEAD_BYTES);
        this.#store.put(bytesKey(KEY_SPACE.file, key), value);
      }
    });
    this.#pending = new Map();
    this.#pendingBytes = 0;
    this.#hasStored = true;
  }

  /** Records of this day and of all after it are within the bound. */
  #firstDayThatFits(): number {
    const bytesOfDay = new Map<number, number>();
    for (const { value } of this.#store.entries(numberKey(KEY_SPACE.file))) {
      bytesOfDay.set(dayOf(value), (bytesOfDay.get(dayOf(value)) ?? 0) + value.length + ENTRY_BYTES);
    }
    let sum = 0;
    for (const [day, bytes] of [...bytesOfDay].sort(([a], [b]) => b - a)) {
      sum += bytes;
      if (sum > this.#maxBytes) return day + 1;
    }
    return 0;
  }

  #removeOlderThan(day: number): void {
    for (let from: Uint8Array | undefined = numberKey(KEY_SPACE.file); from !== undefined;) {
      const keys: Uint8Array[] = [];
      for (const { key, value } of this.#store.entries(numberKey(KEY_SPACE.file), from)) {
        if (dayOf(value) < day) keys.push(key);
        if (keys.length === REMOVALS_PER_TRANSACTION) break;
      }
      this.#store.write(() => { for (const key of keys) this.#store.remove(key); });
      from = keys.length === REMOVALS_PER_TRANSACTION ? keys.at(-1) : undefined;
    }
  }

  #today(): number {
    return Math.floor(this.#clock.now() / DAY_MS);
  }
}

function dayOf(value: Bytes): number {
  return value.length < HEAD_BYTES ? 0 : viewOf(value).getUint32(0);
}

function checkOf(key: Bytes, record: Bytes): number {
  return crc32(record, crc32(key));
}

function textOf(key: Bytes): string {
  return Buffer.from(key.buffer, key.byteOffset, key.length).toString('latin1');
}

function checkKey(key: Bytes): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`The key of a directory record has ${KEY_BYTES} bytes, not ${key.length}`);
}
