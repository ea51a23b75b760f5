/**
 * Stores tree nodes: names them by their keyed hash, puts new ones into frames of tree packs, and says in which pack a node
 * lies. Runs on the calling thread, since a parent needs the ID of its child and nodes are a small share of all bytes.
 */
import type { Bytes } from '../base/bytes.ts';
import type { PackNumber } from '../cache/cache.ts';
import { FrameBuilder, needsOwnFrame } from '../engine/frame-builder.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from '../engine/frame-chunks.ts';
import { FrameSealer, type FramePack } from '../engine/frame-sealer.ts';
import { FrameCipher } from '../format/frame.ts';
import { chunkIdFromBytes, chunkIdKey, type ChunkId } from '../format/ids.ts';
import type { OpenRepository } from './opened-repository.ts';
import { TREE_PACK_BYTES, type PackAssembler } from './pack-assembler.ts';

/** Where builders put the nodes that they finish. */
export interface NodeSink {
  put(node: Bytes): ChunkId;
}

interface OpenTreePack extends FramePack {
  frames: number;
  storedBytes: number;
  /** IDs in this pack; forgotten when the cache knows the pack. */
  readonly ids: Set<string>;
}

export class TreeWriter {
  readonly #repository: OpenRepository;
  readonly #assembler: PackAssembler;
  readonly #sealer: FrameSealer;
  readonly #builder = new FrameBuilder();
  /** Packs of this session that the cache does not answer for yet, the open one last. */
  #recent: OpenTreePack[] = [];
  #pack: OpenTreePack | undefined;
  nodesAdded = 0;

  constructor(repository: OpenRepository, assembler: PackAssembler, compressionLevel: number) {
    this.#repository = repository;
    this.#assembler = assembler;
    this.#sealer = new FrameSealer(repository.kernel, repository.keys.treeHasher, compressionLevel);
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
    const recent = this.#recent.find(pack => pack.ids.has(key));
    if (recent !== undefined) return { id, pack: recent.number };
    const known = cache.chunks.find(id);
    if (known !== undefined && cache.chunks.pack(known.pack)?.type === 'tree') return { id, pack: known.pack };
    return { id, pack: this.#add(id, key, node) };
  }

  /** For a new look at the repository, when everything is durable: only the cache says where nodes lie, since a prune may have deleted packs of this session. */
  forgetPacks(): void {
    this.#recent = [];
  }

  /** Seals what is open and closes the pack; the assembler makes it durable. */
  finish(): void {
    this.#closePack();
  }

  #add(id: ChunkId, key: string, node: Bytes): PackNumber {
    const isOwn = needsOwnFrame(node.length);
    if (isOwn || !this.#builder.fits(node.length)) this.#sealGroup();
    if (this.#pack !== undefined && this.#pack.storedBytes >= TREE_PACK_BYTES && this.#builder.isEmpty) this.#closePack();
    const pack = this.#pack ??= this.#openPack();
    pack.ids.add(key);
    this.nodesAdded++;
    if (isOwn) {
      const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
      writeFrameChunk(chunks, 0, id, node.length);
      this.#seal(pack, node, chunks);
    } else this.#builder.add(id, node);
    return pack.number;
  }

  #openPack(): OpenTreePack {
    const { cache, kernel } = this.#repository;
    // Packs that became durable and indexed answer through the cache now.
    this.#recent = this.#recent.filter(pack => cache.chunks.pack(pack.number) === undefined);
    const grant = this.#assembler.grant('tree');
    const cipher = new FrameCipher(kernel.createAead(grant.suite, grant.frameKey), grant.framePrefix);
    const pack: OpenTreePack = { number: grant.pack, cipher, frames: 0, storedBytes: 0, ids: new Set() };
    this.#recent.push(pack);
    return pack;
  }

  #sealGroup(): void {
    if (this.#builder.isEmpty) return;
    this.#seal(this.#pack!, this.#builder.plaintext, this.#builder.copyChunks());
    this.#builder.clear();
  }

  #seal(pack: OpenTreePack, plaintext: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const frame = this.#sealer.seal(pack, pack.frames++, plaintext, chunks);
    pack.storedBytes += frame.stored.length;
    this.#assembler.addFrames([frame]);
  }

  #closePack(): void {
    this.#sealGroup();
    if (this.#pack === undefined) return;
    this.#assembler.close(this.#pack.number);
    this.#pack = undefined;
  }
}
