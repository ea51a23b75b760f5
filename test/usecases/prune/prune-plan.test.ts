import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PackId } from '../../../src/format/ids.ts';
import { LEAST_MERGED, planPrune, type PackUsage, type PlanOptions, type PruneLimits } from '../../../src/usecases/prune/prune-plan.ts';

const TARGET = { data: 16_000, tree: 4_000 };
const EPOCH = 3;

function options(limits: Partial<PruneLimits> = {}): PlanOptions {
  return { repackSmall: true, ...limits, currentEpoch: EPOCH, targetBytes: TARGET };
}

function pack(number: number, changes: Partial<PackUsage> = {}): PackUsage {
  return {
    id: number.toString(16).padStart(32, '0') as PackId, number, type: 'data', epoch: EPOCH, sizeBytes: 16_000, liveChunks: 10, wasteBytes: 0, isHeld: false, ...changes,
  };
}

const usages: fc.Arbitrary<PackUsage[]> = fc.array(fc.record({
  type: fc.constantFrom('data' as const, 'tree' as const), epoch: fc.integer({ min: 1, max: EPOCH }), sizeBytes: fc.integer({ min: 100, max: 20_000 }),
  liveShare: fc.oneof(fc.constantFrom(0, 1), fc.double({ min: 0, max: 1, noNaN: true })), isHeld: fc.boolean(),
}), { maxLength: 60 }).map(list => list.map(({ type, epoch, sizeBytes, liveShare, isHeld }, i) => pack(i + 1, {
  type, epoch, sizeBytes, isHeld: isHeld && i % 4 === 0, liveChunks: liveShare === 0 ? 0 : 1 + i, wasteBytes: Math.floor(sizeBytes * (1 - liveShare)),
})));

const limits: fc.Arbitrary<PruneLimits> = fc.record({
  maxUnusedShare: fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined }), maxUnusedBytes: fc.option(fc.nat(50_000), { nil: undefined }),
  maxRepackBytes: fc.option(fc.nat(100_000), { nil: undefined }), resealBytes: fc.option(fc.nat(100_000), { nil: undefined }), repackSmall: fc.boolean(),
});

/** The packs after the plan: what is rewritten fills new packs without waste. */
function after(packs: readonly PackUsage[], plan: ReturnType<typeof planPrune>): PackUsage[] {
  const rewritten = new Set(plan.rewrite.map(each => each.pack));
  const kept = packs.filter(each => !rewritten.has(each) && !plan.drop.includes(each));
  for (const type of ['data', 'tree'] as const) {
    let bytes = plan.rewrite.filter(each => each.pack.type === type).reduce((sum, each) => sum + each.pack.sizeBytes - each.pack.wasteBytes, 0);
    for (let number = 1000; bytes > 0; number++, bytes -= TARGET[type]) kept.push(pack(number + (type === 'data' ? 0 : 500), { type, sizeBytes: Math.min(bytes, TARGET[type]) }));
  }
  return kept;
}

