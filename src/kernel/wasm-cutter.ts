/** The cutter in WebAssembly; owns the memory of its instance. Layout: native/README.md. */
import { checkCut, checkWindow, GEAR_ENTRIES } from './argument-checks.ts';
import type { CutParameters, Cutter, GearTable } from './kernel.ts';
import { instantiate, loadWasmModule, type WasmModule } from './wasm-module.ts';

const GEAR_BYTES = GEAR_ENTRIES * 8;

type CutFunction = (start: number, available: number, isLast: number, minBytes: number, averageBytes: number, maxBytes: number) => number;
export type CutterModule = WasmModule<{ readonly cut: CutFunction }>;

/** @throws SnapError INTERNAL when the module was not built. */
export function loadCutterModule(): CutterModule {
  return loadWasmModule('cutter');
}

export function createWasmCutter(module: CutterModule, gear: GearTable, windowBytes: number): Cutter {
  checkWindow(gear, windowBytes);
  const { exports, memory } = instantiate(module, GEAR_BYTES + windowBytes);
  const table = new DataView(memory.buffer, 0, GEAR_BYTES);
  for (let i = 0; i < GEAR_ENTRIES; i++) table.setBigUint64(8 * i, gear[i]!, true);
  return new WasmCutter(exports.cut, new Uint8Array(memory.buffer, GEAR_BYTES, windowBytes));
}

class WasmCutter implements Cutter {
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly #cut: CutFunction;

  constructor(cut: CutFunction, memory: Uint8Array<ArrayBuffer>) {
    this.#cut = cut;
    this.memory = memory;
  }

  cut(start: number, end: number, isLast: boolean, parameters: CutParameters): number {
    checkCut(start, end, parameters, this.memory.length);
    const { minBytes, averageBytes, maxBytes } = parameters;
    return this.#cut(GEAR_BYTES + start, end - start, isLast ? 1 : 0, minBytes, averageBytes, maxBytes);
  }
}
