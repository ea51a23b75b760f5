/** A few power cuts; `test/slow/power-loss.test.ts` tries many more. */
import { describe, expect, test } from 'vitest';
import { explore, skippingSyncOf } from './power-loss.ts';

test('after a power cut in forget, prune or backup every snapshot is whole, and none is lost or back', { timeout: 60_000 }, async () => {
  const { broken, steps, pruned } = await explore({ stride: 41 });
  expect(broken).toEqual([]);
  expect(steps).toBeGreaterThan(200);
  expect(pruned).toBeGreaterThan(1);
});

describe('the simulation notices', () => {
  test.each([
    ['that new packs are not synced into their directories', /\/packs\/[dt]\/..$/],
    ['that forgetting is not synced', /\/(?:forgotten|snapshots)$/],
  ])('%s', { timeout: 60_000 }, async (_name, pattern) => {
    const { broken } = await explore({ stride: 13, liar: skippingSyncOf(pattern) });
    expect(broken).not.toEqual([]);
  });
});
