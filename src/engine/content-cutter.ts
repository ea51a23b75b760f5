/** Cuts content into chunks: moves a window over it, straight in the memory of the cutter. */
import { type Bytes, isAllZero } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { CutParameters, Cutter } from '../kernel/kernel.ts';

/** Where the bytes come from: an open file, or a piece of a stream. */
export interface CutInput {
  /** End of the bytes; may become smaller while reading. */
  readonly size: number;
  /** Whether the content ends there, so that the last chunk may be short. */
  readonly isWhole: boolean;
  read(target: Bytes, start: number, length: number, position: number): number;
  holeEnd(position: number): number;
}

/** One read; small enough to stay in the processor's cache until the bytes are cut. */
const PIECE_BYTES = 1 * MiB;
/** Largest chunks that the used part of the window should hold: the tail that moves to its front is then a quarter of it. */
const WINDOW_CHUNKS = 4;

export class ContentCutter {
  readonly #cutter: Cutter;
  /** Length of the chunks that zeros are cut into, by parameters. */
  readonly #zeroChunks = new Map<CutParameters, number>();
  #input: CutInput | undefined;
  #parameters: CutParameters;
  #limit = 0;
  /** Position of the first byte of the window, and number of bytes in it. */
  #base = 0;
  #filled = 0;

  constructor(cutter: Cutter, parameters: CutParameters) {
    this.#cutter = cutter;
    this.#parameters = parameters;
  }

  get windowBytes(): number {
    return this.#cutter.memory.length;
  }

  /** Starts on new content at `position`. */
  begin(input: CutInput, parameters: CutParameters, position: number): void {
    this.#input = input;
    this.#parameters = parameters;
    this.#limit = Math.min(this.windowBytes, Math.max(WINDOW_CHUNKS * parameters.maxBytes, WINDOW_CHUNKS * PIECE_BYTES));
    this.#base = position;
    this.#filled = 0;
  }

  /**
   * Length of the chunk that starts at `position`; 0 at the end, or when the bytes there do not decide. Bytes from `keep` on, at most one chunk
   * before `position`, stay in the window.
   */
  cut(position: number, keep: number): number {
    const input = this.#input!;
    const available = this.#fill(input, position, keep);
    if (available === 0) return 0;
    const isLast = input.isWhole && this.#base + this.#filled >= input.size;
    const { minBytes, maxBytes } = this.#parameters;
    if (minBytes === maxBytes) return available >= maxBytes ? maxBytes : isLast ? available : 0;
    const start = position - this.#base;
    return this.#cutter.cut(start, this.#filled, isLast, this.#parameters);
  }

  /** The bytes of a chunk that was just cut; valid until the next call of `cut`. */
  bytes(position: number, length: number): Bytes {
    const start = position - this.#base;
    return this.#cutter.memory.subarray(start, start + length);
  }

  isZero(position: number, length: number): boolean {
    return isAllZero(this.bytes(position, length));
  }

  /**
   * Length of a chunk of zeros that does not end the content: always the same, as a cut depends on nothing else. The window
   * is lost, so call it before the first cut.
   */
  zeroChunkBytes(): number {
    const parameters = this.#parameters;
    if (parameters.minBytes === parameters.maxBytes) return parameters.maxBytes;
    let length = this.#zeroChunks.get(parameters);
    if (length === undefined) {
      this.#filled = 0;
      this.#cutter.memory.fill(0, 0, parameters.maxBytes);
      length = this.#cutter.cut(0, parameters.maxBytes, false, parameters);
      this.#zeroChunks.set(parameters, length);
    }
    return length;
  }

  /** Reads until the window holds a largest chunk from `position` on, or all that is left. Returns what there is. */
  #fill(input: CutInput, position: number, keep: number): number {
    const { maxBytes } = this.#parameters;
    // A jump over a hole leaves the window behind.
    if (position < this.#base || position > this.#base + this.#filled) {
      this.#base = position;
      this.#filled = 0;
    }
    while (this.#base + this.#filled - position < maxBytes && this.#base + this.#filled < input.size) {
      if (position - this.#base + maxBytes > this.#limit) this.#moveToFront(keep);
      const length = Math.min(PIECE_BYTES, this.#cutter.memory.length - this.#filled, input.size - this.#base - this.#filled);
      const got = input.read(this.#cutter.memory, this.#filled, length, this.#base + this.#filled);
      this.#filled += got;
      if (got < length) break;
    }
    return this.#base + this.#filled - position;
  }

  #moveToFront(keep: number): void {
    this.#cutter.memory.copyWithin(0, keep - this.#base, this.#filled);
    this.#filled -= keep - this.#base;
    this.#base = keep;
  }
}
