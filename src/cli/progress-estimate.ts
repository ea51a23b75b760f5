import type { Counters } from '../usecases/events.ts';

export interface Progress {
  readonly elapsedMs: number;
  readonly bytesPerSecond: number;
  /** 0 to 1; undefined while totals are unknown. */
  readonly share: number | undefined;
  /** Undefined while nothing can be said. */
  readonly remainingMs: number | undefined;
}

/** Speed is the average over this time, so that one slow file does not make the estimate jump. */
const WINDOW_MS = 15_000;

/** Rates and estimates from polled counters. */
export class ProgressEstimate {
  readonly #startedAt: number;
  readonly #samples: { readonly at: number; readonly bytes: number; readonly entries: number }[] = [];

  constructor(now: number) {
    this.#startedAt = now;
    this.#samples.push({ at: now, bytes: 0, entries: 0 });
  }

  /** `now` in milliseconds of a monotonic clock. */
  sample(now: number, counters: Counters): Progress {
    const samples = this.#samples;
    samples.push({ at: now, bytes: counters.bytesDone, entries: counters.entriesDone });
    while (samples.length > 2 && now - samples[1]!.at >= WINDOW_MS) samples.shift();
    const first = samples[0]!;
    const passedMs = Math.max(1, now - first.at);
    const bytesPerMs = (counters.bytesDone - first.bytes) / passedMs;
    const entriesPerMs = (counters.entriesDone - first.entries) / passedMs;
    const isKnown = counters.totalBytes > 0 || counters.totalEntries > 0;
    return {
      elapsedMs: now - this.#startedAt,
      bytesPerSecond: bytesPerMs * 1000,
      share: isKnown ? shareOf(counters) : undefined,
      remainingMs: isKnown ? remaining(counters, bytesPerMs, entriesPerMs) : undefined,
    };
  }
}

/** By bytes where there are any: a million empty files are an exception, one large one is not. */
function shareOf(counters: Counters): number {
  const share = counters.totalBytes > 0 ? counters.bytesDone / counters.totalBytes : counters.entriesDone / counters.totalEntries;
  return Math.min(1, share);
}

/** Bytes and entries both have to be finished; the slower of the two decides. */
function remaining(counters: Counters, bytesPerMs: number, entriesPerMs: number): number | undefined {
  const bytesLeft = Math.max(0, counters.totalBytes - counters.bytesDone);
  const entriesLeft = Math.max(0, counters.totalEntries - counters.entriesDone);
  if ((bytesLeft > 0 && bytesPerMs <= 0) || (bytesLeft === 0 && entriesLeft > 0 && entriesPerMs <= 0)) return undefined;
  const byBytes = bytesLeft > 0 ? bytesLeft / bytesPerMs : 0;
  const byEntries = entriesLeft > 0 && entriesPerMs > 0 ? entriesLeft / entriesPerMs : 0;
  return Math.max(byBytes, byEntries);
}
