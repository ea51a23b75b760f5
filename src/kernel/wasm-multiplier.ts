/** The product of a matrix with blocks in WebAssembly; owns the memory of its instance. Layout: native/README.md. */
import { invariant } from '../base/errors.ts';
import type { MultiplyBlocks } from './erasure-code.ts';
import { multiply } from './galois-field.ts';
import { instantiate, loadWasmModule, type WasmModule } from './wasm-module.ts';

/** So many bytes of every block are in the memory at a time: four targets and a source stay in the first cache of a processor. */
const STRIP_BYTES = 4096;
const VECTOR_BYTES = 16;
/** Blocks of data and parity of one code. */
const MAX_BLOCKS = 255;

const COEFFICIENTS_AT = 256 * 2 * VECTOR_BYTES;
/** 127 rows of 128 columns are the most cells of a code. */
const STRIPS_AT = COEFFICIENTS_AT + 16_384;
const MEMORY_BYTES = STRIPS_AT + MAX_BLOCKS * STRIP_BYTES;

type MultiplyFunction = (coefficients: number, sources: number, targets: number, rows: number, columns: number, width: number) => void;
export type ErasureModule = WasmModule<{ readonly multiply: MultiplyFunction }>;

/** @throws SnapError INTERNAL when the module was not built. */
export function loadErasureModule(): ErasureModule {
  return loadWasmModule('erasure');
}

export function createWasmMultiplier(module: ErasureModule): MultiplyBlocks {
  const { exports, memory } = instantiate(module, MEMORY_BYTES);
  const bytes = new Uint8Array(memory.buffer);
  writeTables(bytes);
  return ({ rows, columns, cells }, sources, targets) => {
    invariant(cells.length <= STRIPS_AT - COEFFICIENTS_AT && rows + columns <= MAX_BLOCKS, `A matrix of ${rows} rows and ${columns} columns`);
    bytes.set(cells, COEFFICIENTS_AT);
    const blockBytes = targets[0]?.length ?? 0;
    for (let from = 0; from < blockBytes; from += STRIP_BYTES) {
      const width = Math.min(STRIP_BYTES, Math.ceil((blockBytes - from) / VECTOR_BYTES) * VECTOR_BYTES);
      const targetsAt = STRIPS_AT + columns * width;
      sources.forEach((source, i) => {
        const at = STRIPS_AT + i * width;
        const part = source.subarray(from, from + width);
        bytes.set(part, at);
        if (part.length < width) bytes.fill(0, at + part.length, at + width);
      });
      exports.multiply(COEFFICIENTS_AT, STRIPS_AT, targetsAt, rows, columns, width);
      targets.forEach((target, i) => {
        const at = targetsAt + i * width;
        target.set(bytes.subarray(at, at + Math.min(width, blockBytes - from)), from);
      });
    }
  };
}

/** For every coefficient its products with the lower halves of a byte, then with the upper ones. */
function writeTables(bytes: Uint8Array): void {
  for (let coefficient = 0; coefficient < 256; coefficient++) {
    const at = coefficient * 2 * VECTOR_BYTES;
    for (let half = 0; half < 16; half++) {
      bytes[at + half] = multiply(coefficient, half);
      bytes[at + VECTOR_BYTES + half] = multiply(coefficient, half << 4);
    }
  }
}
