/** Runs a use case with a renderer beside it: facts are passed on, counters are looked at a few times per second. */
import { systemClock, type Clock } from '../base/ambient.ts';
import { newCounters, type JobContext } from '../usecases/events.ts';
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

/** @throws what the work throws, with the progress line gone */
export async function runJob<R extends RunReport>(
  surroundings: JobSurroundings, work: (context: JobContext, renderer: Renderer) => Promise<R>, clock: Clock = systemClock,
): Promise<R> {
  const { terminal, globals, signal } = surroundings;
  const renderer = newRenderer(terminal, globals, clock);
  const counters = newCounters();
  const stop = renderer.progressEveryMs === undefined ? () => undefined
    : clock.every(renderer.progressEveryMs, () => renderer.progress(counters, clock.monotonic()));
  try {
    return await work({ onEvent: event => renderer.event(event), counters, signal }, renderer);
  } finally {
    stop();
    terminal.status(undefined);
  }
}

/** Runs the work and shows its report. */
export async function showJob<R extends RunReport>(
  surroundings: JobSurroundings, work: (context: JobContext) => Promise<R>, clock: Clock = systemClock,
): Promise<Result> {
  let shown: Renderer | undefined;
  const report = await runJob(surroundings, (context, renderer) => {
    shown = renderer;
    return work(context);
  }, clock);
  shown?.report(report);
  return resultOf(report);
}
