/** Index segments: whole packs, and where their chunks lie (repository design, section 4.8). Records stay packed. */
import { type Bytes, compareBytes, toHex, viewOf } from '../base/bytes.ts';
import type { AeadSuite } from '../kernel/kernel.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { checkFrame, checkTiling, FRAME_RECORD_BYTES, frameRecordAt, readFrameRecord } from './frame.ts';
import { HEADER_BYTES, OBJECT_TYPES } from './header.ts';
import { CHUNK_ID_BYTES, ID_BYTES, idBytes, type PackId, packIdFromBytes, type SegmentId, type SessionId, sessionIdFromBytes } from './ids.ts';
import { packObjectType } from './key-derivation.ts';
import { MAX_PACK_BYTES, MAX_PACK_CHUNKS, MAX_PACK_FRAMES, MAX_SEGMENT_BYTES, MAX_SEGMENT_CHUNKS } from './limits.ts';
import type { PackType } from './object-names.ts';
import { indexFrames, type PackTable, TABLE_CHUNK_BYTES, TRAILER_BYTES } from './pack-table.ts';

const VERSION = 1;
const FIXED_BYTES = 24;
const PACK_BYTES = 64;
/** Width of a chunk record: 32 chunk ID, u32 pack ordinal, u32 frame number, u32 offset in the frame, u32 length. */
export const SEGMENT_CHUNK_BYTES = 48;

/** A pack in an index segment. */
export interface IndexedPack {
  readonly id: PackId;
  readonly sessionId: SessionId;
  readonly type: PackType;
  readonly suite: AeadSuite;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly chunkCount: number;
  /** `FRAME_RECORD_BYTES` each; see `frameRecordAt`. */
  readonly frames: Bytes;
}

/** A pack with its chunks, `TABLE_CHUNK_BYTES` each, by frame and place: what a segment is made of. */
export interface PackContent extends IndexedPack {
  readonly chunks: Bytes;
}

export interface IndexSegment {
  readonly supersedes: readonly SegmentId[];
  /** The ordinal of a pack is its place here. */
  readonly packs: readonly IndexedPack[];
  /** `SEGMENT_CHUNK_BYTES` each, sorted by (chunk ID, pack ordinal, frame, offset). */
  readonly chunks: Bytes;
}

/** The content of a pack as its table says. */
export function packContent(table: PackTable): PackContent {
  const { id, sessionId, type, suite, epoch, sizeBytes, chunkCount, chunks } = table;
  return { id, sessionId, type, suite, epoch, sizeBytes, chunkCount, chunks, frames: indexFrames(table) };
}

/** Payload of a segment with the given packs. @throws RangeError beyond the limits */
export function encodeIndexSegment(supersedes: readonly SegmentId[], packs: readonly PackContent[]): Uint8Array<ArrayBuffer> {
  const frameCount = packs.reduce((sum, pack) => sum + pack.frames.length / FRAME_RECORD_BYTES, 0);
  const chunkCount = packs.reduce((sum, pack) => sum + pack.chunkCount, 0);
  const layout = layoutOf(supersedes.length, packs.length, frameCount, chunkCount);
  if (layout.end > MAX_SEGMENT_BYTES || chunkCount > MAX_SEGMENT_CHUNKS) throw new RangeError(`An index segment of ${chunkCount} chunks and ${layout.end} bytes`);
  const bytes = new Uint8Array(layout.end);
  const view = viewOf(bytes);
  [VERSION, supersedes.length, packs.length, frameCount, chunkCount].forEach((value, i) => view.setUint32(4 * i, value, true));
  supersedes.forEach((id, i) => bytes.set(idBytes(id), layout.supersedes + ID_BYTES * i));
  let frame = 0;
  packs.forEach((pack, i) => {
    writePack(bytes, view, layout.packs + PACK_BYTES * i, pack, frame);
    bytes.set(pack.frames, layout.frames + FRAME_RECORD_BYTES * frame);
    frame += pack.frames.length / FRAME_RECORD_BYTES;
  });
  bytes.set(sortRecords(chunkRecords(packs, chunkCount)), layout.chunks);
  return bytes;
}

