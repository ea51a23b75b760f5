/**
 * Columns of small numbers by index. They grow page by page, so that nothing is copied and what is never written takes no
 * memory: a typed array that doubles needs three times its size for a moment.
 */

const PAGE_BITS = 16;
const PAGE_LENGTH = 2 ** PAGE_BITS;
const PAGE_MASK = PAGE_LENGTH - 1;

type Column = Uint32Array | Uint16Array;

/** 0 where nothing was set. */
export class PagedColumn {
  readonly #pages: (Column | undefined)[] = [];
  readonly #makePage: () => Column;

  constructor(bits: 16 | 32) {
    this.#makePage = bits === 16 ? () => new Uint16Array(PAGE_LENGTH) : () => new Uint32Array(PAGE_LENGTH);
  }

  get(index: number): number {
    return this.#pages[index >>> PAGE_BITS]?.[index & PAGE_MASK] ?? 0;
  }

  /** `index` is below 2^32. */
  set(index: number, value: number): void {
    const number = index >>> PAGE_BITS;
    while (this.#pages.length <= number) this.#pages.push(undefined); // no holes: they would make each access slower
    const page = this.#pages[number] ??= this.#makePage();
    page[index & PAGE_MASK] = value;
  }
}

/** A set of whole numbers, one bit each. */
export class BitSet {
  readonly #words = new PagedColumn(32);

  has(index: number): boolean {
    return ((this.#words.get(index >>> 5) >>> (index & 31)) & 1) !== 0;
  }

  /** False when it was there already. */
  add(index: number): boolean {
    const word = this.#words.get(index >>> 5);
    const bit = 1 << (index & 31);
    if ((word & bit) !== 0) return false;
    this.#words.set(index >>> 5, word | bit);
    return true;
  }

  /** False when it was not there. */
  remove(index: number): boolean {
    const word = this.#words.get(index >>> 5);
    const bit = 1 << (index & 31);
    if ((word & bit) === 0) return false;
    this.#words.set(index >>> 5, word & ~bit);
    return true;
  }
}
