/** A power cut at every second step, or every step with SNAP_SLOW_ROUNDS, of forget, prune and backup on the local adapter; a few are in `test/simulation/power-loss.test.ts`. */
import { expect, test } from 'vitest';
import { explore } from '../simulation/power-loss.ts';

const ROUNDS = Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);

test('after a power cut at any step of forget, prune and backup every snapshot is whole, and none is lost or back', async () => {
  expect((await explore({ stride: ROUNDS > 1 ? 1 : 2 })).broken).toEqual([]);
});
