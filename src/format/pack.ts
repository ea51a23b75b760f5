/**
 * Packs: header ‖ table A ‖ frames ‖ table B ‖ trailer (repository design, section 4.5). A pack is assembled in memory when it
 * is closed, so the table can stand at both ends and one range read at either end finds everything.
 */
import { type Bytes, concatBytes, equalBytes, toHex, utf8, viewOf } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import type { AeadSuite, Kernel } from '../kernel/kernel.ts';
import { corrupt } from './decode-error.ts';
import { CODEC_RAW, encodeFramePrefix, FRAME_PADDING, FrameCipher, frameCheck, TABLE_FRAME_BYTES } from './frame.ts';
import { decodeHeader, encodeHeader, type Header, HEADER_BYTES, objectTypeName, TAG_BYTES } from './header.ts';
import { idBytes, type PackId, packIdFromBytes, type RepositoryId, type SessionId } from './ids.ts';
import { derivePackKeys, type PackIdentity, packObjectType } from './key-derivation.ts';
import type { PackType } from './object-names.ts';
import { checkTable, checkTableSize, decodePackTable, encodePackTable, type PackTable, TABLE_CHUNK_BYTES, tablePlaintextBytes, TRAILER_BYTES } from './pack-table.ts';
import { padmeSize } from './padding.ts';
import { unknownEpoch } from './sealed-object.ts';

/** A nightly run with three small files would tell most by its pack size. */
export const MIN_DATA_PACK_BYTES: number = 64 * KiB;
/** Stored bytes of the smallest padding frame: one zero byte and a tag. */
const MIN_PADDING_BYTES = 1 + TAG_BYTES;
const TABLE_A = 0;
const TABLE_B = 1;
const END_MARK = utf8('snap-end');

/** A sealed frame; its place in the list is the number under which it was sealed. */
export interface PackFrame {
  /** Ciphertext and tag. */
  readonly stored: Bytes;
  readonly rawLength: number;
  readonly codec: number;
  /** `TABLE_CHUNK_BYTES` each: 32 chunk ID, u32 length. */
  readonly chunks: Bytes;
}

export interface AssembleOptions {
  readonly kernel: Kernel;
  readonly pack: PackIdentity;
  readonly repositoryId: RepositoryId;
  /** Data or tree root of the epoch of the pack. */
  readonly root: Bytes;
  readonly sessionId: SessionId;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** At least one. */
  readonly frames: readonly PackFrame[];
  /** Frame numbers in the order in which they are stored; by number when absent. */
  readonly layout?: readonly number[] | undefined;
}

export interface AssembledPack {
  /** To be written one after the other. */
  readonly parts: readonly Bytes[];
  readonly table: PackTable;
}

/** @throws RangeError for frames that a reader would refuse, or a pack beyond the limits */
export function assemblePack(options: AssembleOptions): AssembledPack {
  const { kernel, pack, repositoryId, root } = options;
  const layout = options.layout ?? options.frames.map((_, i) => i);
  checkLayout(layout, options.frames.length);
  const { frameKey, tableKey } = derivePackKeys(kernel, root, pack, repositoryId);
  const plan = planPack(pack.type, options.frames);
  const cipher = new FrameCipher(kernel.createAead(pack.suite, frameKey), encodeFramePrefix(pack, repositoryId));
  const padding = plan.paddingBytes === 0 ? [] : [sealPadding(cipher, options.frames.length, plan.paddingBytes)];
  const table = buildTable(options, [...options.frames, ...padding], [...layout, ...padding.map(() => options.frames.length)], plan);
  const header = encodeHeader(packHeader(pack, plan.tableBytes));
  const plaintext = encodePackTable(table);
  const seal = (copy: number): Bytes => sealTable(kernel, pack.suite, tableKey, header, repositoryId, copy, plaintext);
  const stored = [...layout.map(number => options.frames[number]!.stored), ...padding.map(frame => frame.stored)];
  return { parts: [header, seal(TABLE_A), ...stored, seal(TABLE_B), encodeTrailer(header, plan.sizeBytes)], table };
}

function checkLayout(layout: readonly number[], count: number): void {
  if (count === 0) throw new RangeError('A pack has at least one frame');
  const isPermutation = layout.length === count && new Set(layout).size === count && layout.every(number => number >= 0 && number < count);
  if (!isPermutation) throw new RangeError('The layout does not name every frame once');
}

interface PackPlan {
  readonly sizeBytes: number;
  readonly tableBytes: number;
  /** Stored bytes of the padding frame; 0 when none is needed. */
  readonly paddingBytes: number;
}

