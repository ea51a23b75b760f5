/**
 * What stands between an adapter and an HTTP client: a bound on the requests at once, a second way for small writes, a signal of
 * its own for each request, and a count of everything that was sent, which is what storages charge for.
 */
import { setMaxListeners } from 'node:events';
import type { Clock } from '../base/ambient.ts';
import { Semaphore } from '../base/concurrency.ts';
import { cancelled, throwIfAborted } from '../base/errors.ts';
import type { RequestCounts } from './backend.ts';

/**
 * Eight streams come near a line of 10 Gbit/s (Amazon gives about 90 MB/s to each), and 16 keep a line busy with small
 * requests at 40 ms.
 */
const DEFAULT_CONCURRENCY = 16;
/** Besides, for heartbeats and commits, which must not wait behind packs. */
const EXPRESS_REQUESTS = 4;
/** For the answer to a small write that is on its way when the run is interrupted. */
const STOP_MS = 2_000;

export interface RequestOptions {
  /** How it is counted. */
  readonly kind: keyof RequestCounts;
  /** Does not wait behind large transfers. */
  readonly isExpress?: boolean;
  /**
   * The signal does not cut it off once it is on its way, but leaves it a moment for its answer: it should not take effect
   * after its caller was told that it has ended.
   */
  readonly isShort?: boolean;
  readonly signal: AbortSignal | undefined;
}

export class RequestGate {
  readonly counts: Record<keyof RequestCounts, number> = { put: 0, get: 0, head: 0, list: 0, remove: 0 };
  /** Connections that are open at once at most. */
  readonly maxConnections: number;
  readonly #clock: Clock;
  readonly #large: Semaphore;
  readonly #express = new Semaphore(EXPRESS_REQUESTS);

  constructor(clock: Clock, concurrency: number = DEFAULT_CONCURRENCY) {
    this.#clock = clock;
    this.#large = new Semaphore(concurrency);
    this.maxConnections = concurrency + EXPRESS_REQUESTS;
  }

  /** Runs one request with its whole answer. @throws CANCELLED when the signal ended it, else what `send` throws */
  async run<T>(options: RequestOptions, send: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { kind, signal, isExpress = false, isShort = false } = options;
    throwIfAborted(signal);
    return (isExpress ? this.#express : this.#large).run(async () => {
      throwIfAborted(signal);
      this.counts[kind]++;
      const stop = this.#stopSignal(signal, isShort);
      try {
        return await send(stop.signal);
      } catch (error) {
        if (signal?.aborted === true) throw cancelled(signal);
        throw error;
      } finally {
        stop.end();
      }
    });
  }

  /** A signal of its own for each request: the SDKs leave their listeners behind. */
  #stopSignal(signal: AbortSignal | undefined, hasGrace: boolean): { signal: AbortSignal; end(): void } {
    const stop = new AbortController();
    const ended = new AbortController();
    const onAbort = (): void => {
      if (hasGrace) void this.#clock.sleep(STOP_MS, ended.signal).then(() => stop.abort(), () => undefined);
      else stop.abort();
    };
    if (signal !== undefined) {
      // Dozens of requests at once listen to the signal of one job.
      setMaxListeners(0, signal);
      signal.addEventListener('abort', onAbort);
    }
    return {
      signal: stop.signal,
      end: () => {
        signal?.removeEventListener('abort', onAbort);
        ended.abort();
      },
    };
  }
}
