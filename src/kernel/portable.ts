/**
 * The kernel without native code and without WebAssembly: reference cutter and multiplier, and the noble packages. It is the second
 * opinion in tests and runs where a native binding does not load, twenty to a hundred times slower.
 *
 * One exception: zstd comes from libzstd here too (`zstd.ts`), because there is no portable compressor.
 *
 * The twins agree on everything that an honest signer makes. On signatures made to be ambiguous they may differ: noble
 * refuses public keys of small order and multiplies by the cofactor, OpenSSL does neither (RFC 8032, section 5.1.7, allows
 * both equations). Such keys could only come from a holder of an admin key.
 */
import { gcm } from '@noble/ciphers/aes.js';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519 } from '@noble/curves/ed25519.js';
import { blake3 } from '@noble/hashes/blake3.js';
import { hkdf } from '@noble/hashes/hkdf.js';
import { hmac } from '@noble/hashes/hmac.js';
import { scryptAsync } from '@noble/hashes/scrypt.js';
import { sha256 } from '@noble/hashes/sha2.js';
import type { Bytes } from '../base/bytes.ts';
import {
  checkHkdf, checkLength, checkScrypt, ED25519_SIGNATURE_BYTES, KEY_BYTES, NONCE_BYTES, scryptMemory, TAG_BYTES,
} from './argument-checks.ts';
import { createErasureCode } from './erasure-code.ts';
import type { Aead, AeadSuite, Kernel } from './kernel.ts';
import { createReferenceCutter } from './reference-cutter.ts';
import { multiplyBlocksByTable } from './reference-multiplier.ts';
import { createZstdCompressor, createZstdDecompressor } from './zstd.ts';

export function createPortableKernel(): Kernel {
  return {
    name: 'portable',
    blake3: bytes => blake3(bytes),
    createHasher(key) {
      checkLength('BLAKE3 key', key, KEY_BYTES);
      const ownKey = new Uint8Array(key);
      return { hash: bytes => blake3(bytes, { key: ownKey }) };
    },
    createCutter: createReferenceCutter,
    createAead: (suite, key) => new NobleAead(suite, key),
    createCompressor: createZstdCompressor,
    decompress: createZstdDecompressor(),
    createErasureCode: (dataBlocks, parityBlocks) => createErasureCode(dataBlocks, parityBlocks, multiplyBlocksByTable),
    hkdf(secret, salt, info, length) {
      checkHkdf(info, length);
      return hkdf(sha256, secret, salt, info, length);
    },
    hmacSha256: (key, message) => hmac(sha256, key, message),
    /** On the calling thread, which it gives back every few milliseconds. */
    async scrypt(password, salt, parameters, length) {
      checkScrypt(parameters, length);
      const { N, r, p } = parameters;
      return scryptAsync(password, salt, { N, r, p, dkLen: length, maxmem: scryptMemory(parameters) });
    },
    ed25519PublicKey(seed) {
      checkLength('Ed25519 seed', seed, KEY_BYTES);
      return new Uint8Array(ed25519.getPublicKey(seed));
    },
    ed25519Sign(seed, message) {
      checkLength('Ed25519 seed', seed, KEY_BYTES);
      return new Uint8Array(ed25519.sign(message, seed));
    },
    ed25519Verify(publicKey, message, signature) {
      if (publicKey.length !== KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
      return ed25519.verify(signature, message, publicKey, { zip215: false });
    },
  };
}

const CIPHERS = { 1: gcm, 2: chacha20poly1305 } as const;

class NobleAead implements Aead {
  readonly #cipher: typeof gcm | typeof chacha20poly1305;
  readonly #key: Uint8Array<ArrayBuffer>;

  constructor(suite: AeadSuite, key: Bytes) {
    checkLength('AEAD key', key, KEY_BYTES);
    this.#cipher = CIPHERS[suite];
    this.#key = new Uint8Array(key);
  }

  seal(nonce: Bytes, additional: Bytes, plaintext: Bytes): Uint8Array<ArrayBuffer> {
    checkLength('AEAD nonce', nonce, NONCE_BYTES);
    return this.#cipher(this.#key, nonce, additional).encrypt(plaintext);
  }

  open(nonce: Bytes, additional: Bytes, sealed: Bytes): Uint8Array<ArrayBuffer> | undefined {
    checkLength('AEAD nonce', nonce, NONCE_BYTES);
    if (sealed.length < TAG_BYTES) return undefined;
    try {
      return this.#cipher(this.#key, nonce, additional).decrypt(sealed);
    } catch (error) {
      if (error instanceof Error && error.message.endsWith('invalid tag')) return undefined;
      throw error;
    }
  }
}
