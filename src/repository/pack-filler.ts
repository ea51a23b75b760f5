/**
 * Fills packs of one type on the calling thread, one open pack at a time: large chunks get frames of their own, small ones that come one
 * after the other share them. Every frame is opened and hashed again before it leaves (repository design, D9), so what does not match
 * its ID is not stored. The writers of trees, of repairs and of prune stand on this; a backup's data comes from the engine's threads.
 */
import type { Bytes } from '../base/bytes.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { SealedFrame } from '../engine/engine.ts';
import { FrameBuilder, needsOwnFrame } from '../engine/frame-builder.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from '../engine/frame-chunks.ts';
import { FrameSealer, type FramePack } from '../engine/frame-sealer.ts';
import { FrameCipher, type FrameIdentity } from '../format/frame.ts';
import type { ChunkId } from '../format/ids.ts';
import { MAX_GROUP_FRAME_CHUNKS, MAX_PACK_CHUNKS, MAX_PACK_FRAMES } from '../format/limits.ts';
import type { PackType } from '../format/object-names.ts';
import type { Hasher } from '../kernel/kernel.ts';
import type { OpenRepository } from './opened-repository.ts';
import { DATA_PACK_BYTES, TREE_PACK_BYTES, type PackAssembler } from './pack-assembler.ts';

/** Stored bytes at which packs are full. */
export const PACK_TARGET_BYTES: Readonly<Record<PackType, number>> = { data: DATA_PACK_BYTES, tree: TREE_PACK_BYTES };
/** One frame may wait in the group, and one is left for padding. */
const FULL_FRAMES = MAX_PACK_FRAMES - 2;
/** What is added next may be a frame of many chunks. */
const FULL_CHUNKS = MAX_PACK_CHUNKS - MAX_GROUP_FRAME_CHUNKS;

interface OpenPack extends FramePack {
  readonly frameKey: Bytes;
  frames: number;
  /** Those in the group included. */
  chunks: number;
  storedBytes: number;
}

export class PackFiller {
  /** Of the chunk IDs of this type. */
  readonly hasher: Hasher;
  readonly #repository: OpenRepository;
  readonly #assembler: PackAssembler;
  readonly #type: PackType;
  readonly #sealer: FrameSealer;
  readonly #group = new FrameBuilder();
  #pack: OpenPack | undefined;

  constructor(repository: OpenRepository, assembler: PackAssembler, type: PackType, compressionLevel: number) {
    const { kernel, keys } = repository;
    this.hasher = type === 'tree' ? keys.treeHasher : kernel.createHasher(keys.content.idKeyData);
    this.#repository = repository;
    this.#assembler = assembler;
    this.#type = type;
    this.#sealer = new FrameSealer(kernel, this.hasher, compressionLevel);
  }

  /** Number of the pack in which the chunk will lie; it is copied or sealed before this returns. @throws INTERNAL when the bytes do not match the ID */
  add(id: ChunkId | Bytes, bytes: Bytes): PackNumber {
    const isOwn = needsOwnFrame(bytes.length);
    if (!isOwn && !this.#group.fits(bytes.length)) this.#sealGroup();
    const pack = this.#packWithRoom();
    pack.chunks++;
    if (isOwn) {
      const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
      writeFrameChunk(chunks, 0, id, bytes.length);
      this.#added(pack, this.#sealer.seal(pack, pack.frames, bytes, chunks));
    } else this.#group.add(id, bytes);
    return pack.number;
  }

  /** A frame as it was in another pack; its chunks are checked here. @throws INTERNAL as `add`, and then nothing was added */
  addWhole(frame: Pick<FrameIdentity, 'rawLength' | 'codec'>, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const pack = this.#packWithRoom();
    const resealed = this.#sealer.reseal(pack, pack.frames, frame, payload, chunks);
    pack.chunks += chunks.length / FRAME_CHUNK_BYTES;
    this.#added(pack, resealed);
  }

  /** Closes the open pack; the assembler makes it durable. */
  finish(): void {
    if (this.#pack === undefined) return;
    this.#sealGroup();
    this.#pack.frameKey.fill(0);
    this.#assembler.close(this.#pack.number);
    this.#pack = undefined;
  }

  #packWithRoom(): OpenPack {
    if (this.#pack !== undefined && this.#isFull(this.#pack)) this.finish();
    return this.#pack ??= this.#open();
  }

  #isFull({ storedBytes, frames, chunks }: OpenPack): boolean {
    return storedBytes >= PACK_TARGET_BYTES[this.#type] || frames >= FULL_FRAMES || chunks >= FULL_CHUNKS;
  }

  #open(): OpenPack {
    const { pack, suite, frameKey, framePrefix } = this.#assembler.grant(this.#type);
    return { number: pack, cipher: new FrameCipher(this.#repository.kernel.createAead(suite, frameKey), framePrefix), frameKey, frames: 0, chunks: 0, storedBytes: 0 };
  }

  #sealGroup(): void {
    if (this.#pack === undefined || this.#group.isEmpty) return;
    this.#added(this.#pack, this.#sealer.seal(this.#pack, this.#pack.frames, this.#group.plaintext, this.#group.copyChunks()));
    this.#group.clear();
  }

  #added(pack: OpenPack, frame: SealedFrame): void {
    pack.frames++;
    pack.storedBytes += frame.stored.length;
    this.#assembler.addFrames([frame]);
  }
}
