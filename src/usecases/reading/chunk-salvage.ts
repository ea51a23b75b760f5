/**
 * The patient way to one data chunk: every copy of it, its frame opened alone, and once more after a look at the repository
 * when a pack has vanished. For single values, and for what bulk loading could not give.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, type SnapError } from '../../base/errors.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { ContentItem } from '../../format/tree-node.ts';
import { missingChunk } from './frame-loader.ts';

/** The bytes of a chunk, or why no copy of it can be read. @throws every error that is no damage */
export async function salvageChunk(session: ReadingSession, id: Bytes, length: number, options: CallOptions = {}): Promise<Bytes | SnapError> {
  const { looks } = session;
  const first = await tryCopies(session, id, length, options);
  if (first instanceof Uint8Array) return first;
  // A listed pack is gone now: it was moved. A chunk may be nowhere, when a prune ended between the listings of a look.
  const mayHaveMoved = hasCode(first, 'OBJECT_NOT_FOUND') || (hasCode(first, 'CHUNK_MISSING') && session.mayFindMore);
  if (!mayHaveMoved) return first;
  await session.lookAgain(looks, options);
  const second = await tryCopies(session, id, length, options);
  if (second instanceof Uint8Array) session.found();
  return second;
}

async function tryCopies(session: ReadingSession, id: Bytes, length: number, options: CallOptions): Promise<Bytes | SnapError> {
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
  return failure ?? missingChunk(id);
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
