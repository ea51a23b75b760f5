/**
 * Level 4 of a check for one pack: both tables, the index and every frame, read in order in few large ranges and opened by
 * the engine (repository design, section 16.2).
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { releaseMemory } from '../../base/release-memory.ts';
import { MiB } from '../../base/units.ts';
import type { FrameToOpen, OpenedFrame } from '../../engine/engine.ts';
import { CHUNK_ID_BYTES } from '../../format/ids.ts';
import { encodeFramePrefix } from '../../format/frame.ts';
import { packName } from '../../format/object-names.ts';
import { openPackHead, openPackTail, packHeadBytes } from '../../format/pack.ts';
import { firstChunks, tableFrameAt, TABLE_CHUNK_BYTES, TRAILER_BYTES, type PackTable, type TableFrame } from '../../format/pack-table.ts';
import { readBackTable, tableOptions, type StoredPack } from '../../repository/pack-tables.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import { frameError } from '../reading/frame-loader.ts';
import type { VerifyRun } from './verify-run.ts';
import { attemptTable, type TableCheck, type TableResult } from './verify-tables.ts';

/** Stored bytes of one read and one batch; several are in memory at the same time, twice each. */
const RANGE_BYTES = 4 * MiB;

interface Frame extends TableFrame {
  readonly number: number;
}

export interface PackVerdict {
  readonly isGood: boolean;
  /** How far the check came. */
  readonly detail: 'tables' | 'data';
}

export class PackCheck {
  readonly #run: Pick<VerifyRun, 'repository' | 'damage' | 'findings'>;
  readonly #tables: TableCheck;
  readonly #engine: ExtractEngine;
  readonly #onRead: (bytes: number) => void;

  constructor(run: Pick<VerifyRun, 'repository' | 'damage' | 'findings'>, tables: TableCheck, engine: ExtractEngine, onRead: (bytes: number) => void) {
    this.#run = run;
    this.#tables = tables;
    this.#engine = engine;
    this.#onRead = onRead;
  }

  /** @throws OBJECT_NOT_FOUND when the pack has vanished, INVALID_RANGE when it is too short; every error that is no damage */
  async run(pack: StoredPack, options: CallOptions): Promise<PackVerdict> {
    const head = await this.#read(pack, 0, Math.min(RANGE_BYTES, pack.sizeBytes), options);
    const front = await attemptTable(() => this.#openFront(pack, head, options));
    const isFrontGood = !(front instanceof SnapError);
    const table = isFrontGood ? front : this.#tables.either(pack, front, await attemptTable(() => readBackTable(this.#run.repository, pack, options)));
    if (table === undefined) return { isGood: false, detail: 'tables' };
    const isIndexRight = this.#tables.compareIndex(pack, table);
    const areFramesGood = await this.#checkFrames(pack, table, head, isFrontGood, options);
    return { isGood: isFrontGood && isIndexRight && areFramesGood, detail: 'data' };
  }

  async #openFront(pack: StoredPack, head: Bytes, options: CallOptions): Promise<PackTable> {
    const wanted = Math.min(packHeadBytes(head), pack.sizeBytes);
    return openPackHead(wanted <= head.length ? head : await this.#read(pack, 0, wanted, options), tableOptions(this.#run.repository, pack));
  }

  /** Whether every frame is whole, and the back table where the front one was good. */
  async #checkFrames(pack: StoredPack, table: PackTable, head: Bytes, isFrontGood: boolean, options: CallOptions): Promise<boolean> {
    const { keys } = this.#run.repository;
    const first = firstChunks(table);
    const opening = { suite: table.suite, framePrefix: encodeFramePrefix(table, keys.repositoryId), type: pack.type, wantsContent: false };
    let isGood = true;
    for (const { frames, end } of planRanges(table, head.length)) {
      const start = frames[0]!.offset;
      const bytes = end <= head.length ? head.subarray(start, end) : await this.#read(pack, start, end - start, options);
      const toOpen = frames.map((frame): FrameToOpen => ({
        frame: frame.number, rawLength: frame.rawLength, codec: frame.codec, flags: frame.flags,
        stored: bytes.subarray(frame.offset - start, frame.offset - start + frame.storedLength),
        chunks: table.chunks.subarray(first[frame.number]! * TABLE_CHUNK_BYTES, first[frame.number + 1]! * TABLE_CHUNK_BYTES),
      }));
      const opened = await this.#engine.extract({ ...opening, frameKey: keys.packKeys(table).frameKey, frames: toOpen }, options);
      opened.forEach(({ verdict }, i) => {
        if (verdict === 'ok') return;
        isGood = false;
        this.#blame(pack, toOpen[i]!, verdict);
      });
      if (end === pack.sizeBytes && isFrontGood) isGood = this.#checkBack(pack, table, bytes) && isGood;
      releaseMemory([bytes]); // unless it is a part of the head
    }
    releaseMemory([head]);
    return isGood;
  }

  /** The end of the pack was read with its last frames. */
  #checkBack(pack: StoredPack, front: PackTable, tail: Bytes): boolean {
    let back: TableResult;
    try {
      back = openPackTail(tail, tableOptions(this.#run.repository, pack));
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
      back = error;
    }
    this.#tables.either(pack, front, back);
    return !(back instanceof SnapError) && this.#tables.compareEnds(pack, front, back);
  }

  #blame(pack: StoredPack, { frame, chunks }: FrameToOpen, verdict: Exclude<OpenedFrame['verdict'], 'ok'>): void {
    const { repository, damage, findings } = this.#run;
    const number = repository.cache.chunks.packNumber(pack.id);
    const name = packName(pack.type, pack.id);
    if (number === undefined) return findings.damage('frame', name, frameError(pack, { frame, verdict }).message);
    if (typeof verdict === 'string') return damage.frameIsBad(number, frame, name, frameError(pack, { frame, verdict }).message);
    for (let i = 0, offset = 0; i * TABLE_CHUNK_BYTES < chunks.length; i++) {
      const at = i * TABLE_CHUNK_BYTES;
      if (verdict.includes(i)) damage.placeIsBad(number, frame, offset, chunks.subarray(at, at + CHUNK_ID_BYTES));
      offset += new DataView(chunks.buffer, chunks.byteOffset + at + CHUNK_ID_BYTES, 4).getUint32(0, true);
    }
  }

  async #read({ type, id }: StoredPack, offset: number, length: number, options: CallOptions): Promise<Bytes> {
    const bytes = await this.#run.repository.backend.read(packName(type, id), { offset, length }, options);
    this.#onRead(bytes.length);
    return bytes;
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
