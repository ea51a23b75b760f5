/** The packed chunk list of a frame: 32 id | u32 length for each chunk, in frame order. */
import { type Bytes, equalBytes, viewOf } from '../base/bytes.ts';
import { CHUNK_ID_BYTES } from '../format/ids.ts';
import type { Hasher } from '../kernel/kernel.ts';

export const FRAME_CHUNK_BYTES: number = CHUNK_ID_BYTES + 4;

export function writeFrameChunk(chunks: Bytes, i: number, id: Bytes, length: number): void {
  const at = i * FRAME_CHUNK_BYTES;
  chunks.set(id, at);
  viewOf(chunks).setUint32(at + CHUNK_ID_BYTES, length, true);
}

/**
 * Hashes every chunk of the content of a frame. Returns the indices of those that do not match their ID; if the chunks do not
 * tile the content exactly, of all those that reach beyond it, or of the last one.
 */
export function findWrongChunks(hasher: Hasher, content: Bytes, chunks: Bytes): number[] {
  const view = viewOf(chunks);
  const count = Math.floor(chunks.length / FRAME_CHUNK_BYTES);
  const wrong: number[] = [];
  let start = 0;
  for (let i = 0; i < count; i++) {
    const at = i * FRAME_CHUNK_BYTES;
    const end = start + view.getUint32(at + CHUNK_ID_BYTES, true);
    const fits = end <= content.length && (i < count - 1 || end === content.length);
    const isRight = fits && equalBytes(hasher.hash(content.subarray(start, end)), chunks.subarray(at, at + CHUNK_ID_BYTES));
    if (!isRight) wrong.push(i);
    start = end;
  }
  return wrong;
}
