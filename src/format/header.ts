/** The 64-byte header, in clear, that starts every pack and every sealed object (repository design, section 4.2). */
import { type Bytes, viewOf } from '../base/bytes.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { ID_BYTES } from './ids.ts';

export const HEADER_BYTES = 64;
export const FORMAT_VERSION = 1;
/** Length of the tag that every AEAD of this format appends. */
export const TAG_BYTES = 16;
/** Random salt of suites 1 and 2. */
export const SALT_BYTES = 32;
/** Random nonce of suite 3. */
export const XNONCE_BYTES = 24;

export const OBJECT_TYPES = {
  dataPack: 1,
  treePack: 2,
  config: 16,
  keySlot: 17,
  keyring: 18,
  indexSegment: 19,
  snapshot: 20,
  tombstone: 21,
  forgotten: 22,
  session: 23,
  heartbeat: 24,
  plan: 25,
  sweep: 26,
  done: 27,
  revoked: 28,
  rejected: 29,
  parity: 30,
  ledger: 31,
  replica: 32,
} as const;

export type ObjectType = (typeof OBJECT_TYPES)[keyof typeof OBJECT_TYPES];

/** 1 = AES-256-GCM, 2 = ChaCha20-Poly1305, 3 = XChaCha20-Poly1305 (sealed objects only). */
export type Suite = 1 | 2 | 3;

export interface Header {
  readonly type: ObjectType;
  readonly suite: Suite;
  /** Flag bit 0: the payload of a sealed object is one zstd frame. */
  readonly isCompressed: boolean;
  /** 0 for config, key slots and keyring; at least 1 otherwise. */
  readonly epoch: number;
  /** 16 bytes. */
  readonly objectId: Bytes;
  /** 32 bytes of salt (suites 1, 2) or 24 bytes of nonce (suite 3). */
  readonly random: Bytes;
  /** Packs: stored length of one table. Sealed objects: length of ciphertext and tag. */
  readonly sealedBytes: number;
}

const MAGIC_PACK = 0x6b70_6e73; // "snpk", read as a little-endian number
const MAGIC_OBJECT = 0x626f_6e73; // "snob"

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'data pack'], [2, 'tree pack'], [16, 'config'], [17, 'key slot'], [18, 'keyring'], [19, 'index segment'], [20, 'snapshot'],
  [21, 'tombstone'], [22, 'forgotten marker'], [23, 'session'], [24, 'heartbeat'], [25, 'gc plan'], [26, 'gc sweep'],
  [27, 'gc done'], [28, 'revoked marker'], [29, 'rejected marker'], [30, 'parity'], [31, 'ledger'], [32, 'replica record'],
]);

/** The words for an object type in messages. */
export function objectTypeName(type: ObjectType): string {
  return TYPE_NAMES.get(type)!;
}

export function isPackType(type: ObjectType): boolean {
  return type === OBJECT_TYPES.dataPack || type === OBJECT_TYPES.treePack;
}

/** True for the types that are sealed outside every epoch, directly under the keyring key or a slot key. */
export function isOutsideEpochs(type: ObjectType): boolean {
  return type === OBJECT_TYPES.config || type === OBJECT_TYPES.keySlot || type === OBJECT_TYPES.keyring;
}

/** 64 bytes. @throws RangeError for values that `decodeHeader` would refuse. */
export function encodeHeader(header: Header): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = viewOf(bytes);
  const fault = headerFault(header);
  if (fault !== undefined) throw new RangeError(`Header of a ${objectTypeName(header.type)}: ${fault}`);
  if (header.objectId.length !== ID_BYTES) throw new RangeError('An object ID has 16 bytes');
  if (header.random.length !== saltOrNonceBytes(header.suite)) throw new RangeError('Salt or nonce of a wrong length');
  view.setUint32(0, isPackType(header.type) ? MAGIC_PACK : MAGIC_OBJECT, true);
  bytes[4] = FORMAT_VERSION;
  bytes[5] = header.suite;
  bytes[6] = header.type;
  bytes[7] = header.isCompressed ? 1 : 0;
  view.setUint32(8, header.epoch, true);
  bytes.set(header.objectId, 12);
  bytes.set(header.random, 28);
  view.setUint32(60, header.sealedBytes, true);
  return bytes;
}

/** Length of the random field: salt or nonce. */
export function saltOrNonceBytes(suite: Suite): number {
  return suite === 3 ? XNONCE_BYTES : SALT_BYTES;
}

/** Reads the first 64 bytes; ID and salt are copies. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function decodeHeader(bytes: Bytes): Header {
  if (bytes.length < HEADER_BYTES) throw corrupt('object', `${bytes.length} bytes are too few for a header`);
  const view = viewOf(bytes);
  const magic = view.getUint32(0, true);
  if (magic !== MAGIC_PACK && magic !== MAGIC_OBJECT) throw corrupt('object', 'it does not start with the magic bytes of snap');
  const [version, suite, type, flags] = [bytes[4]!, bytes[5]!, bytes[6]!, bytes[7]!];
  if (version !== FORMAT_VERSION) throw unsupported('object', `format version ${version}`, { version });
  if (!isObjectType(type)) throw unsupported('object', `object type ${type}`, { type });
  const what = objectTypeName(type);
  if (!isSuite(suite)) throw unsupported(what, `cipher suite ${suite}`, { suite });
  if (flags > 1) throw unsupported(what, `header flags ${flags}`, { flags });
  if ((magic === MAGIC_PACK) !== isPackType(type)) throw corrupt(what, 'magic bytes and type disagree');
  const randomLength = saltOrNonceBytes(suite);
  for (let i = 28 + randomLength; i < 60; i++) if (bytes[i] !== 0) throw corrupt(what, 'reserved bytes of the header are not zero');
  const header: Header = {
    type,
    suite,
    isCompressed: flags === 1,
    epoch: view.getUint32(8, true),
    objectId: bytes.slice(12, 28),
    random: bytes.slice(28, 28 + randomLength),
    sealedBytes: view.getUint32(60, true),
  };
  const fault = headerFault(header);
  if (fault !== undefined) throw corrupt(what, fault);
  return header;
}

function isObjectType(type: number): type is ObjectType {
  return TYPE_NAMES.has(type);
}

export function isSuite(suite: number): suite is Suite {
  return suite === 1 || suite === 2 || suite === 3;
}

/** Only packs and index segments are large enough to need a native suite; a wrong one there means swapped bytes. */
function headerFault(header: Header): string | undefined {
  const { type, suite, epoch } = header;
  if (isPackType(type)) {
    if (suite === 3) return 'packs do not use suite 3';
    if (header.isCompressed) return 'packs have no compressed payload';
  } else if (suite !== 3 && type !== OBJECT_TYPES.indexSegment) return 'only packs and index segments use suites 1 and 2';
  if (!Number.isInteger(epoch) || epoch < 0 || epoch > 0xffff_ffff) return `epoch ${epoch} is out of range`;
  if ((epoch === 0) !== isOutsideEpochs(type)) return `epoch ${epoch} does not fit the type`;
  if (!Number.isInteger(header.sealedBytes) || header.sealedBytes < 0 || header.sealedBytes > 0xffff_ffff) return 'length is out of range';
  return undefined;
}
