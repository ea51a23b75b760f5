/**
 * Key slots: the keyring key, and for administrators the admin key, wrapped under a password or a key file (repository
 * design, sections 4.3, 4.4 and 12.2). Layout: header ‖ u32 m ‖ parameters[m] ‖ ciphertext ‖ tag.
 */
import { type Bytes, concatBytes, equalBytes, toHex, viewOf } from '../base/bytes.ts';
import { GiB, MiB } from '../base/units.ts';
import type { Kernel, ScryptParameters } from '../kernel/kernel.ts';
import { bodyCodec, type BodyCodec, fixedBytes, mapOf, optional, required, text, uint, type ValueCodec } from './body-codec.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { decodeHeader, encodeHeader, HEADER_BYTES, OBJECT_TYPES, objectTypeName, TAG_BYTES } from './header.ts';
import { idBytes, type RepositoryId, type SlotId, slotIdFromBytes } from './ids.ts';
import { deriveSlotKey, KEY_BYTES, keyCheckValue } from './key-derivation.ts';
import { MAX_KEY_SLOT_BYTES } from './limits.ts';
import { checkSealedLength, openBytes, padPayload, sealBytes, unpadPayload } from './sealed-object.ts';

/** How the key-encryption key comes about: from a password, or as the 32 random bytes of a key file. */
export type Kdf = ({ readonly name: 'scrypt' } & ScryptParameters) | { readonly name: 'keyfile' };

/** The part of a slot that stands in clear. */
export interface SlotParameters {
  readonly kdf: Kdf;
  /** 16 random bytes. */
  readonly salt: Bytes;
  /** 16 bytes; see `keyCheckValue`. */
  readonly keyCheck: Bytes;
}

/** The part of a slot that is sealed. */
export interface SlotSecrets {
  readonly keyringKey: Bytes;
  /** Only in slots of administrators. */
  readonly adminKey?: Bytes | undefined;
  readonly label: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
}

export const SLOT_SALT_BYTES = 16;
const KEY_CHECK_BYTES = 16;

/** 128 MiB and about 0.3 s (repository design, section 12.2). */
export const DEFAULT_SCRYPT: ScryptParameters = { N: 2 ** 17, r: 8, p: 1 };
const MIN_SCRYPT_MEMORY = 64 * MiB;
const MAX_SCRYPT_MEMORY = 1 * GiB;
const MAX_SCRYPT_N = 2 ** 20;
// Time grows with p at constant memory; the design leaves p open, and 16 keeps a forged slot below a minute.
const MAX_SCRYPT_P = 16;

/**
 * Why parameters are refused: below the floor a forged slot would weaken the derivation, above the limits it would exhaust
 * memory or time. Checked by readers before anything is derived; a writer asks before it makes a slot.
 */
export function scryptFault({ N, r, p }: ScryptParameters): string | undefined {
  const isWhole = [N, r, p].every(value => Number.isSafeInteger(value) && value >= 1);
  if (!isWhole || N > MAX_SCRYPT_N || 2 ** (31 - Math.clz32(N)) !== N) return 'N is not a power of two up to 2^20';
  if (p > MAX_SCRYPT_P) return `p is above ${MAX_SCRYPT_P}`;
  const memory = 128 * N * r;
  if (memory < MIN_SCRYPT_MEMORY) return 'less than 64 MiB of memory';
  return memory > MAX_SCRYPT_MEMORY ? 'more than 1 GiB of memory' : undefined;
}

const kdfName: ValueCodec<string> = text;

const kdfParameters: ValueCodec<readonly number[]> = {
  write(writer, values) {
    writer.array(values.length);
    for (const value of values) writer.uint(value);
  },
  read(reader) {
    const values: number[] = [];
    for (let left = reader.array(16); left > 0; left--) values.push(reader.uint());
    reader.close();
    return values;
  },
};

interface StoredParameters {
  readonly name: string;
  readonly values: readonly number[];
  readonly salt: Bytes;
  readonly keyCheck: Bytes;
}

const parametersBody: BodyCodec<StoredParameters> = bodyCodec('key slot', mapOf<StoredParameters>({
  name: required(1, kdfName),
  values: required(2, kdfParameters),
  salt: required(3, fixedBytes(SLOT_SALT_BYTES)),
  keyCheck: required(4, fixedBytes(KEY_CHECK_BYTES)),
}));

const secretsBody: BodyCodec<SlotSecrets> = bodyCodec('key slot', mapOf<SlotSecrets>({
  keyringKey: required(1, fixedBytes(KEY_BYTES)),
  adminKey: optional(2, fixedBytes(KEY_BYTES)),
  label: required(3, text),
  createdAt: required(4, uint()),
}));

export function encodeSlotParameters({ kdf, salt, keyCheck }: SlotParameters): Uint8Array<ArrayBuffer> {
  const values = kdf.name === 'scrypt' ? [kdf.N, kdf.r, kdf.p] : [];
  return parametersBody.encode({ name: kdf.name, values, salt, keyCheck });
}

