/** What a host has seen of a repository, and how it is kept. */
import { SnapError } from '../base/errors.ts';
import type { HostMemory } from './cache.ts';

export const NO_MEMORY: HostMemory = { highestGc: 0, highestKeyring: 0, lastSnapshot: undefined };

/** The numbers never go down: two runs may end in another order than they began. */
export function mergeMemory(old: HostMemory, news: Partial<HostMemory>): HostMemory {
  return {
    highestGc: Math.max(old.highestGc, news.highestGc ?? 0),
    highestKeyring: Math.max(old.highestKeyring, news.highestKeyring ?? 0),
    lastSnapshot: 'lastSnapshot' in news ? news.lastSnapshot : old.lastSnapshot,
  };
}

export function encodeMemory(memory: HostMemory): Uint8Array {
  return Buffer.from(JSON.stringify(memory));
}

/** @throws INTERNAL for anything that `encodeMemory` does not make */
export function decodeMemory(bytes: Uint8Array): HostMemory {
  const { highestGc, highestKeyring, lastSnapshot } = parse(Buffer.from(bytes).toString()) as Partial<Record<keyof HostMemory, unknown>>;
  if (!Number.isSafeInteger(highestGc) || !Number.isSafeInteger(highestKeyring)) throw damaged();
  if (lastSnapshot !== undefined && typeof lastSnapshot !== 'string') throw damaged();
  return { highestGc: highestGc as number, highestKeyring: highestKeyring as number, lastSnapshot };
}

function parse(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value;
  } catch (error) {
    throw damaged(error);
  }
  throw damaged();
}

function damaged(cause?: unknown): SnapError {
  return new SnapError('INTERNAL', 'The local cache is damaged: host memory', { cause, hint: 'Remove the cache; it is built again from the repository' });
}
