/** Time and chance: the only file of snap that touches either, so that tests can replace both. */
import { randomFillSync } from 'node:crypto';
import { cancelled } from './errors.ts';

export interface Clock {
  /** Milliseconds since 1970, UTC. */
  now(): number;
  /** `[seconds, nanoseconds]` since 1970; nanoseconds 0 to 999,999,999. */
  nowPair(): [seconds: number, nanoseconds: number];
  /** Milliseconds of a clock that only moves forward; for durations. */
  monotonic(): number;
  /** @throws CANCELLED when the signal aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back every `ms` until the returned function is called; does not keep the process alive. */
  every(ms: number, callback: () => void): () => void;
}

export interface Random {
  bytes(count: number): Uint8Array<ArrayBuffer>;
  /** A whole number, 0 <= n < bound, evenly spread; bound at most 2^31. */
  below(bound: number): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  nowPair: () => {
    const ms = performance.timeOrigin + performance.now();
    // The monotonic clock drifts from the wall clock on suspended hosts; trust it for the fraction only.
    const wall = Date.now();
    const precise = Math.abs(ms - wall) < 5 ? ms : wall;
    const seconds = Math.floor(precise / 1000);
    return [seconds, Math.min(999_999_999, Math.max(0, Math.round((precise - seconds * 1000) * 1e6)))];
  },
  monotonic: () => performance.now(),
  sleep: (ms, signal) => new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(cancelled(signal));
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(cancelled(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  }),
  every: (ms, callback) => {
    const timer = setInterval(callback, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export const systemRandom: Random = {
  bytes: count => randomFillSync(new Uint8Array(count)),
  below: bound => {
    // Rejection sampling: the remainder of a 32-bit number alone would favour small results.
    const limit = Math.floor(2 ** 32 / bound) * bound;
    for (;;) {
      const value = new DataView(randomFillSync(new Uint8Array(4)).buffer).getUint32(0);
      if (value < limit) return value % bound;
    }
  },
};
