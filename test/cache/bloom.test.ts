import { expect, it } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { addToFilter, FILTER_BLOCK_BYTES, filterBlockOf, filterBlocks, mayContain } from '../../src/cache/bloom.ts';

function build(ids: Uint8Array, start: number): { filter: Uint8Array; blocks: number } {
  const blocks = filterBlocks(ids.length / 32);
  const filter = new Uint8Array(start + blocks * FILTER_BLOCK_BYTES);
  for (let at = 0; at < ids.length; at += 32) addToFilter(filter, start + FILTER_BLOCK_BYTES * filterBlockOf(ids, at, blocks), ids, at);
  return { filter, blocks };
}

it('never denies an ID that was added', () => {
  const ids = systemRandom.bytes(32 * 20_000);
  const { filter, blocks } = build(ids, 640);
  for (let at = 0; at < ids.length; at += 32) expect(mayContain(filter, 640, blocks, ids.subarray(at, at + 32))).toBe(true);
});

it('passes less than two of a hundred other IDs at ten bits per ID', () => {
  const { filter, blocks } = build(systemRandom.bytes(32 * 20_000), 0);
  expect((8 * FILTER_BLOCK_BYTES * blocks) / 20_000).toBeCloseTo(10, 1);
  const others = systemRandom.bytes(32 * 20_000);
  let passed = 0;
  for (let at = 0; at < others.length; at += 32) if (mayContain(filter, 0, blocks, others.subarray(at, at + 32))) passed++;
  expect(passed / 20_000).toBeLessThan(0.02);
});

it('puts IDs into blocks in their order, so that a sorted list fills the filter from start to end', () => {
  const ids = [0, 1, 0x7f, 0x80, 0xff].map(first => new Uint8Array(32).fill(first));
  expect(ids.map(id => filterBlockOf(id, 0, 1000))).toEqual([0, 3, 498, 501, 999]);
});

it('has room for at least one block', () => expect(filterBlocks(0)).toBe(1));
