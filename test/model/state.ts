/**
 * The state of the model: what lies in the store, and where each actor stands. All values are immutable and made of plain
 * records and arrays, so that equal ones have equal text (`canonical`).
 *
 * Abstractions. A chunk is one letter; a pack is a name and a text of chunks. Every PUT, LIST, GET and DELETE is one step that
 * happens at one moment. Every writer backs up the single chunk "a". A pruner may condemn any set of packs, not only garbage,
 * because safety must not depend on the choice. A crashed actor is one that never steps again, a frozen one steps late, so
 * that neither crashes nor clocks appear; likewise any session may be judged stale at any moment, which covers every rule
 * that judges one, such as "its process is gone from this host".
 */
import type { Configuration } from './configurations.ts';

/** Letters, sorted and without duplicates. */
export type Chunks = string;
/** Sorted and without duplicates. */
export type Names = readonly string[];
/** What lies under each name. */
export type Content = Readonly<Record<string, Chunks>>;

export interface Plan {
  readonly condemned: Names;
  readonly sweep?: Names;
  readonly done?: true;
  /** Who wrote it, for a comparison after a lost answer; empty when nobody compares. */
  readonly author: string;
}

export interface Store {
  readonly packs: Content;
  /** `snapshots/<sid>`: commit records. */
  readonly snapshots: Content;
  /** `snapshots/<sid>`: tombstones. */
  readonly tombstones: Names;
  readonly forgotten: Names;
  /** Writers. */
  readonly sessions: Names;
  /** Readers, with the chunks they pinned. */
  readonly pins: Content;
  readonly plans: Readonly<Record<string, Plan>>;
  /** Numbers of gc documents that were removed but stay used. */
  readonly removedPlans: Names;
  readonly revoked: Names;
  readonly rejected: Names;
  /** With `indexed`: the packs that each segment lists. */
  readonly segments: Readonly<Record<string, Names>>;
  /** What W7 told the user; no part of the store, but of the promise. */
  readonly reported: Readonly<Record<string, 'saved' | 'too late'>>;
}

export type WriterStep = 'W1' | 'W2' | 'W3' | 'W4' | 'W5' | 'W5-index' | 'W7' | 'W7-check-revoked' | 'W7-check-forgotten' | 'W9' | 'end';

export interface Writer {
  readonly kind: 'writer';
  readonly index: number;
  readonly step: WriterStep;
  readonly sid: string;
  /** 1 after a recommit (W8). */
  readonly attempt: number;
  readonly answerLost: boolean;
  readonly excluded: Names;
  readonly present: Content;
  /** With `indexed`: the packs that it can find chunks in. */
  readonly known: Names;
}

export type PrunerStep =
  | 'P1' | 'P2' | 'P3-list' | 'P3-plan' | 'P3-index' | 'P4' | 'P4-check' | 'P5' | 'P6' | 'P7-forgotten' | 'P7-snapshots' | 'P7-pins' | 'P7-index'
  | 'P8-gc' | 'P8-packs' | 'P8-compute' | 'P8-publish' | 'P8-check' | 'P9' | 'consolidate-packs' | 'consolidate-list' | 'consolidate-put' | 'consolidate-delete'
  | 'clean-up' | 'end';

export interface Pruner {
  readonly kind: 'pruner';
  readonly index: number;
  readonly step: PrunerStep;
  readonly retries: number;
  /** 1 for the plan that it makes after it resumed another one. */
  readonly cycle: number;
  /** Number of the plan it works on; 0 before there is one. */
  readonly plan: number;
  readonly isResuming: boolean;
  /** P1: packs that are or will be deleted for certain. */
  readonly swept: Names;
  readonly needed: Chunks;
  readonly condemned: Names;
  readonly unresolved: Names;
  readonly isRevoking: boolean;
  readonly answerLost: boolean;
  readonly forgottenSeen: Names;
  readonly pinned: Chunks;
  readonly live: Chunks;
  /** P8: packs that do not count as a copy, and those that exist. */
  readonly gone: Names;
  readonly existing: Content;
  readonly sweep: Names;
  readonly todo: Names;
  /** With `indexed`: packs that a segment lists, packs of the segment to be written, and segments that it supersedes. */
  readonly indexed: Names;
  readonly merging: Names;
  readonly superseded: Names;
}

export interface Reader {
  readonly kind: 'reader';
  readonly index: number;
  readonly step: 'R1' | 'R2' | 'R3' | 'end';
  readonly snapshot: string;
  readonly chunks: Chunks;
}

export type Actor = Writer | Pruner | Reader;

/** One step that an actor can take now. */
export interface Step<A extends Actor = Actor> {
  readonly label: string;
  readonly store: Store;
  readonly actor: A;
}

/** Snapshot S0 = "ab" is forgotten by pruner 0, K = "b" stays, so that the sweep of P1 needs a repacked copy of "b". */
export function initialStore({ features }: Configuration): Store {
  const isDoubled = features.has('duplicates');
  const packs = initialPacks(isDoubled);
  return {
    packs, snapshots: isDoubled ? { K: 'a' } : { S0: 'ab', K: 'b' }, tombstones: [], forgotten: [], sessions: [], pins: {}, plans: {}, removedPlans: [],
    revoked: [], rejected: [], segments: features.has('indexed') ? { I0: Object.keys(packs) } : {}, reported: {},
  };
}

export function initialPacks(isDoubled: boolean): Content {
  return isDoubled ? { P1: 'a', P2: 'a' } : { P1: 'ab' };
}

export const holds = (content: Chunks | undefined, chunk: string): boolean => content !== undefined && content.includes(chunk);

export const chunksOf = (contents: Iterable<Chunks>): Chunks => [...new Set([...contents].join(''))].sort().join('');

export const namesOf = (names: Iterable<string>): Names => [...new Set(names)].sort();

export const withName = (names: Names, name: string): Names => names.includes(name) ? names : namesOf([...names, name]);

export const withoutName = (names: Names, name: string): Names => names.filter(each => each !== name);

export function without<T>(record: Readonly<Record<string, T>>, name: string): Readonly<Record<string, T>> {
  const { [name]: _removed, ...rest } = record;
  return rest;
}

const texts = new WeakMap<object, string>();

/**
 * Equal values get equal text whatever the order of the steps that led to them; names have no quotes. New values share most
 * of their parts with old ones, so that the texts of parts are kept.
 */
export function canonical(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? `"${value}"` : String(value);
  let text = texts.get(value);
  if (text === undefined) {
    text = Array.isArray(value) ? `[${value.map(canonical).join()}]`
      : `{${Object.entries(value).sort(byKey).map(([key, part]) => `${key}:${canonical(part)}`).join()}}`;
    texts.set(value, text);
  }
  return text;
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1;
}
