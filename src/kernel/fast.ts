/** The kernel for every day: WASM cutter and erasure code, native BLAKE3 and zstd, Node's crypto (OpenSSL). */
import { releaseMemory } from '../base/release-memory.ts';
import blake from '@napi-rs/blake-hash';
import {
  createCipheriv, createDecipheriv, createHmac, createPrivateKey, createPublicKey, createSecretKey, hkdfSync, scrypt, sign, verify,
} from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Bytes } from '../base/bytes.ts';
import { concatBytes, equalBytes, fromHex } from '../base/bytes.ts';
import {
  checkHkdf, checkLength, checkScrypt, ED25519_SIGNATURE_BYTES, KEY_BYTES, NONCE_BYTES, scryptMemory, TAG_BYTES,
} from './argument-checks.ts';
import { createErasureCode, type MultiplyBlocks } from './erasure-code.ts';
import type { Aead, AeadSuite, Kernel, ScryptParameters } from './kernel.ts';
import { createWasmCutter, loadCutterModule } from './wasm-cutter.ts';
import type { CutterModule } from './wasm-cutter.ts';
import { createWasmMultiplier, loadErasureModule } from './wasm-multiplier.ts';
import { createZstdCompressor, createZstdDecompressor } from './zstd.ts';

export function createFastKernel(): Kernel {
  const unkeyed = new blake.Blake3Hasher();
  let cutterModule: CutterModule | undefined;
  let multiplyBlocks: MultiplyBlocks | undefined;
  return {
    name: 'fast',
    blake3: bytes => digest(unkeyed, bytes),
    createHasher(key) {
      checkLength('BLAKE3 key', key, KEY_BYTES);
      const keyed = blake.Blake3Hasher.newKeyed(Buffer.from(key));
      return { hash: bytes => digest(keyed, bytes) };
    },
    createCutter(gear, windowBytes) {
      cutterModule ??= loadCutterModule();
      return createWasmCutter(cutterModule, gear, windowBytes);
    },
    createAead: (suite, key) => new NodeAead(suite, key),
    createCompressor: createZstdCompressor,
    decompress: createZstdDecompressor(),
    createErasureCode(dataBlocks, parityBlocks) {
      multiplyBlocks ??= createWasmMultiplier(loadErasureModule());
      return createErasureCode(dataBlocks, parityBlocks, multiplyBlocks);
    },
    hkdf(secret, salt, info, length) {
      checkHkdf(info, length);
      return new Uint8Array(hkdfSync('sha256', secret, salt, info, length));
    },
    hmacSha256: (key, message) => new Uint8Array(createHmac('sha256', key).update(message).digest()),
    scrypt: scryptInThreadPool,
    ed25519PublicKey: seed => signingKey(seed).publicKey.slice(),
    ed25519Sign: (seed, message) => new Uint8Array(sign(null, message, signingKey(seed).privateKey)),
    ed25519Verify,
  };
}

const DIGEST_BYTES = 32;

/**
 * A hasher is used again because making a keyed one costs as much as hashing 3 KiB (1.6 µs), and its result is fetched
 * as text because a native Buffer costs 0.5 µs more and a finaliser.
 */
function digest(hasher: blake.Blake3Hasher, bytes: Bytes): Uint8Array<ArrayBuffer> {
  hasher.reset();
  hasher.update(bytes);
  const hex = hasher.digest('hex');
  const id = new Uint8Array(DIGEST_BYTES);
  for (let i = 0; i < DIGEST_BYTES; i++) id[i] = nibble(hex.charCodeAt(2 * i)) << 4 | nibble(hex.charCodeAt(2 * i + 1));
  return id;
}

/** Value of a lowercase hexadecimal digit: '0' is 0x30, 'a' is 0x61. */
function nibble(code: number): number {
  return (code & 15) + (code >> 6) * 9;
}

const CIPHERS = { 1: 'aes-256-gcm', 2: 'chacha20-poly1305' } as const;

class NodeAead implements Aead {
  readonly #cipher: 'aes-256-gcm';
  readonly #key: KeyObject;

