/**
 * Frames: the unit of compression and encryption (repository design, sections 4.5 and 4.6). A frame holds one large chunk or
 * several small ones; its number in the pack is its nonce.
 */
import { type Bytes, concatBytes, viewOf } from '../base/bytes.ts';
import type { Aead, Kernel } from '../kernel/kernel.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { encodeHeader, HEADER_BYTES, TAG_BYTES } from './header.ts';
import { ID_BYTES, idBytes, type RepositoryId } from './ids.ts';
import { packObjectType, type PackIdentity } from './key-derivation.ts';
import { MAX_FRAME_BYTES, MAX_GROUP_FRAME_BYTES, MAX_GROUP_FRAME_CHUNKS } from './limits.ts';

export const CODEC_RAW = 0;
export const CODEC_ZSTD = 1;
/** Frame flag: only zeros, to bring the pack to its padded size; no chunks. */
export const FRAME_PADDING = 1;

/** A frame is stored raw unless compression saves at least this share of it: 1/32. */
export const LEAST_SAVING = 32;

/** One row of a pack table or an index segment. */
export interface FrameRecord {
  /** From the start of the pack. */
  readonly offset: number;
  /** Ciphertext and tag. */
  readonly storedLength: number;
  readonly rawLength: number;
  readonly chunkCount: number;
  readonly codec: number;
  readonly flags: number;
}

/** Width of a record in an index segment; a pack table appends a check of 4 bytes. */
export const FRAME_RECORD_BYTES = 16;
export const TABLE_FRAME_BYTES = 20;

/** Record `index` of packed records that are `width` bytes each. */
export function frameRecordAt(frames: Bytes, index: number, width: number = FRAME_RECORD_BYTES): FrameRecord {
  const at = index * width;
  if (index < 0 || at + FRAME_RECORD_BYTES > frames.length) throw new RangeError(`No frame record ${index}`);
  return readFrameRecord(viewOf(frames), at);
}

/** The record at a byte offset, for loops that keep one view. */
export function readFrameRecord(view: DataView, at: number): FrameRecord {
  return {
    offset: view.getUint32(at, true),
    storedLength: view.getUint32(at + 4, true),
    rawLength: view.getUint32(at + 8, true),
    chunkCount: view.getUint16(at + 12, true),
    codec: view.getUint8(at + 14),
    flags: view.getUint8(at + 15),
  };
}

/** Throws unless a record keeps the rules for single frames of section 4.5 and the limits of 4.7. */
export function checkFrame(what: string, index: number, frame: FrameRecord): void {
  const { storedLength, rawLength, chunkCount, codec, flags } = frame;
  if (codec !== CODEC_RAW && codec !== CODEC_ZSTD) throw unsupported(what, `codec ${codec}`, { frame: index, codec });
  if (flags > FRAME_PADDING) throw unsupported(what, `frame flags ${flags}`, { frame: index, flags });
  const fail = (reason: string): Error => corrupt(what, reason, { frame: index }, 'PACK_CORRUPT');
  if (rawLength === 0 || rawLength > MAX_FRAME_BYTES) throw fail(`a raw length of ${rawLength}`);
  if (flags === FRAME_PADDING) {
    if (chunkCount !== 0) throw fail('a padding frame with chunks');
    if (codec !== CODEC_RAW) throw fail('a padding frame that is compressed');
  } else if (chunkCount === 0) throw fail('a frame without chunks');
  if (chunkCount > 1 && (rawLength > MAX_GROUP_FRAME_BYTES || chunkCount > MAX_GROUP_FRAME_CHUNKS)) throw fail('a group frame above its limits');
  if (codec === CODEC_RAW && storedLength !== rawLength + TAG_BYTES) throw fail('a raw frame whose lengths disagree');
  if (codec === CODEC_ZSTD && (storedLength >= rawLength + TAG_BYTES || storedLength <= TAG_BYTES)) throw fail('a compressed frame that is not smaller');
}

/**
 * Throws unless `count` frames from record `first` on tile [start, end) of their pack without gap or overlap; they may lie in
 * any order.
 */
export function checkTiling(what: string, frames: Bytes, width: number, first: number, count: number, start: number, end: number): void {
  const view = viewOf(frames);
  const spans = new Float64Array(count);
  let isSorted = true;
  for (let i = 0; i < count; i++) {
    // Offset and length side by side in one number: offsets are below 2^28 in a pack of 256 MiB, lengths below 2^25.
    const offset = view.getUint32((first + i) * width, true);
    const length = view.getUint32((first + i) * width + 4, true);
    if (length >= 2 ** 25 || offset >= 2 ** 28) throw corrupt(what, 'a frame reaches beyond its region', { frame: i }, 'PACK_CORRUPT');
    spans[i] = offset * 2 ** 25 + length;
    if (i > 0 && spans[i]! < spans[i - 1]!) isSorted = false;
  }
  if (!isSorted) spans.sort();
  let at = start;
  for (let i = 0; i < count; i++) {
    const offset = Math.floor(spans[i]! / 2 ** 25);
    if (offset !== at) throw corrupt(what, `frames ${offset > at ? 'leave a gap' : 'overlap'} at ${Math.min(at, offset)}`, {}, 'PACK_CORRUPT');
    at = offset + (spans[i]! % 2 ** 25);
  }
  if (at !== end) throw corrupt(what, `frames end at ${at}, their region at ${end}`, {}, 'PACK_CORRUPT');
}

