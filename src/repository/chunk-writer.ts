/**
 * Stores chunks whose IDs are known already in new packs: what a repair saves out of damaged packs, or finds elsewhere. Chunks that
 * come one after the other share frames, so the order of the caller becomes that of the packs.
 */
import type { Bytes } from '../base/bytes.ts';
import { chunkIdKey, type ChunkId } from '../format/ids.ts';
import type { PackType } from '../format/object-names.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { PackAssembler } from './pack-assembler.ts';
import { PackFiller } from './pack-filler.ts';
import { RecentChunks } from './recent-chunks.ts';

interface Stream {
  readonly packs: PackFiller;
  readonly recent: RecentChunks;
}

export class ChunkWriter {
  readonly #streams: Readonly<Record<PackType, Stream>>;

  constructor(repository: OpenRepository, assembler: PackAssembler, compressionLevel: number) {
    const streamOf = (type: PackType): Stream =>
      ({ packs: new PackFiller(repository, assembler, type, compressionLevel), recent: new RecentChunks(repository.cache.chunks) });
    this.#streams = { data: streamOf('data'), tree: streamOf('tree') };
  }

  /** False when this writer is storing the chunk already. @throws INTERNAL when the bytes do not match the ID */
  put(type: PackType, id: ChunkId, bytes: Bytes): boolean {
    const { packs, recent } = this.#streams[type];
    const key = chunkIdKey(id);
    if (recent.packOf(key) !== undefined) return false;
    recent.add(key, packs.add(id, bytes));
    return true;
  }

  /** Closes the open packs; the assembler makes them durable. */
  finish(): void {
    this.#streams.data.packs.finish();
    this.#streams.tree.packs.finish();
  }
}