function layoutOf(supersedes: number, packs: number, frames: number, chunks: number): Record<'supersedes' | 'packs' | 'frames' | 'chunks' | 'end', number> {
  const packsAt = FIXED_BYTES + ID_BYTES * supersedes;
  const framesAt = packsAt + PACK_BYTES * packs;
  const chunksAt = framesAt + FRAME_RECORD_BYTES * frames;
  return { supersedes: FIXED_BYTES, packs: packsAt, frames: framesAt, chunks: chunksAt, end: chunksAt + SEGMENT_CHUNK_BYTES * chunks };
}

function writePack(bytes: Uint8Array, view: DataView, at: number, pack: PackContent, firstFrame: number): void {
  bytes.set(idBytes(pack.id), at);
  bytes.set(idBytes(pack.sessionId), at + 16);
  view.setBigUint64(at + 32, BigInt(pack.sizeBytes), true);
  view.setUint32(at + 40, pack.epoch, true);
  view.setUint8(at + 44, packObjectType(pack.type));
  view.setUint8(at + 45, pack.suite);
  view.setUint32(at + 48, firstFrame, true);
  view.setUint32(at + 52, pack.frames.length / FRAME_RECORD_BYTES, true);
  view.setUint32(at + 56, pack.chunkCount, true);
}

/** Chunk records in pack order. */
function chunkRecords(packs: readonly PackContent[], chunkCount: number): Uint8Array<ArrayBuffer> {
  const records = new Uint8Array(SEGMENT_CHUNK_BYTES * chunkCount);
  const view = viewOf(records);
  let at = 0;
  packs.forEach((pack, ordinal) => {
    if (pack.chunks.length !== pack.chunkCount * TABLE_CHUNK_BYTES) throw new RangeError('Chunk records and their number disagree');
    const chunks = viewOf(pack.chunks);
    const frames = viewOf(pack.frames);
    let from = 0;
    for (let frame = 0; frame * FRAME_RECORD_BYTES < pack.frames.length; frame++) {
      let offset = 0;
      for (let left = frames.getUint16(frame * FRAME_RECORD_BYTES + 12, true); left > 0; left--) {
        const length = chunks.getUint32(from + CHUNK_ID_BYTES, true);
        for (let i = 0; i < CHUNK_ID_BYTES; i++) records[at + i] = pack.chunks[from + i]!;
        view.setUint32(at + 32, ordinal, true);
        view.setUint32(at + 36, frame, true);
        view.setUint32(at + 40, offset, true);
        view.setUint32(at + 44, length, true);
        offset += length;
        from += TABLE_CHUNK_BYTES;
        at += SEGMENT_CHUNK_BYTES;
      }
    }
  });
  if (at !== records.length) throw new RangeError('Frame records and chunk records disagree');
  return records;
}

/**
 * Records sorted by (ID, ordinal, frame, offset). The first 32 bits of the ID and the place of the record make one exact
 * double (52 bits), so the numeric sort of typed arrays does nearly all the work; the input is in (ordinal, frame, offset)
 * order, so equal IDs stay in it.
 */
function sortRecords(records: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const count = records.length / SEGMENT_CHUNK_BYTES;
  const view = viewOf(records);
  const keys = new Float64Array(count);
  for (let i = 0; i < count; i++) keys[i] = view.getUint32(i * SEGMENT_CHUNK_BYTES, false) * MAX_SEGMENT_CHUNKS + i;
  keys.sort();
  const idAt = (key: number): Uint8Array => {
    const at = (key % MAX_SEGMENT_CHUNKS) * SEGMENT_CHUNK_BYTES;
    return records.subarray(at, at + CHUNK_ID_BYTES);
  };
  for (let start = 0, end = 1; start < count; start = end++) {
    const prefix = Math.floor(keys[start]! / MAX_SEGMENT_CHUNKS);
    while (end < count && Math.floor(keys[end]! / MAX_SEGMENT_CHUNKS) === prefix) end++;
    if (end - start > 1) keys.set(Array.from(keys.subarray(start, end)).sort((a, b) => compareBytes(idAt(a), idAt(b)) || a - b), start);
  }
  const sorted = new Uint8Array(records.length);
  // Records are 48 bytes and both arrays start aligned, so whole words can be moved.
  const from = new Uint32Array(records.buffer, records.byteOffset, records.length / 4);
  const to = new Uint32Array(sorted.buffer);
  const words = SEGMENT_CHUNK_BYTES / 4;
  for (let i = 0; i < count; i++) {
    const source = (keys[i]! % MAX_SEGMENT_CHUNKS) * words;
    for (let word = 0; word < words; word++) to[i * words + word] = from[source + word]!;
  }
  return sorted;
}

