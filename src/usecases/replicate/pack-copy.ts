/**
 * Copies what targets lack of one pack. It is read once: as a whole when at least half of its chunks are wanted, else only the frames
 * that are. A target with the same keys takes the whole pack as it is when at least half of its stored bytes are for it: fewer bytes are
 * wasted than sealing anew would cost, and the pack can heal the one of the source later. Everything else is opened, checked and sealed
 * anew, whole frames without compressing them again. Nothing leaves before every chunk of it was hashed.
 */
import { equalBytes, viewOf, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { releaseMemory } from '../../base/release-memory.ts';
import { MiB } from '../../base/units.ts';
import type { PackRecord } from '../../cache/cache.ts';
import { frameRuns } from '../../repository/frame-runs.ts';
import { findPackFault } from '../../repository/pack-verification.ts';
import { eitherEnd, readPackTable, tableOptions } from '../../repository/pack-tables.ts';
import { corrupt } from '../../format/decode-error.ts';
import { encodeFramePrefix, FrameCipher, decodePayload } from '../../format/frame.ts';
import { CHUNK_ID_BYTES, type ChunkId } from '../../format/ids.ts';
import { packContent } from '../../format/index-segment.ts';
import { packName } from '../../format/object-names.ts';
import { openPackHead, openPackTail } from '../../format/pack.ts';
import { firstChunks, indexFrames, TABLE_CHUNK_BYTES, tableFrameAt, type PackTable, type TableFrame } from '../../format/pack-table.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { Pending } from './need-walk.ts';
import type { ReplicaTarget } from './replica-target.ts';

/** One read is at most so long, unless one frame is longer. */
const MAX_READ_BYTES = 8 * MiB;
const LEAST_SHARE = 0.5;

export interface PackCopyOptions extends CallOptions {
  readonly onRead: (bytes: number) => void;
  /** The pack, or a frame of it, is damaged. */
  readonly onDamage: (record: PackRecord, error: SnapError) => void;
  /** A chunk that no pack of the source gives. */
  readonly onLost: (id: ChunkId) => void;
}

interface WantedChunk {
  readonly id: ChunkId;
  readonly offset: number;
  readonly length: number;
  /** Targets that lack it. */
  readonly bits: number;
}

interface WantedFrame extends TableFrame {
  readonly number: number;
  readonly records: Uint8Array<ArrayBuffer>;
  readonly chunks: readonly WantedChunk[];
  /** Targets that lack all of its chunks. */
  readonly wholeBits: number;
  /** Targets that lack some of them. */
  readonly bits: number;
}

export class PackCopy {
  readonly #reading: ReadingSession;
  readonly #record: PackRecord;
  readonly #pending: Pending;
  readonly #targets: readonly ReplicaTarget[];
  readonly #options: PackCopyOptions;
  readonly #writes: Promise<void>[] = [];

  constructor(reading: ReadingSession, record: PackRecord, pending: Pending, targets: readonly ReplicaTarget[], options: PackCopyOptions) {
    this.#reading = reading;
    this.#record = record;
    this.#pending = pending;
    this.#targets = targets.filter(({ isAlive }) => isAlive);
    this.#options = options;
  }

  /**
   * Resolves when every target has room for more. @throws OBJECT_NOT_FOUND when the pack vanished; PACK_CORRUPT when nobody knows any
   * more what is in it; every error of the source that is no damage
   */
  async run(): Promise<void> {
    const { repository } = this.#reading;
    const share = this.#pending.chunksOf(this.#record.number) / this.#record.chunkCount;
    if (share < LEAST_SHARE) {
      const table = this.#checked(await readPackTable(repository, this.#record, this.#options));
      return this.#sealFrames(table, this.#wantedFrames(table), undefined);
    }
    const bytes = await repository.backend.read(packName(this.#record.type, this.#record.id), undefined, this.#options);
    this.#options.onRead(bytes.length);
    const fault = findPackFault(repository, this.#record, bytes);
    if (fault !== undefined) this.#options.onDamage(this.#record, fault);
    const options = tableOptions(repository, { ...this.#record, sizeBytes: bytes.length });
    const table = this.#checked(await eitherEnd(async () => openPackHead(bytes, options), async () => openPackTail(bytes, options)));
    const frames = this.#wantedFrames(table);
    const whole = fault === undefined ? await this.#giveWhole(table, frames, bytes) : 0;
    await this.#sealFrames(table, frames.filter(frame => (frame.bits & ~whole) !== 0), bytes, whole);
  }

  /** When no target needs the bytes of the whole pack any more. */
  async settled(): Promise<void> {
    await Promise.all(this.#writes);
  }

  /** Bits of the targets that took the whole pack, or failed. */
  async #giveWhole(table: PackTable, frames: readonly WantedFrame[], bytes: Bytes): Promise<number> {
    let taken = 0;
    const content = packContent(table);
    const contentBytes = storedContentBytes(table);
    await Promise.all(this.#targets.map(async target => {
      const wantedBytes = frames.reduce((sum, frame) => sum + wantedShare(frame, target.bit) * frame.storedLength, 0);
      if (wantedBytes < LEAST_SHARE * contentBytes || !target.wholePacks.mayTake(table, this.#reading.repository, table.createdAt)) return;
      let settle = (): void => undefined;
      this.#writes.push(new Promise<void>(resolve => { settle = resolve; }));
      const isTaken = await target.attempt(() => target.wholePacks.take(content, bytes, settle));
      if (isTaken !== false) taken |= target.bit;
      if (isTaken === undefined) settle();
    }));
    return taken;
  }

  async #sealFrames(table: PackTable, frames: readonly WantedFrame[], whole: Bytes | undefined, done = 0): Promise<void> {
    if (frames.length === 0) return;
    const { repository } = this.#reading;
    const { kernel, keys, backend } = repository;
    const cipher = new FrameCipher(kernel.createAead(table.suite, keys.packKeys(table).frameKey), encodeFramePrefix(table, keys.repositoryId));
    const hasher = table.type === 'data' ? kernel.createHasher(keys.content.idKeyData) : keys.treeHasher;
    for (const run of frameRuns(frames, MAX_READ_BYTES)) {
      const start = whole === undefined ? run[0]!.offset : 0;
      const length = run.at(-1)!.offset + run.at(-1)!.storedLength - start;
      const stored = whole ?? await backend.read(packName(this.#record.type, this.#record.id), { offset: start, length }, this.#options);
      if (whole === undefined) this.#options.onRead(length);
      for (const frame of run) await this.#sealFrame(frame, cipher, hasher, stored.subarray(frame.offset - start, frame.offset - start + frame.storedLength), done);
      await Promise.all(this.#targets.map(target => target.attempt(() => target.backPressure())));
    }
  }

  async #sealFrame(frame: WantedFrame, cipher: FrameCipher, hasher: Hasher, stored: Bytes, done: number): Promise<void> {
    const { kernel } = this.#reading.repository;
    const { type } = this.#record;
    const payload = cipher.open(frame, stored);
    // The decompressor uses its buffer again for what is sealed meanwhile.
    const content = payload === undefined ? undefined : decodePayload(kernel, frame, payload)?.slice();
    if (payload === undefined || content === undefined) return this.#salvage(frame, frame.chunks, this.#frameIsBad(frame, 'cannot be opened'), done);
    const wrong = frame.chunks.filter(({ id, offset, length }) => !equalBytes(hasher.hash(content.subarray(offset, offset + length)), id));
    for (const target of this.#targets) {
      if ((target.bit & frame.bits & ~done) === 0) continue;
      await target.attempt(async () => {
        if ((target.bit & frame.wholeBits) !== 0 && wrong.length === 0) return target.addFrame(type, frame, payload, frame.records);
        for (const { id, offset, length, bits } of frame.chunks.filter(chunk => !wrong.includes(chunk))) {
          if ((bits & target.bit) !== 0) target.addChunk(type, id, content.subarray(offset, offset + length));
        }
      });
    }
    releaseMemory([payload]);
    if (wrong.length > 0) await this.#salvage(frame, wrong, this.#frameIsBad(frame, 'holds chunks that do not match their IDs'), done);
  }

  /** Chunks of a frame that cannot be read, from other packs of the source. */
  async #salvage(frame: WantedFrame, chunks: readonly WantedChunk[], error: SnapError, done: number): Promise<void> {
    this.#options.onDamage(this.#record, error);
    for (const { id, bits } of chunks) {
      const wanting = this.#targets.filter(target => (target.bit & bits & ~done) !== 0);
      if (wanting.length === 0) continue;
      const bytes = await this.#fromElsewhere(id, frame);
      if (bytes === undefined) this.#options.onLost(id);
      else for (const target of wanting) await target.attempt(async () => target.addChunk(this.#record.type, id, bytes));
    }
  }

  async #fromElsewhere(id: ChunkId, frame: WantedFrame): Promise<Bytes | undefined> {
    const { chunks } = this.#reading.repository.cache;
    for (const location of chunks.findAll(id)) {
      if ((location.pack === this.#record.number && location.frame === frame.number) || chunks.pack(location.pack)?.type !== this.#record.type) continue;
      try {
        return await this.#reading.packs.chunk(id, location, this.#options);
      } catch (error) {
        if (!isDamage(error)) throw error;
      }
    }
    return undefined;
  }

  /** The index was asked what is wanted, so it must say of the pack what its own table says. */
  #checked(table: PackTable): PackTable {
    if (equalBytes(indexFrames(table), this.#record.frames) && table.chunkCount === this.#record.chunkCount) return table;
    throw this.#indexDiffers();
  }

  #frameIsBad({ number }: WantedFrame, reason: string): SnapError {
    return corrupt('pack', `its frame ${number} ${reason}`, { pack: this.#record.id, frame: number }, 'FRAME_CORRUPT');
  }

  #indexDiffers(): SnapError {
    return corrupt('pack', 'the index does not say of it what its own table says', { pack: this.#record.id }, 'PACK_CORRUPT');
  }

  #wantedFrames(table: PackTable): WantedFrame[] {
    const first = firstChunks(table);
    const wanted: WantedFrame[] = [];
    for (let number = 0; number < table.frameCount; number++) {
      const records = table.chunks.slice(first[number]! * TABLE_CHUNK_BYTES, first[number + 1]! * TABLE_CHUNK_BYTES);
      const chunks = this.#chunksOf(records, number);
      const bits = chunks.reduce((all, chunk) => all | chunk.bits, 0);
      const wholeBits = chunks.reduce((all, chunk) => all & chunk.bits, bits);
      if (bits !== 0) wanted.push({ ...tableFrameAt(table, number), number, records, chunks, bits, wholeBits });
    }
    return wanted.sort((a, b) => a.offset - b.offset);
  }

  #chunksOf(records: Uint8Array<ArrayBuffer>, frame: number): WantedChunk[] {
    const { chunks: index } = this.#reading.repository.cache;
    const view = viewOf(records);
    const chunks: WantedChunk[] = [];
    let offset = 0;
    for (let at = 0; at < records.length; at += TABLE_CHUNK_BYTES) {
      const id = records.subarray(at, at + CHUNK_ID_BYTES) as Bytes as ChunkId;
      const length = view.getUint32(at + CHUNK_ID_BYTES, true);
      const place = { pack: this.#record.number, frame, offset, length };
      const isKnown = index.findAll(id)
        .some(known => known.pack === place.pack && known.frame === frame && known.offset === place.offset && known.length === length);
      if (!isKnown) throw this.#indexDiffers();
      chunks.push({ id, offset, length, bits: this.#pending.get(place) });
      offset += length;
    }
    return chunks;
  }
}

/** Of all frames but padding. */
function storedContentBytes(table: PackTable): number {
  let bytes = 0;
  for (let number = 0; number < table.frameCount; number++) {
    const { chunkCount, storedLength } = tableFrameAt(table, number);
    if (chunkCount > 0) bytes += storedLength;
  }
  return bytes;
}

/** Share of the chunks of a frame that a target lacks. */
function wantedShare({ chunks, wholeBits }: WantedFrame, bit: number): number {
  return (wholeBits & bit) !== 0 ? 1 : chunks.filter(({ bits }) => (bits & bit) !== 0).length / chunks.length;
}
