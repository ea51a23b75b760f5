/** What goes wrong in a simulation, and how often. */
import type { SeededRandom } from '../support/seeded-random.ts';
import type { FaultKind } from './world.ts';

/** Each number is a chance of one in so many; 0 is never. */
export interface Weather {
  readonly faults: Readonly<Record<FaultKind, number>>;
  /** A time in which the storage refuses half of all requests, as one does that is asked for too much. */
  readonly refusals: number;
  readonly slowAnswer: number;
  readonly kill: number;
  readonly freeze: number;
  readonly timeJump: number;
  readonly clockChange: number;
}

export const CALM: Weather = {
  faults: { unavailable: 0, 'lost-answer': 0, late: 0, 'no-space': 0, flip: 0, truncate: 0 }, refusals: 0, slowAnswer: 0, kill: 0, freeze: 0, timeJump: 0, clockChange: 0,
};

/** Most seeds are without most kinds of faults, so that each is also seen alone. */
export function drawWeather(random: SeededRandom): Weather {
  const often = (values: readonly number[]): number => values[random.below(values.length)]!;
  return {
    faults: {
      unavailable: often([0, 0, 200, 40]), 'lost-answer': often([0, 0, 60, 15]), late: often([0, 0, 0, 60, 15]), 'no-space': often([0, 0, 0, 80]),
      flip: often([0, 0, 0, 150]), truncate: often([0, 0, 0, 150]),
    },
    refusals: often([0, 0, 300]), slowAnswer: often([0, 20, 4]), kill: often([0, 400, 150]), freeze: often([0, 200, 60]), timeJump: often([0, 500, 120]), clockChange: often([0, 500]),
  };
}
