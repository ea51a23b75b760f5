/**
 * Port of the byte operations that one thread does for itself: chunk IDs, cuts, compression, sealing, key stretching, parity.
 *
 * Two adapters give the same results: `fast.ts` (WASM cutter and erasure code, native BLAKE3 and zstd, Node's crypto) and `portable.ts`
 * (plain TypeScript and the noble packages). Everything but `scrypt` is synchronous. Nothing here knows a stored object.
 */
import type { Bytes } from '../base/bytes.ts';

/** Size limits of one class of content, in bytes; `averageBytes` is a power of two. */
export interface CutParameters {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

/** 256 keyed random numbers of 64 bit. */
export type GearTable = BigUint64Array<ArrayBufferLike>;

export interface Cutter {
  /** Input window of fixed size, allocated once; read straight into it. It never moves. */
  readonly memory: Uint8Array<ArrayBufferLike>;
  /**
   * Length of the first chunk of `memory[start, end)`, or 0 when more bytes are needed to decide. With `isLast` the data
   * ends at `end` and the answer is never 0 for a non-empty range. A cut depends only on the bytes since `start`.
   * Rule: repository design, section 13.1 (FastCDC with normalised chunking level 2, high bits, Gear of 64 bit).
   * @throws RangeError for a range outside the window or parameters outside 64 <= min <= average <= max <= window.
   */
  cut(start: number, end: number, isLast: boolean, parameters: CutParameters): number;
}

/** A keyed BLAKE3 hasher, reused over many inputs. */
export interface Hasher {
  /** 32 bytes, newly allocated. */
  hash(bytes: Bytes): Uint8Array<ArrayBuffer>;
}

/** 1 = AES-256-GCM, 2 = ChaCha20-Poly1305; both with 32-byte keys, 12-byte nonces and 16-byte tags. */
export type AeadSuite = 1 | 2;

export interface Aead {
  /** Ciphertext followed by the 16-byte tag, in memory of its own. The caller never repeats a nonce under one key. */
  seal(nonce: Bytes, additional: Bytes, plaintext: Bytes): Uint8Array<ArrayBuffer>;
  /** The plaintext, or undefined when the tag does not match; gives no byte before the tag is checked. */
  open(nonce: Bytes, additional: Bytes, sealed: Bytes): Uint8Array<ArrayBuffer> | undefined;
}

export interface Compressor {
  /**
   * One zstd frame (RFC 8878) with content size and without dictionary, checksum off. The result is a view of memory
   * that the next call overwrites; undefined when it would not be smaller than `maxBytes`.
   */
  compress(input: Bytes, maxBytes: number): Uint8Array<ArrayBufferLike> | undefined;
}

export interface ScryptParameters {
  /** CPU and memory cost, a power of two. */
  readonly N: number;
  readonly r: number;
  readonly p: number;
}

/**
 * Systematic Reed-Solomon code over GF(2^8) with the polynomial 0x11d: parity block r is the sum over the data blocks c of
 * 1 / ((dataBlocks + r) xor c) times the block, byte by byte (a Cauchy matrix; docs/format.md, section 7.4).
 */
export interface ErasureCode {
  readonly dataBlocks: number;
  readonly parityBlocks: number;
  /**
   * The parity blocks, `blockBytes` each, in memory of their own. A shorter data block counts as if zeros followed.
   * @throws RangeError for another number of blocks, or longer ones
   */
  encode(data: readonly Bytes[], blockBytes: number): Uint8Array<ArrayBuffer>[];
  /**
   * The data blocks that are undefined in `data`, in their order, `blockBytes` each, in memory of their own. What is there must be
   * right: nothing is checked.
   * @throws RangeError for another number of blocks, for longer ones, or when more data blocks are missing than parity blocks are there
   */
  reconstruct(data: readonly (Bytes | undefined)[], parity: readonly (Bytes | undefined)[], blockBytes: number): Uint8Array<ArrayBuffer>[];
}

export interface Kernel {
  readonly name: 'fast' | 'portable';
  /** BLAKE3, 32 bytes, without a key. */
  blake3(bytes: Bytes): Uint8Array<ArrayBuffer>;
  /** Keyed BLAKE3; `key` is 32 bytes. */
  createHasher(key: Bytes): Hasher;
  /** A cutter with its own window of `windowBytes`. The table is copied. */
  createCutter(gear: GearTable, windowBytes: number): Cutter;
  createAead(suite: AeadSuite, key: Bytes): Aead;
  /** `level` on zstd's normal scale, negative levels included. */
  createCompressor(level: number): Compressor;
  /**
   * The content of exactly one zstd frame whose declared content size must equal `rawLength`; undefined for anything else
   * (no or another content size, damage, trailing bytes, a second frame). Never allocates more than `rawLength`. The
   * result is a view of memory that the next call may overwrite.
   */
  decompress(frame: Bytes, rawLength: number): Uint8Array<ArrayBufferLike> | undefined;
  /** @throws RangeError unless both counts are at least 1 and together at most 255 */
  createErasureCode(dataBlocks: number, parityBlocks: number): ErasureCode;
  /** HKDF-SHA-256 (RFC 5869). */
  hkdf(secret: Bytes, salt: Bytes, info: Bytes, length: number): Uint8Array<ArrayBuffer>;
  hmacSha256(key: Bytes, message: Bytes): Uint8Array<ArrayBuffer>;
  /** scrypt (RFC 7914), off the calling thread where the adapter can. */
  scrypt(password: Bytes, salt: Bytes, parameters: ScryptParameters, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Ed25519 (RFC 8032): public key (32 bytes) of a seed (32 bytes), signature (64 bytes), verification. */
  ed25519PublicKey(seed: Bytes): Uint8Array<ArrayBuffer>;
  ed25519Sign(seed: Bytes, message: Bytes): Uint8Array<ArrayBuffer>;
  ed25519Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean;
}
