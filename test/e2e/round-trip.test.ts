/** What is restored equals what was backed up, to the last attribute, as seen by a program that shares no code with snap. */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { compareTrees, describeTree } from '../support/describe-tree.ts';
import { makeOddities, removeTree } from '../support/oddities.ts';
import { snap } from '../support/snap-cli.ts';

test('a tree of oddities is restored to the last attribute', { timeout: 120_000 }, async () => {
  const place = await mkdtemp(join(tmpdir(), 'snap-test-'));
  onTestFinished(() => removeTree(place));
  const source = join(place, 'source');
  const skipped = await makeOddities(source);
  // What this system cannot make is not silently left out.
  for (const { what, why } of skipped) console.warn(`not tested here: ${what} (${why})`);
  const before = await describeTree(source);
  const cli = { repository: join(place, 'repository'), cache: join(place, 'cache') };
  expect(await snap(['init'], cli)).toMatchObject({ code: 0 });
  const saved = await snap(['backup', source], cli);
  expect(saved, saved.stderr).toMatchObject({ code: 0 });
  expect(compareTrees(before, await describeTree(source))).toEqual([]);
  const restored = await snap(['restore', `latest:${source}`, '--target', join(place, 'target')], cli);
  expect(restored, restored.stderr).toMatchObject({ code: 0 });
  expect(compareTrees(before, await describeTree(join(place, 'target')), { holes: true })).toEqual([]);
});
