/** Runs use cases with a renderer beside them: facts are passed on, counters are looked at a few times per second. */
import { systemClock, type Clock } from '../base/ambient.ts';
import { newCounters, type Counters, type JobContext, type SnapEvent } from '../usecases/events.ts';
import type { RunReport } from '../usecases/reports.ts';
import type { GlobalValues } from './flags.ts';
import { resultOf, type Result } from './outcome.ts';
import { JsonRenderer } from './render-json.ts';
import { TextRenderer } from './render-text.ts';
import type { Renderer } from './renderer.ts';
import type { Terminal } from './terminal.ts';

export function newRenderer(terminal: Terminal, globals: GlobalValues, clock: Clock = systemClock): Renderer {
  const { json, quiet, verbose, progress } = globals;
  const options = { showsProgress: progress && !quiet, isQuiet: quiet, verbosity: quiet ? 0 : verbose };
  return json ? new JsonRenderer(terminal, clock.monotonic(), options) : new TextRenderer(terminal, clock.monotonic(), options);
}

export interface JobSurroundings {
  readonly terminal: Terminal;
  readonly globals: GlobalValues;
  readonly signal: AbortSignal;
}

/** What a verb holds while its use cases run. */
export interface Job {
  /** For the use case that runs now; `begin` starts the figures anew for the next one. */
  readonly context: JobContext;
  begin(): void;
  show(report: RunReport): Result;
  /** For a use case without a report: what its events said. */
  result(): Result;
  /** For people only. */
  note(text: string): void;
}

/** @throws what the work throws, with the progress line gone */
export async function runJob<T>(surroundings: JobSurroundings, work: (job: Job) => Promise<T>, clock: Clock = systemClock): Promise<T> {
  const run = new RunningJob(surroundings, clock);
  try {
    return await work(run);
  } finally {
    run.stop();
  }
}

/** Worse results win. */
export function worst(...results: readonly Result[]): Result {
  const order: readonly Result[] = ['complete', 'warning', 'critical', 'partial', 'failed', 'damaged'];
  return results.reduce((a, b) => (order.indexOf(b) > order.indexOf(a) ? b : a), 'complete');
}

class RunningJob implements Job {
  readonly #surroundings: JobSurroundings;
  readonly #clock: Clock;
  #renderer: Renderer;
  #counters: Counters = newCounters();
  #result: Result = 'complete';
  #stopTicking: () => void;

  constructor(surroundings: JobSurroundings, clock: Clock) {
    this.#surroundings = surroundings;
    this.#clock = clock;
    this.#renderer = newRenderer(surroundings.terminal, surroundings.globals, clock);
    const everyMs = this.#renderer.progressEveryMs;
    this.#stopTicking = everyMs === undefined ? () => undefined
      : clock.every(everyMs, () => this.#renderer.progress(this.#counters, clock.monotonic()));
  }

  get context(): JobContext {
    const { quiet, verbose } = this.#surroundings.globals;
    return {
      onEvent: event => this.#onEvent(event), wantsEntries: verbose > 0 && !quiet, counters: this.#counters, signal: this.#surroundings.signal,
    };
  }

  begin(): void {
    this.#counters = newCounters();
    this.#renderer = newRenderer(this.#surroundings.terminal, this.#surroundings.globals, this.#clock);
  }

  show(report: RunReport): Result {
    this.#renderer.report(report);
    return resultOf(report);
  }

  result(): Result {
    return this.#result;
  }

  note(text: string): void {
    this.#renderer.note(text);
  }

  stop(): void {
    this.#stopTicking();
    this.#stopTicking = () => undefined;
    this.#surroundings.terminal.status(undefined);
  }

  #onEvent(event: SnapEvent): void {
    if (event.type === 'damage-found' && event.finding.severity === 'damage') this.#result = 'damaged';
    if (event.type === 'problem-found') this.#result = worst(this.#result, 'partial');
    this.#renderer.event(event);
  }
}
