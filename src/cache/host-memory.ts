/** What a host has seen of a repository, and how it is kept. */
import type { HostMemory } from './cache.ts';

export const NO_MEMORY: HostMemory = { highestGc: 0, highestKeyring: 0, lastSnapshot: undefined, seen: [] };

/** More are not of our making. */
const ID = /^[0-9a-f]{32}$/;
const MAX_SEEN = 4_096;

/** The numbers never go down: two runs may end in another order than they began. */
export function mergeMemory(old: HostMemory, news: Partial<HostMemory>): HostMemory {
  return {
    highestGc: Math.max(old.highestGc, news.highestGc ?? 0),
    highestKeyring: Math.max(old.highestKeyring, news.highestKeyring ?? 0),
    lastSnapshot: 'lastSnapshot' in news ? news.lastSnapshot : old.lastSnapshot,
    seen: news.seen ?? old.seen,
  };
}

export function encodeMemory(memory: HostMemory): Uint8Array {
  return Buffer.from(JSON.stringify(memory));
}

/** Nothing for anything that `encodeMemory` does not make: a cache may forget. */
export function decodeMemory(bytes: Uint8Array): HostMemory {
  const { highestGc, highestKeyring, lastSnapshot, seen = [] } = parse(Buffer.from(bytes).toString()) as Partial<Record<keyof HostMemory, unknown>>;
  const isWhole = isCount(highestGc) && isCount(highestKeyring) && (lastSnapshot === undefined || typeof lastSnapshot === 'string');
  return isWhole && isIdList(seen) ? { highestGc, highestKeyring, lastSnapshot, seen } : NO_MEMORY;
}

function isIdList(value: unknown): value is string[] {
  return Array.isArray(value) && value.length <= MAX_SEEN && value.every(each => typeof each === 'string' && ID.test(each));
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
