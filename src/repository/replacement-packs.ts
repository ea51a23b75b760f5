/** The packs that a repack fills: one open pack and one group of small chunks for each type. */
import type { Bytes } from '../base/bytes.ts';
import { FrameBuilder, needsOwnFrame } from '../engine/frame-builder.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from '../engine/frame-chunks.ts';
import { FrameSealer, type FramePack } from '../engine/frame-sealer.ts';
import type { SealedFrame } from '../engine/engine.ts';
import { FrameCipher, type FrameIdentity } from '../format/frame.ts';
import { MAX_GROUP_FRAME_CHUNKS, MAX_PACK_CHUNKS, MAX_PACK_FRAMES } from '../format/limits.ts';
import type { PackType } from '../format/object-names.ts';
import type { Hasher } from '../kernel/kernel.ts';
import type { OpenRepository } from './opened-repository.ts';
import { DATA_PACK_BYTES, TREE_PACK_BYTES, type PackAssembler } from './pack-assembler.ts';

/** Only chunks from frames that lose some of them are compressed again; a little better than new data, since they have stayed so long. */
const COMPRESSION_LEVEL = 3;
/** One frame may wait in the group, and one is left for padding. */
const FULL_FRAMES = MAX_PACK_FRAMES - 2;
/** A frame in the group, and one that is added as a whole. */
const FULL_CHUNKS = MAX_PACK_CHUNKS - 2 * MAX_GROUP_FRAME_CHUNKS;

/** Stored bytes at which packs are full. */
export const PACK_TARGET_BYTES: Readonly<Record<PackType, number>> = { data: DATA_PACK_BYTES, tree: TREE_PACK_BYTES };

interface OpenPack extends FramePack {
  readonly frameKey: Bytes;
  frames: number;
  chunks: number;
  storedBytes: number;
}

export class ReplacementPacks {
  readonly #assembler: PackAssembler;
  readonly #fillers: Readonly<Record<PackType, Filler>>;
  readonly #hashers: Readonly<Record<PackType, Hasher>>;

  constructor(repository: OpenRepository, assembler: PackAssembler) {
    const { kernel, keys } = repository;
    this.#assembler = assembler;
    this.#hashers = { data: kernel.createHasher(keys.content.idKeyData), tree: keys.treeHasher };
    this.#fillers = {
      data: new Filler(repository, assembler, 'data', this.#hashers.data), tree: new Filler(repository, assembler, 'tree', this.#hashers.tree),
    };
  }

  /** Of chunk IDs. */
  hasherOf(type: PackType): Hasher {
    return this.#hashers[type];
  }

  /** A frame as it was, all of whose chunks are needed and were checked. */
  addWhole(type: PackType, frame: Pick<FrameIdentity, 'rawLength' | 'codec'>, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    this.#fillers[type].addWhole(frame, payload, chunks);
  }

  /** A chunk that was checked. */
  addChunk(type: PackType, id: Bytes, bytes: Bytes): void {
    this.#fillers[type].addChunk(id, bytes);
  }

  backPressure(): Promise<void> {
    return this.#assembler.backPressure();
  }

  /** Closes all packs; the assembler makes them durable. */
  finish(): void {
    this.#fillers.data.close();
    this.#fillers.tree.close();
  }
}

class Filler {
  readonly #repository: OpenRepository;
  readonly #assembler: PackAssembler;
  readonly #type: PackType;
  readonly #sealer: FrameSealer;
  readonly #builder = new FrameBuilder();
  #pack: OpenPack | undefined;

  constructor(repository: OpenRepository, assembler: PackAssembler, type: PackType, hasher: Hasher) {
    this.#repository = repository;
    this.#assembler = assembler;
    this.#type = type;
    this.#sealer = new FrameSealer(repository.kernel, hasher, COMPRESSION_LEVEL);
  }

  addWhole(frame: Pick<FrameIdentity, 'rawLength' | 'codec'>, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const pack = this.#pack ??= this.#open();
    this.#added(pack, this.#sealer.reseal(pack, pack.frames, frame, payload, chunks));
  }

  addChunk(id: Bytes, bytes: Bytes): void {
    if (needsOwnFrame(bytes.length)) {
      const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
      writeFrameChunk(chunks, 0, id, bytes.length);
      const pack = this.#pack ??= this.#open();
      return this.#added(pack, this.#sealer.seal(pack, pack.frames, bytes, chunks));
    }
    if (!this.#builder.fits(bytes.length)) this.#sealGroup();
    this.#builder.add(id, bytes);
  }

  close(): void {
    this.#sealGroup();
    this.#closePack();
  }

  #sealGroup(): void {
    if (this.#builder.isEmpty) return;
    const pack = this.#pack ??= this.#open();
    const frame = this.#sealer.seal(pack, pack.frames, this.#builder.plaintext, this.#builder.copyChunks());
    this.#builder.clear();
    this.#added(pack, frame);
  }

  #open(): OpenPack {
    const { pack, suite, frameKey, framePrefix } = this.#assembler.grant(this.#type);
    return { number: pack, cipher: new FrameCipher(this.#repository.kernel.createAead(suite, frameKey), framePrefix), frameKey, frames: 0, chunks: 0, storedBytes: 0 };
  }

  #added(pack: OpenPack, frame: SealedFrame): void {
    pack.frames++;
    pack.chunks += frame.chunks.length / FRAME_CHUNK_BYTES;
    pack.storedBytes += frame.stored.length;
    this.#assembler.addFrames([frame]);
    if (pack.storedBytes >= PACK_TARGET_BYTES[this.#type] || pack.frames >= FULL_FRAMES || pack.chunks >= FULL_CHUNKS) this.#closePack();
  }

  /** What waits in the group goes into the next pack. */
  #closePack(): void {
    if (this.#pack === undefined) return;
    this.#pack.frameKey.fill(0);
    this.#assembler.close(this.#pack.number);
    this.#pack = undefined;
  }
}
