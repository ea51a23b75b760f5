/**
 * Envelope of every small object: header ‖ ciphertext ‖ tag (repository design, section 4.3).
 *
 * The plaintext is u32 n ‖ payload[n] ‖ zeros up to a Padmé size; the additional data is header ‖ repository ID. Suites 1 and
 * 2 use a key of their own per object (from the salt) and nonce 0; suite 3 a key per type and a random 192-bit nonce.
 */
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { type Bytes, concatBytes, equalBytes, isAllZero, toHex, utf8, viewOf } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { Compressor, Kernel } from '../kernel/kernel.ts';
import { CborReader } from './cbor-reader.ts';
import { CborWriter } from './cbor-writer.ts';
import { corrupt, unsupported } from './decode-error.ts';
import {
  decodeHeader, encodeHeader, type Header, HEADER_BYTES, OBJECT_TYPES, type ObjectType, objectTypeName, saltOrNonceBytes, type Suite, TAG_BYTES,
} from './header.ts';
import { idBytes, type RepositoryId, repositoryIdFromBytes } from './ids.ts';
import { deriveConfigKey, deriveKeyringKey, deriveObjectKey, deriveXObjectKey } from './key-derivation.ts';
import {
  MAX_FORGOTTEN_BYTES, MAX_GC_DOCUMENT_BYTES, MAX_KEY_SLOT_BYTES, MAX_KEYRING_BYTES, MAX_LEDGER_BYTES, MAX_REPLICA_RECORD_BYTES, MAX_SEGMENT_BYTES, MAX_SMALL_OBJECT_BYTES,
  MAX_SNAPSHOT_BYTES,
} from './limits.ts';
import { padmeSize } from './padding.ts';

export interface SealObjectOptions {
  readonly kernel: Kernel;
  readonly type: ObjectType;
  /** 0 for config and keyring. */
  readonly epoch: number;
  /** 16 bytes; see `objectIdOf`. */
  readonly objectId: Bytes;
  /** 3, or for index segments any. */
  readonly suite: Suite;
  /** Config and keyring: the keyring key. Everything else: the meta root of the epoch. */
  readonly secret: Bytes;
  readonly repositoryId: RepositoryId;
  readonly payload: Bytes;
  /** Fresh random bytes: 32 of salt for suites 1 and 2, 24 of nonce for suite 3 (`saltOrNonceBytes`). */
  readonly random: Bytes;
  /** The payload is stored compressed if that makes it smaller. */
  readonly compressor?: Compressor | undefined;
}

/** The bytes of a sealed object. Key slots have their own envelope in `key-slot.ts`. */
export function sealObject(options: SealObjectOptions): Uint8Array<ArrayBuffer> {
  const { kernel, type, epoch, objectId, suite, repositoryId, random } = options;
  if (options.payload.length > payloadLimit(type)) throw new RangeError(`A ${objectTypeName(type)} of ${options.payload.length} bytes`);
  const compressed = options.compressor === undefined ? undefined : compressPayload(options.payload, options.compressor);
  const plaintext = padPayload(compressed ?? options.payload);
  const header = encodeHeader({
    type, suite, isCompressed: compressed !== undefined, epoch, objectId, random, sealedBytes: plaintext.length + TAG_BYTES,
  });
  const key = objectKey(kernel, options.secret, { type, suite, random, objectId }, repositoryId);
  const additional = concatBytes([header, idBytes(repositoryId)]);
  return concatBytes([header, sealBytes(kernel, suite, key, random, additional, plaintext)]);
}

export interface OpenObjectOptions {
  readonly kernel: Kernel;
  readonly bytes: Bytes;
  readonly repositoryId: RepositoryId;
  /** What may stand under the name of the object; see `objectTypesOf` and `objectIdOf`. */
  readonly types: readonly ObjectType[];
  readonly objectId: Bytes;
  /** The secret of `SealObjectOptions` for an epoch (0: the keyring key); undefined when the keyring does not have it. */
  readonly secretOf: (epoch: number) => Bytes | undefined;
}

export interface OpenedObject {
  readonly header: Header;
  /** In memory of its own. */
  readonly payload: Uint8Array<ArrayBuffer>;
}

