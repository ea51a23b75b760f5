/**
 * GF(2^8) with the polynomial x^8 + x^4 + x^3 + x^2 + 1 (0x11d), in which 2 generates every element but 0, and the few matrices
 * over it that an erasure code needs. Addition is exclusive or.
 */

const POLYNOMIAL = 0x11d;
const ORDER = 255;

/** 2^i, twice in a row, so that the sum of two logarithms needs no remainder. */
const POWERS = new Uint8Array(2 * ORDER);
const LOGARITHMS = new Uint8Array(256);
for (let i = 0, power = 1; i < ORDER; i++) {
  POWERS[i] = POWERS[i + ORDER] = power;
  LOGARITHMS[power] = i;
  power = power < 128 ? power << 1 : power << 1 ^ POLYNOMIAL;
}

export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : POWERS[LOGARITHMS[a]! + LOGARITHMS[b]!]!;
}

/** `a` is not 0. */
export function inverse(a: number): number {
  return POWERS[ORDER - LOGARITHMS[a]!]!;
}

/** Products of one coefficient with every byte. */
export function productsOf(coefficient: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: 256 }, (_, byte) => multiply(coefficient, byte));
}

/** Row by row. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly cells: Uint8Array<ArrayBuffer>;
}

/**
 * The parity rows of a systematic code: cell (r, c) is 1 / ((columns + r) + c), a Cauchy matrix, of which every square part can
 * be inverted (Plank and Xu, "Optimizing Cauchy Reed-Solomon Codes for Fault-Tolerant Network Storage Applications", NCA 2006;
 * `gf_gen_cauchy1_matrix` of Intel ISA-L makes the same rows). `rows` + `columns` is at most 256.
 */
export function cauchyMatrix(rows: number, columns: number): Matrix {
  const cells = new Uint8Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) cells[row * columns + column] = inverse((columns + row) ^ column);
  }
  return { rows, columns, cells };
}

/** The inverse by Gauss-Jordan elimination; the matrix is square and has one. */
export function invert({ rows: size, cells }: Matrix): Matrix {
  const left = cells.slice();
  const right = new Uint8Array(size * size);
  for (let i = 0; i < size; i++) right[i * size + i] = 1;
  const both = [left, right];
  for (let i = 0; i < size; i++) {
    let pivot = i;
    while (left[pivot * size + i] === 0) pivot++;
    for (const each of both) if (pivot !== i) addRow(each, size, pivot, i, 1);
    const scale = inverse(left[i * size + i]!);
    for (const each of both) for (let c = i * size; c < (i + 1) * size; c++) each[c] = multiply(each[c]!, scale);
    for (let row = 0; row < size; row++) {
      const factor = left[row * size + i]!;
      if (row !== i && factor !== 0) for (const each of both) addRow(each, size, i, row, factor);
    }
  }
  return { rows: size, columns: size, cells: right };
}

/** Adds `factor` times one row to another. */
function addRow(cells: Uint8Array, size: number, from: number, to: number, factor: number): void {
  for (let c = 0; c < size; c++) cells[to * size + c] = cells[to * size + c]! ^ multiply(factor, cells[from * size + c]!);
}

export function multiplyMatrices(a: Matrix, b: Matrix): Matrix {
  const cells = new Uint8Array(a.rows * b.columns);
  for (let row = 0; row < a.rows; row++) {
    for (let column = 0; column < b.columns; column++) {
      let sum = 0;
      for (let i = 0; i < a.columns; i++) sum ^= multiply(a.cells[row * a.columns + i]!, b.cells[i * b.columns + column]!);
      cells[row * b.columns + column] = sum;
    }
  }
  return { rows: a.rows, columns: b.columns, cells };
}
