/**
 * Plans how a large file is split over threads, and joins the results to exactly the chunks that one thread would have made
 * (see `range-cutter.ts` for why that is possible). Pure: it runs nothing.
 */
import { MiB } from '../base/units.ts';
import { AnswerWriter, readItem, ReferenceList } from './answer-writer.ts';
import { type IngestResult, ITEM_PARTLY_UNREADABLE, REFERENCE_ZEROS } from './engine.ts';

/** Files from this size on are split. */
export const SPLIT_FILE_BYTES: number = 64 * MiB;
export const SEGMENT_BYTES: number = 16 * MiB;
/** Segments of a sparse file grow until they can be expected to hold `SEGMENT_BYTES` of data, at most to this size. */
const LARGEST_SEGMENT_BYTES = 64 * 1024 * MiB;

export interface PlannedSegment {
  readonly start: number;
  readonly end: number;
}

/** Segments that tile a file of `sizeBytes`, of which `allocatedBytes` take up room on the medium. */
export function planSegments(sizeBytes: number, allocatedBytes: number, segmentBytes: number = SEGMENT_BYTES): PlannedSegment[] {
  const sparseness = Math.max(1, Math.floor(sizeBytes / Math.max(allocatedBytes, segmentBytes)));
  const stepBytes = Math.min(segmentBytes * sparseness, Math.max(segmentBytes, LARGEST_SEGMENT_BYTES));
  const segments: PlannedSegment[] = [];
  for (let start = 0; start < sizeBytes; start += stepBytes) segments.push({ start, end: Math.min(start + stepBytes, sizeBytes) });
  return segments;
}

/** See `stopsOf`. */
const STOPS_PER_RUN = 16;

/** What the joiner needs next. */
export type JoinStep =
  /** The result of segment `index` must be added first. */
  | { readonly kind: 'wait'; readonly index: number }
  /** Run this range as a segment with `stopAt`, then call `addBridge`. */
  | { readonly kind: 'bridge'; readonly start: number; readonly end: number; readonly stopAt: Float64Array }
  /** The answer for the whole file, as if it were the one item of a batch. */
  | { readonly kind: 'done'; readonly result: IngestResult };

/** Takes the results of the segments in any order, each once. */
export class SegmentJoiner {
  readonly #segments: readonly PlannedSegment[];
  readonly #results = new Map<number, IngestResult>();
  readonly #answer = new AnswerWriter();
  #answered: IngestResult | undefined;
  /** End of what is joined, and the segment that may come next. */
  #position = 0;
  #index = 0;
  #flags = 0;
  #errno = 0;
  #isEnded = false;

  constructor(segments: readonly PlannedSegment[]) {
    this.#segments = segments;
    this.#answer.begin();
  }

  addSegment(index: number, result: IngestResult): void {
    this.#results.set(index, result);
  }

