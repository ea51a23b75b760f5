import type { Counters, SnapEvent } from '../usecases/events.ts';
import type { RunReport } from '../usecases/reports.ts';
import type { Failure } from './outcome.ts';

/** Shows a run: facts as they come, counters when polled, the report or the failure at the end. */
export interface Renderer {
  /** How often `progress` is to be called, in milliseconds; undefined: never. */
  readonly progressEveryMs: number | undefined;
  event(event: SnapEvent): void;
  /** `now` in milliseconds of a monotonic clock. */
  progress(counters: Counters, now: number): void;
  report(report: RunReport): void;
  failure(failure: Failure): void;
  /** Something for people only: what to do next, where a thing was put. */
  note(text: string): void;
}
