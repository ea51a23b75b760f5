/**
 * What a restore has to read: references to chunks in columns (no object per chunk), and the plan of reads that opens every
 * frame once for all its places, in the order of the packs (performance design, section 9). Pure.
 */
import { viewOf } from '../../base/bytes.ts';
import type { ChunkLocation, PackNumber, PackRecord } from '../../cache/cache.ts';
import { FRAME_RECORD_BYTES, readFrameRecord } from '../../format/frame.ts';
import { CHUNK_ID_BYTES, type ChunkId } from '../../format/ids.ts';
import { MAX_GAP_BYTES, MAX_READ_BYTES, MAX_READ_CONTENT_BYTES } from '../reading/frame-loader.ts';

/** References in one window; at worst each has an entry of its own in memory, about 1 KiB. A number has 16 bits in the plan. */
export const WINDOW_REFERENCES = 8_192;

/** In place of a pack number: a run of zeros. */
export const ZEROS: PackNumber = 0;
/** In place of a pack number: no usable pack was known to hold the chunk. */
export const NOWHERE: PackNumber = 0xffff_ffff;

/** References of files to chunks, in the order in which they were added. */
export class RestoreWindow {
  readonly capacity: number;
  readonly ids: Uint8Array<ArrayBuffer>;
  readonly packs: Uint32Array<ArrayBuffer>;
  readonly frames: Uint16Array<ArrayBuffer>;
  /** In the content of the frame. */
  readonly offsets: Uint32Array<ArrayBuffer>;
  /** Runs of zeros may be longer than 32 bits say. */
  readonly lengths: Float64Array<ArrayBuffer>;
  /** The caller's number of the file. */
  readonly files: Uint32Array<ArrayBuffer>;
  /** In the file. */
  readonly positions: Float64Array<ArrayBuffer>;
  count = 0;

  constructor(capacity: number = WINDOW_REFERENCES) {
    if (!(capacity >= 1 && capacity <= WINDOW_REFERENCES)) throw new RangeError(`A window holds 1 to ${WINDOW_REFERENCES} references`);
    this.capacity = capacity;
    this.ids = new Uint8Array(capacity * CHUNK_ID_BYTES);
    this.packs = new Uint32Array(capacity);
    this.frames = new Uint16Array(capacity);
    this.offsets = new Uint32Array(capacity);
    this.lengths = new Float64Array(capacity);
    this.files = new Uint32Array(capacity);
    this.positions = new Float64Array(capacity);
  }

  get isFull(): boolean {
    return this.count === this.capacity;
  }

  /** `id` undefined: zeros. `location` undefined: no usable pack is known. */
  add(file: number, position: number, length: number, id: ChunkId | undefined, location: ChunkLocation | undefined): void {
    const i = this.count++;
    this.files[i] = file;
    this.positions[i] = position;
    this.lengths[i] = length;
    if (id !== undefined) this.ids.set(id, i * CHUNK_ID_BYTES);
    this.packs[i] = id === undefined ? ZEROS : location?.pack ?? NOWHERE;
    this.frames[i] = location?.frame ?? 0;
    this.offsets[i] = location?.offset ?? 0;
  }

  id(i: number): Uint8Array {
    return this.ids.subarray(i * CHUNK_ID_BYTES, (i + 1) * CHUNK_ID_BYTES);
  }
}

/** Frames to be read at once, and what is wanted from them. */
export interface PlannedRead {
  readonly pack: PackNumber;
  /** By their place in the pack. */
  readonly frames: readonly number[];
  /** References of frame k: `references` from `starts[k]` up to `starts[k + 1]`, in the order of the window. */
  readonly references: Uint32Array;
  readonly starts: readonly number[];
}

export interface ReadPlan {
  readonly reads: readonly PlannedRead[];
  /** References to runs of zeros, and those without a place. */
  readonly zeros: readonly number[];
  readonly nowhere: readonly number[];
}

