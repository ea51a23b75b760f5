/** The packs that one thread is filling: which frame goes to which pack, and when a pack is full. */
import type { Random } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { PackNumber } from '../cache/cache.ts';
import { FrameCipher } from '../format/frame.ts';
import { MAX_GROUP_FRAME_CHUNKS, MAX_PACK_BYTES, MAX_PACK_CHUNKS, MAX_PACK_FRAMES } from '../format/limits.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ChunkSet } from './chunk-set.ts';
import type { IngestSink, PackGrant, SealedFrame } from './engine.ts';
import { FrameBuilder, needsOwnFrame } from './frame-builder.ts';
import { FRAME_CHUNK_BYTES, writeFrameChunk } from './frame-chunks.ts';
import type { FramePack, FrameSealer } from './frame-sealer.ts';

export interface OpenPacksOptions {
  readonly kernel: Kernel;
  readonly sealer: FrameSealer;
  readonly random: Random;
  /** Packs that are open at once; single-chunk frames are spread over them (repository design, section 13.3). */
  readonly openPacks: number;
  readonly packTargetBytes: number;
  readonly grouping: boolean;
  readonly takeGrant: () => PackGrant;
  readonly sink: IngestSink;
}

/** Stored bytes after which waiting frames are handed to the sink. */
const HANDOVER_BYTES = 2 * MiB;
/** Room for the two tables and the padding, so that no pack target can lead beyond the largest pack. */
const LARGEST_TARGET = MAX_PACK_BYTES / 2;
/** One frame may be pending in the frame builder, and one is left for padding. */
const FULL_FRAMES = MAX_PACK_FRAMES - 2;
/** The frame builder may add one full frame of chunks before the pack is looked at again. */
const FULL_CHUNKS = MAX_PACK_CHUNKS - MAX_GROUP_FRAME_CHUNKS;

interface OpenPack extends FramePack {
  readonly frameKey: Bytes;
  /** IDs of its chunks, those in the frame builder included. */
  readonly ids: ChunkSet;
  frames: number;
  storedBytes: number;
}

export class OpenPacks {
  readonly #options: OpenPacksOptions;
  readonly #targetBytes: number;
  readonly #slots: (OpenPack | undefined)[];
  /** One for each slot and used by pack after pack: sets that live as long as a pack pile up before V8 collects them. */
  readonly #sets: readonly ChunkSet[];
  readonly #builder = new FrameBuilder();
  /** The pack of the frame builder: it stays the same until it is full, so that a directory lies in one place. */
  #builderPack: OpenPack | undefined;
  #waiting: SealedFrame[] = [];
  #waitingBytes = 0;

  constructor(options: OpenPacksOptions) {
    this.#options = options;
    this.#targetBytes = Math.min(options.packTargetBytes, LARGEST_TARGET);
    this.#slots = new Array<OpenPack | undefined>(options.openPacks).fill(undefined);
    this.#sets = this.#slots.map(() => new ChunkSet());
  }

  /** The open pack that holds the chunk, or 0. */
  find(id: Bytes): PackNumber {
    for (const pack of this.#slots) if (pack?.ids.has(id) === true) return pack.number;
    return 0;
  }

  /** Puts a chunk that no open pack holds into a frame. Returns the pack of the frame. */
  store(id: Bytes, bytes: Bytes): PackNumber {
    if (needsOwnFrame(bytes.length) || !this.#options.grouping) {
      const pack = this.#randomPack();
      const chunks = new Uint8Array(FRAME_CHUNK_BYTES);
      writeFrameChunk(chunks, 0, id, bytes.length);
      pack.ids.add(id);
      this.#seal(pack, bytes, chunks);
      this.#closeIfFull(pack);
      return pack.number;
    }
    if (!this.#builder.fits(bytes.length)) this.#endFrame();
    const pack = this.#builderPack ??= this.#randomPack();
    pack.ids.add(id);
    this.#builder.add(id, bytes);
    return pack.number;
  }

  /** The chunks that follow belong to another directory. */
  endDirectory(): void {
    if (this.#builder.isLargeEnough()) this.#endFrame();
  }

  /** Hands over the frames sealed so far; an open frame stays open. */
  handOver(): void {
    if (this.#waiting.length === 0) return;
    const frames = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#options.sink.frames(frames);
  }

  /** Seals the open frame and closes all packs. */
  end(): void {
    for (const pack of this.#slots) if (pack !== undefined) this.#closePack(pack);
  }

  /** Wipes the keys of packs that will not be finished. */
  wipe(): void {
    for (const pack of this.#slots) pack?.frameKey.fill(0);
  }

  #randomPack(): OpenPack {
    const slot = this.#options.random.below(this.#slots.length);
    return this.#slots[slot] ??= this.#openPack(this.#sets[slot]!);
  }

  #openPack(ids: ChunkSet): OpenPack {
    const { pack, suite, frameKey, framePrefix } = this.#options.takeGrant();
    const cipher = new FrameCipher(this.#options.kernel.createAead(suite, frameKey), framePrefix);
    return { number: pack, cipher, frameKey, ids, frames: 0, storedBytes: 0 };
  }

  #endFrame(): void {
    this.#sealBuilder();
    if (this.#builderPack !== undefined) this.#closeIfFull(this.#builderPack);
  }

  #sealBuilder(): void {
    if (this.#builderPack === undefined || this.#builder.isEmpty) return;
    this.#seal(this.#builderPack, this.#builder.plaintext, this.#builder.copyChunks());
    this.#builder.clear();
  }

  #seal(pack: OpenPack, plaintext: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const frame = this.#options.sealer.seal(pack, pack.frames, plaintext, chunks);
    pack.frames++;
    pack.storedBytes += frame.stored.length;
    this.#waiting.push(frame);
    this.#waitingBytes += frame.stored.length;
    if (this.#waitingBytes >= HANDOVER_BYTES) this.handOver();
  }

  #closeIfFull(pack: OpenPack): void {
    if (pack.storedBytes >= this.#targetBytes || pack.frames >= FULL_FRAMES || pack.ids.count >= FULL_CHUNKS) this.#closePack(pack);
  }

  #closePack(pack: OpenPack): void {
    if (pack === this.#builderPack) {
      this.#sealBuilder();
      this.#builderPack = undefined;
    }
    this.#slots[this.#slots.indexOf(pack)] = undefined;
    this.handOver();
    pack.ids.clear();
    pack.frameKey.fill(0);
    this.#options.sink.packFull(pack.number);
  }
}
