/**
 * Level 4 of a check for one pack: both tables, the index and every frame, read in order in few large ranges and opened by
 * the engine (repository design, section 16.2).
 */
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { SnapError } from '../base/errors.ts';
import { MiB } from '../base/units.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { FrameToOpen } from '../engine/engine.ts';
import { CHUNK_ID_BYTES } from '../format/ids.ts';
import { encodeFramePrefix } from '../format/frame.ts';
import { packContent, type PackContent } from '../format/index-segment.ts';
import { packName } from '../format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes } from '../format/pack.ts';
import { checkSameTables, findDuplicateChunks, firstChunks, tableFrameAt, TABLE_CHUNK_BYTES, TRAILER_BYTES, type PackTable, type TableFrame } from '../format/pack-table.ts';
import { isUnreadable } from '../repository/damage.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { readBackTable, tableOptions, type StoredPack } from '../repository/pack-tables.ts';
import type { ExtractEngine } from './extract-engine.ts';
import type { FindingList } from './findings.ts';
import { frameError } from './frame-loader.ts';
import type { DamageMap } from './verify-damage.ts';

/** Stored bytes of one read and one batch; several are in memory at the same time, twice each. */
const RANGE_BYTES = 4 * MiB;

interface Frame extends TableFrame {
  readonly number: number;
}

export class PackCheck {
  readonly #repository: OpenRepository;
  readonly #engine: ExtractEngine;
  readonly #damage: DamageMap;
  readonly #findings: FindingList;
  readonly #onRead: (bytes: number) => void;

  constructor(repository: OpenRepository, engine: ExtractEngine, damage: DamageMap, findings: FindingList, onRead: (bytes: number) => void) {
    this.#repository = repository;
    this.#engine = engine;
    this.#damage = damage;
    this.#findings = findings;
    this.#onRead = onRead;
  }

  /** `indexed` is what an index segment says of the pack. @throws OBJECT_NOT_FOUND when the pack has vanished; every error that is no damage */
  async run(pack: StoredPack, indexed: PackContent | undefined, options: CallOptions): Promise<void> {
    const number = this.#repository.cache.chunks.packNumber(pack.id);
    const head = await this.#read(pack, 0, Math.min(RANGE_BYTES, pack.sizeBytes), options);
    const front = await this.#openFront(pack, head, options);
    const isFrontGood = !(front instanceof SnapError);
    const table = isFrontGood ? front : await this.#openBack(pack, front, options);
    if (table === undefined) return this.#packIsBad(pack, number, 'Both tables of the pack are damaged');
    if (indexed !== undefined && !isSameContent(packContent(table), indexed)) this.#packIsBad(pack, number, 'The index does not say of the pack what its own table says');
    for (const id of findDuplicateChunks(table)) this.#warn(pack, `The pack holds chunk ${Buffer.from(id).toString('hex')} twice`);
    await this.#checkFrames(pack, number, table, head, isFrontGood, options);
  }

  async #checkFrames(pack: StoredPack, number: PackNumber | undefined, table: PackTable, head: Bytes, isFrontGood: boolean, options: CallOptions): Promise<void> {
    const { keys } = this.#repository;
    const first = firstChunks(table);
    const opening = { suite: table.suite, framePrefix: encodeFramePrefix(table, keys.repositoryId), type: pack.type, wantsContent: false };
    for (const { frames, end } of planRanges(table, head.length)) {
      const start = frames[0]!.offset;
      const bytes = end <= head.length ? head.subarray(start, end) : await this.#read(pack, start, end - start, options);
      const toOpen = frames.map((frame): FrameToOpen => ({
        frame: frame.number, rawLength: frame.rawLength, codec: frame.codec, flags: frame.flags,
        stored: bytes.subarray(frame.offset - start, frame.offset - start + frame.storedLength),
        chunks: table.chunks.subarray(first[frame.number]! * TABLE_CHUNK_BYTES, first[frame.number + 1]! * TABLE_CHUNK_BYTES),
      }));
      const opened = await this.#engine.extract({ ...opening, frameKey: keys.packKeys(table).frameKey, frames: toOpen }, options);
      opened.forEach(({ verdict }, i) => { this.#judge(pack, number, toOpen[i]!, verdict); });
      if (end === pack.sizeBytes && isFrontGood) this.#compareTables(pack, table, bytes);
    }
  }

  #judge(pack: StoredPack, number: PackNumber | undefined, { frame, chunks }: FrameToOpen, verdict: 'ok' | 'sealed' | 'compressed' | readonly number[]): void {
    if (verdict === 'ok') return;
    const name = packName(pack.type, pack.id);
    if (number === undefined) return this.#add('frame', name, frameError(pack, { frame, verdict }).message);
    if (typeof verdict === 'string') return this.#damage.frameIsBad(number, frame, name, frameError(pack, { frame, verdict }).message);
    for (let i = 0, offset = 0; i * TABLE_CHUNK_BYTES < chunks.length; i++) {
      const at = i * TABLE_CHUNK_BYTES;
      if (verdict.includes(i)) this.#damage.placeIsBad(number, frame, offset, chunks.subarray(at, at + CHUNK_ID_BYTES));
      offset += new DataView(chunks.buffer, chunks.byteOffset + at + CHUNK_ID_BYTES, 4).getUint32(0, true);
    }
  }