function fail(reason: string, context: Record<string, number | string> = {}): Error {
  return corrupt('index segment', reason, context);
}

/** A segment from its payload; records are views of it. @throws OBJECT_CORRUPT, PACK_CORRUPT, UNSUPPORTED_FORMAT */
export function decodeIndexSegment(payload: Bytes): IndexSegment {
  if (payload.length < FIXED_BYTES || payload.length > MAX_SEGMENT_BYTES) throw fail(`${payload.length} bytes`);
  const view = viewOf(payload);
  const version = view.getUint32(0, true);
  if (version !== VERSION) throw unsupported('index segment', `version ${version}`, { version });
  const [supersededCount, packCount, frameCount, chunkCount] = [4, 8, 12, 16].map(at => view.getUint32(at, true)) as [number, number, number, number];
  if (view.getUint32(20, true) !== 0) throw fail('reserved bytes are not zero');
  const layout = layoutOf(supersededCount, packCount, frameCount, chunkCount);
  if (layout.end !== payload.length || chunkCount > MAX_SEGMENT_CHUNKS) throw fail('its counts do not fit its length');
  const frames = payload.subarray(layout.frames, layout.chunks);
  const packs = readPacks(payload, layout.packs, packCount, frames);
  const chunks = payload.subarray(layout.chunks, layout.end);
  checkChunks(chunks, packs, frames);
  return { supersedes: readSuperseded(payload, layout.supersedes, supersededCount), packs, chunks };
}

function readSuperseded(payload: Bytes, at: number, count: number): SegmentId[] {
  const ids = Array.from({ length: count }, (_, i) => toHex(payload.subarray(at + ID_BYTES * i, at + ID_BYTES * (i + 1))) as SegmentId);
  if (new Set(ids).size !== count) throw fail('it supersedes a segment twice');
  return ids;
}

function readPacks(payload: Bytes, at: number, count: number, frames: Bytes): IndexedPack[] {
  const packs: IndexedPack[] = [];
  let frame = 0;
  for (let i = 0; i < count; i++) {
    const pack = readPack(payload.subarray(at + PACK_BYTES * i, at + PACK_BYTES * (i + 1)), frame, frames);
    packs.push(pack);
    frame += pack.frames.length / FRAME_RECORD_BYTES;
  }
  if (frame * FRAME_RECORD_BYTES !== frames.length) throw fail('frames without a pack');
  if (new Set(packs.map(pack => pack.id)).size !== count) throw fail('it lists a pack twice');
  return packs;
}

