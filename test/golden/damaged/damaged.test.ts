import { beforeAll, expect, test } from 'vitest';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { damagesOf } from './damages.ts';
import { outcomeOf } from './outcomes.ts';
import { makeBase, victimsOf } from './victims.ts';

test('x', { timeout: 600000 }, async () => {
  const source = mkdtempSync('/dev/shm/snap-test-');
  const base = await makeBase(source);
  const times: string[] = [];
  for (const victim of victimsOf(base)) {
    console.log('## ' + victim.title);
    for (const damage of damagesOf(victim)) {
      const state = damage.apply(victim);
      if (state === undefined) continue;
      const t = performance.now();
      try {
        const o = await outcomeOf(base, victim, state);
        console.log(`${damage.title} | ${o.verify} | ${o.readData} | ${o.restore} | ${o.backup} | ${o.after}  (${Math.round(performance.now() - t)} ms)`);
      } catch (error) { console.log(damage.title, 'FAILS', error); }
    }
  }
});
