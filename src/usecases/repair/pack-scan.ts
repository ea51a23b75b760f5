/**
 * Reads one pack as far as it can be read, for a repair: both tables, and every frame by the best description of the pack that
 * is left. A frame is the unit of loss: a damaged one costs its chunks and nothing else (repository design, section 16.4).
 */
import type { Bytes } from '../../base/bytes.ts';
import { toHex, viewOf } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { FrameToOpen, OpenedFrame } from '../../engine/engine.ts';
import { encodeFramePrefix, FRAME_RECORD_BYTES, frameRecordAt, type FrameRecord } from '../../format/frame.ts';
import { decodeHeader, HEADER_BYTES, isPackType } from '../../format/header.ts';
import { CHUNK_ID_BYTES, packIdFromBytes } from '../../format/ids.ts';
import { packContent, type PackContent } from '../../format/index-segment.ts';
import { packObjectType, type PackIdentity } from '../../format/key-derivation.ts';
import { packName } from '../../format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes, packTailBytes } from '../../format/pack.ts';
import { checkSameTables, TABLE_CHUNK_BYTES, TRAILER_BYTES, type PackTable } from '../../format/pack-table.ts';
import type { AeadSuite } from '../../kernel/kernel.ts';
import { isUnreadable, isUnreadableRange } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { tableOptions, type StoredPack } from '../../repository/pack-tables.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';

/** One read and one batch for the engine: stored bytes, and the content that comes of them. */
const RANGE_BYTES = 4 * MiB;
const RANGE_CONTENT_BYTES = 8 * MiB;
/** Bytes of a pack, from a storage or from memory. */
export type ReadPack = (offset: number, length: number) => Promise<Bytes>;

/** A frame of which something can be read. */
export interface ReadableFrame {
  readonly number: number;
  /** `TABLE_CHUNK_BYTES` each. */
  readonly chunks: Bytes;
  /** Places in the list of chunks whose content does not match its ID. */
  readonly wrong: readonly number[];
  /** Undefined when it was not asked for, and for frames with wrong chunks. */
  readonly content: Bytes | undefined;
}

export interface PackScanOptions extends CallOptions {
  /** Defaults to the pack under its name. */
  readonly read?: ReadPack | undefined;
  readonly wantsContent: boolean;
  /** In the order of the pack; the next one comes when the promise has resolved. */
  readonly onFrame?: ((frame: ReadableFrame) => Promise<void>) | undefined;
}

export const FRAME_WHOLE = 0;
export const FRAME_LOST = 1;
/** It opens, but some of its chunks do not match their IDs. */
export const FRAME_PARTLY_WRONG = 2;

export interface PackCondition {
  /** What the pack holds, by one of its tables, else by the index; undefined when nobody knows. */
  readonly content: PackContent | undefined;
  /** By frame number, see `FRAME_…`. */
  readonly frames: Uint8Array;
  /** Chunks that do not match their IDs, see `placeKey`. */
  readonly wrongPlaces: ReadonlySet<string>;
  /** What is wrong, in words; none: the pack is whole. */
  readonly faults: readonly string[];
}

interface Frame extends FrameRecord {
  readonly number: number;
  readonly chunks: Bytes;
}

export class PackScan {
  bytesRead = 0;
  readonly #repository: OpenRepository;
  readonly #engine: ExtractEngine;
  readonly #onRead: (bytes: number) => void;

  constructor(repository: OpenRepository, engine: ExtractEngine, onRead: (bytes: number) => void = () => undefined) {
    this.#repository = repository;
    this.#engine = engine;
    this.#onRead = onRead;
  }

