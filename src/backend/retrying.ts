import type { Clock, Random } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { hasCode, type SnapError } from '../base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, RequestCounts, StoredObject } from './backend.ts';

export interface RetryEvent {
  readonly operation: 'read' | 'stat' | 'list' | 'create' | 'createIfAbsent' | 'remove' | 'open';
  /** Object name; for `list` the prefix, for `open` empty. */
  readonly name: string;
  /** The try that failed, from 1. */
  readonly attempt: number;
  readonly delayMs: number;
  readonly error: SnapError;
}

export interface RetryingOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** First pause; each further one is twice as long, up to `maxDelayMs`. Default 500 ms. */
  readonly firstDelayMs?: number | undefined;
  /** Default 30 s. */
  readonly maxDelayMs?: number | undefined;
  /** A failure is final when the next try would begin so long after the first. Default 10 minutes: a router restarts in five. */
  readonly giveUpAfterMs?: number | undefined;
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
}

/**
 * Repeats calls that failed with UNAVAILABLE, after exponentially growing pauses of which the second half is random, so
 * that many hosts do not come back at the same moment.
 *
 * After a `createIfAbsent` whose effect is unknown the answer 'exists' may mean the caller's own object, and only the caller
 * can compare (architecture, section A6): it gets the error with `effectUnknown`.
 */
export class RetryingBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly writesAtOnce: number | undefined;
  readonly requests: RequestCounts | undefined;
  readonly #inner: Backend;
  readonly #options: RetryingOptions;

  constructor(inner: Backend, options: RetryingOptions) {
    this.location = inner.location;
    this.capabilities = inner.capabilities;
    this.writesAtOnce = inner.writesAtOnce;
    this.requests = inner.requests;
    this.#inner = inner;
    this.#options = options;
  }

  read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#repeat('read', name, options, () => this.#inner.read(name, range, options));
  }

  stat(name: string, options?: CallOptions): Promise<StoredObject> {
    return this.#repeat('stat', name, options, () => this.#inner.stat(name, options));
  }

  /**
   * Begins anew after a failure and leaves out what was given already; tries are counted from the last object on.
   * Memory: the names given so far, so that large prefixes are better listed in parts.
   */
  async *list(prefix: string, options?: CallOptions): AsyncGenerator<StoredObject> {
    const call: RepeatedCall = { operation: 'list', name: prefix, signal: options?.signal };
    let startedAt = this.#options.clock.monotonic();
    const given = new Set<string>();
    for (let attempt = 1; ; attempt++) {
      const givenBefore = given.size;
      try {
        for await (const object of this.#inner.list(prefix, options)) {
          if (given.has(object.name)) continue;
          given.add(object.name);
          yield object;
        }
        return;
      } catch (error) {
        if (given.size > givenBefore) {
          attempt = 1;
          startedAt = this.#options.clock.monotonic();
        }
        await pauseOrThrow(call, this.#options, { startedAt, attempt, error });
      }
    }
  }

  create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void> {
    return this.#repeat('create', name, options, async attempt => {
      try {
        await this.#inner.create(name, parts, options);
      } catch (error) {
        const isOwn = attempt > 1 && hasCode(error, 'DENIED') && error.context['exists'] === 1 && await this.#hasSize(name, parts, options);
        // Names are random, so an object that an earlier try can have made was made by it.
        if (!isOwn) throw error;
      }
    });
  }

  async createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    let doubt: SnapError | undefined;
    const attempt = async (): Promise<'created' | 'exists' | 'in doubt'> => {
      try {
        const outcome = await this.#inner.createIfAbsent(name, bytes, options);
        return outcome === 'exists' && doubt !== undefined ? 'in doubt' : outcome;
      } catch (error) {
        if (hasCode(error, 'UNAVAILABLE') && error.context['effectUnknown'] === 1) doubt = error;
        throw error;
      }
    };
    try {
      const outcome = await this.#repeat('createIfAbsent', name, options, attempt);
      if (outcome !== 'in doubt') return outcome;
    } catch (error) {
      // A later failure says nothing about what an earlier try has done.
      if (doubt === undefined || hasCode(error, 'CANCELLED')) throw error;
    }
    throw doubt!;
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#repeat('remove', name, options, () => this.#inner.remove(name, options));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #hasSize(name: string, parts: readonly Bytes[], options: CallOptions | undefined): Promise<boolean> {
    try {
      const { sizeBytes } = await this.#inner.stat(name, options);
      return sizeBytes === parts.reduce((sum, part) => sum + part.length, 0);
    } catch (error) {
      if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      return true; // it was there, and somebody has removed it since
    }
  }

  #repeat<T>(
    operation: RetryEvent['operation'], name: string, options: CallOptions | undefined, once: (attempt: number) => Promise<T>,
  ): Promise<T> {
    return repeatWhileUnavailable({ operation, name, signal: options?.signal }, this.#options, once);
  }
}

/** What is repeated, for events and for the signal. */
export interface RepeatedCall {
  readonly operation: RetryEvent['operation'];
  /** Object name; for `list` the prefix, for `open` empty. */
  readonly name: string;
  readonly signal: AbortSignal | undefined;
}

/** Calls `once` with the number of the try, from 1, until it does not fail with UNAVAILABLE. @throws its last error */
export async function repeatWhileUnavailable<T>(call: RepeatedCall, options: RetryingOptions, once: (attempt: number) => Promise<T>): Promise<T> {
  const startedAt = options.clock.monotonic();
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(attempt);
    } catch (error) {
      await pauseOrThrow(call, options, { startedAt, attempt, error });
    }
  }
}

async function pauseOrThrow(
  call: RepeatedCall, options: RetryingOptions, failed: { readonly startedAt: number; readonly attempt: number; readonly error: unknown },
): Promise<void> {
  const { clock, giveUpAfterMs = 600_000, onRetry } = options;
  const { startedAt, attempt, error } = failed;
  if (!hasCode(error, 'UNAVAILABLE')) throw error;
  const delayMs = delayAfter(attempt, options);
  if (clock.monotonic() - startedAt + delayMs > giveUpAfterMs) throw error;
  onRetry?.({ operation: call.operation, name: call.name, attempt, delayMs, error });
  await clock.sleep(delayMs, call.signal);
}

function delayAfter(attempt: number, { random, firstDelayMs = 500, maxDelayMs = 30_000 }: RetryingOptions): number {
  // 2^30 first delays are beyond every maximum; a larger power would leave the whole numbers.
  const full = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(attempt - 1, 30));
  const half = Math.ceil(full / 2);
  return half + random.below(Math.floor(full) - half + 1);
}
