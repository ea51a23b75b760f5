/** What a host has seen of a repository, and how it is kept. */
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

/** Nothing for anything that `encodeMemory` does not make: a cache may forget. */
export function decodeMemory(bytes: Uint8Array): HostMemory {
  const { highestGc, highestKeyring, lastSnapshot } = parse(Buffer.from(bytes).toString()) as Partial<Record<keyof HostMemory, unknown>>;
  const isWhole = isCount(highestGc) && isCount(highestKeyring) && (lastSnapshot === undefined || typeof lastSnapshot === 'string');
  return isWhole ? { highestGc, highestKeyring, lastSnapshot } : NO_MEMORY;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function parse(text: string): object {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? value : {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
