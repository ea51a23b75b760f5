/** Hostile bytes for every decoder, for long and on another course in every run; `SNAP_FUZZ_SEED` repeats one. */
import { randomInt } from 'node:crypto';
import { expect, test } from 'vitest';
import { allDecoders } from '../fuzz/decoders.ts';
import { fuzz } from '../fuzz/fuzz.ts';
import { temporaryDirectory } from '../support/memory-repository.ts';

const ROUNDS = 20_000 * Number(process.env['SNAP_SLOW_ROUNDS'] ?? 1);
const SEED = Number(process.env['SNAP_FUZZ_SEED'] ?? randomInt(2 ** 31));

test('no decoder does anything with hostile bytes but refuse them', async () => {
  for (const decoder of await allDecoders(temporaryDirectory())) {
    const { accepted, refused } = fuzz(decoder, ROUNDS, SEED);
    expect(accepted + refused).toBe(ROUNDS);
  }
});
