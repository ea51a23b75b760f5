/** The cutter in WebAssembly: loads the module that native/build.mjs makes, and owns its memory. Layout: native/README.md. */
import { readFileSync } from 'node:fs';
import { SnapError } from '../base/errors.ts';
import { checkCut, checkWindow, GEAR_ENTRIES } from './argument-checks.ts';
import type { CutParameters, Cutter, GearTable } from './kernel.ts';

/** The same relative path from src/kernel and from dist/kernel. */
const MODULE_URL = new URL('../../native/build/cutter.wasm', import.meta.url);

const GEAR_BYTES = GEAR_ENTRIES * 8;
const PAGE_BYTES = 65_536;

/** The part of the WebAssembly JavaScript interface that is used here; Node's types leave it to the DOM's. */
interface WasmMemory { readonly buffer: ArrayBuffer }
interface WasmInterface {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => CutterModule;
  readonly Instance: new (module: CutterModule, imports: { env: { memory: WasmMemory } }) => { readonly exports: { readonly cut: CutFunction } };
}
type CutFunction = (start: number, available: number, isLast: number, minBytes: number, averageBytes: number, maxBytes: number) => number;

declare const WebAssembly: WasmInterface;

declare const cutterModule: unique symbol;
/** The compiled module; it holds no state, so all cutters of a thread share one. */
export interface CutterModule { readonly [cutterModule]: true }

/** @throws SnapError INTERNAL when the module was not built. */
export function loadCutterModule(): CutterModule {
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(readFileSync(MODULE_URL));
  } catch (cause) {
    throw new SnapError('INTERNAL', `Cannot read the cutter module '${MODULE_URL.pathname}'`, {
      cause, hint: 'Install the package again, or run "npm run build:native" in a source checkout',
    });
  }
  return new WebAssembly.Module(bytes);
}

export function createWasmCutter(module: CutterModule, gear: GearTable, windowBytes: number): Cutter {
  checkWindow(gear, windowBytes);
  const pages = Math.ceil((GEAR_BYTES + windowBytes) / PAGE_BYTES);
  // As much as it may ever have: growing would detach every view of the window.
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const table = new DataView(memory.buffer, 0, GEAR_BYTES);
  for (let i = 0; i < GEAR_ENTRIES; i++) table.setBigUint64(8 * i, gear[i]!, true);
  return new WasmCutter(new WebAssembly.Instance(module, { env: { memory } }).exports.cut, memory, windowBytes);
}

class WasmCutter implements Cutter {
  readonly memory: Uint8Array<ArrayBuffer>;
  readonly #cut: CutFunction;

  constructor(cut: CutFunction, memory: WasmMemory, windowBytes: number) {
    this.#cut = cut;
    this.memory = new Uint8Array(memory.buffer, GEAR_BYTES, windowBytes);
  }

  cut(start: number, end: number, isLast: boolean, parameters: CutParameters): number {
    checkCut(start, end, parameters, this.memory.length);
    const { minBytes, averageBytes, maxBytes } = parameters;
    return this.#cut(GEAR_BYTES + start, end - start, isLast ? 1 : 0, minBytes, averageBytes, maxBytes);
  }
}
