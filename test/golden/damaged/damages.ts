/** Ways to damage one object. Each gives the changed objects of a repository; undefined when it means nothing for the object. */
import type { MemoryState } from '../../../src/backend/memory.ts';
import { OTHER_REPOSITORY, type Victim } from './victims.ts';

export interface Damage {
  readonly title: string;
  /** Everything that is hit is stored twice. */
  readonly costsNothing: boolean;
  apply(victim: Victim): MemoryState | undefined;
}

export function damagesOf(victim: Victim): Damage[] {
  const flips = victim.places.map(({ what, offset, isTwice }): Damage => ({
    title: `bit flipped: ${what}`, costsNothing: isTwice, apply: changed(bytes => bytes.map((byte, i) => i === offset ? byte ^ 1 : byte)),
  }));
  return [...GENERAL.filter(({ title }) => !victim.isSmall || !SAME_FOR_SMALL.includes(title)), ...flips];
}

/** Of an object without parts these do what the others do. */
const SAME_FOR_SMALL: readonly string[] = ['half of it', 'one byte longer'];

const GENERAL: readonly Damage[] = [
  general('missing', ({ state, name }) => new Map([...state].filter(([each]) => each !== name))),
  general('empty', changed(() => new Uint8Array(0))),
  general('one byte shorter', changed(bytes => bytes.slice(0, -1))),
  general('half of it', changed(bytes => bytes.slice(0, bytes.length >> 1))),
  general('one byte longer', changed(bytes => new Uint8Array([...bytes, 0]))),
  general('zeros', changed(bytes => new Uint8Array(bytes.length))),
  general('swapped with another', swapped),
  general('of another repository', victim => victim.foreign === undefined ? undefined : changed(() => OTHER_REPOSITORY.get(victim.foreign!)!.bytes)(victim)),
  general('also under another name', ({ state, name, freeName }) => new Map([...state, [freeName, state.get(name)!]])),
];

function general(title: string, apply: Damage['apply']): Damage {
  return { title, costsNothing: false, apply };
}

function changed(change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>): Damage['apply'] {
  return ({ state, name }) => new Map([...state].map(([each, object]) => [each, each === name ? { ...object, bytes: change(object.bytes) } : object]));
}

function swapped({ state, name, other }: Victim): MemoryState | undefined {
  if (other === undefined) return undefined;
  const [one, two] = [state.get(name)!, state.get(other)!];
  return new Map([...state, [name, two], [other, one]]);
}
