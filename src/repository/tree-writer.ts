/**
 * Stores tree nodes: names them by their keyed hash, puts new ones into frames of tree packs, and says in which pack a node
 * lies. Runs on the calling thread, since a parent needs the ID of its child and nodes are a small share of all bytes.
 */
import { concatBytes, viewOf, type Bytes } from '../base/bytes.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { SealedFrame } from '../engine/engine.ts';
import { FrameSealer } from '../format/frame-sealer.ts';
import { chunkIdFromBytes, chunkIdKey, type ChunkId } from '../format/ids.ts';
import { MAX_GROUP_FRAME_BYTES, MAX_GROUP_FRAME_CHUNKS, OWN_FRAME_BYTES } from '../format/limits.ts';
import type { OpenRepository } from './opened-repository.ts';
import { TREE_PACK_BYTES, type PackAssembler } from './pack-assembler.ts';

/** Where builders put the nodes that they finish. */
export interface NodeSink {
  put(node: Bytes): ChunkId;
}

interface OpenTreePack {
  readonly number: PackNumber;
  readonly sealer: FrameSealer;
  frames: number;
  storedBytes: number;
  /** IDs in this pack; forgotten when the cache knows the pack. */
  readonly ids: Set<string>;
}

export class TreeWriter {
  readonly #repository: OpenRepository;
  readonly #assembler: PackAssembler;
  readonly #compressionLevel: number;
  /** Packs of this session that the cache does not answer for yet, the open one last. */
  readonly #recent: OpenTreePack[] = [];
  #group: { id: ChunkId; node: Bytes }[] = [];
  #groupBytes = 0;
  #pack: OpenTreePack | undefined;
  nodesAdded = 0;

  constructor(repository: OpenRepository, assembler: PackAssembler, compressionLevel: number) {
    this.#repository = repository;
    this.#assembler = assembler;
    this.#compressionLevel = compressionLevel;
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

  /** Seals what is open and closes the pack; the assembler makes it durable. */
  finish(): void {
    this.#closePack();
  }

  #add(id: ChunkId, key: string, node: Bytes): PackNumber {
    if (node.length >= OWN_FRAME_BYTES || this.#groupBytes + node.length > MAX_GROUP_FRAME_BYTES || this.#group.length === MAX_GROUP_FRAME_CHUNKS) this.#sealGroup();
    if (this.#pack !== undefined && this.#pack.storedBytes >= TREE_PACK_BYTES && this.#group.length === 0) this.#closePack();
    const pack = this.#pack ??= this.#openPack();
    this.#group.push({ id, node });
    this.#groupBytes += node.length;
    pack.ids.add(key);
    this.nodesAdded++;
    if (node.length >= OWN_FRAME_BYTES) this.#sealGroup();
    return pack.number;
  }

  #openPack(): OpenTreePack {
    // Packs that became durable and indexed answer through the cache now.
    const { cache } = this.#repository;
    const waiting = this.#recent.filter(pack => cache.chunks.pack(pack.number) === undefined);
    this.#recent.splice(0, this.#recent.length, ...waiting);
    const grant = this.#assembler.grant('tree');
    const sealer = new FrameSealer(this.#repository.kernel, grant, this.#repository.keys.treeHasher, this.#compressionLevel);
    const pack: OpenTreePack = { number: grant.pack, sealer, frames: 0, storedBytes: 0, ids: new Set() };
    this.#recent.push(pack);
    return pack;
  }

  #sealGroup(): void {
    if (this.#group.length === 0) return;
    const pack = this.#pack!;
    const chunks = new Uint8Array(36 * this.#group.length);
    const view = viewOf(chunks);
    this.#group.forEach(({ id, node }, i) => {
      chunks.set(id, 36 * i);
      view.setUint32(36 * i + 32, node.length, true);
    });
    const frame: SealedFrame = { pack: pack.number, ...pack.sealer.seal(pack.frames, concatBytes(this.#group.map(each => each.node)), chunks) };
    pack.frames++;
    pack.storedBytes += frame.stored.length;
    this.#assembler.addFrames([frame]);
    this.#group = [];
    this.#groupBytes = 0;
  }

  #closePack(): void {
    this.#sealGroup();
    if (this.#pack === undefined) return;
    this.#assembler.close(this.#pack.number);
    this.#pack = undefined;
  }
}

