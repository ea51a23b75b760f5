/**
 * Cuts a range of content so that the ranges of one file, cut by different threads, can be joined to exactly the chunks that
 * one thread would have made. `segment-join.ts` does the joining.
 *
 * A cut depends only on the bytes since the chunk's start, so two chains of cuts that share one position are equal from
 * there on, and chains from different starts nearly always meet after a few chunks. A range that starts inside a file
 * therefore leaves its first chunks out. The range before it follows both chains, its own and the one that starts at its
 * end, until they meet: the next range goes on from there. Chunks of zeros are chunks like any other for this; they tell
 * nothing about where a chain comes from, so they do not count among those left out.
 */
import type { Bytes } from '../base/bytes.ts';
import type { CutParameters } from '../kernel/kernel.ts';
import type { ContentCutter, CutInput } from './content-cutter.ts';

/** Chunks that a range inside a file leaves out, unless it is all zeros up to its end. */
export const SKIPPED_CUTS = 4;
/** Chunks of the next range after which a chain that did not meet it is given up; a bridge then does the rest. */
const MEETING_CUTS = 16;

export interface CutRange {
  readonly start: number;
  /** Infinity: to the end of the content. */
  readonly end: number;
  /** Whether the cuts of the whole content are known to have one at `start`. */
  readonly isAligned: boolean;
  /** Ascending positions at which to stop. */
  readonly stopAt: Float64Array | undefined;
}

/** What the references of a range cover. */
export interface CoveredRange {
  readonly from: number;
  readonly to: number;
}

export interface ChunkSink {
  /** Called for each chunk in order; it may be all zeros. The bytes are valid during the call. */
  chunk(bytes: Bytes): void;
  /** Zeros that were not read, in chunks of `chunkBytes`. */
  zeros(length: number, chunkBytes: number): void;
  /** Takes back everything so far. */
  discard(): void;
  /** Called between chunks; throws when the work should stop. */
  checkStop(): void;
}

export class RangeCutter {
  readonly #cutter: ContentCutter;
  readonly #sink: ChunkSink;
  #input: CutInput | undefined;

  constructor(cutter: ContentCutter, sink: ChunkSink) {
    this.#cutter = cutter;
    this.#sink = sink;
  }

  run(input: CutInput, parameters: CutParameters, range: CutRange): CoveredRange {
    this.#input = input;
    this.#cutter.begin(input, parameters, range.start);
    const { from, to } = range.isAligned ? { from: range.start, to: range.start } : this.#findStart(range);
    const stops = new Stops(range.stopAt);
    let position = to;
    while (position < range.end && !stops.isAt(position)) {
      const length = this.#add(position, range.end, stops);
      if (length === 0) return { from, to: position };
      position += length;
    }
    const isStopped = position < range.end || stops.isAt(position);
    return { from, to: isStopped ? position : this.#meetNext(position, range.end) };
  }

  /** Cuts without storing until the chain can be trusted; zeros from the start up to the end of the range count. */
  #findStart(range: CutRange): CoveredRange {
    let position = range.start;
    let skipped = 0;
    while (skipped < SKIPPED_CUTS && position < range.end) {
      this.#sink.checkStop();
      const holes = this.#zeroChunksAt(position, range.end);
      if (holes > 0) {
        if (skipped === 0) this.#addHole(holes);
        position += holes;
        continue;
      }
      const length = this.#cutter.cut(position, position);
      if (length === 0) break;
      if (!this.#cutter.isZero(position, length)) {
        if (skipped === 0) this.#sink.discard();
        skipped++;
      } else if (skipped === 0) this.#sink.chunk(this.#cutter.bytes(position, length));
      position += length;
    }
    return { from: skipped === 0 ? range.start : position, to: position };
  }

  /** Follows the own chain from `position` and the next range's from `end` until they meet where the next range stores. */
  #meetNext(position: number, end: number): number {
    let own = position;
    let next = end;
    let cuts = 0;
    while (own !== next || cuts < SKIPPED_CUTS) {
      this.#sink.checkStop();
      const at = Math.min(own, next);
      if (at === next && (cuts === MEETING_CUTS || this.#input!.holeEnd(at) > at)) break;
      const length = this.#cutter.cut(at, at);
      if (length === 0) break;
      // The next range stores its leading zeros, and zeros may go on for long: the joiner gets across them by counting.
      if (at === next && this.#cutter.isZero(at, length)) break;
      if (at === next) {
        next += length;
        cuts++;
      }
      if (at === own) {
        this.#sink.chunk(this.#cutter.bytes(at, length));
        own += length;
      }
    }
    return own;
  }

  /** Adds the chunk, or the zeros of a hole, at `position`; returns how far it went, 0 at the end of the content. */
  #add(position: number, end: number, stops: Stops): number {
    this.#sink.checkStop();
    const holes = this.#zeroChunksAt(position, Math.min(end, stops.next));
    if (holes > 0) {
      this.#addHole(holes);
      return holes;
    }
    const length = this.#cutter.cut(position, position);
    if (length > 0) this.#sink.chunk(this.#cutter.bytes(position, length));
    return length;
  }

  /** Bytes of whole chunks of zeros that start in a hole at `position` and before `end`; 0 for data or a small hole. */
  #zeroChunksAt(position: number, end: number): number {
    const input = this.#input!;
    const hole = input.holeEnd(position) - position;
    if (hole === 0) return 0;
    const chunkBytes = this.#cutter.zeroChunkBytes();
    return chunkBytes * Math.min(Math.floor(hole / chunkBytes), Math.ceil((end - position) / chunkBytes));
  }

  #addHole(length: number): void {
    this.#sink.zeros(length, this.#cutter.zeroChunkBytes());
  }
}

/** Moves along ascending positions. */
class Stops {
  readonly #positions: Float64Array;
  #i = 0;

  constructor(positions: Float64Array = new Float64Array(0)) {
    this.#positions = positions;
  }

  isAt(position: number): boolean {
    while (this.next < position) this.#i++;
    return this.next === position;
  }

  get next(): number {
    return this.#positions[this.#i] ?? Number.POSITIVE_INFINITY;
  }
}
