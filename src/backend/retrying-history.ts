/** Repeats what the past and the locks of a storage are asked for, as `RetryingBackend` does with the objects: all of it may be repeated. */
import type { Backend, CallOptions, ObjectChange, ObjectHistory, ObjectLocks } from './backend.ts';
import { type RepeatedCall, repeatWhileUnavailable, type RetryingOptions } from './retrying.ts';

export class RetryingHistory implements ObjectHistory {
  readonly #inner: ObjectHistory;
  readonly #options: RetryingOptions;

  constructor(inner: ObjectHistory, options: RetryingOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  asOf(time: number, options: CallOptions = {}): Promise<Backend> {
    return this.#repeat({ operation: 'open', name: '', signal: options.signal }, () => this.#inner.asOf(time, options));
  }

  /** Begins anew after a failure. Memory: all changes. */
  async *changesSince(time: number, options: CallOptions = {}): AsyncGenerator<ObjectChange> {
    yield* await this.#repeat({ operation: 'list', name: '', signal: options.signal }, async () => {
      const changes: ObjectChange[] = [];
      for await (const change of this.#inner.changesSince(time, options)) changes.push(change);
      return changes;
    });
  }

  putBack(name: string, time: number, options: CallOptions = {}): Promise<void> {
    return this.#repeat({ operation: 'create', name, signal: options.signal }, () => this.#inner.putBack(name, time, options));
  }

  #repeat<T>(call: RepeatedCall, once: () => Promise<T>): Promise<T> {
    return repeatWhileUnavailable(call, this.#options, once);
  }
}

export class RetryingLocks implements ObjectLocks {
  readonly days: number;
  readonly #inner: ObjectLocks;
  readonly #options: RetryingOptions;

  constructor(inner: ObjectLocks, options: RetryingOptions) {
    this.days = inner.days;
    this.#inner = inner;
    this.#options = options;
  }

  isLocked(name: string): boolean {
    return this.#inner.isLocked(name);
  }

  extend(name: string, until: number, options: CallOptions = {}): Promise<void> {
    return repeatWhileUnavailable({ operation: 'create', name, signal: options.signal }, this.#options, () => this.#inner.extend(name, until, options));
  }
}
