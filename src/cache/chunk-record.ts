/**
 * One chunk record of the cache, 48 bytes: 32 chunk ID, then as u32 little-endian pack number, frame number, offset of the
 * chunk in the plaintext of the frame, length. It is the chunk record of an index segment (repository design, section 4.8)
 * with the pack number in place of the pack ordinal, and with the top bit of the frame number set for chunks of tree packs:
 * frame numbers stay below 2^16, and a look-up then knows the type without a second access.
 */
import type { Bytes } from '../base/bytes.ts';
import type { ChunkLocation } from './cache.ts';

export const RECORD_BYTES = 48;
export const ID_BYTES = 32;
export const PACK_AT = 32;
export const FRAME_AT = 36;
export const OFFSET_AT = 40;
export const LENGTH_AT = 44;
export const TREE_FLAG = 0x8000_0000;

/** The first 32 bits of an ID as a number: IDs in order have these in order. */
export function leadingBits(bytes: Bytes, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Spreads 32 leading bits over `buckets` equal ranges, in order. */
export function bucketOf(leading: number, buckets: number): number {
  return Math.floor((leading * buckets) / 0x1_0000_0000);
}

/** Order of two IDs inside larger byte strings. */
export function compareIds(a: Bytes, aAt: number, b: Bytes, bAt: number): number {
  const difference = leadingBits(a, aAt) - leadingBits(b, bAt);
  if (difference !== 0) return difference;
  // Byte by byte, since two views for `Buffer.compare` cost more than 28 steps.
  for (let i = 4; i < ID_BYTES; i++) {
    const step = a[aAt + i]! - b[bAt + i]!;
    if (step !== 0) return step;
  }
  return 0;
}

export function readLocation(view: DataView, at: number): ChunkLocation {
  return {
    pack: view.getUint32(at + PACK_AT, true),
    frame: view.getUint32(at + FRAME_AT, true) & ~TREE_FLAG,
    offset: view.getUint32(at + OFFSET_AT, true),
    length: view.getUint32(at + LENGTH_AT, true),
  };
}

export function isTreeRecord(view: DataView, at: number): boolean {
  return (view.getUint32(at + FRAME_AT, true) & TREE_FLAG) !== 0;
}