  addBridge(result: IngestResult): void {
    const { end } = this.#segments[this.#index]!;
    const { start, stopAt } = this.#bridge(this.#results.get(this.#index)!);
    this.#append(result, start);
    if (this.#position < end && !stopAt.includes(this.#position)) this.#isEnded = true;
  }

  /** Joins as much as it can. After 'done' it always says 'done'. */
  next(): JoinStep {
    while (!this.#isEnded && this.#index < this.#segments.length) {
      const result = this.#results.get(this.#index);
      if (result === undefined) return { kind: 'wait', index: this.#index };
      if (!this.#join(result)) return { kind: 'bridge', ...this.#bridge(result) };
    }
    this.#results.clear();
    return { kind: 'done', result: this.#answered ??= this.#finish() };
  }

  /** False: a bridge must come first. */
  #join(result: IngestResult): boolean {
    const { end } = this.#segments[this.#index]!;
    this.#takeStatus(result);
    if (this.#errno !== 0) return true;
    if (this.#position < result.to) {
      this.#crossZeros(result);
      if (hasStart(result, this.#position)) this.#append(result, this.#position);
      else if (this.#position < end) return false;
    }
    if (this.#position >= result.to && result.to < end) this.#isEnded = true;
    this.#results.delete(this.#index);
    this.#index++;
    return true;
  }

  /** From the end of what is joined to the first place where the current segment can take over. */
  #bridge(result: IngestResult): { start: number; end: number; stopAt: Float64Array } {
    const stopAt = Float64Array.from(stopsOf(result).filter(stop => stop > this.#position));
    return { start: this.#position, end: this.#segments[this.#index]!.end, stopAt };
  }

  /** Inside a run of zeros every cut is as far from the one before as in any other place of the run. */
  #crossZeros(result: IngestResult): void {
    const references = new ReferenceList(result.references);
    let start = result.from;
    for (let i = 0; i < references.count && start <= this.#position; i++) {
      const end = start + references.length(i);
      const chunkBytes = references.pack(i);
      const isMisaligned = references.kind(i) === REFERENCE_ZEROS && (this.#position - start) % chunkBytes !== 0;
      if (isMisaligned && end - this.#position >= chunkBytes) {
        const length = Math.floor((end - this.#position) / chunkBytes) * chunkBytes;
        this.#answer.zeros(length, chunkBytes);
        this.#takeDamage(result, this.#position, this.#position + length);
        this.#position += length;
      }
      start = end;
    }
  }

  /** Takes over the references of a result from `position` on, which is the start of one of its chunks. */
  #append(result: IngestResult, position: number): void {
    this.#takeStatus(result);
    const references = new ReferenceList(result.references);
    let start = result.from;
    for (let i = 0; i < references.count; i++) {
      const end = start + references.length(i);
      const length = end - Math.max(start, Math.min(end, position));
      if (references.kind(i) === REFERENCE_ZEROS) this.#answer.zeros(length, references.pack(i));
      else if (start >= position) this.#answer.chunk(references.id(i), length, references.pack(i), references.kind(i));
      start = end;
    }
    this.#takeDamage(result, position, result.to);
    this.#position = Math.max(position, result.to);
  }

  #takeDamage(result: IngestResult, from: number, to: number): void {
    for (const { offset, length, errno } of result.damage) {
      const start = Math.max(offset, from);
      const end = Math.min(offset + length, to);
      if (start < end) this.#answer.damage(start, end - start, errno);
    }
  }

  #takeStatus(result: IngestResult): void {
    const { errno, flags } = readItem(result.items, 0);
    // What is unreadable in a part that is not used does not count.
    this.#flags |= flags & ~ITEM_PARTLY_UNREADABLE;
    if (errno === 0) return;
    this.#errno = errno;
    this.#isEnded = true;
  }

  #finish(): IngestResult {
    if (this.#errno === 0) this.#answer.endItem(this.#flags);
    else this.#answer.failItem(this.#errno);
    return this.#answer.finish(0, this.#errno === 0 ? this.#position : 0);
  }
}

/** Whether a chunk of the result starts at the position; chunks of zero runs included. */
function hasStart(result: IngestResult, position: number): boolean {
  const references = new ReferenceList(result.references);
  let start = result.from;
  for (let i = 0; i < references.count && start <= position; i++) {
    const end = start + references.length(i);
    if (position < end) return references.kind(i) === REFERENCE_ZEROS ? (position - start) % references.pack(i) === 0 : position === start;
    start = end;
  }
  return false;
}

/**
 * Positions where a bridge may hand over, ascending: starts of chunks and the end. Of a zero run the first ones are enough,
 * since a bridge that enters it later is as well off at its end; there may be a million.
 */
function stopsOf(result: IngestResult): number[] {
  const references = new ReferenceList(result.references);
  const stops: number[] = [];
  let start = result.from;
  for (let i = 0; i < references.count; i++) {
    const end = start + references.length(i);
    const isRun = references.kind(i) === REFERENCE_ZEROS;
    for (let n = 0; n < (isRun ? STOPS_PER_RUN : 1) && start + n * references.pack(i) < end; n++) stops.push(start + n * references.pack(i));
    start = end;
  }
  stops.push(result.to);
  return stops;
}