/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT for an unknown KDF, and for parameters beyond the limits of `scryptFault` */
export function decodeSlotParameters(bytes: Bytes): SlotParameters {
  const { name, values, salt, keyCheck } = parametersBody.decode(bytes);
  if (name !== 'scrypt' && name !== 'keyfile') throw unsupported('key slot', 'an unknown key derivation');
  if (values.length !== (name === 'scrypt' ? 3 : 0)) throw corrupt('key slot', `${values.length} parameters of the key derivation`);
  if (name === 'keyfile') return { kdf: { name }, salt, keyCheck };
  const [N, r, p] = [values[0]!, values[1]!, values[2]!];
  const fault = scryptFault({ N, r, p });
  if (fault !== undefined) throw corrupt('key slot', `scrypt parameters are refused: ${fault}`, { N, r, p });
  return { kdf: { name, N, r, p }, salt, keyCheck };
}

export const encodeSlotSecrets: (secrets: SlotSecrets) => Uint8Array<ArrayBuffer> = secretsBody.encode;
export const decodeSlotSecrets: (bytes: Bytes) => SlotSecrets = secretsBody.decode;

/** The key-encryption key of a slot: scrypt of the password, or the content of the key file. @throws RangeError for a key file of another length */
export async function deriveKek(kernel: Kernel, { kdf, salt }: Pick<SlotParameters, 'kdf' | 'salt'>, passwordOrKey: Bytes): Promise<Uint8Array<ArrayBufferLike>> {
  if (kdf.name === 'scrypt') return kernel.scrypt(passwordOrKey, salt, kdf, KEY_BYTES);
  if (passwordOrKey.length !== KEY_BYTES) throw new RangeError('A key file has 32 bytes');
  return passwordOrKey;
}

/** False: the password or key file is not the one of this slot. True, and the slot still does not open: damage. */
export function isKekOf(kernel: Kernel, kek: Bytes, parameters: SlotParameters): boolean {
  return equalBytes(keyCheckValue(kernel, kek), parameters.keyCheck);
}

export interface SealSlotOptions {
  readonly kernel: Kernel;
  readonly repositoryId: RepositoryId;
  readonly slotId: SlotId;
  readonly kek: Bytes;
  readonly kdf: Kdf;
  readonly salt: Bytes;
  readonly secrets: SlotSecrets;
  /** 24 fresh random bytes. */
  readonly nonce: Bytes;
}

/** The bytes of a key slot. */
export function sealKeySlot(options: SealSlotOptions): Uint8Array<ArrayBuffer> {
  const { kernel, repositoryId, slotId, kek, kdf, salt, nonce } = options;
  const parameters = encodeSlotParameters({ kdf, salt, keyCheck: keyCheckValue(kernel, kek) });
  const plaintext = padPayload(encodeSlotSecrets(options.secrets));
  const header = encodeHeader({
    type: OBJECT_TYPES.keySlot, suite: 3, isCompressed: false, epoch: 0, objectId: idBytes(slotId), random: nonce,
    sealedBytes: plaintext.length + TAG_BYTES,
  });
  const length = new Uint8Array(4);
  viewOf(length).setUint32(0, parameters.length, true);
  const additional = concatBytes([header, idBytes(repositoryId), parameters]);
  const sealed = sealBytes(kernel, 3, deriveSlotKey(kernel, kek, repositoryId, slotId), nonce, additional, plaintext);
  return concatBytes([header, length, parameters, sealed]);
}

export interface ParsedKeySlot {
  readonly slotId: SlotId;
  readonly parameters: SlotParameters;
  /** Views of the input, for `openKeySlot`. */
  readonly header: Bytes;
  readonly parameterBytes: Bytes;
  readonly nonce: Bytes;
  readonly sealed: Bytes;
}

/** Takes a slot apart; `slotId` is the one of its name. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function parseKeySlot(bytes: Bytes, slotId: SlotId): ParsedKeySlot {
  const header = decodeHeader(bytes);
  if (header.type !== OBJECT_TYPES.keySlot) throw corrupt('key slot', `it is a ${objectTypeName(header.type)}`);
  if (header.isCompressed) throw unsupported('key slot', 'a compressed payload');
  if (slotIdFromBytes(header.objectId) !== slotId) throw corrupt('key slot', 'it belongs under another name', { found: toHex(header.objectId) });
  checkSealedLength('key slot', header.sealedBytes, header.type);
  const parametersAt = HEADER_BYTES + 4;
  const length = bytes.length < parametersAt ? 0 : viewOf(bytes).getUint32(HEADER_BYTES, true);
  if (length > MAX_KEY_SLOT_BYTES || parametersAt + length + header.sealedBytes !== bytes.length) throw corrupt('key slot', 'its lengths disagree');
  const parameterBytes = bytes.subarray(parametersAt, parametersAt + length);
  return {
    slotId, parameters: decodeSlotParameters(parameterBytes), header: bytes.subarray(0, HEADER_BYTES), parameterBytes,
    nonce: header.random, sealed: bytes.subarray(parametersAt + length),
  };
}

/** The secrets of a slot, after `isKekOf` said yes. @throws OBJECT_CORRUPT for damage, or a slot of another repository */
export function openKeySlot(kernel: Kernel, repositoryId: RepositoryId, kek: Bytes, slot: ParsedKeySlot): SlotSecrets {
  const key = deriveSlotKey(kernel, kek, repositoryId, slot.slotId);
  const additional = concatBytes([slot.header, idBytes(repositoryId), slot.parameterBytes]);
  const plaintext = openBytes(kernel, 3, key, slot.nonce, additional, slot.sealed);
  if (plaintext === undefined) throw corrupt('key slot', 'its seal does not match, or `config` is that of another repository', { id: slot.slotId });
  return decodeSlotSecrets(unpadPayload('key slot', plaintext));
}
