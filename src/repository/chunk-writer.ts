/**
 * Stores chunks whose IDs are known already in new packs: what a repair saves out of damaged packs, or finds elsewhere. Chunks that
 * come one after the other share frames, so the order of the caller becomes that of the packs. Every frame is opened and hashed again
 * before it leaves (repository design, D9), so what does not match its ID is not stored.
 */
import type { Bytes } from '../base/bytes.ts';
import { FrameBuilder, needsOwnFrame } from '../engine/frame-builder.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from '../engine/frame-chunks.ts';
import { FrameSealer, type FramePack } from '../engine/frame-sealer.ts';
import { FrameCipher } from '../format/frame.ts';
import { chunkIdKey, type ChunkId } from '../format/ids.ts';
import { MAX_GROUP_FRAME_CHUNKS, MAX_PACK_CHUNKS, MAX_PACK_FRAMES } from '../format/limits.ts';
import type { PackType } from '../format/object-names.ts';
import type { OpenRepository } from './opened-repository.ts';
import { DATA_PACK_BYTES, TREE_PACK_BYTES, type PackAssembler } from './pack-assembler.ts';

/** One frame may wait in the builder, and one is left for padding. */
const FULL_FRAMES = MAX_PACK_FRAMES - 2;
const FULL_CHUNKS = MAX_PACK_CHUNKS - MAX_GROUP_FRAME_CHUNKS;

interface OpenPack extends FramePack {
  frames: number;
  storedBytes: number;
  readonly ids: Set<string>;
}

export class ChunkWriter {
  readonly #streams: Readonly<Record<PackType, PackStream>>;

  constructor(repository: OpenRepository, assembler: PackAssembler, compressionLevel: number) {
    const { kernel, keys } = repository;
    this.#streams = {
      data: new PackStream(repository, assembler, 'data', new FrameSealer(kernel, kernel.createHasher(keys.content.idKeyData), compressionLevel)),
      tree: new PackStream(repository, assembler, 'tree', new FrameSealer(kernel, keys.treeHasher, compressionLevel)),
    };
  }

  /** False when this writer is storing the chunk already. @throws INTERNAL when the bytes do not match the ID */
  put(type: PackType, id: ChunkId, bytes: Bytes): boolean {
    return this.#streams[type].put(id, bytes);
  }

  /** Closes the open packs; the assembler makes them durable. */
  finish(): void {
    this.#streams.data.finish();
    this.#streams.tree.finish();
  }
}

/** The packs of one type, filled one after the other. */
class PackStream {
  readonly #repository: OpenRepository;
  readonly #assembler: PackAssembler;
  readonly #type: PackType;
  readonly #sealer: FrameSealer;
  readonly #builder = new FrameBuilder();
  readonly #targetBytes: number;
  /** Packs that the cache does not answer for yet. */
  #recent: OpenPack[] = [];
  #pack: OpenPack | undefined;

  constructor(repository: OpenRepository, assembler: PackAssembler, type: PackType, sealer: FrameSealer) {
    this.#repository = repository;
    this.#assembler = assembler;
    this.#type = type;
    this.#sealer = sealer;
    this.#targetBytes = type === 'data' ? DATA_PACK_BYTES : TREE_PACK_BYTES;
  }

  put(id: ChunkId, bytes: Bytes): boolean {
    const key = chunkIdKey(id);
    if (this.#recent.some(({ ids }) => ids.has(key))) return false;
    const isOwn = needsOwnFrame(bytes.length);
    if (isOwn || !this.#builder.fits(bytes.length)) this.#sealGroup();
    if (this.#pack !== undefined && this.#builder.isEmpty && isFull(this.#pack, this.#targetBytes)) this.#closePack();
    const pack = this.#pack ??= this.#openPack();
    pack.ids.add(key);
    if (isOwn) {
      const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
      writeFrameChunk(chunks, 0, id, bytes.length);
      this.#seal(pack, bytes, chunks);
    } else this.#builder.add(id, bytes);
    return true;
  }

  finish(): void {
    this.#sealGroup();
    this.#closePack();
  }

  #openPack(): OpenPack {
    const { cache, kernel } = this.#repository;
    this.#recent = this.#recent.filter(({ number }) => cache.chunks.pack(number) === undefined);
    const grant = this.#assembler.grant(this.#type);
    const cipher = new FrameCipher(kernel.createAead(grant.suite, grant.frameKey), grant.framePrefix);
    const pack: OpenPack = { number: grant.pack, cipher, frames: 0, storedBytes: 0, ids: new Set() };
    this.#recent.push(pack);
    return pack;
  }

  #sealGroup(): void {
    if (this.#builder.isEmpty) return;
    this.#seal(this.#pack!, this.#builder.plaintext, this.#builder.copyChunks());
    this.#builder.clear();
  }

  #seal(pack: OpenPack, plaintext: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const frame = this.#sealer.seal(pack, pack.frames++, plaintext, chunks);
    pack.storedBytes += frame.stored.length;
    this.#assembler.addFrames([frame]);
  }

  #closePack(): void {
    if (this.#pack === undefined) return;
    this.#assembler.close(this.#pack.number);
    this.#pack = undefined;
  }
}

function isFull({ storedBytes, frames, ids }: OpenPack, targetBytes: number): boolean {
  return storedBytes >= targetBytes || frames >= FULL_FRAMES || ids.size >= FULL_CHUNKS;
}
