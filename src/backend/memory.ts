import type { Clock } from '../base/ambient.ts';
import { type Bytes, concatBytes } from '../base/bytes.ts';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from './backend.ts';
import { assertObjectName, assertObjectPrefix, assertRange, MAX_READ_BYTES } from './object-arguments.ts';

interface MemoryObject {
  /** Never changed after the object was made. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly storedAt: number;
}

/** All objects at one moment; a value that no later call changes. */
export type MemoryState = ReadonlyMap<string, MemoryObject>;

export interface MemoryBackendOptions {
  readonly clock: Clock;
  /** For several in one run; default 'memory:'. */
  readonly location?: string | undefined;
  /** Declares 'none' to make callers take the slower protocol; races are decided all the same. */
  readonly createIfAbsent?: BackendCapabilities['createIfAbsent'] | undefined;
}

/** Objects in memory, for tests and dry runs. Every operation takes effect at one moment. */
export class MemoryBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #clock: Clock;
  readonly #objects: Map<string, MemoryObject>;

  constructor(options: MemoryBackendOptions, objects: MemoryState = new Map()) {
    this.location = options.location ?? 'memory:';
    this.capabilities = { createIfAbsent: options.createIfAbsent ?? 'atomic', canRemove: true };
    this.#clock = options.clock;
    this.#objects = new Map(objects);
  }

  /** A backend that begins with the objects of another one. */
  static fromState(state: MemoryState, options: MemoryBackendOptions): MemoryBackend {
    return new MemoryBackend(options, state);
  }

  snapshotState(): MemoryState {
    return new Map(this.#objects);
  }

  async read(name: string, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(options.signal);
    const { bytes } = this.#get('read', name);
    const { offset, length } = range ?? { offset: 0, length: bytes.length };
    if (offset + length > bytes.length || length > MAX_READ_BYTES) {
      const reason = `${length} bytes from ${offset} reach beyond its end at ${bytes.length}`;
      throw this.#error('INVALID_RANGE', 'read', name, reason, { offset, length, sizeBytes: bytes.length });
    }
    return bytes.slice(offset, offset + length);
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const { bytes, storedAt } = this.#get('stat', name);
    return { name, sizeBytes: bytes.length, storedAt };
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    for (const [name, { bytes, storedAt }] of [...this.#objects]) {
      throwIfAborted(options.signal);
      if (name.startsWith(prefix)) yield { name, sizeBytes: bytes.length, storedAt };
    }
    throwIfAborted(options.signal);
  }

  async create(name: string, parts: readonly Bytes[], options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    if (!this.#put(name, parts)) throw this.#error('DENIED', 'create', name, 'another object has the name', { exists: 1 });
  }

  async createIfAbsent(name: string, bytes: Bytes, options: CallOptions = {}): Promise<'created' | 'exists'> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    return this.#put(name, [bytes]) ? 'created' : 'exists';
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    this.#objects.delete(name);
  }

  async close(): Promise<void> {
    // Nothing is held that would not be collected.
  }

  #put(name: string, parts: readonly Bytes[]): boolean {
    if (this.#objects.has(name)) return false;
    this.#objects.set(name, { bytes: concatBytes(parts), storedAt: this.#clock.now() });
    return true;
  }

  #get(verb: string, name: string): MemoryObject {
    const object = this.#objects.get(name);
    if (object === undefined) throw this.#error('OBJECT_NOT_FOUND', verb, name, 'there is no such object', {});
    return object;
  }

  #error(
    code: 'OBJECT_NOT_FOUND' | 'INVALID_RANGE' | 'DENIED', verb: string, name: string, reason: string, context: Record<string, number>,
  ): SnapError {
    const message = `Cannot ${verb} '${name}' in '${this.location}': ${reason}`;
    return new SnapError(code, message, { context: { location: this.location, name, ...context } });
  }
}
