/** Reads the table of a pack from its start, or from its end when the one at the start is damaged. */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { KiB } from '../base/units.ts';
import type { PackId } from '../format/ids.ts';
import { packName, type PackType } from '../format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes, packTailBytes, type OpenTableOptions } from '../format/pack.ts';
import type { PackTable } from '../format/pack-table.ts';
import { isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

/** The first or last bytes of a pack that hold its whole table in most packs. */
const USUAL_TABLE_BYTES: number = 64 * KiB;

export interface StoredPack {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
}

export function tableOptions({ kernel, keys }: OpenRepository, { type, id, sizeBytes }: StoredPack): OpenTableOptions {
  return { kernel, repositoryId: keys.repositoryId, type, id, sizeBytes, rootOf: epoch => keys.packRoot(type, epoch) };
}

/** @throws PACK_CORRUPT when both tables are damaged, OBJECT_NOT_FOUND, INVALID_RANGE, UNSUPPORTED_FORMAT */
export async function readPackTable(repository: OpenRepository, pack: StoredPack, options: CallOptions = {}): Promise<PackTable> {
  return eitherEnd(() => readFrontTable(repository, pack, options), () => readBackTable(repository, pack, options));
}

/**
 * The same from the other end when the front of a pack is damaged, or seems to need a newer version, which one flipped bit
 * of its header does. When the back gives nothing either, "unsupported" counts: such a pack must not be repaired.
 */
export async function eitherEnd<T>(front: () => Promise<T>, back: () => Promise<T>): Promise<T> {
  try {
    return await front();
  } catch (error) {
    if (!isUnreadable(error) || error.code === 'INVALID_RANGE') throw error;
    try {
      return await back();
    } catch (backError) {
      throw error.kind === 'unsupported' && isUnreadable(backError) ? error : backError;
    }
  }
}

/** @throws PACK_CORRUPT, OBJECT_NOT_FOUND, INVALID_RANGE, UNSUPPORTED_FORMAT */
export async function readFrontTable(repository: OpenRepository, pack: StoredPack, options: CallOptions): Promise<PackTable> {
  const read = (length: number): Promise<Bytes> => repository.backend.read(packName(pack.type, pack.id), { offset: 0, length }, options);
  const head = await read(Math.min(USUAL_TABLE_BYTES, pack.sizeBytes));
  const wanted = Math.min(packHeadBytes(head), pack.sizeBytes);
  return openPackHead(wanted <= head.length ? head : await read(wanted), tableOptions(repository, pack));
}

/** @throws PACK_CORRUPT, OBJECT_NOT_FOUND, INVALID_RANGE, UNSUPPORTED_FORMAT */
export async function readBackTable(repository: OpenRepository, pack: StoredPack, options: CallOptions): Promise<PackTable> {
  const { sizeBytes } = pack;
  const read = (length: number): Promise<Bytes> => repository.backend.read(packName(pack.type, pack.id), { offset: sizeBytes - length, length }, options);
  const tail = await read(Math.min(USUAL_TABLE_BYTES, sizeBytes));
  const wanted = Math.min(packTailBytes(tail), sizeBytes);
  return openPackTail(wanted <= tail.length ? tail : await read(wanted), tableOptions(repository, pack));
}