  constructor(suite: AeadSuite, key: Bytes) {
    checkLength('AEAD key', key, KEY_BYTES);
    // Both ciphers are called alike; Node's types split them into overloads, of which one stands for both here.
    this.#cipher = CIPHERS[suite] as 'aes-256-gcm';
    this.#key = createSecretKey(key);
  }

  seal(nonce: Bytes, additional: Bytes, plaintext: Bytes): Uint8Array<ArrayBuffer> {
    checkLength('AEAD nonce', nonce, NONCE_BYTES);
    const length = plaintext.length;
    const cipher = createCipheriv(this.#cipher, this.#key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(additional);
    const ciphertext = cipher.update(plaintext);
    // Not cleared, because every byte is written below, and not from the pool, because the caller transfers it.
    const sealed = new Uint8Array(Buffer.allocUnsafeSlow(length + TAG_BYTES).buffer);
    sealed.set(ciphertext);
    releaseMemory([ciphertext]);
    cipher.final();
    sealed.set(cipher.getAuthTag(), length);
    return sealed;
  }

  open(nonce: Bytes, additional: Bytes, sealed: Bytes): Uint8Array<ArrayBuffer> | undefined {
    checkLength('AEAD nonce', nonce, NONCE_BYTES);
    const length = sealed.length - TAG_BYTES;
    if (length < 0) return undefined;
    const decipher = createDecipheriv(this.#cipher, this.#key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(additional);
    decipher.setAuthTag(sealed.subarray(length));
    const plaintext = decipher.update(sealed.subarray(0, length));
    try {
      decipher.final();
    } catch {
      // With key, nonce and tag in place, the tag is the only thing that `final` can refuse.
      return undefined;
    }
    return ownMemory(plaintext);
  }
}

/** The bytes as a plain array that fills an ArrayBuffer of its own; copies only if they are part of a larger one. */
function ownMemory(bytes: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) return new Uint8Array(buffer);
  return new Uint8Array(bytes);
}

function scryptInThreadPool(
  password: Bytes, salt: Bytes, parameters: ScryptParameters, length: number,
): Promise<Uint8Array<ArrayBuffer>> {
  checkScrypt(parameters, length);
  // OpenSSL refuses above `maxmem`, 32 MiB unless told otherwise.
  const options = { N: parameters.N, r: parameters.r, p: parameters.p, maxmem: scryptMemory(parameters) };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, key) => error === null ? resolve(new Uint8Array(key)) : reject(error));
  });
}

/** DER before the raw key, RFC 8410: PrivateKeyInfo (section 7) and SubjectPublicKeyInfo (section 4) of Ed25519. */
const PRIVATE_KEY_PREFIX = fromHex('302e020100300506032b657004220420');
const PUBLIC_KEY_PREFIX = fromHex('302a300506032b6570032100');

interface SigningKey {
  readonly seed: Bytes;
  readonly privateKey: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
}

let newestSigningKey: SigningKey | undefined;

/** The newest one is kept: making it takes ten times as long as a signature, and a run signs with one key. */
function signingKey(seed: Bytes): SigningKey {
  checkLength('Ed25519 seed', seed, KEY_BYTES);
  if (newestSigningKey !== undefined && equalBytes(newestSigningKey.seed, seed)) return newestSigningKey;
  const privateKey = createPrivateKey({ key: Buffer.from(concatBytes([PRIVATE_KEY_PREFIX, seed])), format: 'der', type: 'pkcs8' });
  const der = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  newestSigningKey = { seed: seed.slice(), privateKey, publicKey: new Uint8Array(der.subarray(PUBLIC_KEY_PREFIX.length)) };
  return newestSigningKey;
}

/** Key and signature may be hostile: a wrong length is a signature that does not hold, like any other. */
function ed25519Verify(publicKey: Bytes, message: Bytes, signature: Bytes): boolean {
  if (publicKey.length !== KEY_BYTES || signature.length !== ED25519_SIGNATURE_BYTES) return false;
  const key = createPublicKey({ key: Buffer.from(concatBytes([PUBLIC_KEY_PREFIX, publicKey])), format: 'der', type: 'spki' });
  return verify(null, message, key, signature);
}
