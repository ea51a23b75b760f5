/**
 * A few words beside the LMDB files, in `state.json`, from which a cache notices that its LMDB files were exchanged, put
 * back to an older state, or cut off: reading a mapped page beyond the end of a file would end the process with SIGBUS.
 *
 * Every word is written after the commit it tells of, so it is never ahead of an untouched cache. The file has a fixed
 * length and is overwritten in place with one write, so neither a kill nor a power cut leaves half of it.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';

export interface CacheState {
  /** 32 hex digits, random for every newly built cache. */
  readonly generation: string;
  /** How often pack numbers were set aside; only grows. */
  readonly reservations: number;
  /** Of the LMDB file, which never becomes shorter. */
  readonly sizeBytes: number;
}

export const STATE_FILE = 'state.json';
const FILE_BYTES = 256;

export function readCacheState(folder: string): CacheState | 'missing' | 'damaged' {
  const path = join(folder, STATE_FILE);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw new SnapError('DENIED', `Cannot read '${path}'`, { cause: error });
  }
  return text === '' ? 'missing' : parseState(text) ?? 'damaged';
}

export function writeCacheState(folder: string, state: CacheState): void {
  const path = join(folder, STATE_FILE);
  try {
    const file = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
    try {
      writeSync(file, `${JSON.stringify(state).padEnd(FILE_BYTES - 1)}\n`, 0);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'NO_SPACE' : 'DENIED';
    throw new SnapError(code, `Cannot write '${path}'`, { cause: error });
  }
}

function parseState(text: string): CacheState | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { generation, reservations, sizeBytes } = value as Partial<Record<keyof CacheState, unknown>>;
  if (typeof generation !== 'string' || !Number.isSafeInteger(reservations) || !Number.isSafeInteger(sizeBytes)) return undefined;
  return { generation, reservations: reservations as number, sizeBytes: sizeBytes as number };
}
