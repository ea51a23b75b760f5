/**
 * Systematic Reed-Solomon over GF(2^8): any `dataBlocks` of the `dataBlocks + parityBlocks` blocks give all the others back.
 * Matrix arithmetic, which is little, stands here once; the work on the bytes is one product of a matrix with many blocks, which
 * the two kernels do each in its own way.
 */
import type { Bytes } from '../base/bytes.ts';
import { cauchyMatrix, invert, multiplyMatrices, type Matrix } from './galois-field.ts';
import type { ErasureCode } from './kernel.ts';

/** Blocks of data and parity together: one less than the field has elements. */
const MAX_BLOCKS = 255;

/**
 * Sets targets[r] to the sum over c of cell (r, c) times sources[c], byte by byte. Targets are equally long, sources not longer;
 * zeros stand in for what they lack.
 */
export type MultiplyBlocks = (matrix: Matrix, sources: readonly Bytes[], targets: readonly Uint8Array[]) => void;

/** @throws RangeError unless both counts are at least 1 and together at most 255 */
export function createErasureCode(dataBlocks: number, parityBlocks: number, multiplyBlocks: MultiplyBlocks): ErasureCode {
  const areCounts = Number.isInteger(dataBlocks) && Number.isInteger(parityBlocks) && dataBlocks >= 1 && parityBlocks >= 1;
  if (!areCounts || dataBlocks + parityBlocks > MAX_BLOCKS) {
    throw new RangeError(`Erasure code of ${dataBlocks} and ${parityBlocks} blocks: expected at least 1 each and at most ${MAX_BLOCKS} in all`);
  }
  return new CauchyCode(cauchyMatrix(parityBlocks, dataBlocks), multiplyBlocks);
}

class CauchyCode implements ErasureCode {
  readonly dataBlocks: number;
  readonly parityBlocks: number;
  readonly #matrix: Matrix;
  readonly #multiplyBlocks: MultiplyBlocks;

  constructor(matrix: Matrix, multiplyBlocks: MultiplyBlocks) {
    this.dataBlocks = matrix.columns;
    this.parityBlocks = matrix.rows;
    this.#matrix = matrix;
    this.#multiplyBlocks = multiplyBlocks;
  }

  encode(data: readonly Bytes[], blockBytes: number): Uint8Array<ArrayBuffer>[] {
    checkBlocks('data', data, this.dataBlocks, blockBytes);
    const parity = newBlocks(this.parityBlocks, blockBytes);
    this.#multiplyBlocks(this.#matrix, data, parity);
    return parity;
  }

  reconstruct(data: readonly (Bytes | undefined)[], parity: readonly (Bytes | undefined)[], blockBytes: number): Uint8Array<ArrayBuffer>[] {
    checkBlocks('data', data, this.dataBlocks, blockBytes);
    checkBlocks('parity', parity, this.parityBlocks, blockBytes);
    const missing = data.flatMap((block, i) => (block === undefined ? [i] : []));
    if (missing.length === 0) return [];
    const there = data.flatMap((block, column) => (block === undefined ? [] : [{ column, block }]));
    const used = parity.flatMap((block, row) => (block === undefined ? [] : [{ row, block }])).slice(0, missing.length);
    if (used.length < missing.length) throw new RangeError(`${missing.length} data blocks are missing, and only ${used.length} parity blocks are there`);
    const rows = used.map(({ row }) => row);
    // parity = missing part * missing + present part * present, hence missing = inverse * parity + inverse * present part * present.
    const inverse = invert(this.#part(rows, missing));
    const present = multiplyMatrices(inverse, this.#part(rows, there.map(({ column }) => column)));
    const restored = newBlocks(missing.length, blockBytes);
    this.#multiplyBlocks(joinColumns(inverse, present), [...used, ...there].map(({ block }) => block), restored);
    return restored;
  }

  #part(rows: readonly number[], columns: readonly number[]): Matrix {
    const cells = rows.flatMap(row => columns.map(column => this.#matrix.cells[row * this.dataBlocks + column]!));
    return { rows: rows.length, columns: columns.length, cells: Uint8Array.from(cells) };
  }
}

function checkBlocks(what: string, blocks: readonly (Bytes | undefined)[], count: number, blockBytes: number): void {
  if (!Number.isInteger(blockBytes) || blockBytes < 1) throw new RangeError(`Blocks of ${blockBytes} bytes`);
  if (blocks.length !== count) throw new RangeError(`${blocks.length} ${what} blocks where the code has ${count}`);
  for (const block of blocks) {
    if (block !== undefined && block.length > blockBytes) throw new RangeError(`A ${what} block of ${block.length} bytes where blocks have ${blockBytes}`);
  }
}

function newBlocks(count: number, blockBytes: number): Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: count }, () => new Uint8Array(blockBytes));
}

function joinColumns(left: Matrix, right: Matrix): Matrix {
  const columns = left.columns + right.columns;
  const cells = new Uint8Array(left.rows * columns);
  for (let row = 0; row < left.rows; row++) {
    cells.set(left.cells.subarray(row * left.columns, (row + 1) * left.columns), row * columns);
    cells.set(right.cells.subarray(row * right.columns, (row + 1) * right.columns), row * columns + left.columns);
  }
  return { rows: left.rows, columns, cells };
}
