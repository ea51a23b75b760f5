/** Whether the bytes of a pack are right to the last: what is to be protected by parity, and what came back from it. */
import type { Bytes } from '../base/bytes.ts';
import { releaseMemory } from '../base/release-memory.ts';
import type { SnapError } from '../base/errors.ts';
import { findWrongChunks } from '../engine/frame-chunks.ts';
import { encodeFramePrefix, FRAME_PADDING, FrameCipher, openFrame } from '../format/frame.ts';
import { corrupt } from '../format/decode-error.ts';
import { openPackHead, openPackTail } from '../format/pack.ts';
import { checkSameTables, firstChunks, TABLE_CHUNK_BYTES, tableFrameAt, type PackTable } from '../format/pack-table.ts';
import { isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';
import { tableOptions, type StoredPack } from './pack-tables.ts';

/**
 * What is wrong with the bytes of a pack; undefined when both tables agree and every frame opens, has its length and holds the
 * chunks that the table names. An error of kind 'unsupported' says that nobody knows. On the calling thread, some 500 MB/s.
 */
export function findPackFault(repository: OpenRepository, pack: Pick<StoredPack, 'type' | 'id'>, bytes: Bytes): SnapError | undefined {
  try {
    const options = tableOptions(repository, { ...pack, sizeBytes: bytes.length });
    const table = openPackHead(bytes, options);
    checkSameTables(table, openPackTail(bytes, options));
    checkFrames(repository, table, bytes);
    return undefined;
  } catch (error) {
    if (!isUnreadable(error)) throw error;
    return error;
  }
}

function checkFrames({ kernel, keys }: OpenRepository, table: PackTable, bytes: Bytes): void {
  const cipher = new FrameCipher(kernel.createAead(table.suite, keys.packKeys(table).frameKey), encodeFramePrefix(table, keys.repositoryId));
  const hasher = kernel.createHasher(table.type === 'data' ? keys.content.idKeyData : keys.content.idKeyTree);
  const first = firstChunks(table);
  for (let number = 0; number < table.frameCount; number++) {
    const { offset, storedLength, rawLength, codec, flags } = tableFrameAt(table, number);
    const content = openFrame(kernel, cipher, { number, rawLength, codec, flags }, bytes.subarray(offset, offset + storedLength));
    const chunks = table.chunks.subarray(first[number]! * TABLE_CHUNK_BYTES, first[number + 1]! * TABLE_CHUNK_BYTES);
    if ((flags & FRAME_PADDING) === 0 && findWrongChunks(hasher, content, chunks).length > 0) {
      throw corrupt('frame', 'chunks in it do not match their IDs', { frame: number }, 'FRAME_CORRUPT');
    }
    // Of a compressed frame this is the buffer of the decompressor, which is used again.
    if (codec === 0) releaseMemory([content]);
  }
}
