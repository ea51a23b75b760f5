/**
 * Looks through the pages of an LMDB file before LMDB does. LMDB trusts what it maps: a damaged page ends the process by a
 * failed assertion or by an access beyond the file, again at every start, and nobody can catch that. Read are the pages with
 * keys, about one in a hundred; what is in the values is not checked.
 *
 * Layout of lmdb-js 3.5 on 64 bits (mdb.c, `MDB_page_header`, `MDB_node`, `MDB_ovpage`, `mdb_freelist_save`), in the byte order
 * of the host. A page begins with u64 page number, u64 transaction, u16 padding, u16 flags, u16 lower and u16 upper end of its
 * free space; a u16 for each node says where it lies. These places and ends count from the end of the header. A node is u16
 * low, u16 high, u16 flags, u16 key length, key, value; low and high are the length of the value, and in a branch the page
 * number of a child together with the flags. In place of a large value stand u64 first page, u64 transaction, u64 pages. A
 * value of the free tree is a count and so many i64: a page, or minus the length of a range and then its first page, or 0.
 */
import { fstatSync, readSync } from 'node:fs';
import { viewOf } from '../base/bytes.ts';
import { IS_LITTLE, newestMeta, PAGE_HEADER_BYTES, readU64, withDataFile, type LmdbMeta, type LmdbTree } from './lmdb-header.ts';

const BRANCH = 1;
const LEAF = 2;
const ON_OTHER_PAGES = 1;
const NODE_BYTES = 8;
const PLACE_BYTES = 24;
const META_PAGES = 2;
/** More levels than a tree in a file can have. */
const MAX_DEPTH = 32;

/**
 * Whether the trees of the newest state are whole. The caller holds a reader of it, so that no other process uses its pages
 * again meanwhile. @throws DENIED
 */
export function hasWholeTrees(folder: string): boolean {
  return withDataFile(folder, file => {
    const meta = newestMeta(file);
    if (meta === undefined) return false;
    try {
      new PageCheck(file, meta).run();
      return true;
    } catch (error) {
      if (error instanceof Damage) return false;
      throw error;
    }
  }) ?? false;
}

/** Ends a check. */
class Damage extends Error {}

function expect(isRight: boolean): asserts isRight {
  if (!isRight) throw new Damage();
}

class PageCheck {
  readonly #file: number;
  readonly #meta: LmdbMeta;
  readonly #filePages: number;
  /** One bit a page: belongs to something already. */
  readonly #taken: Uint8Array;
  readonly #page: Uint8Array;
  readonly #view: DataView;

  constructor(file: number, meta: LmdbMeta) {
    this.#file = file;
    this.#meta = meta;
    this.#filePages = Math.floor(fstatSync(file).size / meta.pageBytes);
    this.#taken = new Uint8Array(Math.ceil(this.#filePages / 8));
    this.#page = new Uint8Array(meta.pageBytes);
    this.#view = viewOf(this.#page);
  }

  run(): void {
    this.#checkTree(this.#meta.freeTree, true);
    this.#checkTree(this.#meta.dataTree, false);
  }

  #checkTree({ root, depth, branchPages, leafPages }: LmdbTree, isFreeTree: boolean): void {
    if (root > this.#meta.lastPage) return expect(branchPages + leafPages === 0);
    expect(depth >= 1 && depth <= MAX_DEPTH);
    const waiting = [{ page: root, level: 1 }];
    let branches = 0;
    let leaves = 0;
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const { page, level } = next;
      if (level === depth) {
        leaves++;
        this.#readPage(page, LEAF);
        this.#checkLeaf(isFreeTree);
      } else {
        branches++;
        this.#readPage(page, BRANCH);
        for (const child of this.#children()) waiting.push({ page: child, level: level + 1 });
      }
    }
    expect(branches === branchPages && leaves === leafPages);
  }

