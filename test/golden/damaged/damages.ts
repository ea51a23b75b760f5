/** Ways to damage one object. Each gives the changed objects of a repository; undefined when it means nothing for the object. */
import type { MemoryState } from '../../../src/backend/memory.ts';
import { OTHER_REPOSITORY, type Victim } from './victims.ts';

export interface Damage {
  readonly title: string;
  apply(victim: Victim): MemoryState | undefined;
}

export function damagesOf(victim: Victim): Damage[] {
  const flips = victim.places.map(([what, offset]): Damage => ({
    title: `bit flipped: ${what}`,
    apply: changed(bytes => bytes.map((byte, i) => i === offset ? byte ^ 1 : byte)),
  }));
  return [...GENERAL, ...flips];
}

const GENERAL: readonly Damage[] = [
  { title: 'missing', apply: ({ state, name }) => new Map([...state].filter(([each]) => each !== name)) },
  { title: 'empty', apply: changed(() => new Uint8Array(0)) },
  { title: 'one byte shorter', apply: changed(bytes => bytes.slice(0, -1)) },
  { title: 'half of it', apply: changed(bytes => bytes.slice(0, bytes.length >> 1)) },
  { title: 'one byte longer', apply: changed(bytes => new Uint8Array([...bytes, 0])) },
  { title: 'zeros', apply: changed(bytes => new Uint8Array(bytes.length)) },
  { title: 'swapped with another', apply: swapped },
  { title: 'of another repository', apply: ({ foreign, ...victim }) => foreign === undefined ? undefined : changed(() => OTHER_REPOSITORY.get(foreign)!.bytes)({ foreign, ...victim }) },
  { title: 'also under another name', apply: ({ state, name, freeName }) => new Map([...state, [freeName, state.get(name)!]]) },
];

function changed(change: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>): Damage['apply'] {
  return ({ state, name }) => new Map([...state].map(([each, object]) => [each, each === name ? { ...object, bytes: change(object.bytes) } : object]));
}

function swapped({ state, name, other }: Victim): MemoryState | undefined {
  if (other === undefined) return undefined;
  const [one, two] = [state.get(name)!, state.get(other)!];
  return new Map([...state, [name, two], [other, one]]);
}