  /**
   * `indexed` is what the index says of the pack. @throws OBJECT_NOT_FOUND when the pack has vanished, UNSUPPORTED_FORMAT, every
   * error that is no damage
   */
  async run(pack: StoredPack, indexed: PackContent | undefined, options: PackScanOptions): Promise<PackCondition> {
    const read = options.read ?? ((offset, length) => this.#read(pack, offset, length, options));
    const faults: string[] = [];
    const table = await this.#readTables(pack, read, faults);
    const content = table === undefined ? indexed : packContent(table);
    if (content === undefined) {
      return { content, frames: new Uint8Array(0), wrongPlaces: new Set(), faults: [...faults, 'No index segment says what it holds'] };
    }
    const identities = table === undefined ? await this.#identities(pack, read, content) : [table];
    const frames = new Uint8Array(content.frames.length / FRAME_RECORD_BYTES).fill(FRAME_LOST);
    const wrongPlaces = new Set<string>();
    for (const range of identities.length === 0 ? [] : planRanges(content, pack.sizeBytes)) {
      const stored = await readRange(range, read);
      for (const [i, { verdict, content: plaintext }] of (await this.#open(pack, identities, range, stored, options)).entries()) {
        const { number, chunks } = range[i]!;
        if (typeof verdict === 'string' && verdict !== 'ok') continue;
        const wrong = typeof verdict === 'string' ? [] : verdict;
        frames[number] = wrong.length === 0 ? FRAME_WHOLE : FRAME_PARTLY_WRONG;
        for (const place of offsetsOf(chunks, wrong)) wrongPlaces.add(placeKey(number, place));
        await options.onFrame?.({ number, chunks, wrong, content: plaintext });
      }
    }
    addFrameFaults(frames, wrongPlaces.size, faults);
    return { content, frames, wrongPlaces, faults };
  }

  /** What is wrong with its tables alone: two small reads. @throws as `run` */
  async lookAtTables(pack: StoredPack, options: CallOptions): Promise<readonly string[]> {
    const faults: string[] = [];
    await this.#readTables(pack, (offset, length) => this.#read(pack, offset, length, options), faults);
    return faults;
  }

  /** The pack that its header, or the copy of it at the end, says it is; undefined when neither says anything. */
  async identityOf(pack: StoredPack, options: CallOptions): Promise<StoredPack | undefined> {
    for (const offset of [0, pack.sizeBytes - TRAILER_BYTES]) {
      if (offset < 0 || offset + HEADER_BYTES > pack.sizeBytes) continue;
      const header = await attempt(async () => decodeHeader(await this.#read(pack, offset, HEADER_BYTES, options)));
      if (header instanceof SnapError || !isPackType(header.type)) continue;
      return { type: header.type === packObjectType('data') ? 'data' : 'tree', id: packIdFromBytes(header.objectId), sizeBytes: pack.sizeBytes };
    }
    return undefined;
  }

  // --- tables ---

  /** @throws UNSUPPORTED_FORMAT when neither table opens and one seems to need a newer version */
  async #readTables(pack: StoredPack, read: ReadPack, faults: string[]): Promise<PackTable | undefined> {
    const options = tableOptions(this.#repository, pack);
    const { sizeBytes } = pack;
    const front = await attempt(async () => openPackHead(await readTable(read, packHeadBytes, sizeBytes, () => 0), options));
    const back = await attempt(async () => openPackTail(await readTable(read, packTailBytes, sizeBytes, length => sizeBytes - length), options));
    if (front instanceof SnapError && back instanceof SnapError) {
      for (const error of [front, back]) if (error.kind === 'unsupported') throw error;
      faults.push(`Both of its tables are damaged: ${front.message}`);
      return undefined;
    }
    if (front instanceof SnapError) faults.push(`Its front table is damaged: ${front.message}`);
    else if (back instanceof SnapError) faults.push(`Its back table is damaged: ${back.message}`);
    else {
      const difference = await attempt(async () => checkSameTables(front, back));
      if (difference instanceof SnapError) faults.push(difference.message);
    }
    return front instanceof SnapError ? back as PackTable : front;
  }

  /** Without a table the salt in the header, or in its copy at the end, decides the key; which of the two is right is tried. */
  async #identities(pack: StoredPack, read: ReadPack, { suite, epoch }: PackContent): Promise<PackIdentity[]> {
    const identities: PackIdentity[] = [];
    for (const offset of [0, pack.sizeBytes - TRAILER_BYTES]) {
      if (offset < 0 || offset + HEADER_BYTES > pack.sizeBytes) continue;
      const header = await attempt(async () => decodeHeader(await read(offset, HEADER_BYTES)));
      if (header instanceof SnapError || header.type !== packObjectType(pack.type) || toHex(header.objectId) !== pack.id) continue;
      if (header.suite !== suite || header.epoch !== epoch || identities.some(({ salt }) => toHex(salt) === toHex(header.random))) continue;
      identities.push({ type: pack.type, suite: suite as AeadSuite, epoch, id: pack.id, salt: header.random });
    }
    return identities;
  }

  // --- frames ---

  async #open(
    pack: StoredPack, identities: readonly PackIdentity[], range: readonly Frame[], stored: readonly (Bytes | undefined)[], options: PackScanOptions,
  ): Promise<OpenedFrame[]> {
    const opened = range.map((): OpenedFrame => ({ verdict: 'sealed', content: undefined }));
    for (const identity of identities) {
      const left = range.flatMap((frame, i) => (opened[i]!.verdict === 'sealed' && stored[i] !== undefined ? [{ frame, i }] : []));
      if (left.length === 0) break;
      const { keys } = this.#repository;
      const frames = left.map(({ frame: { number, rawLength, codec, flags, chunks }, i }): FrameToOpen => ({ frame: number, stored: stored[i]!, rawLength, codec, flags, chunks }));
      const answers = await this.#engine.extract({
        suite: identity.suite, framePrefix: encodeFramePrefix(identity, keys.repositoryId), frameKey: keys.packKeys(identity).frameKey.slice(), type: pack.type, frames,
        wantsContent: options.wantsContent,
      }, options);
      left.forEach(({ i }, k) => { opened[i] = answers[k]!; });
    }
    return opened;
  }