  #readPage(number: number, kind: number): void {
    this.#take(number, 1);
    this.#read(this.#page, number, 0);
    const [lower, upper] = [this.#view.getUint16(20, IS_LITTLE), this.#view.getUint16(22, IS_LITTLE)];
    expect(readU64(this.#view, 0) === number && this.#view.getUint16(18, IS_LITTLE) === kind);
    expect(lower % 2 === 0 && lower <= upper && PAGE_HEADER_BYTES + upper <= this.#meta.pageBytes);
  }

  #nodeCount(): number {
    return this.#view.getUint16(20, IS_LITTLE) / 2;
  }

  /** Where a node of the page begins; it has room for its head. */
  #nodeAt(i: number): number {
    const place = this.#view.getUint16(PAGE_HEADER_BYTES + 2 * i, IS_LITTLE);
    expect(place >= this.#view.getUint16(22, IS_LITTLE) && PAGE_HEADER_BYTES + place + NODE_BYTES <= this.#meta.pageBytes);
    return PAGE_HEADER_BYTES + place;
  }

  #children(): number[] {
    const children: number[] = [];
    for (let i = 0; i < this.#nodeCount(); i++) {
      const at = this.#nodeAt(i);
      expect(at + NODE_BYTES + this.#view.getUint16(at + 6, IS_LITTLE) <= this.#meta.pageBytes);
      children.push(this.#view.getUint32(at, IS_LITTLE) + this.#view.getUint16(at + 4, IS_LITTLE) * 2 ** 32);
    }
    expect(children.length > 0);
    return children;
  }

  #checkLeaf(isFreeTree: boolean): void {
    const view = this.#view;
    const { pageBytes } = this.#meta;
    for (let i = 0, count = this.#nodeCount(); i < count; i++) {
      const at = this.#nodeAt(i);
      const length = view.getUint32(at, IS_LITTLE);
      const flags = view.getUint16(at + 4, IS_LITTLE);
      const value = at + NODE_BYTES + view.getUint16(at + 6, IS_LITTLE);
      expect(flags === 0 ? value + length <= pageBytes : flags === ON_OTHER_PAGES && value + PLACE_BYTES <= pageBytes);
      const first = flags === 0 ? undefined : readU64(view, value);
      if (first !== undefined) {
        const pages = readU64(view, value + 16);
        expect(pages === Math.ceil((PAGE_HEADER_BYTES + length) / pageBytes));
        this.#take(first, pages);
      }
      if (isFreeTree) this.#takeFreePages(first === undefined ? this.#page.subarray(value, value + length) : this.#otherPages(first, length));
    }
  }

  #otherPages(first: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    this.#read(bytes, first, PAGE_HEADER_BYTES);
    return bytes;
  }

  #takeFreePages(list: Uint8Array): void {
    expect(list.length >= 8 && list.length % 8 === 0);
    const view = viewOf(list);
    const count = readU64(view, 0);
    expect(count < list.length / 8);
    for (let i = 1; i <= count; i++) {
      const entry = Number(view.getBigInt64(8 * i, IS_LITTLE));
      if (entry > 0) this.#takeFree(entry, 1);
      else if (entry < 0) {
        expect(i < count);
        this.#takeFree(readU64(view, 8 * ++i), -entry);
      }
    }
  }

  /** Free pages at the end need not be in the file. */
  #takeFree(first: number, count: number): void {
    expect(first + count - 1 <= this.#meta.lastPage);
    const inFile = Math.min(count, this.#filePages - first);
    if (inFile > 0) this.#take(first, inFile);
  }

  /** No page has two uses. */
  #take(first: number, count: number): void {
    expect(first >= META_PAGES && count > 0 && first + count - 1 <= this.#meta.lastPage && first + count <= this.#filePages);
    for (let page = first; page < first + count; page++) {
      expect((this.#taken[page >>> 3]! & (1 << (page & 7))) === 0);
      this.#taken[page >>> 3]! |= 1 << (page & 7);
    }
  }

  #read(target: Uint8Array, page: number, skipped: number): void {
    expect(readSync(this.#file, target, 0, target.length, page * this.#meta.pageBytes + skipped) === target.length);
  }
}