/** @throws OBJECT_CORRUPT for damage and swapped objects; UNSUPPORTED_FORMAT for newer formats and unknown epochs */
export function openObject(options: OpenObjectOptions): OpenedObject {
  const { kernel, bytes, repositoryId } = options;
  const header = decodeHeader(bytes);
  const what = objectTypeName(header.type);
  checkIdentity(header, options.types, options.objectId);
  if (header.sealedBytes !== bytes.length - HEADER_BYTES) {
    throw corrupt(what, `${bytes.length} bytes where the header says ${header.sealedBytes + HEADER_BYTES}`);
  }
  checkSealedLength(what, header.sealedBytes, header.type);
  const secret = options.secretOf(header.epoch);
  if (secret === undefined) throw unknownEpoch(what, header.epoch);
  const key = objectKey(kernel, secret, header, repositoryId);
  const additional = concatBytes([bytes.subarray(0, HEADER_BYTES), idBytes(repositoryId)]);
  const plaintext = openBytes(kernel, header.suite, key, header.random, additional, bytes.subarray(HEADER_BYTES));
  if (plaintext === undefined) throw corrupt(what, 'its seal does not match', { id: toHex(header.objectId) });
  const payload = unpadPayload(what, plaintext);
  const limit = payloadLimit(header.type);
  if (header.isCompressed) return { header, payload: decompressPayload(what, kernel, payload, limit) };
  if (payload.length > limit) throw corrupt(what, `a payload of ${payload.length} bytes, at most ${limit} are allowed`);
  return { header, payload };
}

/** The repository ID from the clear header of `config`; it is authenticated only when `config` is opened. */
export function readRepositoryId(configBytes: Bytes): RepositoryId {
  const header = decodeHeader(configBytes);
  if (header.type !== OBJECT_TYPES.config) throw corrupt('config', `it is a ${objectTypeName(header.type)}`);
  return repositoryIdFromBytes(header.objectId);
}

/** An epoch that is missing from the keyring means that the keyring is newer than known, was rolled back or hidden, not that the object is damaged. */
export function unknownEpoch(what: string, epoch: number): Error {
  return unsupported(what, `the keyring has no epoch ${epoch}`, { epoch }, 'Run it again: the keys may have been rotated meanwhile. If that does not help, '
    + 'the newest keyring object may be missing or hidden; compare with a copy of the repository');
}

export function isUnknownEpoch(error: unknown): boolean {
  return error instanceof SnapError && error.code === 'UNSUPPORTED_FORMAT' && error.context['epoch'] !== undefined;
}

function checkIdentity(header: Header, types: readonly ObjectType[], objectId: Bytes): void {
  const what = objectTypeName(header.type);
  if (!types.includes(header.type)) throw corrupt(what, 'an object of this type does not belong under this name');
  if (!equalBytes(header.objectId, objectId)) {
    throw corrupt(what, 'it belongs under another name', { expected: toHex(objectId), found: toHex(header.objectId) });
  }
}

/** Largest payload of a type (section 4.7), after decompression. */
export function payloadLimit(type: ObjectType): number {
  switch (type) {
    case OBJECT_TYPES.indexSegment: return MAX_SEGMENT_BYTES;
    case OBJECT_TYPES.snapshot: return MAX_SNAPSHOT_BYTES;
    case OBJECT_TYPES.forgotten: return MAX_FORGOTTEN_BYTES;
    case OBJECT_TYPES.keyring: return MAX_KEYRING_BYTES;
    case OBJECT_TYPES.ledger: return MAX_LEDGER_BYTES;
    case OBJECT_TYPES.replica: return MAX_REPLICA_RECORD_BYTES;
    case OBJECT_TYPES.keySlot: return MAX_KEY_SLOT_BYTES;
    case OBJECT_TYPES.plan:
    case OBJECT_TYPES.sweep:
    case OBJECT_TYPES.done: return MAX_GC_DOCUMENT_BYTES;
    default: return MAX_SMALL_OBJECT_BYTES;
  }
}

/** The declared length bounds everything that is allocated later. */
export function checkSealedLength(what: string, sealedBytes: number, type: ObjectType): void {
  const limit = padmeSize(payloadLimit(type) + LENGTH_BYTES) + TAG_BYTES;
  if (sealedBytes < LENGTH_BYTES + TAG_BYTES || sealedBytes > limit) throw corrupt(what, `${sealedBytes} sealed bytes, at most ${limit} are allowed`);
}

