/**
 * Decides what happens next: whose operation takes effect, which answer arrives, and what goes wrong. All decisions come from
 * one seed. Uniform choices alone rarely lead deep into a race, so that seeds also run processes in long turns, or by
 * priorities with a few changes (Burckhardt et al., "A randomized scheduler with probabilistic guarantees", 2010).
 */
import type { SeededRandom } from '../support/seeded-random.ts';
import { CALM, type Weather } from './weather.ts';
import { faultError, isChange, type FaultKind, type Operation, type Process, type World } from './world.ts';

export type Policy = 'uniform' | 'turns' | 'priorities';

const HOUR = 3_600_000;
const JUMPS = [HOUR, 12 * HOUR, 25 * HOUR, 72 * HOUR];
/** What a process that is frozen or dead has sent, or has given up, may take effect at any time; one in so many steps. */
const STRAY_EFFECT = 12;
/** Turns of the event loop after which a process that waits for nothing is taken for stuck. */
const MAX_IDLE_TURNS = 2000;

export class Scheduler {
  weather: Weather = CALM;
  onClockChange: () => void = () => undefined;
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #policy: Policy;
  readonly #priorities = new Map<Process, number>();
  readonly #thaws = new Map<Process, number>();
  #last: Process | undefined;
  #steps = 0;
  /** The step with which the storage answers everything again. */
  #refusesUntil = 0;

  constructor(world: World, policy: Policy) {
    this.#world = world;
    this.#random = world.random;
    this.#policy = policy;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Until `isDone`. `afterStep` comes after every step. @throws Error when nothing can happen any more */
  async run(isDone: () => boolean, afterStep: () => Promise<void>): Promise<void> {
    let idleTurns = 0;
    for (;;) {
      await new Promise(resolve => { setImmediate(resolve); });
      if (isDone()) return;
      const hasStepped = this.#step();
      await afterStep();
      idleTurns = hasStepped ? 0 : idleTurns + 1;
      if (idleTurns > MAX_IDLE_TURNS) throw new Error(`Nothing can happen any more; running: ${this.#world.processes.map(({ name }) => name).join(', ')}`);
    }
  }

  /** What nobody waits for any more, and nobody saw arrive: each of these happens now or never. */
  settleStrays(): void {
    for (const operation of [...this.#world.operations].filter(({ process, isLate }) => isLate || !process.isAlive)) {
      if (this.#random.oneIn(2)) this.#drop(operation);
      else this.#takeEffect(operation);
    }
  }

  #step(): boolean {
    this.#steps++;
    this.#happen();
    this.#thaw();
    const operation = this.#choose();
    if (operation === undefined) return this.#pass();
    this.#world.advance(1 + this.#random.below(400));
    if (operation.answer === undefined) this.#takeEffect(operation);
    else this.#deliver(operation);
    return true;
  }

  /** Nothing is ready: time passes until a pause ends, or a frozen process goes on. */
  #pass(): boolean {
    const wait = this.#world.untilNextTimer(isRepeated => !isRepeated);
    if (wait !== undefined) {
      this.#world.advance(wait);
      return true;
    }
    const [frozen] = this.#thaws.keys();
    if (frozen === undefined) return false;
    this.#thaws.set(frozen, 0);
    return true;
  }

  // --- what goes wrong ---

  #hits(oneIn: number): boolean {
    return oneIn > 0 && this.#random.oneIn(oneIn);
  }

