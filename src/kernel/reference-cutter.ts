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
    // "The top k bits are zero", with k at most 32 since the average is at most 2^30: the high half decides alone.
    const averageLog2 = Math.log2(averageBytes);
    const limitBelowAverage = 2 ** (32 - (averageLog2 + 2));
    const limitFromAverage = 2 ** (32 - (averageLog2 - 2));

    let high = 0;
    let low = 0;
    for (let length = minBytes - 63; length <= available; length++) {
      // h = (h << 1) + G[byte] modulo 2^64: a bit moves from the lower half to the upper one, and perhaps a carry.
      const byte = this.memory[start + length - 1]!;
      const doubledLow = (low << 1) >>> 0;
      const newLow = (doubledLow + this.#low[byte]!) >>> 0;
      const carry = newLow < doubledLow ? 1 : 0;
      high = ((high << 1 | low >>> 31) + this.#high[byte]! + carry) >>> 0;
      low = newLow;

      if (length < minBytes) continue;
      if (high < (length < averageBytes ? limitBelowAverage : limitFromAverage)) return length;
    }
    return available === maxBytes || isLast ? available : 0;
  }
}