/** The padding frame is part of the table, so it is decided before the length of the table is known. */
function planPack(type: PackType, frames: readonly PackFrame[]): PackPlan {
  const storedBytes = frames.reduce((sum, frame) => sum + frame.stored.length, 0);
  const chunkCount = frames.reduce((sum, frame) => sum + frame.chunks.length, 0) / TABLE_CHUNK_BYTES;
  const minBytes = type === 'data' ? MIN_DATA_PACK_BYTES : 0;
  const tableBytes = tablePlaintextBytes(frames.length, chunkCount) + TAG_BYTES;
  const sizeBytes = HEADER_BYTES + 2 * tableBytes + TRAILER_BYTES + storedBytes;
  if (sizeBytes >= minBytes && padmeSize(sizeBytes) === sizeBytes) return { sizeBytes, tableBytes, paddingBytes: 0 };
  const paddedTable = tablePlaintextBytes(frames.length + 1, chunkCount) + TAG_BYTES;
  const unpadded = HEADER_BYTES + 2 * paddedTable + TRAILER_BYTES + storedBytes;
  // A gap too small for a frame takes the next size.
  const target = padmeSize(Math.max(minBytes, unpadded + MIN_PADDING_BYTES));
  return { sizeBytes: target, tableBytes: paddedTable, paddingBytes: target - unpadded };
}

function sealPadding(cipher: FrameCipher, number: number, storedLength: number): PackFrame & { readonly isPadding: true } {
  const rawLength = storedLength - TAG_BYTES;
  const stored = cipher.seal({ number, rawLength, codec: CODEC_RAW, flags: FRAME_PADDING }, new Uint8Array(rawLength));
  return { stored, rawLength, codec: CODEC_RAW, chunks: new Uint8Array(0), isPadding: true };
}

function buildTable(options: AssembleOptions, frames: readonly PackFrame[], layout: readonly number[], plan: PackPlan): PackTable {
  const { pack } = options;
  const records = new Uint8Array(frames.length * TABLE_FRAME_BYTES);
  const view = viewOf(records);
  let offset = HEADER_BYTES + plan.tableBytes;
  for (const number of layout) {
    const frame = frames[number]!;
    const at = number * TABLE_FRAME_BYTES;
    if (frame.chunks.length % TABLE_CHUNK_BYTES !== 0) throw new RangeError('Chunk records are not whole');
    view.setUint32(at, offset, true);
    view.setUint32(at + 4, frame.stored.length, true);
    view.setUint32(at + 8, frame.rawLength, true);
    view.setUint16(at + 12, frame.chunks.length / TABLE_CHUNK_BYTES, true);
    view.setUint8(at + 14, frame.codec);
    view.setUint8(at + 15, 'isPadding' in frame ? FRAME_PADDING : 0);
    view.setUint32(at + 16, frameCheck(options.kernel, frame.stored), true);
    offset += frame.stored.length;
  }
  const chunks = concatBytes(frames.map(frame => frame.chunks));
  const table: PackTable = {
    type: pack.type, suite: pack.suite, epoch: pack.epoch, id: pack.id, salt: pack.salt,
    sizeBytes: plan.sizeBytes, tableBytes: plan.tableBytes, sessionId: options.sessionId, createdAt: options.createdAt,
    frameCount: frames.length, chunkCount: chunks.length / TABLE_CHUNK_BYTES, frames: records, chunks,
  };
  refuseUnreadable(table);
  return table;
}

/** What a reader would refuse must not be written. */
function refuseUnreadable(table: PackTable): void {
  try {
    checkTable(table);
  } catch (error) {
    throw new RangeError('The frames do not make a legal pack', { cause: error });
  }
}

function packHeader(pack: PackIdentity, tableBytes: number): Header {
  return {
    type: packObjectType(pack.type), suite: pack.suite, isCompressed: false, epoch: pack.epoch, objectId: idBytes(pack.id),
    random: pack.salt, sealedBytes: tableBytes,
  };
}

/** Nonce: 0 for table A, 1 for table B. Additional data: the whole header ‖ repository ID ‖ u8 copy. */
function tableSeal(header: Bytes, repositoryId: RepositoryId, copy: number): { nonce: Bytes; additional: Bytes } {
  const nonce = new Uint8Array(12);
  nonce[0] = copy;
  return { nonce, additional: concatBytes([header, idBytes(repositoryId), Uint8Array.of(copy)]) };
}

function sealTable(
  kernel: Kernel, suite: AeadSuite, tableKey: Bytes, header: Bytes, repositoryId: RepositoryId, copy: number, plaintext: Bytes,
): Bytes {
  const { nonce, additional } = tableSeal(header, repositoryId, copy);
  return kernel.createAead(suite, tableKey).seal(nonce, additional, plaintext);
}

