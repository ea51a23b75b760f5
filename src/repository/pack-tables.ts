/** Reads the table of a pack from its start, or from its end when the one at the start is damaged. */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { SnapError } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import type { PackId } from '../format/ids.ts';
import { packName, type PackType } from '../format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes, packTailBytes, type OpenTableOptions } from '../format/pack.ts';
import type { PackTable } from '../format/pack-table.ts';
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
  try {
    return await readFrontTable(repository, pack, options);
  } catch (error) {
    if (!(error instanceof SnapError) || error.kind !== 'corrupt' || error.code === 'INVALID_RANGE') throw error;
    return readBackTable(repository, pack, options);
  }
}

async function readFrontTable(repository: OpenRepository, pack: StoredPack, options: CallOptions): Promise<PackTable> {
  const read = (length: number): Promise<Bytes> => repository.backend.read(packName(pack.type, pack.id), { offset: 0, length }, options);
  const head = await read(Math.min(USUAL_TABLE_BYTES, pack.sizeBytes));
  const wanted = Math.min(packHeadBytes(head), pack.sizeBytes);
  return openPackHead(wanted <= head.length ? head : await read(wanted), tableOptions(repository, pack));
}

async function readBackTable(repository: OpenRepository, pack: StoredPack, options: CallOptions): Promise<PackTable> {
  const { sizeBytes } = pack;
  const read = (length: number): Promise<Bytes> => repository.backend.read(packName(pack.type, pack.id), { offset: sizeBytes - length, length }, options);
  const tail = await read(Math.min(USUAL_TABLE_BYTES, sizeBytes));
  const wanted = Math.min(packTailBytes(tail), sizeBytes);
  return openPackTail(wanted <= tail.length ? tail : await read(wanted), tableOptions(repository, pack));
}
