import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex } from '../../src/base/bytes.ts';
import { KiB, MiB } from '../../src/base/units.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import type { CutParameters } from '../../src/kernel/kernel.ts';
import { createReferenceCutter } from '../../src/kernel/reference-cutter.ts';
import { createWasmCutter, loadCutterModule } from '../../src/kernel/wasm-cutter.ts';
import { cutsAtOnce, cutsByTheRule, cutsWhileReading, gearTable, randomBytes, textBytes } from './kernel-data.ts';

const TINY: CutParameters = { minBytes: 64, averageBytes: 256, maxBytes: 1024 };
const PROFILES: readonly CutParameters[] = [
  TINY,
  { minBytes: 64, averageBytes: 64, maxBytes: 64 },
  { minBytes: 65, averageBytes: 128, maxBytes: 129 },
  { minBytes: 100, averageBytes: 128, maxBytes: 100_000 },
  { minBytes: 2 * KiB, averageBytes: 8 * KiB, maxBytes: 32 * KiB },
  { minBytes: 64 * KiB, averageBytes: 64 * KiB, maxBytes: 64 * KiB },
  { minBytes: 128 * KiB, averageBytes: 512 * KiB, maxBytes: 2 * MiB },
  { minBytes: 512 * KiB, averageBytes: 2 * MiB, maxBytes: 8 * MiB },
];
const SIZE = 9 * MiB;
const DATA: Readonly<Record<string, Uint8Array>> = {
  random: randomBytes(SIZE, 1),
  zero: new Uint8Array(SIZE),
  text: textBytes(SIZE, 2),
  'a short period': Uint8Array.from({ length: SIZE }, (_, i) => i % 7),
};

const gear = gearTable(3);
const wasm = createWasmCutter(loadCutterModule(), gear, SIZE);
const reference = createReferenceCutter(gear, SIZE);

describe('The WASM cutter and the reference cutter', () => {
  for (const [kind, data] of Object.entries(DATA)) {
    it.each(PROFILES)(`cut ${kind} data alike for $minBytes/$averageBytes/$maxBytes`, parameters => {
      // Tiny chunks are many; a piece of the data shows as much.
      const part = data.subarray(0, Math.min(SIZE, Math.max(256 * KiB, 4 * parameters.maxBytes)) - 5);
      const cuts = cutsAtOnce(wasm, part, parameters);
      expect(cuts).toEqual(cutsAtOnce(reference, part, parameters));
      expect(cuts.reduce((sum, length) => sum + length, 0)).toBe(part.length);
      for (const length of cuts.slice(0, -1)) {
        expect(length).toBeGreaterThanOrEqual(parameters.minBytes);
        expect(length).toBeLessThanOrEqual(parameters.maxBytes);
      }
    });
  }

  it('cut as the rule of the design says, word for word', () => {
    for (const [seed, parameters] of PROFILES.slice(0, 5).entries()) {
      for (const data of [randomBytes(20_000, seed), textBytes(20_000, seed)]) {
        const cuts = cutsByTheRule(data, gear, parameters);
        expect(cutsAtOnce(wasm, data, parameters)).toEqual(cuts);
        expect(cutsAtOnce(reference, data, parameters)).toEqual(cuts);
      }
    }
  });

  it('agree for any data, parameters and place in the window', () => {
    const small = { wasm: createWasmCutter(loadCutterModule(), gear, 8 * KiB), reference: createReferenceCutter(gear, 8 * KiB) };
    fc.assert(fc.property(
      fc.nat(), fc.integer({ min: 64, max: 300 }), fc.integer({ min: 6, max: 10 }), fc.nat(2000), fc.nat(3000), fc.nat(4000), fc.boolean(),
      (seed, minBytes, averageLog2, extra, start, size, isLast) => {
        const averageBytes = 2 ** Math.max(averageLog2, Math.ceil(Math.log2(minBytes)));
        const parameters = { minBytes, averageBytes, maxBytes: averageBytes + extra };
        const data = randomBytes(8 * KiB, seed);
        small.wasm.memory.set(data);
        small.reference.memory.set(data);
        expect(small.wasm.cut(start, start + size, isLast, parameters)).toBe(small.reference.cut(start, start + size, isLast, parameters));
      },
    ), { numRuns: 500 });
  });

  it('cut the same as they always did', () => {
    // Frozen: another value means that nothing is deduplicated against existing repositories any more.
    const lengths = cutsAtOnce(wasm, DATA['random']!, { minBytes: 2 * KiB, averageBytes: 8 * KiB, maxBytes: 32 * KiB });
    expect(toHex(createFastKernel().blake3(new Uint8Array(Uint32Array.from(lengths).buffer)))).toBe('ca4cf6f67be8391d5d55587e13863f50fde7ee1f59b243406c437e8df4192271');
  });
});

describe.each([{ name: 'WASM', create: () => createWasmCutter(loadCutterModule(), gear, 4 * KiB) },
  { name: 'reference', create: () => createReferenceCutter(gear, 4 * KiB) }])('The $name cutter', ({ create }) => {
  it('cuts independently of the sizes of the reads', () => {
    const cutter = create();
    const oneWindow = createReferenceCutter(gear, 32 * KiB);
    fc.assert(fc.property(fc.nat(), fc.nat(20_000), fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }), (seed, size, readSizes) => {
      const data = randomBytes(size, seed);
      expect(cutsWhileReading(cutter, data, TINY, readSizes)).toEqual(cutsAtOnce(oneWindow, data, TINY));
    }), { numRuns: 60 });
  });

  it('finds the old cuts again behind an inserted byte', () => {
    const cutter = create();
    const data = randomBytes(60_000, 9);
    const changed = new Uint8Array(data.length + 1);
    changed.set(data.subarray(0, 1000));
    changed.set(data.subarray(1000), 1001);
    const endsOf = (bytes: Uint8Array): number[] => {
      let at = 0;
      return cutsWhileReading(cutter, bytes, TINY, [4 * KiB]).map(length => at += length);
    };
    const before = new Set(endsOf(data));
    const after = endsOf(changed);
    const foundAgain = after.filter(end => end > 1001 && before.has(end - 1));
    expect(foundAgain.length).toBeGreaterThan(after.length * 0.9);
  });
});
