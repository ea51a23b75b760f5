/**
 * Explores every interleaving of the actors' steps. An actor's steps depend on the store and on its own state only, so both
 * are numbered, steps are worked out once for each pair of numbers, and a state of the whole is a few integers. The numbers
 * stand for exact texts: nothing is hashed, so no state is lost to a collision.
 */
import type { Configuration } from './configurations.ts';
import { newPruner, prunerSteps } from './pruner.ts';
import { newReader, readerSteps } from './reader.ts';
import { canonical, initialStore, type Actor, type Step, type Store } from './state.ts';
import { problemOf, problemOfReader } from './validity.ts';
import { newWriter, writerSteps } from './writer.ts';

export interface SearchResult {
  /** What must never be seen and was; undefined when the complete search found nothing. */
  readonly problem: string | undefined;
  /** Labels of a shortest way to it. */
  readonly trace: readonly string[];
  /** Different states; all of them when there is no problem. */
  readonly states: number;
}

/** More stores, actor states or combinations of them than this are not told apart exactly in one number. */
const MAX_NUMBERS = 2 ** 24;
const MAX_ACTORS = 8;

/** Gives equal values the same number, from 0. */
class Numbering<T> {
  readonly values: T[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(value: T, text: string = canonical(value)): number {
    const known = this.#numbers.get(text);
    if (known !== undefined) return known;
    const number = this.values.push(value) - 1;
    if (number >= MAX_NUMBERS) throw new RangeError('Too many different values to number');
    this.#numbers.set(text, number);
    return number;
  }
}

interface NumberedStep {
  readonly label: string;
  readonly store: number;
  readonly actor: number;
}

class Explorer {
  readonly #configuration: Configuration;
  readonly #stores = new Numbering<Store>();
  readonly #actors = new Numbering<Actor>();
  /** Which state each actor is in, as numbers. */
  readonly #casts = new Numbering<readonly number[]>();
  readonly #steps = new Map<number, readonly NumberedStep[]>();
  readonly #recasts = new Map<number, number>();
  readonly #problems: (string | undefined)[] = [];
  readonly #seen = new Set<number>();
  /** One entry for each state in the order of discovery: breadth first. */
  readonly #storeOf: number[] = [];
  readonly #castOf: number[] = [];
  readonly #parentOf: number[] = [];
  readonly #labelOf: string[] = [];

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
  }

  search(): SearchResult {
    const { writers, pruners, features } = this.#configuration;
    const actors: Actor[] = [
      ...Array.from({ length: writers }, (_, i) => newWriter(this.#configuration, i)),
      ...Array.from({ length: pruners }, (_, i) => newPruner(this.#configuration, i)),
      ...features.has('reader') ? [newReader(0)] : [],
    ];
    if (actors.length > MAX_ACTORS) throw new RangeError(`Too many actors: ${actors.length}`);
    this.#add(this.#stores.numberOf(initialStore(this.#configuration)), this.#castNumber(actors.map(actor => this.#actors.numberOf(actor))), -1, '');
    for (let state = 0; state < this.#storeOf.length; state++) {
      const problem = this.#expand(state);
      if (problem !== undefined) return { problem, trace: this.#traceTo(this.#storeOf.length - 1), states: this.#storeOf.length };
    }
    return { problem: undefined, trace: [], states: this.#storeOf.length };
  }

  #expand(state: number): string | undefined {
    const store = this.#storeOf[state]!;
    const cast = this.#castOf[state]!;
    const actors = this.#casts.values[cast]!;
    for (let place = 0; place < actors.length; place++) {
      for (const step of this.#stepsOf(store, actors[place]!)) {
        const next = this.#recast(cast, place, step.actor);
        if (!this.#add(step.store, next, state, step.label)) continue;
        const problem = this.#problems[step.store] ?? this.#problemOfReaders(step.store, next);
        if (problem !== undefined) return problem;
      }
    }
    return undefined;
  }

  #add(store: number, cast: number, parent: number, label: string): boolean {
    const key = store * MAX_NUMBERS + cast;
    if (this.#seen.has(key)) return false;
    this.#seen.add(key);
    this.#storeOf.push(store);
    this.#castOf.push(cast);
    this.#parentOf.push(parent);
    this.#labelOf.push(label);
    return true;
  }

  #stepsOf(store: number, actor: number): readonly NumberedStep[] {
    const key = store * MAX_NUMBERS + actor;
    const known = this.#steps.get(key);
    if (known !== undefined) return known;
    const steps = stepsOf(this.#configuration, this.#stores.values[store]!, this.#actors.values[actor]!).map(step => ({
      label: step.label, store: this.#storeNumber(step.store), actor: this.#actors.numberOf(step.actor),
    }));
    this.#steps.set(key, steps);
    return steps;
  }

  #storeNumber(store: Store): number {
    const number = this.#stores.numberOf(store);
    if (number >= this.#problems.length) this.#problems[number] = problemOf(this.#configuration, store);
    return number;
  }

  #castNumber(actors: readonly number[]): number {
    return this.#casts.numberOf(actors, actors.join());
  }

  /** The same cast with one actor in another state. */
  #recast(cast: number, place: number, actor: number): number {
    const key = (cast * MAX_ACTORS + place) * MAX_NUMBERS + actor;
    const known = this.#recasts.get(key);
    if (known !== undefined) return known;
    const number = this.#castNumber(this.#casts.values[cast]!.with(place, actor));
    this.#recasts.set(key, number);
    return number;
  }

  #problemOfReaders(store: number, cast: number): string | undefined {
    if (!this.#configuration.features.has('reader')) return undefined;
    for (const number of this.#casts.values[cast]!) {
      const actor = this.#actors.values[number]!;
      const problem = actor.kind === 'reader' ? problemOfReader(this.#configuration, this.#stores.values[store]!, actor) : undefined;
      if (problem !== undefined) return problem;
    }
    return undefined;
  }

  #traceTo(state: number): string[] {
    const labels: string[] = [];
    for (let at = state; at > 0; at = this.#parentOf[at]!) labels.push(this.#labelOf[at]!);
    return labels.reverse();
  }
}

function stepsOf(configuration: Configuration, store: Store, actor: Actor): readonly Step[] {
  switch (actor.kind) {
    case 'writer': return writerSteps(configuration, store, actor);
    case 'pruner': return prunerSteps(configuration, store, actor);
    case 'reader': return readerSteps(configuration, store, actor);
  }
}

export function search(configuration: Configuration): SearchResult {
  return new Explorer(configuration).search();
}
