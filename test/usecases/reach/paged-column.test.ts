import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BitSet, PagedColumn } from '../../../src/usecases/reach/paged-column.ts';
import { RecentIds } from '../../../src/usecases/reach/recent-ids.ts';

const indices = fc.oneof(fc.nat(200), fc.nat(1_000_000), fc.integer({ min: 2 ** 31 - 5, max: 2 ** 31 + 5 }));

describe('a paged column', () => {
  test('holds what was set, and 0 elsewhere', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(300_000), fc.nat(65_535)), { maxLength: 50 }), fc.constantFrom(16 as const, 32 as const), (writes, bits) => {
      const column = new PagedColumn(bits);
      const model = new Map<number, number>();
      for (const [index, value] of writes) {
        column.set(index, value);
        model.set(index, value);
      }
      for (const [index] of writes) for (const near of [index - 1, index, index + 1]) if (near >= 0) expect(column.get(near)).toBe(model.get(near) ?? 0);
    }));
  });
});

describe('a bit set', () => {
  test('does what a set does', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.boolean(), indices), { maxLength: 60 }), steps => {
      const bits = new BitSet();
      const model = new Set<number>();
      for (const [isAdded, index] of steps) {
        expect(isAdded ? bits.add(index) : bits.remove(index)).toBe(isAdded ? !model.has(index) : model.has(index));
        if (isAdded) model.add(index);
        else model.delete(index);
        for (const [, each] of steps) expect(bits.has(each)).toBe(model.has(each));
      }
    }), { numRuns: 30 });
  });
});

describe('recent IDs', () => {
  test('are only those that were added, to the last bit', () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 20 }), fc.nat(255), (ids, bit) => {
      const recent = new RecentIds();
      for (const id of ids) {
        const other = id.map((byte, i) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
        recent.add(id);
        expect(recent.has(id)).toBe(id.some(byte => byte !== 0));
        if (!ids.some(each => Buffer.compare(each, other) === 0)) expect(recent.has(other)).toBe(false);
      }
    }));
  });

  test('never hold the ID of zeros, which is what an empty place looks like', () => {
    const recent = new RecentIds();
    expect(recent.has(new Uint8Array(32))).toBe(false);
    recent.add(new Uint8Array(32));
    expect(recent.has(new Uint8Array(32))).toBe(false);
  });
});