/** Bytes of the frame prefix: header bytes 0 to 59 and the repository ID. */
export const FRAME_PREFIX_BYTES: number = HEADER_BYTES - 4 + ID_BYTES;

/** The part of the additional data that is equal for all frames of a pack. */
export function encodeFramePrefix(pack: PackIdentity, repositoryId: RepositoryId): Uint8Array<ArrayBuffer> {
  const header = encodeHeader({
    type: packObjectType(pack.type), suite: pack.suite, isCompressed: false, epoch: pack.epoch, objectId: idBytes(pack.id),
    random: pack.salt, sealedBytes: 0,
  });
  return concatBytes([header.subarray(0, HEADER_BYTES - 4), idBytes(repositoryId)]);
}

/** What the seal of a frame covers besides its content. */
export interface FrameIdentity {
  readonly number: number;
  readonly rawLength: number;
  readonly codec: number;
  readonly flags: number;
}

/**
 * Seals and opens the frames of one pack. Nonce: the frame number as a 96-bit little-endian counter. Additional data:
 * prefix ‖ u32 number ‖ u32 raw length ‖ u8 codec ‖ u8 flags. A number may be sealed once under a pack key.
 */
export class FrameCipher {
  readonly #aead: Aead;
  readonly #additional: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  readonly #nonce = new Uint8Array(12);
  readonly #nonceView: DataView = viewOf(this.#nonce);

  /** `prefix` is the result of `encodeFramePrefix`; `aead` has the frame key of the pack. */
  constructor(aead: Aead, prefix: Bytes) {
    if (prefix.length !== FRAME_PREFIX_BYTES) throw new RangeError(`A frame prefix has ${FRAME_PREFIX_BYTES} bytes`);
    this.#aead = aead;
    this.#additional = new Uint8Array(FRAME_PREFIX_BYTES + 10);
    this.#additional.set(prefix);
    this.#view = viewOf(this.#additional);
  }

  /** `payload` is the plaintext or its zstd frame. */
  seal(frame: FrameIdentity, payload: Bytes): Uint8Array<ArrayBuffer> {
    this.#bind(frame);
    return this.#aead.seal(this.#nonce, this.#additional, payload);
  }

  /** The payload, or undefined when the tag does not match. */
  open(frame: FrameIdentity, stored: Bytes): Uint8Array<ArrayBuffer> | undefined {
    if (stored.length < TAG_BYTES) return undefined;
    this.#bind(frame);
    return this.#aead.open(this.#nonce, this.#additional, stored);
  }

  #bind({ number, rawLength, codec, flags }: FrameIdentity): void {
    this.#nonceView.setUint32(0, number, true);
    this.#view.setUint32(FRAME_PREFIX_BYTES, number, true);
    this.#view.setUint32(FRAME_PREFIX_BYTES + 4, rawLength, true);
    this.#view.setUint8(FRAME_PREFIX_BYTES + 8, codec);
    this.#view.setUint8(FRAME_PREFIX_BYTES + 9, flags);
  }
}

/**
 * The plaintext of a frame; of a compressed one a view that the next call of `decompress` may overwrite. The caller still
 * hashes every chunk. @throws FRAME_CORRUPT, UNSUPPORTED_FORMAT
 */
export function openFrame(kernel: Kernel, cipher: FrameCipher, frame: FrameIdentity, stored: Bytes): Uint8Array<ArrayBufferLike> {
  const context = { frame: frame.number };
  const payload = cipher.open(frame, stored);
  if (payload === undefined) throw corrupt('frame', 'its seal does not match', context, 'FRAME_CORRUPT');
  const plaintext = decodePayload(kernel, frame, payload);
  if (plaintext === undefined) throw corrupt('frame', 'its content does not have the raw length', context, 'FRAME_CORRUPT');
  return plaintext;
}

/** The plaintext of an opened payload; undefined when it has not exactly the raw length. @throws UNSUPPORTED_FORMAT */
export function decodePayload(kernel: Kernel, { rawLength, codec }: FrameIdentity, payload: Bytes): Uint8Array<ArrayBufferLike> | undefined {
  if (rawLength > MAX_FRAME_BYTES) return undefined;
  if (codec === CODEC_RAW) return payload.length === rawLength ? payload : undefined;
  if (codec !== CODEC_ZSTD) throw unsupported('frame', `codec ${codec}`, { codec });
  return kernel.decompress(payload, rawLength);
}

/** First 4 bytes of BLAKE3 over the stored bytes, read as a little-endian number: finds bad media without any key. */
export function frameCheck(kernel: Kernel, stored: Bytes): number {
  return viewOf(kernel.blake3(stored)).getUint32(0, true);
}
