/**
 * A look at the start of an LMDB file before LMDB opens it: lmdb-js 3.5 crashes on a file that is no database.
 *
 * Layout of LMDB data format 2 (mdb.c, `MDB_page_header` and `MDB_meta`), in the byte order of the host: pages 0 and 1 each
 * hold 24 bytes page header, u32 magic, u32 version, u64 address, u64 map size, u32 page size.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';
import { DATA_FILE } from './lmdb-store.ts';

const MAGIC = 0xbeefc0de;
const MAGIC_AT = 24;
const PAGE_BYTES_AT = MAGIC_AT + 24;
const HEAD_BYTES = PAGE_BYTES_AT + 4;

/** True when there is a data file and it is no database. An empty one is fine: LMDB has just made it. */
export function isNoDatabase(folder: string): boolean {
  const path = join(folder, DATA_FILE);
  let file: number;
  try {
    file = openSync(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new SnapError('DENIED', `Cannot open '${path}'`, { cause: error });
  }
  try {
    const first = readPageBytes(file, 0);
    return first !== 'empty' && (first === undefined || readPageBytes(file, first) !== first);
  } catch (error) {
    throw new SnapError('DENIED', `Cannot read '${path}'`, { cause: error });
  } finally {
    closeSync(file);
  }
}

/** Page size as the meta page at `position` says it; undefined when there is no meta page. */
function readPageBytes(file: number, position: number): number | 'empty' | undefined {
  const bytes = new Uint8Array(HEAD_BYTES);
  const count = readSync(file, bytes, 0, HEAD_BYTES, position);
  if (count === 0) return 'empty';
  const isLittle = endianness() === 'LE';
  const view = new DataView(bytes.buffer);
  const pageBytes = view.getUint32(PAGE_BYTES_AT, isLittle);
  const isPageSize = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  return count === HEAD_BYTES && view.getUint32(MAGIC_AT, isLittle) === MAGIC && isPageSize ? pageBytes : undefined;
}
