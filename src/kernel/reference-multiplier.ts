/** The product of a matrix with blocks in plain TypeScript: the same bytes as the WASM one. */
import type { Bytes } from '../base/bytes.ts';
import type { MultiplyBlocks } from './erasure-code.ts';
import { productsOf } from './galois-field.ts';

export const multiplyBlocksByTable: MultiplyBlocks = (matrix, sources, targets) => {
  targets.forEach((target, row) => {
    target.fill(0);
    sources.forEach((source, column) => { addProducts(productsOf(matrix.cells[row * matrix.columns + column]!), source, target); });
  });
};

function addProducts(products: Uint8Array, source: Bytes, target: Uint8Array): void {
  for (let i = 0; i < source.length; i++) target[i] = target[i]! ^ products[source[i]!]!;
}