function encodeTrailer(header: Bytes, sizeBytes: number): Bytes {
  const length = new Uint8Array(8);
  viewOf(length).setBigUint64(0, BigInt(sizeBytes), true);
  return concatBytes([header, length, END_MARK]);
}

/** Bytes from the start of a pack that hold header and table A; `head` is at least the header. @throws PACK_CORRUPT, … */
export function packHeadBytes(head: Bytes): number {
  return HEADER_BYTES + decodeHeader(head).sealedBytes;
}

/** Bytes from the end of a pack that hold table B and trailer; `tail` is at least the trailer. @throws PACK_CORRUPT, … */
export function packTailBytes(tail: Bytes): number {
  if (tail.length < TRAILER_BYTES) throw corrupt('pack', 'its end is missing', {}, 'PACK_CORRUPT');
  return TRAILER_BYTES + decodeHeader(tail.subarray(tail.length - TRAILER_BYTES)).sealedBytes;
}

export interface OpenTableOptions {
  readonly kernel: Kernel;
  readonly repositoryId: RepositoryId;
  /** As its name says. */
  readonly type: PackType;
  readonly id: PackId;
  /** As the backend says. */
  readonly sizeBytes: number;
  /** Data or tree root of an epoch; undefined when the keyring does not have it. */
  readonly rootOf: (epoch: number) => Bytes | undefined;
}

/** Table A from the first bytes of a pack, at least `packHeadBytes`. @throws PACK_CORRUPT, UNSUPPORTED_FORMAT */
export function openPackHead(head: Bytes, options: OpenTableOptions): PackTable {
  const header = decodeHeader(head);
  const end = HEADER_BYTES + header.sealedBytes;
  if (head.length < end) throw corrupt('pack', 'its front table is cut off', { pack: options.id }, 'PACK_CORRUPT');
  return openTable(head.subarray(0, HEADER_BYTES), header, head.subarray(HEADER_BYTES, end), TABLE_A, options);
}

/** Table B from the last bytes of a pack, at least `packTailBytes`. @throws PACK_CORRUPT, UNSUPPORTED_FORMAT */
export function openPackTail(tail: Bytes, options: OpenTableOptions): PackTable {
  const wanted = packTailBytes(tail);
  if (tail.length < wanted) throw corrupt('pack', 'its back table is cut off', { pack: options.id }, 'PACK_CORRUPT');
  const trailer = tail.subarray(tail.length - TRAILER_BYTES);
  if (!equalBytes(trailer.subarray(HEADER_BYTES + 8), END_MARK)) throw corrupt('pack', 'it does not end with its mark', { pack: options.id }, 'PACK_CORRUPT');
  const sizeBytes = Number(viewOf(trailer).getBigUint64(HEADER_BYTES, true));
  if (sizeBytes !== options.sizeBytes) {
    throw corrupt('pack', 'its size is not the one in its trailer', { pack: options.id, expected: sizeBytes, found: options.sizeBytes }, 'PACK_CORRUPT');
  }
  const header = trailer.subarray(0, HEADER_BYTES);
  return openTable(header, decodeHeader(header), tail.subarray(tail.length - wanted, tail.length - TRAILER_BYTES), TABLE_B, options);
}

function openTable(headerBytes: Bytes, header: Header, sealed: Bytes, copy: number, options: OpenTableOptions): PackTable {
  const { kernel, repositoryId, type, id, sizeBytes } = options;
  const pack = identityOf(header, type, id);
  checkTableSize(sizeBytes, header.sealedBytes);
  const root = options.rootOf(pack.epoch);
  if (root === undefined) throw unknownEpoch('pack', pack.epoch);
  const { tableKey } = derivePackKeys(kernel, root, pack, repositoryId);
  const { nonce, additional } = tableSeal(headerBytes, repositoryId, copy);
  const plaintext = kernel.createAead(pack.suite, tableKey).open(nonce, additional, sealed);
  if (plaintext === undefined) throw corrupt('pack', `the seal of its ${copy === TABLE_A ? 'front' : 'back'} table does not match`, { pack: id }, 'PACK_CORRUPT');
  return decodePackTable(plaintext, pack, sizeBytes);
}

function identityOf(header: Header, type: PackType, id: PackId): PackIdentity {
  if (header.type !== packObjectType(type)) throw corrupt('pack', `it is a ${objectTypeName(header.type)}`, { pack: id }, 'PACK_CORRUPT');
  const found = packIdFromBytes(header.objectId);
  if (found !== id) throw corrupt('pack', 'it belongs under another name', { expected: id, found: toHex(header.objectId) }, 'PACK_CORRUPT');
  if (header.suite === 3) throw corrupt('pack', 'packs do not use suite 3', { pack: id }, 'PACK_CORRUPT');
  return { type, suite: header.suite, epoch: header.epoch, id, salt: header.random };
}