function objectKey(
  kernel: Kernel, secret: Bytes, header: Pick<Header, 'type' | 'suite' | 'random' | 'objectId'>, repositoryId: RepositoryId,
): Bytes {
  const { type, suite, random, objectId } = header;
  if (type === OBJECT_TYPES.keySlot) throw new RangeError('Key slots have an envelope of their own');
  if (type === OBJECT_TYPES.config) return deriveConfigKey(kernel, secret, repositoryId);
  if (type === OBJECT_TYPES.keyring) return deriveKeyringKey(kernel, secret, repositoryId);
  if (suite === 3) return deriveXObjectKey(kernel, secret, type, repositoryId);
  return deriveObjectKey(kernel, secret, random, type, repositoryId, objectId);
}

const LENGTH_BYTES = 4;
const ZERO_NONCE = new Uint8Array(12);

/** u32 n ‖ payload[n] ‖ zeros up to a Padmé size. */
export function padPayload(payload: Bytes): Uint8Array<ArrayBuffer> {
  const plaintext = new Uint8Array(padmeSize(LENGTH_BYTES + payload.length));
  viewOf(plaintext).setUint32(0, payload.length, true);
  plaintext.set(payload, LENGTH_BYTES);
  return plaintext;
}

/** The reverse of `padPayload`, as a copy; only the one right padding is accepted. */
export function unpadPayload(what: string, plaintext: Bytes): Uint8Array<ArrayBuffer> {
  const length = plaintext.length < LENGTH_BYTES ? Number.POSITIVE_INFINITY : viewOf(plaintext).getUint32(0, true);
  if (LENGTH_BYTES + length > plaintext.length) throw corrupt(what, 'the length of the payload is wrong');
  const end = LENGTH_BYTES + length;
  if (plaintext.length !== padmeSize(end) || !isAllZero(plaintext.subarray(end))) throw corrupt(what, 'the padding is wrong');
  return plaintext.slice(LENGTH_BYTES, end);
}

/** Seals under any suite; `random` is the nonce of suite 3 and otherwise already part of the key. */
export function sealBytes(kernel: Kernel, suite: Suite, key: Bytes, random: Bytes, additional: Bytes, plaintext: Bytes): Uint8Array<ArrayBufferLike> {
  if (suite !== 3) return kernel.createAead(suite, key).seal(ZERO_NONCE, additional, plaintext);
  if (random.length !== saltOrNonceBytes(3)) throw new RangeError('The nonce of suite 3 has 24 bytes');
  return xchacha20poly1305(key, random, additional).encrypt(plaintext);
}

/** The plaintext, or undefined when the tag does not match. `sealed` has at least 16 bytes. */
export function openBytes(kernel: Kernel, suite: Suite, key: Bytes, random: Bytes, additional: Bytes, sealed: Bytes): Uint8Array<ArrayBufferLike> | undefined {
  if (suite !== 3) return kernel.createAead(suite, key).open(ZERO_NONCE, additional, sealed);
  const cipher = xchacha20poly1305(key, random, additional);
  try {
    return cipher.decrypt(sealed);
  } catch {
    // Key, nonce and length are right here, so a wrong tag is all that is left to throw.
    return undefined;
  }
}

/** u32 raw length ‖ one zstd frame; undefined when that is not smaller than the payload. */
function compressPayload(payload: Bytes, compressor: Compressor): Uint8Array<ArrayBuffer> | undefined {
  const frame = compressor.compress(payload, payload.length - LENGTH_BYTES);
  if (frame === undefined) return undefined;
  const compressed = new Uint8Array(LENGTH_BYTES + frame.length);
  viewOf(compressed).setUint32(0, payload.length, true);
  compressed.set(frame, LENGTH_BYTES);
  return compressed;
}

function decompressPayload(what: string, kernel: Kernel, compressed: Bytes, limit: number): Uint8Array<ArrayBuffer> {
  if (compressed.length < LENGTH_BYTES) throw corrupt(what, 'the compressed payload is too short');
  const length = viewOf(compressed).getUint32(0, true);
  if (length > limit) throw corrupt(what, `a payload of ${length} bytes, at most ${limit} are allowed`);
  const payload = kernel.decompress(compressed.subarray(LENGTH_BYTES), length);
  if (payload === undefined) throw corrupt(what, 'the compressed payload cannot be decompressed');
  return payload.slice() as Uint8Array<ArrayBuffer>;
}

