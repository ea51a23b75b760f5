/** The cutter in plain TypeScript, to be read beside repository design, section 13.1: the same cuts as the WASM one. */
import { checkCut, checkWindow, GEAR_ENTRIES } from './argument-checks.ts';
import type { CutParameters, Cutter, GearTable } from './kernel.ts';

export function createReferenceCutter(gear: GearTable, windowBytes: number): Cutter {
  checkWindow(gear, windowBytes);
  return new ReferenceCutter(gear, windowBytes);
}

class ReferenceCutter implements Cutter {
  readonly memory: Uint8Array<ArrayBuffer>;
  /** The table as halves of 32 bit: BigInt arithmetic allocates at every step. */
  readonly #high = new Uint32Array(GEAR_ENTRIES);
  readonly #low = new Uint32Array(GEAR_ENTRIES);

  constructor(gear: GearTable, windowBytes: number) {
    this.memory = new Uint8Array(windowBytes);
    for (let i = 0; i < GEAR_ENTRIES; i++) {
      this.#high[i] = Number(gear[i]! >> 32n);
      this.#low[i] = Number(gear[i]! & 0xffff_ffffn);
    }
  }

  cut(start: number, end: number, isLast: boolean, parameters: CutParameters): number {
    checkCut(start, end, parameters, this.memory.length);
    const { minBytes, averageBytes, maxBytes } = parameters;
    const available = Math.min(end - start, maxBytes);
    const averageLog2 = Math.log2(averageBytes);

    let high = 0;
    let low = 0;
    for (let length = minBytes - 63; length <= available; length++) {
      // h = (h << 1) + G[byte] modulo 2^64. The sum of the low halves is below 2^34: exact, with a carry of 0 to 2.
      const byte = this.memory[start + length - 1]!;
      const sum = 2 * low + this.#low[byte]!;
      low = sum >>> 0;
      high = (2 * high + this.#high[byte]! + (sum - low) / 2 ** 32) >>> 0;

      const zeroBits = length < averageBytes ? averageLog2 + 2 : averageLog2 - 2;
      // At most 32 bits, since the average is at most 2^30: the high half decides alone.
      if (length >= minBytes && high < 2 ** (32 - zeroBits)) return length;
    }
    return available === maxBytes || isLast ? available : 0;
  }
}
