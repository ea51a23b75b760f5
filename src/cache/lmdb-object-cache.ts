/**
 * Copies of repository objects in LMDB, bounded in size; the least recently used go first. A copy that is used again and
 * again has its time of use renewed once an hour.
 */
import type { Clock } from '../base/ambient.ts';
import { utf8, viewOf, type Bytes } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { ObjectCache } from './cache.ts';
import { bytesKey, KEY_SPACE, numberKey } from './lmdb-keys.ts';
import type { LmdbStore } from './lmdb-store.ts';

const BATCH_BYTES = 4 * MiB;
const HOUR = 3600;
/** LMDB keys have at most 1,978 bytes; names of objects are far shorter. */
const MAX_NAME_BYTES = 512;
/** Room is made for a tenth more than is needed, so that it is not made for every object. */
const KEPT_SHARE = 0.9;

interface Use {
  /** Seconds since 1970. */
  readonly usedAt: number;
  readonly sizeBytes: number;
}

export class LmdbObjectCache implements ObjectCache {
  readonly #store: LmdbStore;
  readonly #clock: Clock;
  readonly #maxBytes: number;
  readonly #pending = new Map<string, Uint8Array>();
  #pendingBytes = 0;
  /** Objects whose time of use is to be renewed, with their sizes. */
  readonly #used = new Map<string, number>();
  /** Sum of all copies, as this process knows it; counted on the first `put`. */
  #totalBytes: number | undefined;

  constructor(store: LmdbStore, clock: Clock, maxBytes: number) {
    this.#store = store;
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  get(name: string): Uint8Array | undefined {
    const key = objectKey(name);
    const pending = this.#pending.get(name);
    if (pending !== undefined) return pending.slice();
    const bytes = this.#store.get(key);
    if (bytes !== undefined) this.#noteUse(name, bytes.length);
    return bytes;
  }

  /** An object that is larger than the whole cache is not kept. @throws NO_SPACE */
  put(name: string, bytes: Bytes): void {
    objectKey(name);
    if (bytes.length > this.#maxBytes) return this.delete(name);
    this.#pendingBytes += bytes.length - (this.#pending.get(name)?.length ?? 0);
    this.#pending.set(name, bytes.slice());
    if (this.#pendingBytes >= BATCH_BYTES) this.flush();
  }

  delete(name: string): void {
    const key = objectKey(name);
    this.#pendingBytes -= this.#pending.get(name)?.length ?? 0;
    this.#pending.delete(name);
    this.#used.delete(name);
    if (this.#store.peek(key) === undefined) return;
    this.#store.write(() => this.#remove(name));
  }

  /** Stores what was put so far. */
  flush(): void {
    if (this.#pending.size === 0 && this.#used.size === 0) return;
    const usedAt = this.#now();
    const total = this.#totalBytes ?? this.#countBytes();
    this.#totalBytes = this.#store.write(() => {
      for (const [name, sizeBytes] of this.#used) this.#putUse(name, { usedAt, sizeBytes });
      let sum = total;
      for (const [name, bytes] of this.#pending) {
        sum += bytes.length - (this.#use(name)?.sizeBytes ?? 0);
        this.#store.put(objectKey(name), bytes);
        this.#putUse(name, { usedAt, sizeBytes: bytes.length });
      }
      return sum > this.#maxBytes ? this.#makeRoom() : sum;
    });
    this.#pending.clear();
    this.#pendingBytes = 0;
    this.#used.clear();
  }

  #noteUse(name: string, sizeBytes: number): void {
    const use = this.#use(name);
    if (use !== undefined && use.usedAt < this.#now() - HOUR) this.#used.set(name, sizeBytes);
  }

  #now(): number {
    return Math.floor(this.#clock.now() / 1000);
  }

  #countBytes(): number {
    let sum = 0;
    for (const { value } of this.#store.entries(numberKey(KEY_SPACE.objectUse))) sum += decodeUse(value).sizeBytes;
    return sum;
  }

  /** Inside a transaction: removes the longest unused copies. Returns the sum of those that are left. */
  #makeRoom(): number {
    const uses = [...this.#store.entries(numberKey(KEY_SPACE.objectUse))]
      .map(({ key, value }) => ({ name: Buffer.from(key.subarray(1)).toString(), ...decodeUse(value) }))
      .sort((a, b) => a.usedAt - b.usedAt);
    let sum = uses.reduce((total, use) => total + use.sizeBytes, 0);
    for (const { name, sizeBytes } of uses) {
      if (sum <= KEPT_SHARE * this.#maxBytes) break;
      this.#store.remove(objectKey(name));
      this.#store.remove(useKey(name));
      sum -= sizeBytes;
    }
    return sum;
  }

  #remove(name: string): void {
    if (this.#totalBytes !== undefined) this.#totalBytes -= this.#use(name)?.sizeBytes ?? 0;
    this.#store.remove(objectKey(name));
    this.#store.remove(useKey(name));
  }

  #use(name: string): Use | undefined {
    const bytes = this.#store.get(useKey(name));
    return bytes === undefined ? undefined : decodeUse(bytes);
  }

  #putUse(name: string, { usedAt, sizeBytes }: Use): void {
    const bytes = new Uint8Array(8);
    viewOf(bytes).setUint32(0, usedAt);
    viewOf(bytes).setUint32(4, sizeBytes);
    this.#store.put(useKey(name), bytes);
  }
}

function decodeUse(bytes: Uint8Array): Use {
  return bytes.length < 8 ? { usedAt: 0, sizeBytes: 0 } : { usedAt: viewOf(bytes).getUint32(0), sizeBytes: viewOf(bytes).getUint32(4) };
}

function objectKey(name: string): Uint8Array {
  return nameKey(KEY_SPACE.object, name);
}

function useKey(name: string): Uint8Array {
  return nameKey(KEY_SPACE.objectUse, name);
}

function nameKey(space: 9 | 10, name: string): Uint8Array {
  const bytes = utf8(name);
  if (bytes.length === 0 || bytes.length > MAX_NAME_BYTES) throw new RangeError(`The name of an object has 1 to ${MAX_NAME_BYTES} bytes, not ${bytes.length}`);
  return bytesKey(space, bytes);
}
