/**
 * A look at the start of an LMDB file before LMDB opens it: lmdb-js 3.5 crashes on a file that is no database.
 *
 * Layout of LMDB data format 2 (mdb.c, `MDB_page_header`, `MDB_meta` and `MDB_db`), in the byte order of the host: pages 0 and
 * 1 each hold 24 bytes page header, u32 magic, u32 version, u64 address, u64 map size, two trees (that of the free pages, and
 * that of the data), u64 last page, u64 transaction. A tree is u32 (in the first one the page size), u16 flags, u16 depth, u64
 * branch pages, u64 leaf pages, u64 pages of large values, u64 entries, u64 root page.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { viewOf } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import { DATA_FILE } from './lmdb-store.ts';

export const PAGE_HEADER_BYTES = 24;
export const IS_LITTLE: boolean = endianness() === 'LE';

const MAGIC = 0xbeefc0de;
const MAGIC_AT = PAGE_HEADER_BYTES;
const TREES_AT = MAGIC_AT + 24;
const TREE_BYTES = 48;
const LAST_PAGE_AT = TREES_AT + 2 * TREE_BYTES;
const META_BYTES = LAST_PAGE_AT + 16;

export interface LmdbTree {
  /** Levels, leaves included. */
  readonly depth: number;
  readonly branchPages: number;
  readonly leafPages: number;
  /** Above every page number in a tree without pages. */
  readonly root: number;
}

export interface LmdbMeta {
  readonly pageBytes: number;
  readonly freeTree: LmdbTree;
  readonly dataTree: LmdbTree;
  readonly lastPage: number;
  readonly transaction: number;
}

/** True when there is a data file and it is no database. An empty one is fine: LMDB has just made it. @throws DENIED */
export function isNoDatabase(folder: string): boolean {
  return withDataFile(folder, file => {
    const first = readMeta(file, 0);
    return first !== 'empty' && (first === undefined || newestMeta(file) === undefined);
  }) ?? false;
}

/** The newer one of the two states that the file holds; undefined when one of them is damaged. */
export function newestMeta(file: number): LmdbMeta | undefined {
  const first = readMeta(file, 0);
  if (typeof first !== 'object') return undefined;
  const second = readMeta(file, first.pageBytes);
  if (typeof second !== 'object' || second.pageBytes !== first.pageBytes) return undefined;
  return second.transaction > first.transaction ? second : first;
}

/** Undefined when there is no data file. @throws DENIED */
export function withDataFile<Result>(folder: string, work: (file: number) => Result): Result | undefined {
  const path = join(folder, DATA_FILE);
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new SnapError('DENIED', `Cannot open '${path}'`, { cause: error });
  }
  try {
    return work(file);
  } catch (error) {
    throw new SnapError('DENIED', `Cannot read '${path}'`, { cause: error });
  } finally {
    closeSync(file);
  }
}

/** The meta page at `position`; undefined when there is none. */
function readMeta(file: number, position: number): LmdbMeta | 'empty' | undefined {
  const bytes = new Uint8Array(META_BYTES);
  const count = readSync(file, bytes, 0, META_BYTES, position);
  if (count === 0) return 'empty';
  const view = viewOf(bytes);
  const pageBytes = view.getUint32(TREES_AT, IS_LITTLE);
  const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  if (count < META_BYTES || view.getUint32(MAGIC_AT, IS_LITTLE) !== MAGIC || !isPageSize) return undefined;
  return {
    pageBytes, freeTree: readTree(view, TREES_AT), dataTree: readTree(view, TREES_AT + TREE_BYTES),
    lastPage: readU64(view, LAST_PAGE_AT), transaction: readU64(view, LAST_PAGE_AT + 8),
  };
}

function readTree(view: DataView, at: number): LmdbTree {
  return {
    depth: view.getUint16(at + 6, IS_LITTLE), branchPages: readU64(view, at + 8), leafPages: readU64(view, at + 16), root: readU64(view, at + 40),
  };
}

/** Inexact from 2^53 on, which no page number or length reaches. */
export function readU64(view: DataView, at: number): number {
  const [low, high] = IS_LITTLE ? [at, at + 4] : [at + 4, at];
  return view.getUint32(low, IS_LITTLE) + view.getUint32(high, IS_LITTLE) * 2 ** 32;
}