  #happen(): void {
    const { kill, freeze, timeJump, clockChange, refusals } = this.weather;
    const running = this.#world.processes.filter(({ isFrozen, host }) => !isFrozen && host !== '');
    if (running.length > 0 && this.#hits(kill)) this.#kill(this.#pick(running));
    else if (running.length > 0 && this.#hits(freeze)) this.#freeze(this.#pick(running));
    if (this.#hits(timeJump)) this.#jump(this.#pick(JUMPS));
    if (this.#hits(clockChange)) this.onClockChange();
    if (this.#hits(refusals)) {
      this.#refusesUntil = this.#steps + 10 + this.#random.below(100);
      this.#world.note('the storage is asked for too much');
    }
  }

  #jump(ms: number): void {
    this.#world.note(`${ms / HOUR} hours pass`);
    this.#world.advance(ms);
  }

  #kill(process: Process): void {
    this.#world.note(`${process.name} is killed`);
    this.#world.end(process);
    this.#thaws.delete(process);
    for (const operation of [...this.#world.operations]) {
      if (operation.process !== process) continue;
      if (!isChange(operation.verb) || operation.answer !== undefined || this.#random.oneIn(2)) this.#drop(operation);
    }
    process.onDeath();
  }

  #freeze(process: Process): void {
    process.isFrozen = true;
    this.#thaws.set(process, this.#steps + 10 + this.#random.below(this.#random.oneIn(2) ? 400 : 40));
    this.#world.note(`${process.name} is frozen`);
    // Long enough that others take it for dead.
    if (this.#random.oneIn(2)) this.#jump(25 * HOUR);
  }

  #thaw(): void {
    for (const [process, at] of this.#thaws) {
      if (at > this.#steps) continue;
      this.#thaws.delete(process);
      process.isFrozen = false;
      this.#world.note(`${process.name} goes on`);
      this.#world.fireTimers();
    }
  }

  // --- choices ---

  #choose(): Operation | undefined {
    const strays = this.#world.operations.filter(({ process, answer, isLate }) => isLate || ((process.isFrozen || !process.isAlive) && answer === undefined));
    if (strays.length > 0 && this.#random.oneIn(STRAY_EFFECT)) return this.#pick(strays);
    const ready = this.#world.operations.filter(({ process, isLate }) => process.isAlive && !process.isFrozen && !isLate);
    if (ready.length === 0) return undefined;
    const processes = [...new Set(ready.map(({ process }) => process))];
    const chosen = this.#chooseProcess(processes);
    return this.#pick(chosen === undefined ? ready : ready.filter(({ process }) => process === chosen));
  }

  #chooseProcess(processes: readonly Process[]): Process | undefined {
    if (this.#policy === 'uniform') return undefined;
    if (this.#policy === 'turns') {
      const isOver = this.#last === undefined || !processes.includes(this.#last) || this.#random.oneIn(25);
      return this.#last = isOver ? this.#pick(processes) : this.#last;
    }
    for (const process of processes) if (!this.#priorities.has(process)) this.#priorities.set(process, this.#random.below(1_000_000));
    const first = processes.reduce((a, b) => this.#priorities.get(b)! > this.#priorities.get(a)! ? b : a);
    if (this.#random.oneIn(40)) this.#priorities.set(first, this.#random.below(1000));
    return first;
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }

  // --- effects ---

  #drop(operation: Operation): void {
    const { operations } = this.#world;
    operations.splice(operations.indexOf(operation), 1);
  }

  #takeEffect(operation: Operation): void {
    const { process, verb, name, isLate } = operation;
    const fault = process.isAlive && !isLate && verb !== 'begin' ? this.#faultOf(operation) : undefined;
    if (fault !== undefined) process.met.add(fault);
    if (fault === 'late') return this.#giveUp(operation);
    const answer = this.#answerOf(operation, fault);
    if (verb !== 'begin') this.#world.note(`${process.name}${isLate ? ' (late)' : process.isAlive ? '' : ' (dead)'} ${verb} ${shortName(name)} -> ${answer.text}`);
    operation.answer = answer;
    if (isLate || !process.isAlive) this.#drop(operation);
    else if (verb === 'begin' || (!process.isFrozen && !this.#hits(this.weather.slowAnswer))) this.#deliver(operation, true);
  }

  /** For its process it has failed; nobody knows whether it has. */
  #giveUp(operation: Operation): void {
    const { process, verb, name } = operation;
    this.#world.note(`${process.name} ${verb} ${shortName(name)} -> UNAVAILABLE, under way`);
    operation.isLate = true;
    operation.reject(faultError('UNAVAILABLE', operation, true));
  }

  #deliver(operation: Operation, isAtOnce = false): void {
    this.#drop(operation);
    if (!isAtOnce) this.#world.note(`${operation.process.name} gets the answer of ${operation.verb} ${shortName(operation.name)}`);
    operation.answer!.deliver();
  }

  #faultOf({ verb }: Operation): FaultKind | undefined {
    const { faults, refusals } = this.weather;
    const isRefusing = refusals > 0 && this.#steps < this.#refusesUntil;
    if (this.#hits(faults.unavailable) || (isRefusing && this.#random.oneIn(2))) return 'unavailable';
    if (isChange(verb) && this.#hits(faults.late)) return 'late';
    if (isChange(verb) && this.#hits(faults['lost-answer'])) return 'lost-answer';
    if (isChange(verb) && verb !== 'remove' && this.#hits(faults['no-space'])) return 'no-space';
    if (verb === 'read' && this.#hits(faults.flip)) return 'flip';
    return verb === 'read' && this.#hits(faults.truncate) ? 'truncate' : undefined;
  }

  #answerOf(operation: Operation, fault: FaultKind | undefined): NonNullable<Operation['answer']> {
    const failing = (error: unknown, text: string): NonNullable<Operation['answer']> => ({ deliver: () => { operation.reject(error); }, text });
    if (fault === 'unavailable') return failing(faultError('UNAVAILABLE', operation, false), 'UNAVAILABLE');
    if (fault === 'no-space') return failing(faultError('NO_SPACE', operation, false), 'NO_SPACE');
    if (fault === 'lost-answer' && this.#random.oneIn(4)) return failing(faultError('UNAVAILABLE', operation, true), 'UNAVAILABLE, not done');
    try {
      const value = operation.effect();
      if (fault === 'lost-answer') return failing(faultError('UNAVAILABLE', operation, true), 'UNAVAILABLE, but done');
      const answer = fault === undefined ? value : this.#spoil(value as Uint8Array, fault);
      return { deliver: () => { operation.resolve(answer); }, text: fault ?? resultText(answer) };
    } catch (error) {
      return failing(error, errorText(error));
    }
  }

  #spoil(bytes: Uint8Array, fault: FaultKind): Uint8Array {
    if (fault === 'truncate') return bytes.slice(0, this.#random.below(bytes.length));
    const spoilt = bytes.slice();
    if (spoilt.length > 0) spoilt[this.#random.below(spoilt.length)]! ^= 1 << this.#random.below(8);
    return spoilt;
  }
}

export const shortName = (name: string): string => name.replace(/[0-9a-f]{32}/g, id => id.slice(0, 6));

function resultText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'objects' in value) return `${(value.objects as unknown[]).length} objects${'isLast' in value && value.isLast === true ? '' : ' and more'}`;
  return 'done';
}

function errorText(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
