/** What a simulated process sees instead of the real thing: its backend and its clock. */
import type { Clock } from '../../src/base/ambient.ts';
import type { Bytes } from '../../src/base/bytes.ts';
import { cancelled, hasCode, SnapError, throwIfAborted } from '../../src/base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from '../../src/backend/backend.ts';
import { nameTaken, type SimulatedStore } from './simulated-store.ts';
import type { Process, Verb, World } from './world.ts';

export class SimulatedBackend implements Backend {
  readonly location: string;
  /** Where conditions are ignored in silence the adapter does not know it: only trying tells. */
  readonly capabilities: BackendCapabilities;
  readonly #world: World;
  readonly #store: SimulatedStore;
  readonly #process: Process;

  constructor(world: World, store: SimulatedStore, process: Process) {
    this.location = `simulated:${store.label}`;
    this.#world = world;
    this.#store = store;
    this.#process = process;
    this.capabilities = { createIfAbsent: store.conditions === 'refused' ? 'none' : 'atomic', canRemove: true };
  }

  async read(name: string, range?: ByteRange, { signal }: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    throwIfAborted(signal);
    return this.#request('read', name, () => {
      const bytes = this.#store.read(name);
      if (range === undefined) return bytes;
      if (range.offset + range.length > bytes.length) {
        throw new SnapError('INVALID_RANGE', `Cannot read '${name}': it ends before the range does`, { context: { name, ...range, sizeBytes: bytes.length } });
      }
      return bytes.slice(range.offset, range.offset + range.length);
    });
  }

  async stat(name: string, { signal }: CallOptions = {}): Promise<StoredObject> {
    throwIfAborted(signal);
    return this.#request('stat', name, () => this.#store.stat(name));
  }

  async *list(prefix: string, { signal }: CallOptions = {}): AsyncGenerator<StoredObject> {
    for (let after = '', isLast = false; !isLast;) {
      throwIfAborted(signal);
      const from = after;
      const page = await this.#request('list', prefix, () => this.#store.page(prefix, from));
      yield* page.objects;
      after = page.objects.at(-1)?.name ?? after;
      isLast = page.isLast;
    }
  }

  async create(name: string, parts: readonly Bytes[], { signal }: CallOptions = {}): Promise<void> {
    throwIfAborted(signal);
    // What was sent is what the caller had then: it may use its buffers again.
    const sent = parts.map(part => part.slice());
    if (await this.#isThere(name)) throw nameTaken(name);
    return this.#request('create', name, () => { this.#store.create(name, sent); });
  }

  async createIfAbsent(name: string, bytes: Bytes, { signal }: CallOptions = {}): Promise<'created' | 'exists'> {
    throwIfAborted(signal);
    const sent = bytes.slice();
    if (await this.#isThere(name)) return 'exists';
    return this.#request('createIfAbsent', name, () => this.#store.createIfAbsent(name, sent));
  }

  /** What the adapter does where the storage knows no conditions. */
  async #isThere(name: string): Promise<boolean> {
    if (this.capabilities.createIfAbsent === 'atomic') return false;
    return this.stat(name).then(() => true, (error: unknown) => {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return false;
      throw error;
    });
  }

  async remove(name: string, { signal }: CallOptions = {}): Promise<void> {
    throwIfAborted(signal);
    return this.#request('remove', name, () => { this.#store.remove(name); });
  }

  async close(): Promise<void> {}

  #request<T>(verb: Verb, name: string, effect: () => T): Promise<T> {
    return this.#world.request(this.#process, verb, this.#store.label + name, effect);
  }
}

/** The clock of a host: off by what `offsetMs` says at the moment, which may change in either direction. */
export function simulatedClock(world: World, process: Process, offsetMs: () => number): Clock {
  const now = (): number => world.now + offsetMs();
  const startedAt = world.now;
  return {
    now,
    nowPair: () => [Math.floor(now() / 1000), (now() % 1000) * 1_000_000],
    monotonic: () => world.now - startedAt,
    sleep: (ms, signal) => new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled(signal));
      const cancel = world.addTimer(process, ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      const onAbort = (): void => {
        cancel();
        reject(cancelled(signal));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
    }),
    every: (ms, callback) => world.addTimer(process, ms, callback, ms),
  };
}
