/**
 * Stores tree nodes: names them by their keyed hash, puts new ones into frames of tree packs, and says in which pack a node
 * lies. Runs on the calling thread, since a parent needs the ID of its child and nodes are a small share of all bytes.
 */
import type { Bytes } from '../base/bytes.ts';
import type { PackNumber } from '../cache/cache.ts';
import { chunkIdFromBytes, chunkIdKey, type ChunkId } from '../format/ids.ts';
import type { OpenRepository } from './opened-repository.ts';
import type { PackAssembler } from './pack-assembler.ts';
import { PackFiller } from './pack-filler.ts';
import { RecentChunks } from './recent-chunks.ts';

/** Where builders put the nodes that they finish. */
export interface NodeSink {
  put(node: Bytes): ChunkId;
}

export class TreeWriter {
  readonly #repository: OpenRepository;
  readonly #packs: PackFiller;
  readonly #recent: RecentChunks;
  nodesAdded = 0;

  constructor(repository: OpenRepository, assembler: PackAssembler, compressionLevel: number) {
    this.#repository = repository;
    this.#packs = new PackFiller(repository, assembler, 'tree', compressionLevel);
    this.#recent = new RecentChunks(repository.cache.chunks);
  }

  /** A sink that notes the pack of every node in `packs`. */
  sink(packs: Set<PackNumber>): NodeSink {
    return {
      put: node => {
        const { id, pack } = this.put(node);
        packs.add(pack);
        return id;
      },
    };
  }

  put(node: Bytes): { id: ChunkId; pack: PackNumber } {
    const { keys, cache } = this.#repository;
    const id = chunkIdFromBytes(keys.treeHasher.hash(node));
    const key = chunkIdKey(id);
    const recent = this.#recent.packOf(key);
    if (recent !== undefined) return { id, pack: recent };
    const known = cache.chunks.find(id);
    if (known !== undefined && cache.chunks.pack(known.pack)?.type === 'tree') return { id, pack: known.pack };
    const pack = this.#packs.add(id, node);
    this.#recent.add(key, pack);
    this.nodesAdded++;
    return { id, pack };
  }

  /** For a new look at the repository, when everything is durable: only the cache says where nodes lie, since a prune may have deleted packs of this session. */
  forgetPacks(): void {
    this.#recent.clear();
  }

  /** Seals what is open and closes the pack; the assembler makes it durable. */
  finish(): void {
    this.#packs.finish();
  }
}