  // --- tables ---

  async #openFront(pack: StoredPack, head: Bytes, options: CallOptions): Promise<PackTable | SnapError> {
    try {
      const wanted = Math.min(packHeadBytes(head), pack.sizeBytes);
      return openPackHead(wanted <= head.length ? head : await this.#read(pack, 0, wanted, options), tableOptions(this.#repository, pack));
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      return error;
    }
  }

  /** One flipped bit of the front can make it look like one of a newer version; when the back does not open either, it may be one. */
  async #openBack(pack: StoredPack, front: SnapError, options: CallOptions): Promise<PackTable | undefined> {
    try {
      const table = await readBackTable(this.#repository, pack, options);
      this.#add('pack', packName(pack.type, pack.id), `The front table of the pack is damaged: ${front.message}`);
      return table;
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      if (front.kind === 'unsupported') throw front;
      if (error.kind === 'unsupported') throw error;
      return undefined;
    }
  }

  #compareTables(pack: StoredPack, front: PackTable, tail: Bytes): void {
    try {
      checkSameTables(front, openPackTail(tail, tableOptions(this.#repository, pack)));
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      this.#add('pack', packName(pack.type, pack.id), `The back table of the pack is damaged: ${error.message}`);
    }
  }

  // --- reading and reporting ---

  async #read({ type, id }: StoredPack, offset: number, length: number, options: CallOptions): Promise<Bytes> {
    const bytes = await this.#repository.backend.read(packName(type, id), { offset, length }, options);
    this.#onRead(bytes.length);
    return bytes;
  }

  #packIsBad(pack: StoredPack, number: PackNumber | undefined, message: string): void {
    if (number === undefined) this.#add('pack', packName(pack.type, pack.id), message);
    else this.#damage.packIsBad(number, packName(pack.type, pack.id), message);
  }

  #add(object: string, name: string, message: string): void {
    this.#findings.add({ object, name, message, severity: 'damage', files: [] });
  }

  #warn(pack: StoredPack, message: string): void {
    this.#findings.add({ object: 'pack', name: packName(pack.type, pack.id), message, severity: 'warning', files: [] });
  }
}

/** Frames in the order of the pack, as ranges: the first of what is read already, the last up to the end of the pack. */
function planRanges(table: PackTable, headBytes: number): { frames: Frame[]; end: number }[] {
  const frames = Array.from({ length: table.frameCount }, (_, number): Frame => ({ ...tableFrameAt(table, number), number })).sort((a, b) => a.offset - b.offset);
  const tailBytes = TRAILER_BYTES + table.tableBytes;
  const ranges: { frames: Frame[]; end: number }[] = [];
  let limit = headBytes;
  for (const frame of frames) {
    const end = frame.offset + frame.storedLength;
    const last = ranges.at(-1);
    if (last !== undefined && end <= limit) {
      last.frames.push(frame);
      last.end = end;
    } else {
      ranges.push({ frames: [frame], end });
      if (end > limit) limit = frame.offset + Math.max(RANGE_BYTES, frame.storedLength);
    }
  }
  const last = ranges.at(-1)!;
  last.end += tailBytes;
  return ranges;
}

function isSameContent(a: PackContent, b: PackContent): boolean {
  return a.id === b.id && a.type === b.type && a.suite === b.suite && a.epoch === b.epoch && a.sizeBytes === b.sizeBytes && a.sessionId === b.sessionId
    && a.chunkCount === b.chunkCount && equalBytes(a.frames, b.frames) && equalBytes(a.chunks, b.chunks);
}
