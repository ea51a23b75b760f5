/** The table of a pack: which frames lie where and which chunks they hold (repository design, section 4.5). */
import { type Bytes, equalBytes, isAllZero, viewOf } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { checkFrame, checkTiling, FRAME_RECORD_BYTES, frameRecordAt, type FrameRecord, readFrameRecord, TABLE_FRAME_BYTES } from './frame.ts';
import { HEADER_BYTES, TAG_BYTES } from './header.ts';
import { CHUNK_ID_BYTES, chunkIdKey, type ChunkId, idBytes, type SessionId, sessionIdFromBytes } from './ids.ts';
import type { PackIdentity } from './key-derivation.ts';
import { MAX_PACK_BYTES, MAX_PACK_CHUNKS, MAX_PACK_FRAMES, MAX_TABLE_BYTES } from './limits.ts';
import { padmeSize } from './padding.ts';

/** Width of a chunk record: 32 chunk ID, u32 length. */
export const TABLE_CHUNK_BYTES = 36;
/** Copy of the header, u64 total length, "snap-end". */
export const TRAILER_BYTES = 80;
/** A table padded to less would tell how few chunks there are. */
export const MIN_TABLE_BYTES: number = 4 * KiB;

const TABLE_VERSION = 1;
const FIXED_BYTES = 40;

/** Content of one table; records stay packed, since there may be 262,144 of them. */
export interface PackTable extends PackIdentity {
  readonly sizeBytes: number;
  /** Stored length of one table, tag included. */
  readonly tableBytes: number;
  readonly sessionId: SessionId;
  /** Milliseconds since 1970; for information only. */
  readonly createdAt: number;
  readonly frameCount: number;
  readonly chunkCount: number;
  /** `TABLE_FRAME_BYTES` each, in the order of their numbers; see `tableFrameAt`. */
  readonly frames: Bytes;
  /** `TABLE_CHUNK_BYTES` each, by frame number and place in the frame. */
  readonly chunks: Bytes;
}

export interface TableFrame extends FrameRecord {
  /** See `frameCheck`. */
  readonly check: number;
}

export function tableFrameAt(table: Pick<PackTable, 'frames'>, index: number): TableFrame {
  const record = frameRecordAt(table.frames, index, TABLE_FRAME_BYTES);
  return { ...record, check: viewOf(table.frames).getUint32(index * TABLE_FRAME_BYTES + FRAME_RECORD_BYTES, true) };
}

/** The frame records without their checks, `FRAME_RECORD_BYTES` each, as index segments and the cache hold them. */
export function indexFrames(table: Pick<PackTable, 'frames' | 'frameCount'>): Uint8Array<ArrayBuffer> {
  const records = new Uint8Array(table.frameCount * FRAME_RECORD_BYTES);
  for (let i = 0; i < table.frameCount; i++) {
    const at = i * TABLE_FRAME_BYTES;
    records.set(table.frames.subarray(at, at + FRAME_RECORD_BYTES), i * FRAME_RECORD_BYTES);
  }
  return records;
}

/** Number of each frame's first chunk, and at the end the number of all chunks. */
export function firstChunks(table: Pick<PackTable, 'frames' | 'frameCount'>): Uint32Array<ArrayBuffer> {
  const view = viewOf(table.frames);
  const first = new Uint32Array(table.frameCount + 1);
  for (let i = 0; i < table.frameCount; i++) first[i + 1] = first[i]! + view.getUint16(i * TABLE_FRAME_BYTES + 12, true);
  return first;
}

/** Length of a table plaintext with that many records, padding included. */
export function tablePlaintextBytes(frameCount: number, chunkCount: number): number {
  return padmeSize(Math.max(MIN_TABLE_BYTES, FIXED_BYTES + TABLE_FRAME_BYTES * frameCount + TABLE_CHUNK_BYTES * chunkCount));
}

/** The plaintext of a table, zeros up to its padded length included. */
export function encodePackTable(table: Pick<PackTable, 'sessionId' | 'createdAt' | 'frameCount' | 'chunkCount' | 'frames' | 'chunks'>): Uint8Array<ArrayBuffer> {
  const { frameCount, chunkCount } = table;
  const bytes = new Uint8Array(tablePlaintextBytes(frameCount, chunkCount));
  const view = viewOf(bytes);
  view.setUint32(0, TABLE_VERSION, true);
  view.setUint32(4, frameCount, true);
  view.setUint32(8, chunkCount, true);
  bytes.set(idBytes(table.sessionId), 16);
  view.setBigUint64(32, BigInt(table.createdAt), true);
  bytes.set(table.frames, FIXED_BYTES);
  bytes.set(table.chunks, FIXED_BYTES + TABLE_FRAME_BYTES * frameCount);
  return bytes;
}

/** Throws PACK_CORRUPT unless a pack may have this size with tables of this stored length. */
export function checkTableSize(sizeBytes: number, tableBytes: number): void {
  const fail = (reason: string): Error => corrupt('pack', reason, { sizeBytes, tableBytes }, 'PACK_CORRUPT');
  if (sizeBytes > MAX_PACK_BYTES) throw fail('it is larger than 256 MiB');
  const plaintext = tableBytes - TAG_BYTES;
  if (plaintext < MIN_TABLE_BYTES || plaintext > MAX_TABLE_BYTES || padmeSize(plaintext) !== plaintext) throw fail('the length of its table is not legal');
  if (HEADER_BYTES + 2 * tableBytes + TRAILER_BYTES >= sizeBytes) throw fail('its tables do not fit');
}

