/**
 * The world of a simulation: its time, its processes, and the storage operations that wait for their turn. Nothing happens by
 * itself: a simulated process runs until all it waits for are operations or timers, and the scheduler decides what comes next.
 */
import { SnapError } from '../../src/base/errors.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { FileContents } from './memory-files.ts';

/** 'begin' is the wish of a host to start its next process; the others are those of a backend. */
export type Verb = 'begin' | 'read' | 'stat' | 'list' | 'create' | 'createIfAbsent' | 'remove';

/** One run of the program on a host. */
export interface Process {
  readonly name: string;
  readonly host: string;
  readonly processId: number;
  /** Kinds of faults that it met so far: they excuse errors of that kind. */
  readonly met: Set<FaultKind>;
  isAlive: boolean;
  /** Gets neither answers nor timers until then, as on a host that is suspended. */
  isFrozen: boolean;
  /** The longest time it was frozen or time jumped over it, ms. */
  longestPauseMs: number;
  readonly onDeath: () => void;
  /** Content of the snapshots that it commits. */
  stores: FileContents | undefined;
}

/** 'late': no answer comes, and what was sent takes its effect at some later time, or never. */
export type FaultKind = 'unavailable' | 'lost-answer' | 'late' | 'no-space' | 'flip' | 'truncate';

/** What a process has asked of the storage. */
export interface Operation {
  readonly number: number;
  readonly process: Process;
  readonly verb: Verb;
  readonly name: string;
  /** Takes its effect and returns the answer. */
  readonly effect: () => unknown;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
  /** Its effect has been, the answer is on its way. */
  answer: { readonly deliver: () => void; readonly text: string } | undefined;
  /** The process has given it up, and it is still under way. */
  isLate: boolean;
}

interface Timer {
  readonly process: Process;
  at: number;
  readonly order: number;
  /** Milliseconds until the next time; undefined for a single one. */
  readonly every: number | undefined;
  readonly fire: () => void;
}

export const isChange = (verb: Verb): boolean => verb === 'create' || verb === 'createIfAbsent' || verb === 'remove';

export class World {
  readonly random: SeededRandom;
  /** True time, which is the storage's time too, ms since 1970. */
  now: number = Date.UTC(2024, 0, 1);
  readonly trace: string[] = [];
  readonly operations: Operation[] = [];
  readonly processes: Process[] = [];
  readonly #timers = new Set<Timer>();
  #lastOperation = 0;
  #lastTimer = 0;
  #lastProcess = 100;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  note(text: string): void {
    this.trace.push(`${String(this.trace.length).padStart(5)} ${timeText(this.now)} ${text}`);
  }

  start(host: string, job: string, onDeath: () => void): Process {
    const processId = ++this.#lastProcess;
    const process: Process = {
      name: `${host}/${job}#${processId}`, host, processId, met: new Set(), isAlive: true, isFrozen: false, longestPauseMs: 0, onDeath, stores: undefined,
    };
    this.processes.push(process);
    this.note(`${process.name} starts`);
    return process;
  }

  /** It is not there any more; what it has sent may still arrive. */
  end(process: Process): void {
    process.isAlive = false;
    this.processes.splice(this.processes.indexOf(process), 1);
    for (const timer of [...this.#timers]) if (timer.process === process) this.#timers.delete(timer);
  }

  request<T>(process: Process, verb: Verb, name: string, effect: () => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (!process.isAlive) return; // It was killed while it ran: whatever it does now does not happen.
      this.operations.push({ number: ++this.#lastOperation, process, verb, name, effect, resolve: resolve as (answer: unknown) => void, reject, answer: undefined, isLate: false });
    });
  }

  addTimer(process: Process, delayMs: number, fire: () => void, every?: number): () => void {
    const timer: Timer = { process, at: this.now + Math.max(0, delayMs), order: ++this.#lastTimer, every, fire };
    this.#timers.add(timer);
    return () => { this.#timers.delete(timer); };
  }

  /** Time until a timer of a process that runs; undefined when none waits. */
  untilNextTimer(isWorthwhile: (isRepeated: boolean) => boolean = () => true): number | undefined {
    const due = [...this.#timers].filter(({ process, every }) => !process.isFrozen && isWorthwhile(every !== undefined)).map(({ at }) => Math.max(0, at - this.now));
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** A timer that repeats fires once, however long the pause was, as on a host that was suspended. */
  advance(ms: number): void {
    this.now += ms;
    for (const process of this.processes) process.longestPauseMs = Math.max(process.longestPauseMs, ms);
    this.fireTimers();
  }

  fireTimers(): void {
    const due = [...this.#timers].filter(({ process, at }) => at <= this.now && !process.isFrozen).sort((a, b) => a.at - b.at || a.order - b.order);
    for (const timer of due) {
      if (timer.every === undefined) this.#timers.delete(timer);
      else timer.at = this.now + timer.every;
      timer.fire();
    }
  }
}

export function timeText(now: number): string {
  return new Date(now).toISOString().slice(5, 19);
}

export function faultError(code: 'UNAVAILABLE' | 'NO_SPACE', { verb, name }: Operation, isEffectUnknown: boolean): SnapError {
  const context = isEffectUnknown ? { name, effectUnknown: 1 } : { name };
  return new SnapError(code, `Cannot ${verb} '${name}': simulated fault`, { context });
}