function readPack(record: Bytes, nextFrame: number, allFrames: Bytes): IndexedPack {
  const view = viewOf(record);
  const id = packIdFromBytes(record.subarray(0, 16));
  const sizeBytes = view.getUint32(32, true) + view.getUint32(36, true) * 2 ** 32;
  const [epoch, type, suite] = [view.getUint32(40, true), view.getUint8(44), view.getUint8(45)];
  const [firstFrame, frameCount, chunkCount] = [view.getUint32(48, true), view.getUint32(52, true), view.getUint32(56, true)];
  if (suite !== 1 && suite !== 2) throw unsupported('index segment', `cipher suite ${suite}`, { pack: id, suite });
  if (type !== OBJECT_TYPES.dataPack && type !== OBJECT_TYPES.treePack) throw unsupported('index segment', `pack type ${type}`, { pack: id, type });
  if (view.getUint16(46, true) !== 0 || view.getUint32(60, true) !== 0) throw fail('reserved bytes are not zero', { pack: id });
  if (epoch === 0 || sizeBytes > MAX_PACK_BYTES || chunkCount > MAX_PACK_CHUNKS) throw fail('epoch, size or number of chunks is not legal', { pack: id });
  const isInList = frameCount >= 1 && frameCount <= MAX_PACK_FRAMES && (firstFrame + frameCount) * FRAME_RECORD_BYTES <= allFrames.length;
  if (firstFrame !== nextFrame || !isInList) throw fail('frames that are not in the list', { pack: id });
  const frames = allFrames.subarray(firstFrame * FRAME_RECORD_BYTES, (firstFrame + frameCount) * FRAME_RECORD_BYTES);
  checkFrames(id, frames, frameCount, chunkCount, sizeBytes);
  return {
    id, sessionId: sessionIdFromBytes(record.subarray(16, 32)), type: type === OBJECT_TYPES.dataPack ? 'data' : 'tree', suite, epoch,
    sizeBytes, chunkCount, frames,
  };
}

/** The tables at both ends are equally long, so the first frame tells where the region of frames must end. */
function checkFrames(id: PackId, frames: Bytes, count: number, chunkCount: number, sizeBytes: number): void {
  const view = viewOf(frames);
  let start = Number.POSITIVE_INFINITY;
  let chunks = 0;
  for (let i = 0; i < count; i++) {
    const frame = readFrameRecord(view, i * FRAME_RECORD_BYTES);
    checkFrame('index segment', i, frame);
    start = Math.min(start, frame.offset);
    chunks += frame.chunkCount;
  }
  if (chunks !== chunkCount) throw fail('frames and chunks of a pack disagree', { pack: id });
  const tableBytes = start - HEADER_BYTES;
  if (tableBytes < 0) throw fail('a frame in the header of its pack', { pack: id });
  checkTiling('index segment', frames, FRAME_RECORD_BYTES, 0, count, start, sizeBytes - TRAILER_BYTES - tableBytes);
}

/** Order, bounds, and that the chunks of every frame add up to it: a segment lists whole packs only. */
function checkChunks(chunks: Bytes, packs: readonly IndexedPack[], frames: Bytes): void {
  const view = viewOf(chunks);
  const frameView = viewOf(frames);
  const frameCount = frames.length / FRAME_RECORD_BYTES;
  const firstFrames = new Uint32Array(packs.length + 1);
  packs.forEach((pack, i) => { firstFrames[i + 1] = firstFrames[i]! + pack.frames.length / FRAME_RECORD_BYTES; });
  const rawLengths = Uint32Array.from({ length: frameCount }, (_, i) => frameView.getUint32(i * FRAME_RECORD_BYTES + 8, true));
  const filled = new Float64Array(frameCount);
  const found = new Uint32Array(frameCount);
  for (let at = 0; at < chunks.length; at += SEGMENT_CHUNK_BYTES) {
    const ordinal = view.getUint32(at + 32, true);
    if (ordinal >= packs.length) throw fail('a chunk of a pack that is not listed', { offset: at });
    const frame = firstFrames[ordinal]! + view.getUint32(at + 36, true);
    if (frame >= firstFrames[ordinal + 1]!) throw fail('a chunk of a frame that its pack does not have', { offset: at });
    const length = view.getUint32(at + 44, true);
    if (length === 0 || view.getUint32(at + 40, true) + length > rawLengths[frame]!) throw fail('a chunk outside its frame', { offset: at });
    if (at > 0 && compareRecords(chunks, view, at - SEGMENT_CHUNK_BYTES, at) >= 0) throw fail('chunks that are not in order', { offset: at });
    filled[frame]! += length;
    found[frame]!++;
  }
  for (let i = 0; i < frameCount; i++) {
    const chunkCount = frameView.getUint16(i * FRAME_RECORD_BYTES + 12, true);
    if (found[i] !== chunkCount || (chunkCount > 0 && filled[i] !== rawLengths[i])) throw fail('chunks that do not fill their frame', { frame: i });
  }
}

