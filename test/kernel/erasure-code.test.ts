/** The erasure code against arithmetic of polynomials bit by bit, and against every way to lose blocks of small codes. */
import { describe, expect, it } from 'vitest';
import { compareBytes, concatBytes } from '../../src/base/bytes.ts';
import { createErasureCode } from '../../src/kernel/erasure-code.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { cauchyMatrix, inverse, invert, multiply, multiplyMatrices } from '../../src/kernel/galois-field.ts';
import { createPortableKernel } from '../../src/kernel/portable.ts';
import { multiplyBlocksByTable } from '../../src/kernel/reference-multiplier.ts';
import { randomBytes } from './kernel-data.ts';

/** The product of two polynomials over GF(2), reduced by x^8 + x^4 + x^3 + x^2 + 1. */
function productByTheRule(a: number, b: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit++) if ((b >> bit & 1) === 1) product ^= a << bit;
  for (let bit = 14; bit >= 8; bit--) if ((product >> bit & 1) === 1) product ^= 0x11d << bit - 8;
  return product;
}

describe('GF(2^8)', () => {
  it('multiplies all pairs as polynomials', () => {
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) if (multiply(a, b) !== productByTheRule(a, b)) expect.fail(`${a} * ${b}`);
  });

  it('inverts every element but 0', () => {
    for (let a = 1; a < 256; a++) expect(productByTheRule(a, inverse(a))).toBe(1);
  });

  it('inverts every kind of part of a Cauchy matrix', () => {
    const whole = cauchyMatrix(100, 155);
    for (const size of [1, 2, 3, 17, 100]) {
      const picks = randomBytes(255, size);
      const rows = pick(100, size, picks);
      const columns = pick(155, size, picks);
      const part = { rows: size, columns: size, cells: Uint8Array.from(rows.flatMap(row => columns.map(column => whole.cells[row * 155 + column]!))) };
      const identity = new Uint8Array(size * size);
      for (let i = 0; i < size; i++) identity[i * size + i] = 1;
      expect(multiplyMatrices(invert(part), part).cells).toEqual(identity);
    }
  });

  /** So many different numbers below `bound`. */
  function pick(bound: number, count: number, keys: Uint8Array): number[] {
    return Array.from({ length: bound }, (_, i) => i).sort((a, b) => keys[a]! - keys[b]! || a - b).slice(0, count);
  }

  it('swaps in another row where the diagonal has a zero', () => {
    const matrix = { rows: 2, columns: 2, cells: Uint8Array.of(0, 3, 1, 7) };
    expect(multiplyMatrices(invert(matrix), matrix).cells).toEqual(Uint8Array.of(1, 0, 0, 1));
  });
});

describe.each([createFastKernel(), createPortableKernel()])('The erasure code of the $name kernel', kernel => {
  it('makes the parity that the rule of the format says', () => {
    for (const [k, m, blockBytes] of [[1, 1, 1], [3, 2, 17], [10, 4, 33], [128, 7, 100], [100, 155, 20], [1, 254, 3]] as const) {
      const data = Array.from({ length: k }, (_, i) => randomBytes(blockBytes, i));
      const parity = kernel.createErasureCode(k, m).encode(data, blockBytes);
      const expected = Array.from({ length: m }, (_, row) => Uint8Array.from({ length: blockBytes }, (_unused, at) =>
        data.reduce((sum, block, column) => sum ^ productByTheRule(inverse((k + row) ^ column), block[at]!), 0)));
      expect(parity).toEqual(expected);
    }
  });

  it('survives every way to lose up to as many blocks as it has parity', () => {
    for (const [k, m] of [[1, 1], [1, 3], [2, 2], [3, 3], [5, 3], [7, 2]] as const) {
      const code = kernel.createErasureCode(k, m);
      const data = Array.from({ length: k }, (_, i) => randomBytes(50, 31 * k + i));
      const parity = code.encode(data, 50);
      for (let lost = 0; lost < 2 ** (k + m); lost++) {
        if (countOnes(lost) > m) continue;
        const left = data.map((block, i) => ((lost >> i & 1) === 1 ? undefined : block));
        const restored = code.reconstruct(left, parity.map((block, i) => ((lost >> k + i & 1) === 1 ? undefined : block)), 50);
        expect(restored).toEqual(data.filter((_, i) => (lost >> i & 1) === 1));
      }
    }
  });

  it('works at the edges of what is in the memory at a time', () => {
    for (const blockBytes of [15, 16, 17, 4095, 4096, 4097, 8192, 12_289]) {
      const data = Array.from({ length: 6 }, (_, i) => randomBytes(blockBytes, i));
      const parity = kernel.createErasureCode(6, 5).encode(data, blockBytes);
      const restored = kernel.createErasureCode(6, 5).reconstruct([...data.slice(0, 1), undefined, undefined, undefined, undefined, undefined], parity, blockBytes);
      expect(compareBytes(concatBytes(parity), concatBytes(createErasureCode(6, 5, multiplyBlocksByTable).encode(data, blockBytes)))).toBe(0);
      expect(compareBytes(concatBytes(restored), concatBytes(data.slice(1)))).toBe(0);
    }
  });
});

function countOnes(value: number): number {
  let count = 0;
  for (let rest = value; rest !== 0; rest >>= 1) count += rest & 1;
  return count;
}
