/** Loads the WebAssembly modules that native/build.mjs makes. */
import { readFileSync } from 'node:fs';
import { SnapError } from '../base/errors.ts';

/** Memory comes in pages of this size. */
const PAGE_BYTES = 65_536;

/** The part of the WebAssembly JavaScript interface that is used here; Node's types leave it to the DOM's. */
export interface WasmMemory { readonly buffer: ArrayBuffer }
interface WasmInterface {
  readonly Memory: new (descriptor: { initial: number; maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array<ArrayBuffer>) => WasmModule<never>;
  readonly Instance: new (module: WasmModule<unknown>, imports: { env: { memory: WasmMemory } }) => { readonly exports: unknown };
}

declare const WebAssembly: WasmInterface;

declare const exportsOf: unique symbol;
/** A compiled module; it holds no state, so all its users in a thread share one. */
export interface WasmModule<Exports> { readonly [exportsOf]: Exports }

/** `name` as in native/build. @throws SnapError INTERNAL when the module was not built. */
export function loadWasmModule<Exports>(name: 'cutter' | 'erasure'): WasmModule<Exports> {
  // The same relative path from src/kernel and from dist/kernel.
  const url = new URL(`../../native/build/${name}.wasm`, import.meta.url);
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = new Uint8Array(readFileSync(url));
  } catch (cause) {
    throw new SnapError('INTERNAL', `Cannot read the module '${url.pathname}'`, {
      cause, hint: 'Install the package again, or run "npm run build:native" in a source checkout',
    });
  }
  return new WebAssembly.Module(bytes);
}

/** An instance with at least so much memory, zeros at first: as much as it may ever have, since growing would detach every view. */
export function instantiate<Exports>(module: WasmModule<Exports>, memoryBytes: number): { readonly exports: Exports; readonly memory: WasmMemory } {
  const pages = Math.ceil(memoryBytes / PAGE_BYTES);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  return { exports: new WebAssembly.Instance(module, { env: { memory } }).exports as Exports, memory };
}
