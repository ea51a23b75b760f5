/**
 * A look at an LMDB file before it is mapped: reading a mapped page beyond the end of a truncated file would end the
 * process with SIGBUS, which nothing can catch.
 *
 * Layout as of LMDB data format 2 in lmdb-js (mdb.c, `MDB_page_header` and `MDB_meta`), in the byte order of the host:
 * pages 0 and 1 are meta pages; 24 bytes page header, then u32 magic, u32 version, u64 address, u64 map size, two records of
 * 48 bytes for the free list and the main tree (the first one starts with u32 page size), u64 last page, u64 transaction.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { DATA_FILE } from './lmdb-store.ts';

const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_BYTES_AT = MAGIC_AT + 24;
const LAST_PAGE_AT = MAGIC_AT + 24 + 2 * 48;
const TRANSACTION_AT = LAST_PAGE_AT + 8;
const META_BYTES = TRANSACTION_AT + 8;

/** True when there is a data file that LMDB must not open. A new, empty file is fine. */
export function isStoreDamaged(folder: string): boolean {
  let file: number;
  try {
    file = openSync(join(folder, DATA_FILE), 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new SnapError('DENIED', `Cannot read the local cache in '${folder}'`, { cause: error });
  }
  try {
    return isFileDamaged(file);
  } finally {
    closeSync(file);
  }
}

function isFileDamaged(file: number): boolean {
  const first = readMeta(file, 0);
  if (first === 'empty') return false;
  if (first === 'damaged') return true;
  const second = readMeta(file, first.pageBytes);
  if (second === 'empty' || second === 'damaged') return true;
  const newest = second.transaction > first.transaction ? second : first;
  // The size is read last: a commit by another process in between only makes the file longer.
  return BigInt(fstatSync(file).size) < (newest.lastPage + 1n) * BigInt(newest.pageBytes);
}

interface Meta {
  readonly pageBytes: number;
  readonly lastPage: bigint;
  readonly transaction: bigint;
}

function readMeta(file: number, position: number): Meta | 'empty' | 'damaged' {
  const bytes = new Uint8Array(META_BYTES);
  const count = readSync(file, bytes, 0, META_BYTES, position);
  if (count === 0) return 'empty';
  const isLittle = endianness() === 'LE';
  const view = new DataView(bytes.buffer);
  const pageBytes = view.getUint32(PAGE_BYTES_AT, isLittle);
  const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  if (count < META_BYTES || view.getUint32(MAGIC_AT, isLittle) !== MAGIC || !isPageSize) return 'damaged';
  return { pageBytes, lastPage: view.getBigUint64(LAST_PAGE_AT, isLittle), transaction: view.getBigUint64(TRANSACTION_AT, isLittle) };
}