function compareRecords(chunks: Bytes, view: DataView, a: number, b: number): number {
  for (let i = 0; i < CHUNK_ID_BYTES; i++) {
    const difference = chunks[a + i]! - chunks[b + i]!;
    if (difference !== 0) return difference;
  }
  for (let field = 32; field < 44; field += 4) {
    const difference = view.getUint32(a + field, true) - view.getUint32(b + field, true);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * The packs of a segment with their chunks back in frame order, to write them into another segment.
 * @throws OBJECT_CORRUPT when the chunks do not tile their frames
 */
export function unpackSegment(segment: IndexSegment): PackContent[] {
  const view = viewOf(segment.chunks);
  const contents = segment.packs.map(pack => ({ ...pack, chunks: new Uint8Array(pack.chunkCount * TABLE_CHUNK_BYTES) }));
  const places = segment.packs.map(pack => new FramePlaces(pack));
  for (let at = 0; at < segment.chunks.length; at += SEGMENT_CHUNK_BYTES) {
    const ordinal = view.getUint32(at + 32, true);
    places[ordinal]!.add(view.getUint32(at + 36, true), view.getUint32(at + 40, true), view.getUint32(at + 44, true), at);
  }
  const from = words(segment.chunks);
  contents.forEach((content, ordinal) => {
    const to = words(content.chunks);
    places[ordinal]!.inOrder().forEach((source, i) => {
      const [at, target] = [source / 4, i * TABLE_CHUNK_BYTES / 4];
      for (let word = 0; word < CHUNK_ID_BYTES / 4; word++) to[target + word] = from[at + word]!;
      to[target + CHUNK_ID_BYTES / 4] = from[at + 11]!;
    });
  });
  return contents;
}

/** Records are whole words, which are moved much faster than bytes; a view that does not start at one is copied. */
function words(records: Bytes): Uint32Array<ArrayBufferLike> {
  const aligned = records.byteOffset % 4 === 0 ? records : records.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

/** The chunks of one pack by frame, then by offset. */
class FramePlaces {
  readonly #next: Uint32Array<ArrayBuffer>;
  readonly #first: Uint32Array<ArrayBuffer>;
  readonly #spans: Float64Array<ArrayBuffer>;
  readonly #sources: Float64Array<ArrayBuffer>;

  constructor(pack: IndexedPack) {
    const frameCount = pack.frames.length / FRAME_RECORD_BYTES;
    this.#first = new Uint32Array(frameCount + 1);
    for (let i = 0; i < frameCount; i++) this.#first[i + 1] = this.#first[i]! + frameRecordAt(pack.frames, i).chunkCount;
    this.#next = this.#first.slice(0, frameCount);
    this.#spans = new Float64Array(pack.chunkCount);
    this.#sources = new Float64Array(pack.chunkCount);
  }

  add(frame: number, offset: number, length: number, source: number): void {
    const place = this.#next[frame]!++;
    // Offsets and lengths are at most 16 MiB: 25 bits each.
    this.#spans[place] = offset * 2 ** 25 + length;
    this.#sources[place] = source;
  }

  inOrder(): number[] {
    const sources: number[] = [];
    for (let frame = 0; frame < this.#next.length; frame++) {
      const [start, end] = [this.#first[frame]!, this.#first[frame + 1]!];
      const places = Array.from({ length: end - start }, (_, i) => start + i);
      if (places.length > 1) places.sort((a, b) => this.#spans[a]! - this.#spans[b]!);
      let offset = 0;
      for (const place of places) {
        const span = this.#spans[place]!;
        if (Math.floor(span / 2 ** 25) !== offset) throw fail('chunks that do not tile their frame', { frame });
        offset += span % 2 ** 25;
        sources.push(this.#sources[place]!);
      }
    }
    return sources;
  }
}
