/**
 * Blocked Bloom filter: "certainly not here" for one touched cache line.
 *
 * The filter is cut into blocks of 512 bits (Putze, Sanders, Singler: "Cache-, Hash- and Space-Efficient Bloom Filters",
 * 2007). Chunk IDs are keyed hashes and so uniformly random; their own bytes serve as hash values: bytes 0 to 3 choose the
 * block, which keeps the building of a filter from sorted IDs sequential in memory, bytes 8 to 15 give six bits in it.
 * With 10 bits per key about 1.3 % of the absent IDs pass.
 */
import type { Bytes } from '../base/bytes.ts';
import { bucketOf, leadingBits } from './chunk-record.ts';

export const FILTER_BLOCK_BYTES = 64;

const BITS_PER_KEY = 10;
const BLOCK_BITS = 8 * FILTER_BLOCK_BYTES;

/** Blocks of a filter for at most `count` IDs. */
export function filterBlocks(count: number): number {
  return Math.max(1, Math.ceil((count * BITS_PER_KEY) / BLOCK_BITS));
}

/** Number of the block that an ID belongs to, in the order of IDs. */
export function filterBlockOf(ids: Bytes, at: number, blocks: number): number {
  return bucketOf(leadingBits(ids, at), blocks);
}

/** Adds the ID at `at` of `ids` to the block that starts at `block` of `filter`. */
export function addToFilter(filter: Bytes, block: number, ids: Bytes, at: number): void {
  const first = middleBits(ids, at + 8);
  const second = middleBits(ids, at + 12);
  setBit(filter, block, first & 511);
  setBit(filter, block, (first >>> 9) & 511);
  setBit(filter, block, (first >>> 18) & 511);
  setBit(filter, block, second & 511);
  setBit(filter, block, (second >>> 9) & 511);
  setBit(filter, block, (second >>> 18) & 511);
}

/** False: the ID was never added. `start` is the first byte of the filter. */
export function mayContain(filter: Bytes, start: number, blocks: number, id: Bytes): boolean {
  const block = start + FILTER_BLOCK_BYTES * filterBlockOf(id, 0, blocks);
  const first = middleBits(id, 8);
  if (!hasBit(filter, block, first & 511) || !hasBit(filter, block, (first >>> 9) & 511) || !hasBit(filter, block, (first >>> 18) & 511)) {
    return false;
  }
  const second = middleBits(id, 12);
  return hasBit(filter, block, second & 511) && hasBit(filter, block, (second >>> 9) & 511) && hasBit(filter, block, (second >>> 18) & 511);
}

function middleBits(bytes: Bytes, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

function setBit(filter: Bytes, block: number, bit: number): void {
  const at = block + (bit >>> 3);
  filter[at] = filter[at]! | (1 << (bit & 7));
}

function hasBit(filter: Bytes, block: number, bit: number): boolean {
  return ((filter[block + (bit >>> 3)]! >>> (bit & 7)) & 1) !== 0;
}