  async #read({ type, id }: StoredPack, offset: number, length: number, options: CallOptions): Promise<Bytes> {
    const bytes = await this.#repository.backend.read(packName(type, id), { offset, length }, options);
    this.bytesRead += bytes.length;
    this.#onRead(bytes.length);
    return bytes;
  }
}

async function attempt<T>(work: () => Promise<T>): Promise<T | SnapError> {
  try {
    return await work();
  } catch (error) {
    if (!isUnreadable(error) && !isUnreadableRange(error)) throw error;
    return error;
  }
}

const USUAL_TABLE_BYTES = 64 * 1024;

/** One end of a pack, as much of it as its table takes. */
async function readTable(read: ReadPack, wantedBytes: (bytes: Bytes) => number, sizeBytes: number, offsetOf: (length: number) => number): Promise<Bytes> {
  const usual = Math.min(USUAL_TABLE_BYTES, sizeBytes);
  const bytes = await read(offsetOf(usual), usual);
  const wanted = Math.min(wantedBytes(bytes), sizeBytes);
  return wanted <= bytes.length ? bytes : read(offsetOf(wanted), wanted);
}

/** Neighbouring frames together, in the order of the pack; what lies beyond its end is left out. */
function planRanges(content: PackContent, sizeBytes: number): Frame[][] {
  const frames = framesOf(content).filter(({ offset, storedLength }) => offset + storedLength <= sizeBytes).sort((a, b) => a.offset - b.offset);
  const ranges: Frame[][] = [];
  let contentBytes = 0;
  for (const frame of frames) {
    const range = ranges.at(-1);
    const fits = range !== undefined && frame.offset + frame.storedLength - range[0]!.offset <= RANGE_BYTES && contentBytes + frame.rawLength <= RANGE_CONTENT_BYTES;
    contentBytes = (fits ? contentBytes : 0) + frame.rawLength;
    if (fits) range.push(frame);
    else ranges.push([frame]);
  }
  return ranges;
}

function framesOf({ frames, chunks }: PackContent): Frame[] {
  let first = 0;
  return Array.from({ length: frames.length / FRAME_RECORD_BYTES }, (_, number) => {
    const record = frameRecordAt(frames, number);
    const from = first;
    first += record.chunkCount;
    return { ...record, number, chunks: chunks.subarray(from * TABLE_CHUNK_BYTES, first * TABLE_CHUNK_BYTES) };
  });
}

/** One read; when a part of it cannot be had, frame by frame. */
async function readRange(range: readonly Frame[], read: ReadPack): Promise<(Bytes | undefined)[]> {
  const start = range[0]!.offset;
  const last = range.at(-1)!;
  const bytes = await attempt(() => read(start, last.offset + last.storedLength - start));
  if (!(bytes instanceof SnapError)) return range.map(({ offset, storedLength }) => bytes.subarray(offset - start, offset - start + storedLength));
  return range.length === 1 ? [undefined] : (await Promise.all(range.map(frame => readRange([frame], read)))).flat();
}

function addFrameFaults(frames: Uint8Array, wrongChunks: number, faults: string[]): void {
  const lost = frames.filter(state => state === FRAME_LOST).length;
  if (lost > 0) faults.push(`${lost} of its ${frames.length} frames cannot be read`);
  if (wrongChunks > 0) faults.push(`${wrongChunks} of its chunks do not match their IDs`);
}

/** A chunk by its frame and its offset there. */
export function placeKey(frame: number, offset: number): string {
  return `${frame}/${offset}`;
}

function offsetsOf(chunks: Bytes, indices: readonly number[]): number[] {
  if (indices.length === 0) return [];
  const view = viewOf(chunks);
  const offsets: number[] = [];
  for (let i = 0, offset = 0; i * TABLE_CHUNK_BYTES < chunks.length; i++) {
    if (indices.includes(i)) offsets.push(offset);
    offset += view.getUint32(i * TABLE_CHUNK_BYTES + CHUNK_ID_BYTES, true);
  }
  return offsets;
}
