/**
 * A few words beside the LMDB files, in `state.json`, from which a cache notices that its LMDB files were exchanged or
 * put back to an older state. Written after the commit it tells of, so it is never ahead of an untouched cache.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SnapError } from '../base/errors.ts';

export interface CacheState {
  /** 32 hex digits, random for every newly built cache. */
  readonly generation: string;
  /** How often pack numbers were set aside; only grows. */
  readonly reservations: number;
}

const FILE = 'state.json';

export function readCacheState(folder: string): CacheState | 'missing' | 'damaged' {
  let text: string;
  try {
    text = readFileSync(join(folder, FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing';
    throw new SnapError('DENIED', `Cannot read '${join(folder, FILE)}'`, { cause: error });
  }
  return parseState(text) ?? 'damaged';
}

export function writeCacheState(folder: string, state: CacheState): void {
  try {
    writeFileSync(join(folder, FILE), `${JSON.stringify(state)}\n`, { mode: 0o600 });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code === 'ENOSPC' ? 'NO_SPACE' : 'DENIED';
    throw new SnapError(code, `Cannot write '${join(folder, FILE)}'`, { cause: error });
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
  const { generation, reservations } = value as Partial<Record<keyof CacheState, unknown>>;
  return typeof generation === 'string' && Number.isSafeInteger(reservations) ? { generation, reservations: reservations as number } : undefined;
}
