/** Ranges of bytes of one file, as they are found in ascending order or anywhere: apart from each other, and not too many. */
import type { ByteSpan } from '../../format/tree-node.ts';

/** More would make the entry too large for a node; then those that lie nearest to each other become one. */
const MAX_RANGES = 4_096;

export class ByteRanges {
  #spans: { offset: number; length: number }[] = [];
  #isSorted = true;

  /** `length` is at least 1. */
  add(offset: number, length: number): void {
    const last = this.#spans.at(-1);
    if (last !== undefined && offset === last.offset + last.length) {
      last.length += length;
      return;
    }
    if (last !== undefined && offset < last.offset + last.length) this.#isSorted = false;
    this.#spans.push({ offset, length });
    if (this.#spans.length > 2 * MAX_RANGES) this.#spans = this.#joined();
  }

  get count(): number {
    return this.spans().length;
  }

  get totalBytes(): number {
    return this.spans().reduce((sum, { length }) => sum + length, 0);
  }

  /** Ascending, neither touching nor overlapping; at most 4,096, which then cover more than was added. */
  spans(): ByteSpan[] {
    this.#spans = this.#joined();
    this.#isSorted = true;
    return this.#spans.map(span => ({ ...span }));
  }

  #joined(): { offset: number; length: number }[] {
    const sorted = this.#isSorted ? this.#spans : this.#spans.toSorted((a, b) => a.offset - b.offset);
    this.#isSorted = true;
    const apart = joinWithin(sorted, 0);
    if (apart.length <= MAX_RANGES) return apart;
    const gaps = apart.slice(1).map(({ offset }, i) => offset - apart[i]!.offset - apart[i]!.length).sort((a, b) => a - b);
    return joinWithin(apart, gaps[apart.length - MAX_RANGES - 1]!);
  }
}

/** Joins what lies at most `gap` bytes apart. */
function joinWithin(spans: readonly ByteSpan[], gap: number): { offset: number; length: number }[] {
  const joined: { offset: number; length: number }[] = [];
  for (const { offset, length } of spans) {
    const last = joined.at(-1);
    if (last !== undefined && offset <= last.offset + last.length + gap) last.length = Math.max(last.length, offset + length - last.offset);
    else joined.push({ offset, length });
  }
  return joined;
}