/** `packOf` gives the record of a pack, or undefined when its chunks are to be taken as missing. */
export function planReads(window: RestoreWindow, packOf: (number: PackNumber) => PackRecord | undefined): ReadPlan {
  const zeros: number[] = [];
  const nowhere: number[] = [];
  const groups: PackGroup[] = [];
  const ordinals = new Map<PackNumber, number>();
  const keys = new Float64Array(window.count);
  let keyed = 0;
  for (let i = 0; i < window.count; i++) {
    const pack = window.packs[i]!;
    if (pack === ZEROS || pack === NOWHERE) {
      (pack === ZEROS ? zeros : nowhere).push(i);
      continue;
    }
    let ordinal = ordinals.get(pack);
    if (ordinal === undefined) {
      const record = packOf(pack);
      ordinal = record === undefined ? -1 : groups.push({ pack, record, frames: [], starts: [] }) - 1;
      ordinals.set(pack, ordinal);
    }
    const record = groups[ordinal]?.record;
    if (record === undefined || window.frames[i]! * FRAME_RECORD_BYTES >= record.frames.length) nowhere.push(i);
    else keys[keyed++] = sortKey(ordinal, window.frames[i]!, i);
  }
  // All 48 bits of a key are exact in a double, so the numeric sort of typed arrays does the work.
  const sorted = keys.subarray(0, keyed).sort();
  const references = groupByFrame(sorted, groups);
  return { reads: groups.flatMap(group => planPack(group, references)), zeros, nowhere };
}

interface PackGroup {
  readonly pack: PackNumber;
  readonly record: PackRecord;
  readonly frames: number[];
  /** First reference of each frame, and at the end that of the next pack. */
  readonly starts: number[];
}

function sortKey(ordinal: number, frame: number, i: number): number {
  return (ordinal * 2 ** 16 + frame) * 2 ** 16 + i;
}

function groupByFrame(sorted: Float64Array, groups: readonly PackGroup[]): Uint32Array {
  const references = new Uint32Array(sorted.length);
  let previous = -1;
  for (let at = 0; at < sorted.length; at++) {
    const key = sorted[at]!;
    references[at] = key % 2 ** 16;
    const place = Math.floor(key / 2 ** 16);
    if (place === previous) continue;
    previous = place;
    const group = groups[Math.floor(place / 2 ** 16)]!;
    group.frames.push(place % 2 ** 16);
    group.starts.push(at);
  }
  let end = sorted.length;
  for (let i = groups.length - 1; i >= 0; i--) {
    const { starts } = groups[i]!;
    const first = starts[0] ?? end;
    starts.push(end);
    end = first;
  }
  return references;
}

/** Cuts the frames of one pack, by their place in it, where a gap or a read would become too large. */
function planPack({ pack, record, frames, starts }: PackGroup, references: Uint32Array): PlannedRead[] {
  const view = viewOf(record.frames);
  const known = frames.map((frame, index) => ({ index, ...readFrameRecord(view, frame * FRAME_RECORD_BYTES), frame })).sort((a, b) => a.offset - b.offset);
  const reads: PlannedRead[] = [];
  for (let start = 0; start < known.length;) {
    let end = start;
    let rawBytes = 0;
    let last = known[start]!.offset;
    for (; end < known.length; end++) {
      const { offset, storedLength, rawLength } = known[end]!;
      const isTooMuch = offset - last > MAX_GAP_BYTES || offset + storedLength - known[start]!.offset > MAX_READ_BYTES || rawBytes + rawLength > MAX_READ_CONTENT_BYTES;
      if (end > start && isTooMuch) break;
      rawBytes += rawLength;
      last = offset + storedLength;
    }
    reads.push(makeRead(pack, known.slice(start, end), starts, references));
    start = end;
  }
  return reads;
}

function makeRead(pack: PackNumber, frames: readonly { readonly frame: number; readonly index: number }[], starts: readonly number[], references: Uint32Array): PlannedRead {
  const own: number[] = [0];
  for (const { index } of frames) own.push(own.at(-1)! + starts[index + 1]! - starts[index]!);
  const wanted = new Uint32Array(own.at(-1)!);
  frames.forEach(({ index }, k) => { wanted.set(references.subarray(starts[index]!, starts[index + 1]!), own[k]!); });
  return { pack, frames: frames.map(({ frame }) => frame), references: wanted, starts: own };
}
