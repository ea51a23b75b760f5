/** Bounded concurrency: a gate that lets a number of things run at once, and a group that waits for all and fails on the first. */

/** Lets at most `limit` holders in at a time, first come, first served. */
export class Semaphore {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(limit: number) {
    this.#free = limit;
  }

  async acquire(): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    await new Promise<void>(resolve => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free++;
    else next();
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    await this.acquire();
    try {
      return await job();
    } finally {
      this.release();
    }
  }
}

/**
 * Jobs under way, at most `limit` at once. The first failure is kept and thrown by the next `add` or by `done`, so that no
 * rejection is lost and nothing new starts after a failure.
 */
export class JobGroup {
  readonly #gate: Semaphore;
  readonly #running = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(limit: number) {
    this.#gate = new Semaphore(limit);
  }

  /** Waits for a free place, then starts the job. @throws the first failure of an earlier job */
  async add(job: () => Promise<void>): Promise<void> {
    await this.#gate.acquire();
    if (this.#failure !== undefined) {
      this.#gate.release();
      throw this.#failure.error;
    }
    const running: Promise<void> = job()
      .catch((error: unknown) => { this.#failure ??= { error }; })
      .finally(() => {
        this.#running.delete(running);
        this.#gate.release();
      });
    this.#running.add(running);
  }

  /** @throws the first failure so far */
  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits for everything that runs. @throws the first failure */
  async done(): Promise<void> {
    await this.settled();
    this.check();
  }

  /** Waits for everything that runs, whatever its outcome; for clean-up after another error. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}

/** Maps with at most `limit` calls under way; results in the order of the input. */
export async function mapBounded<T, R>(items: Iterable<T>, limit: number, map: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const group = new JobGroup(limit);
  let index = 0;
  try {
    for (const item of items) {
      const at = index++;
      await group.add(async () => { results[at] = await map(item, at); });
    }
  } finally {
    await group.settled();
  }
  group.check();
  return results;
}

/** Two jobs at the same time. When one fails, the other is told to stop; the first failure is thrown when both have ended. */
export async function sideBySide<A, B>(
  signal: AbortSignal | undefined, first: (signal: AbortSignal) => Promise<A>, second: (signal: AbortSignal) => Promise<B>,
): Promise<[A, B]> {
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  let failure: { readonly error: unknown } | undefined;
  const watch = <T>(job: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> => job(either).catch((error: unknown) => {
    failure ??= { error };
    stop.abort();
    return undefined;
  });
  const [a, b] = await Promise.all([watch(first), watch(second)]);
  if (failure !== undefined) throw failure.error;
  return [a as A, b as B];
}