/**
 * A table from its plaintext, checked by all rules of section 4.5; records are views of the plaintext.
 * @throws PACK_CORRUPT, UNSUPPORTED_FORMAT
 */
export function decodePackTable(plaintext: Bytes, pack: PackIdentity, sizeBytes: number): PackTable {
  const fail = (reason: string): Error => corrupt('pack table', reason, { pack: pack.id }, 'PACK_CORRUPT');
  const view = viewOf(plaintext);
  if (plaintext.length < MIN_TABLE_BYTES) throw fail('it is too short');
  const version = view.getUint32(0, true);
  if (version !== TABLE_VERSION) throw unsupported('pack table', `table version ${version}`, { version });
  const [frameCount, chunkCount] = [view.getUint32(4, true), view.getUint32(8, true)];
  if (frameCount === 0 || frameCount > MAX_PACK_FRAMES || chunkCount > MAX_PACK_CHUNKS) throw fail(`${frameCount} frames and ${chunkCount} chunks`);
  if (view.getUint32(12, true) !== 0) throw fail('reserved bytes are not zero');
  if (plaintext.length !== tablePlaintextBytes(frameCount, chunkCount)) throw fail('its length does not fit its counts');
  const createdAt = Number(view.getBigUint64(32, true));
  if (!Number.isSafeInteger(createdAt)) throw fail('its time is out of range');
  const chunksAt = FIXED_BYTES + TABLE_FRAME_BYTES * frameCount;
  const end = chunksAt + TABLE_CHUNK_BYTES * chunkCount;
  if (!isAllZero(plaintext.subarray(end))) throw fail('its padding is not zero');
  const table: PackTable = {
    type: pack.type, suite: pack.suite, epoch: pack.epoch, id: pack.id, salt: pack.salt,
    sizeBytes, tableBytes: plaintext.length + TAG_BYTES, sessionId: sessionIdFromBytes(plaintext.subarray(16, 32)), createdAt,
    frameCount, chunkCount, frames: plaintext.subarray(FIXED_BYTES, chunksAt), chunks: plaintext.subarray(chunksAt, end),
  };
  checkTable(table);
  return table;
}

/** Throws unless frames tile the frame region, chunks tile their frames, and every limit holds. */
export function checkTable(table: PackTable): void {
  const fail = (reason: string, frame: number): Error => corrupt('pack table', reason, { pack: table.id, frame }, 'PACK_CORRUPT');
  checkTableSize(table.sizeBytes, table.tableBytes);
  const start = HEADER_BYTES + table.tableBytes;
  const end = table.sizeBytes - TRAILER_BYTES - table.tableBytes;
  const frames = viewOf(table.frames);
  const chunks = viewOf(table.chunks);
  let chunk = 0;
  for (let i = 0; i < table.frameCount; i++) {
    const frame = readFrameRecord(frames, i * TABLE_FRAME_BYTES);
    checkFrame('pack table', i, frame);
    const last = chunk + frame.chunkCount;
    if (last > table.chunkCount) throw fail('frames with more chunks than the table has', i);
    if (frame.chunkCount === 0) continue;
    let sum = 0;
    for (; chunk < last; chunk++) {
      const length = chunks.getUint32(chunk * TABLE_CHUNK_BYTES + CHUNK_ID_BYTES, true);
      if (length === 0) throw fail('a chunk of length 0', i);
      sum += length;
    }
    if (sum !== frame.rawLength) throw fail(`chunks of ${sum} bytes in a frame of ${frame.rawLength}`, i);
  }
  if (chunk !== table.chunkCount) throw fail('chunks without a frame', table.frameCount);
  checkTiling('pack table', table.frames, TABLE_FRAME_BYTES, 0, table.frameCount, start, end);
}

/** Throws PACK_CORRUPT unless both tables of a pack say the same. */
export function checkSameTables(front: PackTable, back: PackTable): void {
  const isSame = front.id === back.id && front.type === back.type && front.suite === back.suite && front.epoch === back.epoch
    && equalBytes(front.salt, back.salt) && front.sizeBytes === back.sizeBytes && front.tableBytes === back.tableBytes
    && front.sessionId === back.sessionId && front.createdAt === back.createdAt
    && equalBytes(front.frames, back.frames) && equalBytes(front.chunks, back.chunks);
  if (!isSame) throw corrupt('pack', 'its two tables differ', { pack: front.id }, 'PACK_CORRUPT');
}

/** Chunks that the pack holds more than once: tolerated by readers, reported by a check, never written. */
export function findDuplicateChunks(table: Pick<PackTable, 'chunks' | 'chunkCount'>): ChunkId[] {
  const view = viewOf(table.chunks);
  // 52 bits of each ID, exact in a double, tell nearly always that there is nothing to look for.
  const keys = Float64Array.from({ length: table.chunkCount }, (_, i) => view.getUint32(i * TABLE_CHUNK_BYTES) * 2 ** 20 + (view.getUint32(i * TABLE_CHUNK_BYTES + 4) >>> 12)).sort();
  if (!keys.some((key, i) => i > 0 && key === keys[i - 1])) return [];
  const seen = new Set<string>();
  const duplicates: ChunkId[] = [];
  for (let i = 0; i < table.chunkCount; i++) {
    const id = table.chunks.subarray(i * TABLE_CHUNK_BYTES, i * TABLE_CHUNK_BYTES + CHUNK_ID_BYTES) as ChunkId;
    const key = chunkIdKey(id);
    if (seen.has(key)) duplicates.push(id);
    seen.add(key);
  }
  return duplicates;
}