/** Length of a key ID: first 8 bytes of BLAKE3 of an admin public key. */
export const KEY_ID_BYTES = 8;
const SIGNATURE_BYTES = 64;

export interface SignedIdentity {
  readonly type: ObjectType;
  readonly repositoryId: RepositoryId;
  /** 16 bytes, as in the header. */
  readonly objectId: Bytes;
  /** 16 bytes of a copy that shares ID and keys with another repository: what an administrator says of one does not count in the other. */
  readonly copyId?: Bytes | undefined;
}

/** Signed types: everything that only an administrator may say. */
export function isSignedType(type: ObjectType): boolean {
  return SIGNED_TYPES.has(type);
}

const SIGNED_TYPES: ReadonlySet<ObjectType> = new Set<ObjectType>([
  OBJECT_TYPES.config, OBJECT_TYPES.keyring, OBJECT_TYPES.tombstone, OBJECT_TYPES.forgotten, OBJECT_TYPES.plan, OBJECT_TYPES.sweep,
  OBJECT_TYPES.done, OBJECT_TYPES.revoked, OBJECT_TYPES.rejected,
]);

export function adminKeyId(kernel: Kernel, publicKey: Bytes): Uint8Array<ArrayBuffer> {
  return kernel.blake3(publicKey).slice(0, KEY_ID_BYTES);
}

/** The payload of a signed type: `[body, key ID, signature]`. `seed` is the 32-byte Ed25519 seed of an admin. */
export function signBody(kernel: Kernel, seed: Bytes, identity: SignedIdentity, body: Bytes): Uint8Array<ArrayBuffer> {
  const writer = new CborWriter(body.length + 128);
  writer.array(3);
  writer.bytes(body);
  writer.bytes(adminKeyId(kernel, kernel.ed25519PublicKey(seed)));
  writer.bytes(kernel.ed25519Sign(seed, signedMessage(identity, body)));
  return writer.finish();
}

export interface SignedBody {
  readonly body: Bytes;
  readonly keyId: Bytes;
  /** 64 bytes. */
  readonly signature: Bytes;
}

/** Takes the payload of a signed type apart **without checking the signature**; needed only to find the keys in a keyring. */
export function splitSigned(payload: Bytes, type: ObjectType): SignedBody {
  const reader = new CborReader(payload, objectTypeName(type));
  reader.fixedArray(3);
  const parts = { body: reader.bytes(), keyId: reader.fixedBytes(KEY_ID_BYTES), signature: reader.fixedBytes(SIGNATURE_BYTES) };
  reader.close();
  reader.end();
  return parts;
}

export interface VerifiedBody {
  readonly body: Bytes;
  readonly keyId: Bytes;
  /** False: not signed by one of the keys, so the object was never valid; its body must not be used. */
  readonly isTrusted: boolean;
}

/** @throws OBJECT_CORRUPT for a payload of a wrong shape; a wrong or unknown signature is an answer, not an error */
export function verifySigned(kernel: Kernel, publicKeys: readonly Bytes[], identity: SignedIdentity, payload: Bytes): VerifiedBody {
  const { body, keyId, signature } = splitSigned(payload, identity.type);
  const publicKey = publicKeys.find(key => equalBytes(adminKeyId(kernel, key), keyId));
  const isTrusted = publicKey !== undefined && kernel.ed25519Verify(publicKey, signedMessage(identity, body), signature);
  return { body, keyId, isTrusted };
}

const SIGN_LABEL = utf8('snap/1/sign\0');
const SIGN_COPY_LABEL = utf8('snap/1/sign-copy\0');

function signedMessage({ type, repositoryId, objectId, copyId }: SignedIdentity, body: Bytes): Bytes {
  if (copyId !== undefined) return concatBytes([SIGN_COPY_LABEL, new Uint8Array([type]), idBytes(repositoryId), copyId, objectId, body]);
  return concatBytes([SIGN_LABEL, Uint8Array.of(type), idBytes(repositoryId), objectId, body]);
}
