import { expect, test } from 'vitest';
import { ChunkSet } from '../../src/engine/chunk-set.ts';
import { SeededRandom } from '../support/seeded-random.ts';

const random = new SeededRandom(1);
const ids = Array.from({ length: 5000 }, () => random.bytes(32));

test('A set of chunk IDs holds what was added since it was cleared', () => {
  const set = new ChunkSet();
  for (const half of [ids.slice(0, 2500), ids.slice(2500)]) {
    for (const id of half) set.add(id);
    expect(set.count).toBe(2500);
    expect(ids.map(id => set.has(id))).toEqual(ids.map(id => half.includes(id)));
    set.clear();
    expect(set.count).toBe(0);
  }
  expect(ids.some(id => set.has(id))).toBe(false);
});

test('A set that is cleared uses its memory again', () => {
  const set = new ChunkSet();
  for (const id of ids) set.add(id);
  const before = process.memoryUsage().arrayBuffers;
  for (let pack = 0; pack < 5; pack++) {
    set.clear();
    for (const id of ids) set.add(id);
  }
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(100_000);
});
