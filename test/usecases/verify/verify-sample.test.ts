import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PackId } from '../../../src/format/ids.ts';
import type { PackCheckResult } from '../../../src/repository/ledger.ts';
import { coverageOf, coveredShare } from '../../../src/usecases/verify/verify-coverage.ts';
import { choosePacks, isRandomSample, mostDamaged, type DataSample, type SampledPack } from '../../../src/usecases/verify/verify-sample.ts';
import { SeededRandom } from '../../support/seeded-random.ts';

const packs: fc.Arbitrary<SampledPack[]> = fc.uniqueArray(fc.record({
  id: fc.uint8Array({ minLength: 16, maxLength: 16 }).map(bytes => Buffer.from(bytes).toString('hex') as PackId), sizeBytes: fc.integer({ min: 1, max: 10_000 }),
}), { maxLength: 60, selector: ({ id }) => id });
const times = fc.array(fc.option(fc.nat(50), { nil: undefined }), { minLength: 60, maxLength: 60 });

const choose = (list: readonly SampledPack[], sample: DataSample, checkedAt: (id: PackId) => number | undefined = () => undefined, seed = 1): SampledPack[] =>
  choosePacks(list, sample, checkedAt, new SeededRandom(seed));
const total = (list: readonly SampledPack[]): number => list.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);

describe('a sample', () => {
  test('of n of m parts is always the same, and all parts together are everything, once', () => {
    fc.assert(fc.property(packs, fc.integer({ min: 1, max: 12 }), (list, parts) => {
      const chosen = Array.from({ length: parts }, (_, i) => choose(list, { kind: 'part', part: i + 1, parts }, undefined, i));
      expect(chosen.flat().map(({ id }) => id).sort()).toEqual(list.map(({ id }) => id).sort());
      expect(choose(list, { kind: 'part', part: 1, parts }, undefined, 99)).toEqual(chosen[0]);
    }));
  });

  test('has as many bytes as asked for, and not one pack more', () => {
    const samples: fc.Arbitrary<DataSample> = fc.oneof(
      fc.record({ kind: fc.constant('bytes' as const), bytes: fc.integer({ min: 1, max: 200_000 }), order: fc.constantFrom('random', 'oldest') }),
      fc.record({ kind: fc.constant('share' as const), share: fc.double({ min: 0.001, max: 1, noNaN: true }), order: fc.constantFrom('random', 'oldest') }),
    );
    fc.assert(fc.property(packs, samples, fc.nat(), (list, sample, seed) => {
      const wanted = sample.kind === 'bytes' ? sample.bytes : sample.kind === 'share' ? sample.share * total(list) : 0;
      const chosen = choose(list, sample, undefined, seed);
      expect(new Set(chosen).size).toBe(chosen.length);
      expect(total(chosen)).toBeGreaterThanOrEqual(Math.min(wanted, total(list)) - 1e-6);
      if (chosen.length > 0) expect(total(chosen.slice(0, -1))).toBeLessThan(wanted);
    }));
  });

  test('of the oldest leaves out no pack that was checked before one that it takes; those never checked come first', () => {
    fc.assert(fc.property(packs, times, fc.integer({ min: 1, max: 100_000 }), (list, checks, bytes) => {
      const checkedAt = new Map(list.map(({ id }, i) => [id, checks[i]]));
      const age = ({ id }: SampledPack): number => checkedAt.get(id) ?? -1;
      const chosen = new Set(choose(list, { kind: 'bytes', bytes, order: 'oldest' }, id => checkedAt.get(id)));
      const newest = Math.max(-1, ...[...chosen].map(age));
      for (const pack of list) if (!chosen.has(pack)) expect(age(pack)).toBeGreaterThanOrEqual(newest);
    }));
  });

  test('of the oldest goes through everything when it is repeated', () => {
    fc.assert(fc.property(packs, list => {
      const checkedAt = new Map<PackId, number>();
      for (let run = 1; run <= 10; run++) for (const { id } of choose(list, { kind: 'share', share: 0.1, order: 'oldest' }, each => checkedAt.get(each))) checkedAt.set(id, run);
      expect(checkedAt.size).toBe(list.length);
    }));
  });

  test('is taken for random but for the oldest', () => {
    expect(isRandomSample({ kind: 'part', part: 1, parts: 2 })).toBe(true);
    expect(isRandomSample({ kind: 'bytes', bytes: 1, order: 'random' })).toBe(true);
    expect(isRandomSample({ kind: 'share', share: 1, order: 'oldest' })).toBe(false);
  });
});

describe('what a clean sample says', () => {
  /** Chance to meet none of `damaged` among `total` in `chosen`, by counting: C(total - damaged, chosen) / C(total, chosen). */
  const missChance = (all: number, damaged: number, chosen: number): number => {
    const choices = (n: number, k: number): number => { let result = 1; for (let i = 0; i < k; i++) result = result * (n - i) / (i + 1); return k > n ? 0 : result; };
    return choices(all - damaged, chosen) / choices(all, chosen);
  };

  test('is the largest number of damaged packs that it would have missed in one of twenty cases', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 40 }), fc.nat(40), (all, some) => {
      const chosen = Math.min(all, some);
      const most = mostDamaged(all, chosen);
      expect(missChance(all, most, chosen)).toBeGreaterThanOrEqual(0.05 - 1e-9);
      if (most < all) expect(missChance(all, most + 1, chosen)).toBeLessThan(0.05 + 1e-9);
    }));
  });

  test.each([[100, 100, 0], [100, 0, 100], [1000, 300, 8], [1, 1, 0]])('of %d packs, %d read: at most %d', (all, chosen, most) => { expect(mostDamaged(all, chosen)).toBe(most); });
});

describe('coverage', () => {
  const DAY = 24 * 60 * 60 * 1000;
  const NOW = 1000 * DAY;
  const id = (n: number): PackId => String(n).padStart(32, '0') as PackId;
  const good = (daysAgo: number): PackCheckResult => ({ checkedAt: NOW - daysAgo * DAY, result: 'good', detail: 'data' });

  test('is the share of the bytes whose data was found whole within the days', () => {
    const checks = new Map([[id(1), good(1)], [id(2), good(35)], [id(3), good(36)], [id(4), { ...good(2), result: 'damaged' } as const], [id(5), { ...good(3), detail: 'tables' } as const]]);
    const coverage = coverageOf([1, 2, 3, 4, 5, 6].map(n => ({ id: id(n), sizeBytes: 2 ** n })), each => checks.get(each), NOW);
    expect(coverage).toEqual({
      at: NOW, days: 35, packsTotal: 6, bytesTotal: 126, packsVerified: 2, bytesVerified: 6, packsNever: 2, packsDamaged: 1, oldestCheckAt: NOW - 36 * DAY,
    });
    expect(coveredShare(coverage)).toBeCloseTo(6 / 126);
  });

  test('of an empty repository is complete', () => {
    expect(coveredShare(coverageOf([], () => undefined, NOW))).toBe(1);
  });

  test('counts the days that it is asked for', () => {
    const list = [{ id: id(1), sizeBytes: 10 }];
    expect(coverageOf(list, () => good(5), NOW, 7).packsVerified).toBe(1);
    expect(coverageOf(list, () => good(5), NOW, 4).packsVerified).toBe(0);
  });
});
