/** Compresses and seals a frame, then opens it again before anybody else sees it (repository design, D9). */
import type { Bytes } from '../base/bytes.ts';
import { releaseMemory } from '../base/release-memory.ts';
import { SnapError } from '../base/errors.ts';
import type { PackNumber } from '../cache/cache.ts';
import { CODEC_RAW, CODEC_ZSTD, decodePayload, type FrameCipher, type FrameIdentity } from '../format/frame.ts';
import type { Compressor, Hasher, Kernel } from '../kernel/kernel.ts';
import type { SealedFrame } from './engine.ts';
import { EntropyProbe, largestWorthwhile } from './entropy-probe.ts';
import { findWrongChunks } from './frame-chunks.ts';
import { ownMemory } from './own-memory.ts';

/** The pack that a frame is for. */
export interface FramePack {
  readonly number: PackNumber;
  readonly cipher: FrameCipher;
}

const NO_FLAGS = 0;

export class FrameSealer {
  readonly #kernel: Kernel;
  readonly #hasher: Hasher;
  readonly #compressor: Compressor;
  readonly #probe: EntropyProbe;

  /** `hasher` makes the chunk IDs. */
  constructor(kernel: Kernel, hasher: Hasher, compressionLevel: number) {
    this.#kernel = kernel;
    this.#hasher = hasher;
    this.#compressor = kernel.createCompressor(compressionLevel);
    this.#probe = new EntropyProbe(this.#compressor);
  }

  /**
   * `chunks` as in `SealedFrame`, tiling `plaintext`; it becomes part of the frame. `number` was never used in this pack.
   * @throws INTERNAL when the frame does not come back as it was
   */
  seal(pack: FramePack, number: number, plaintext: Bytes, chunks: Uint8Array<ArrayBuffer>): SealedFrame {
    const compressed = this.#compress(plaintext);
    const codec = compressed === undefined ? CODEC_RAW : CODEC_ZSTD;
    const identity = { number, rawLength: plaintext.length, codec, flags: NO_FLAGS };
    const stored = pack.cipher.seal(identity, compressed ?? plaintext);
    this.#readBack(pack, identity, stored, chunks);
    return { pack: pack.number, frame: number, stored: ownMemory(stored), rawLength: plaintext.length, codec, chunks };
  }

  /** A payload as it lay in another pack, without compressing it again. @throws INTERNAL as `seal` */
  reseal(pack: FramePack, number: number, { rawLength, codec }: Pick<FrameIdentity, 'rawLength' | 'codec'>, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): SealedFrame {
    const identity = { number, rawLength, codec, flags: NO_FLAGS };
    const stored = pack.cipher.seal(identity, payload);
    this.#readBack(pack, identity, stored, chunks);
    return { pack: pack.number, frame: number, stored: ownMemory(stored), rawLength, codec, chunks };
  }

  #compress(plaintext: Bytes): Bytes | undefined {
    if (this.#probe.isIncompressible(plaintext)) return undefined;
    return this.#compressor.compress(plaintext, largestWorthwhile(plaintext.length));
  }

  /** From the sealed bytes alone, so that a fault of compressor, cipher or memory since the IDs were made is found now. */
  #readBack(pack: FramePack, identity: FrameIdentity, stored: Bytes, chunks: Bytes): void {
    const payload = pack.cipher.open(identity, stored);
    if (payload === undefined) throw readBackError(pack, identity, 'its seal does not match');
    const content = decodePayload(this.#kernel, identity, payload);
    if (content === undefined) throw readBackError(pack, identity, 'it does not decompress');
    const wrong = findWrongChunks(this.#hasher, content, chunks);
    if (wrong.length > 0) throw readBackError(pack, identity, `chunk ${wrong[0]} does not match its ID`);
    releaseMemory([payload]);
  }
}

function readBackError(pack: FramePack, { number, rawLength, codec }: FrameIdentity, reason: string): SnapError {
  return new SnapError('INTERNAL', `A frame was not stored because it could not be read back: ${reason}`, {
    hint: 'Memory or processor of this computer may be faulty: run a memory test. What was stored before is not affected',
    context: { pack: pack.number, frame: number, rawLength, codec },
  });
}
