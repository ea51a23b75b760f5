/**
 * The patient way to one data chunk: every copy of it, its frame opened alone, and again after a look at the repository
 * when a pack has vanished. For single values, and for what bulk loading could not give.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { SnapError } from '../../base/errors.ts';
import { isDamage } from '../../repository/damage.ts';
import { followMoves } from '../../repository/moved-chunks.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { ContentItem } from '../../format/tree-node.ts';
import { missingChunk } from './frame-loader.ts';

/** The bytes of a chunk, or why no copy of it can be read. @throws every error that is no damage */
export async function salvageChunk(session: ReadingSession, id: Bytes, length: number, options: CallOptions = {}): Promise<Bytes | SnapError> {
  try {
    return await followMoves(session, () => anyCopy(session, id, length, options), options);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return error;
  }
}

/** @throws what is wrong with the first copy */
async function anyCopy(session: ReadingSession, id: Bytes, length: number, options: CallOptions): Promise<Bytes> {
  const { chunks } = session.repository.cache;
  let failure: SnapError | undefined;
  for (const location of chunks.findAll(id)) {
    if (location.length !== length || chunks.pack(location.pack)?.type !== 'data') continue;
    try {
      return await session.packs.chunk(id, location, options);
    } catch (error) {
      if (!isDamage(error)) throw error;
      failure ??= error;
    }
  }
  throw failure ?? missingChunk(id);
}

/** A value that is stored as chunks, put together; or why it cannot be. */
export async function salvageValue(session: ReadingSession, items: readonly ContentItem[], options: CallOptions = {}): Promise<Bytes | SnapError> {
  const value = new Uint8Array(items.reduce((sum, item) => sum + item.lengthBytes, 0));
  let at = 0;
  for (const { id, lengthBytes } of items) {
    if (id !== undefined) {
      const bytes = await salvageChunk(session, id, lengthBytes, options);
      if (!(bytes instanceof Uint8Array)) return bytes;
      value.set(bytes, at);
    }
    at += lengthBytes;
  }
  return value;
}

/** Whether a chunk with this ID and length may be taken from bytes at hand. */
export function isSameChunk(hasher: { hash(bytes: Bytes): Bytes }, bytes: Bytes | undefined, id: Bytes, length: number): bytes is Bytes {
  return bytes !== undefined && bytes.length === length && equalBytes(hasher.hash(bytes), id);
}