describe('a plan', () => {
  test('drops no pack that something needs, and none that is held', () => {
    fc.assert(fc.property(usages, limits, (packs, each) => {
      const { drop, rewrite } = planPrune(packs, options(each));
      for (const { liveChunks, isHeld } of drop) expect([liveChunks, isHeld]).toEqual([0, false]);
      for (const { pack: { liveChunks, isHeld } } of rewrite) expect(liveChunks > 0 && !isHeld).toBe(true);
      expect(drop.length).toBe(packs.filter(({ liveChunks, isHeld }) => liveChunks === 0 && !isHeld).length);
      expect(new Set([...drop, ...rewrite.map(({ pack: chosen }) => chosen)]).size).toBe(drop.length + rewrite.length);
    }));
  });

  test('gives exact figures of what is kept', () => {
    fc.assert(fc.property(usages, limits, (packs, each) => {
      const plan = planPrune(packs, options(each));
      const gone = new Set([...plan.drop, ...plan.rewrite.map(({ pack: chosen }) => chosen)]);
      const kept = packs.filter(candidate => !gone.has(candidate));
      expect([plan.keptPacks, plan.keptBytes]).toEqual([kept.length, kept.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)]);
      expect(plan.wasteBytesLeft).toBe(kept.filter(({ isHeld }) => !isHeld).reduce((sum, { wasteBytes }) => sum + wasteBytes, 0));
    }));
  });

  test('leaves no more waste than the limit, unless there is not enough repacking allowed', () => {
    fc.assert(fc.property(usages, limits, (packs, each) => {
      const plan = planPrune(packs, options({ ...each, maxRepackBytes: undefined }));
      const left = after(packs, plan).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      const share = each.maxUnusedShare ?? (each.maxUnusedBytes === undefined ? 0.05 : 1);
      expect(plan.wasteBytesLeft).toBeLessThanOrEqual(Math.min(share * left, each.maxUnusedBytes ?? Infinity) + 1e-6);
    }));
  });

  test('stores no more anew than is allowed', () => {
    fc.assert(fc.property(usages, limits, (packs, each) => {
      const bytes = (reasons: readonly string[]): number => planPrune(packs, options(each)).rewrite.filter(({ reason }) => reasons.includes(reason)).reduce((sum, { pack: { sizeBytes } }) => sum + sizeBytes, 0);
      expect(bytes(['unused', 'small'])).toBeLessThanOrEqual(each.maxRepackBytes ?? Infinity);
      expect(bytes(['old keys'])).toBeLessThanOrEqual(each.resealBytes ?? 0);
    }));
  });

  test('finds nothing more to do when it was carried out', () => {
    fc.assert(fc.property(usages, limits, (packs, each) => {
      const unbounded = { ...each, maxRepackBytes: undefined, resealBytes: each.resealBytes === undefined ? undefined : Number.MAX_SAFE_INTEGER };
      const left = after(packs, planPrune(packs, options(unbounded)));
      expect(planPrune(left, options(unbounded))).toMatchObject({ drop: [], rewrite: [] });
    }));
  });

  test('does not depend on the order in which the packs come', () => {
    fc.assert(fc.property(usages, limits, fc.func(fc.nat()), (packs, each, key) => {
      const shuffled = [...packs].sort((a, b) => key(a.number) - key(b.number));
      const chosen = (list: readonly PackUsage[]): unknown => planPrune(list, options(each)).rewrite.map(({ pack: { id }, reason }) => [id, reason]);
      expect(chosen(shuffled)).toEqual(chosen(packs));
    }));
  });

  test('takes the most wasteful packs first', () => {
    const packs = [pack(1, { wasteBytes: 4000 }), pack(2, { wasteBytes: 8000 }), pack(3, { wasteBytes: 100 }), pack(4), pack(5)];
    expect(planPrune(packs, options()).rewrite.map(each => [each.pack.number, each.reason])).toEqual([[1, 'unused'], [2, 'unused']]);
    expect(planPrune(packs, options({ maxRepackBytes: 16_000 })).rewrite.map(each => each.pack.number)).toEqual([2]);
    expect(planPrune(packs, options({ maxUnusedShare: 0.1 })).rewrite.map(each => each.pack.number)).toEqual([2]);
    expect(planPrune(packs, options({ maxUnusedBytes: 5000 })).rewrite.map(each => each.pack.number)).toEqual([2]);
    expect(planPrune(packs, options({ maxUnusedShare: 1 })).rewrite).toEqual([]);
    expect(planPrune(packs, options({ maxUnusedBytes: 0 })).rewrite.map(each => each.pack.number)).toEqual([1, 2, 3]);
  });

  test('merges small packs only when there are ten of one type', () => {
    const small = (count: number, type: 'data' | 'tree'): PackUsage[] => Array.from({ length: count }, (_, i) => pack(i + (type === 'data' ? 1 : 100), { type, sizeBytes: 1500 }));
    expect(planPrune([...small(LEAST_MERGED - 1, 'data'), ...small(LEAST_MERGED - 1, 'tree')], options()).rewrite).toEqual([]);
    expect(planPrune(small(LEAST_MERGED, 'data'), options()).rewrite.map(({ reason }) => reason)).toEqual(Array(LEAST_MERGED).fill('small'));
    expect(planPrune(small(LEAST_MERGED, 'tree'), options({ repackSmall: false })).rewrite).toEqual([]);
    expect(planPrune(small(LEAST_MERGED, 'tree'), options({ maxRepackBytes: 1500 * (LEAST_MERGED - 1) })).rewrite).toEqual([]);
  });

  test('renews the oldest keys first, as far as it may', () => {
    const packs = [pack(1, { epoch: 2 }), pack(2, { epoch: 1 }), pack(3), pack(4, { epoch: 1 })];
    expect(planPrune(packs, options()).rewrite).toEqual([]);
    expect(planPrune(packs, options({ resealBytes: 32_000 })).rewrite.map(each => [each.pack.number, each.reason])).toEqual([[2, 'old keys'], [4, 'old keys']]);
  });
});
