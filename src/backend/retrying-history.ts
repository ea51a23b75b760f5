/** Repeats what the past of a storage is asked for, as `RetryingBackend` does with the present: all of it may be repeated. */
import type { Backend, CallOptions, ObjectChange, ObjectHistory } from './backend.ts';
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
