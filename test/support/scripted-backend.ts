import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from '../../src/backend/backend.ts';
import type { Bytes } from '../../src/base/bytes.ts';

export type ScriptedVerb = 'read' | 'stat' | 'list' | 'create' | 'createIfAbsent' | 'remove';

/** What happens just before an operation, by other hosts or by the test; it may wait. */
export type Script = (verb: ScriptedVerb, name: string) => void | Promise<void>;

/** Lets something happen between two operations of whoever uses it. Operations of the script go to the inner backend. */
export class ScriptedBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #inner: Backend;
  readonly #script: Script;

  constructor(inner: Backend, script: Script) {
    this.location = inner.location;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    this.#script = script;
  }

  async read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    await this.#script('read', name);
    return this.#inner.read(name, range, options);
  }

  async stat(name: string, options?: CallOptions): Promise<StoredObject> {
    await this.#script('stat', name);
    return this.#inner.stat(name, options);
  }

  async *list(prefix: string, options?: CallOptions): AsyncGenerator<StoredObject> {
    await this.#script('list', prefix);
    yield* this.#inner.list(prefix, options);
  }

  async create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void> {
    await this.#script('create', name);
    return this.#inner.create(name, parts, options);
  }

  async createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    await this.#script('createIfAbsent', name);
    return this.#inner.createIfAbsent(name, bytes, options);
  }

  async remove(name: string, options?: CallOptions): Promise<void> {
    await this.#script('remove', name);
    return this.#inner.remove(name, options);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

/** A script that does something once, before the n-th operation that fits. */
export function once(fits: (verb: ScriptedVerb, name: string) => boolean, work: () => void | Promise<void>, nth = 1): Script {
  let seen = 0;
  return async (verb, name) => {
    if (fits(verb, name) && ++seen === nth) await work();
  };
}
