import type { Clock } from '../../src/base/ambient.ts';
import { cancelled } from '../../src/base/errors.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/**
 * A clock that stands still until the test moves it with `advance`. With `runsByItself`, it jumps to the next timer whenever
 * the event loop has nothing else to do, so that pauses of hours cost nothing and keep their order.
 */
export class TestClock implements Clock {
  readonly #startedAt: number;
  readonly #runsByItself: boolean;
  readonly #timers = new Set<Timer>();
  #elapsed = 0;
  #order = 0;
  #isStepPlanned = false;
  /** What `sleep` was asked for, in order. */
  readonly sleeps: number[] = [];

  constructor(options: { startAt?: number; runsByItself?: boolean } = {}) {
    this.#startedAt = options.startAt ?? Date.UTC(2024, 0, 1);
    this.#runsByItself = options.runsByItself ?? false;
  }

  now(): number {
    return this.#startedAt + this.#elapsed;
  }

  nowPair(): [seconds: number, nanoseconds: number] {
    const now = this.now();
    const seconds = Math.floor(now / 1000);
    return [seconds, Math.round((now - seconds * 1000) * 1e6)];
  }

  monotonic(): number {
    return this.#elapsed;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(cancelled(signal));
      const onAbort = (): void => {
        this.#timers.delete(timer);
        reject(cancelled(signal));
      };
      const timer = this.#add(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  every(ms: number, callback: () => void): () => void {
    const again = (): Timer => this.#add(ms, () => {
      timer = again();
      callback();
    });
    let timer = again();
    return () => this.#timers.delete(timer);
  }

  /** Moves time forward and fires what becomes due, in order. */
  advance(ms: number): void {
    const until = this.#elapsed + ms;
    for (let timer = this.#next(); timer !== undefined && timer.at <= until; timer = this.#next()) this.#fire(timer);
    this.#elapsed = until;
  }

  #add(ms: number, fire: () => void): Timer {
    const timer = { at: this.#elapsed + Math.max(0, ms), order: this.#order++, fire };
    this.#timers.add(timer);
    this.#planStep();
    return timer;
  }

  #next(): Timer | undefined {
    return [...this.#timers].sort((a, b) => a.at - b.at || a.order - b.order)[0];
  }

  #fire(timer: Timer): void {
    this.#timers.delete(timer);
    this.#elapsed = Math.max(this.#elapsed, timer.at);
    timer.fire();
  }

  #planStep(): void {
    if (!this.#runsByItself || this.#isStepPlanned) return;
    this.#isStepPlanned = true;
    setImmediate(() => {
      this.#isStepPlanned = false;
      const timer = this.#next();
      if (timer === undefined) return;
      this.#fire(timer);
      this.#planStep();
    });
  }
}
