/**
 * zstd frames (RFC 8878) through libzstd, for both kernels: there is no portable compressor, and two decoders of which
 * one is rarely used would be more risk than help.
 */
import zstd from 'zstd-napi/binding.js';
import type { Bytes } from '../base/bytes.ts';
import { MiB } from '../base/units.ts';
import type { Compressor } from './kernel.ts';

/** Largest output buffer that is kept for the next call; a frame of a pack is no larger (repository design, section 4.7). */
const KEPT_BYTES = 16 * MiB;

/** `level` on zstd's normal scale, -131,072 to 22. @throws RangeError for any other. */
export function createZstdCompressor(level: number): Compressor {
  if (!Number.isInteger(level) || level < zstd.minCLevel() || level > zstd.maxCLevel()) {
    throw new RangeError(`zstd level: expected ${zstd.minCLevel()} to ${zstd.maxCLevel()}, found ${level}`);
  }
  const context = new zstd.CCtx();
  context.setParameter(zstd.CParameter.compressionLevel, level);
  context.setParameter(zstd.CParameter.contentSizeFlag, 1);
  context.setParameter(zstd.CParameter.checksumFlag, 0);
  const output = new ReusedBuffer(zstd.compressBound(KEPT_BYTES));
  return {
    compress(input, maxBytes) {
      // Room for the worst case: the error of a small buffer costs more than finishing (7.1 against 2.5 µs for 4 KiB).
      const buffer = output.take(zstd.compressBound(input.length));
      const length = context.compress2(buffer, input);
      return length < maxBytes ? buffer.subarray(0, length) : undefined;
    },
  };
}

/** Contract: `Kernel.decompress`. The context and the output buffer are reused. */
export function createZstdDecompressor(): (frame: Bytes, rawLength: number) => Uint8Array<ArrayBuffer> | undefined {
  const context = new zstd.DCtx();
  const output = new ReusedBuffer(KEPT_BYTES);
  return (frame, rawLength) => {
    if (!Number.isSafeInteger(rawLength) || rawLength < 0) throw new RangeError(`Raw length: found ${rawLength}`);
    if (!isSingleFrame(frame, rawLength)) return undefined;
    const buffer = output.take(rawLength);
    try {
      return context.decompress(buffer, frame) === rawLength ? buffer : undefined;
    } catch {
      // All that one-shot decoding into given memory can report is damage of the frame: it allocates nothing.
      return undefined;
    }
  };
}

const MAGIC = 0xfd2f_b528;
const FIXED_HEADER_BYTES = 5;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/**
 * True when `frame` is one zstd frame from its first to its last byte, declares `rawLength` bytes of content and needs no
 * dictionary. Walks the block headers without decoding (RFC 8878, section 3.1.1).
 */
function isSingleFrame(frame: Bytes, rawLength: number): boolean {
  if (frame.length < FIXED_HEADER_BYTES) return false;
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const isReservedBitSet = (descriptor & 0x08) !== 0;
  const hasChecksum = (descriptor & 0x04) !== 0;
  const hasDictionary = (descriptor & 0x03) !== 0;
  if (view.getUint32(0, true) !== MAGIC || isReservedBitSet || hasDictionary) return false;

  const sizeAt = FIXED_HEADER_BYTES + (isSingleSegment ? 0 : 1);
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  if (sizeBytes === 0 || sizeAt + sizeBytes > frame.length || contentSize(view, sizeAt, sizeBytes) !== rawLength) return false;
  return endOfBlocks(view, sizeAt + sizeBytes) + (hasChecksum ? 4 : 0) === frame.length;
}

function contentSize(view: DataView, at: number, bytes: number): number {
  switch (bytes) {
    case 1: return view.getUint8(at);
    case 2: return view.getUint16(at, true) + 256;
    case 4: return view.getUint32(at, true);
    // Inexact from 2^53 on, where it cannot equal a safe integer either.
    default: return view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  }
}

/** Offset behind the last block, or NaN when there is none. May lie behind the end of the frame. */
function endOfBlocks(view: DataView, start: number): number {
  let at = start;
  while (at + 3 <= view.byteLength) {
    const header = view.getUint16(at, true) | view.getUint8(at + 2) << 16;
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) return Number.NaN;
    at += 3 + (type === RLE_BLOCK ? 1 : header >> 3);
    if ((header & 1) !== 0) return at;
  }
  return Number.NaN;
}

/**
 * Memory for results that live until the next call. It grows to exactly what is asked for, so a hostile length costs no
 * more than it says; in a run of random sizes a new maximum is rare (the n-th comes with probability 1/n).
 */
class ReusedBuffer {
  #bytes = new Uint8Array(0);
  readonly #keptBytes: number;

  constructor(keptBytes: number) {
    this.#keptBytes = keptBytes;
  }

  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.#keptBytes) return new Uint8Array(length);
    if (length > this.#bytes.length) this.#bytes = new Uint8Array(length);
    return this.#bytes.subarray(0, length);
  }
}
