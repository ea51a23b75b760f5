/** The chunk records of an index segment: checked, summed up per pack, and turned into records of the cache. */
import { viewOf, type Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { PackNumber, SegmentContent } from './cache.ts';
import { compareIds, FRAME_AT, LENGTH_AT, OFFSET_AT, PACK_AT, RECORD_BYTES, TREE_FLAG } from './chunk-record.ts';
import type { PackClaim } from './lmdb-pack-table.ts';
import { stretchesOf, type RecordSource } from './record-cursor.ts';

export interface SegmentClaims {
  /** By pack ordinal. */
  readonly claims: readonly PackClaim[];
  /** Chunk records by pack ordinal. */
  readonly counts: Uint32Array;
}

/**
 * What the segment says of its packs. The checksum of a pack is the sum of a mixed value of each of its records, so it does
 * not depend on their order; it tells apart two statements about one pack and is no protection against a liar.
 * @throws OBJECT_CORRUPT for records that are cut off, out of order, or of a pack that the segment does not list
 */
export function readClaims(content: SegmentContent): SegmentClaims {
  const { chunks, packs } = content;
  if (chunks.length % RECORD_BYTES !== 0) throw damaged(content, 'the list of chunk records is cut off');
  if (new Set(packs.map(pack => pack.id)).size !== packs.length) throw damaged(content, 'a pack is listed twice');
  const sums = new Uint32Array(2 * packs.length);
  const counts = new Uint32Array(packs.length);
  const view = viewOf(chunks);
  for (let at = 0; at < chunks.length; at += RECORD_BYTES) {
    if (at > 0 && compareIds(chunks, at - RECORD_BYTES, chunks, at) > 0) throw damaged(content, 'chunk records are out of order');
    const ordinal = view.getUint32(at + PACK_AT, true);
    if (ordinal >= packs.length) throw damaged(content, `pack ordinal ${ordinal} of ${packs.length}`);
    if (view.getUint32(at + FRAME_AT, true) >= TREE_FLAG) throw damaged(content, 'a frame number is out of range');
    counts[ordinal]!++;
    const place = Math.imul(view.getUint32(at + FRAME_AT, true), 0x9e37_79b1) + Math.imul(view.getUint32(at + OFFSET_AT, true), 0x85eb_ca6b)
      + Math.imul(view.getUint32(at + LENGTH_AT, true), 0xc2b2_ae35);
    sums[2 * ordinal]! += mixed(view.getUint32(at, true) + place);
    sums[2 * ordinal + 1]! += mixed(view.getUint32(at + 8, true) ^ place);
  }
  return { claims: packs.map((pack, i) => ({ pack, checksum: checksumOf(sums, i) })), counts };
}

/** Records with pack numbers for ordinals; a pack with number 0 is left out. */
export function segmentSource(content: SegmentContent, numbers: readonly PackNumber[]): RecordSource {
  const flags = content.packs.map(pack => (pack.type === 'tree' ? TREE_FLAG : 0));
  return stretchesOf(content.chunks, (block, byteLength) => {
    const { view } = block;
    let kept = 0;
    for (let at = 0; at < byteLength; at += RECORD_BYTES) {
      const ordinal = view.getUint32(at + PACK_AT, true);
      const number = numbers[ordinal]!;
      if (number === 0) continue;
      if (kept !== at) block.copyRecord(kept, block, at);
      view.setUint32(kept + PACK_AT, number, true);
      view.setUint32(kept + FRAME_AT, view.getUint32(kept + FRAME_AT, true) + flags[ordinal]!, true);
      kept += RECORD_BYTES;
    }
    return kept;
  });
}

/** Finaliser of MurmurHash3 (Appleby), 32 bits. */
function mixed(value: number): number {
  let hash = value ^ (value >>> 16);
  hash = Math.imul(hash, 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function checksumOf(sums: Uint32Array, ordinal: number): Bytes {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setUint32(0, sums[2 * ordinal]!);
  viewOf(bytes).setUint32(4, sums[2 * ordinal + 1]!);
  return bytes;
}

function damaged(content: SegmentContent, reason: string): SnapError {
  return new SnapError('OBJECT_CORRUPT', `The index segment is damaged: ${reason}`, { context: { segment: content.id } });
}
