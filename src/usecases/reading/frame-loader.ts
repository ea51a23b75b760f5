/**
 * Loads frames of packs in bulk: one read for neighbouring frames, all opened and checked by the engine in one batch.
 */
import { toHex, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { PackNumber, PackRecord } from '../../cache/cache.ts';
import type { FrameToOpen, OpenedFrame } from '../../engine/engine.ts';
import { corrupt } from '../../format/decode-error.ts';
import { encodeFramePrefix } from '../../format/frame.ts';
import { CHUNK_ID_BYTES, type ChunkId } from '../../format/ids.ts';
import { packName } from '../../format/object-names.ts';
import { firstChunks, TABLE_CHUNK_BYTES, tableFrameAt, type PackTable } from '../../format/pack-table.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readPackTable } from '../../repository/pack-tables.ts';
import type { ExtractEngine } from './extract-engine.ts';

/** Frames between wanted ones are read with them when the gap is at most this: one request costs more than the bytes. */
export const MAX_GAP_BYTES: number = MiB / 2;
/** One read: stored bytes, and the content of the frames that are wanted from it. */
export const MAX_READ_BYTES: number = 4 * MiB;
export const MAX_READ_CONTENT_BYTES: number = 8 * MiB;
/** Content of one batch for the engine; some are under way at the same time, each in memory several times. */
const MAX_BATCH_BYTES: number = MiB;

/** Tables that are kept, by the size of their records: enough for the packs under way. */
const TABLE_CACHE_BYTES = 16 * MiB;

/** A frame that was asked for. */
export interface LoadedFrame extends OpenedFrame {
  readonly frame: number;
  /** Its place in the list of those that were asked for. */
  readonly index: number;
  /** `TABLE_CHUNK_BYTES` each. */
  readonly chunks: Bytes;
}

interface KeptTable {
  readonly table: PackTable;
  readonly first: Uint32Array;
}

export class FrameLoader {
  readonly #repository: OpenRepository;
  readonly #engine: ExtractEngine;
  readonly #tables = new Map<PackNumber, Promise<KeptTable>>();
  #tableBytes = 0;
  /** Stored bytes read so far. */
  bytesRead = 0;

  constructor(repository: OpenRepository, engine: ExtractEngine) {
    this.#repository = repository;
    this.#engine = engine;
  }

  get capacity(): number {
    return this.#engine.capacity;
  }

  /**
   * Frames of one pack, near each other and in the order of the pack; each is delivered once, a damaged one without content.
   * @throws OBJECT_NOT_FOUND, INVALID_RANGE, PACK_CORRUPT when nothing of the pack can be read this way; every other repository error
   */
  async load(pack: PackRecord, frames: readonly number[], deliver: (loaded: LoadedFrame) => void, options: CallOptions = {}): Promise<void> {
    const { keys, backend } = this.#repository;
    const { table, first } = await this.#table(pack, options);
    const records = frames.map(frame => {
      if (frame >= table.frameCount) throw corrupt('pack', `it has no frame ${frame}, but the index says so`, { pack: pack.id }, 'PACK_CORRUPT');
      return tableFrameAt(table, frame);
    });
    const start = records.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY);
    const end = records.reduce((most, { offset, storedLength }) => Math.max(most, offset + storedLength), 0);
    const stored = await backend.read(packName(pack.type, pack.id), { offset: start, length: end - start }, options);
    this.bytesRead += stored.length;
    const opening = { suite: table.suite, framePrefix: encodeFramePrefix(table, keys.repositoryId), type: pack.type, wantsContent: true };
    const { frameKey } = keys.packKeys(table);
    for (const { from, to } of splitBatches(records)) {
      const batch = records.slice(from, to).map(({ offset, storedLength, rawLength, codec, flags }, i): FrameToOpen => {
        const frame = frames[from + i]!;
        const chunks = table.chunks.subarray(first[frame]! * TABLE_CHUNK_BYTES, first[frame + 1]! * TABLE_CHUNK_BYTES);
        return { frame, stored: stored.subarray(offset - start, offset - start + storedLength), rawLength, codec, flags, chunks };
      });
      const opened = await this.#engine.extract({ ...opening, frameKey: frameKey.slice(), frames: batch }, options);
      opened.forEach((each, i) => { deliver({ ...each, frame: frames[from + i]!, index: from + i, chunks: batch[i]!.chunks }); });
    }
  }

  #table(pack: PackRecord, options: CallOptions): Promise<KeptTable> {
    const kept = this.#tables.get(pack.number);
    if (kept !== undefined) return kept;
    const reading = this.#readTable(pack, options);
    this.#tables.set(pack.number, reading);
    return reading;
  }

  async #readTable(pack: PackRecord, options: CallOptions): Promise<KeptTable> {
    const table = await readPackTable(this.#repository, pack, options);
    this.bytesRead += table.tableBytes;
    this.#tableBytes += table.tableBytes;
    if (this.#tableBytes > TABLE_CACHE_BYTES) {
      this.#tableBytes = table.tableBytes;
      this.#tables.clear();
      this.#tables.set(pack.number, Promise.resolve({ table, first: firstChunks(table) }));
    }
    return { table, first: firstChunks(table) };
  }
}

function* splitBatches(frames: readonly { readonly rawLength: number }[]): Generator<{ from: number; to: number }> {
  for (let from = 0, to = 0; from < frames.length; from = to) {
    for (let rawBytes = 0; to < frames.length && (to === from || rawBytes + frames[to]!.rawLength <= MAX_BATCH_BYTES); to++) rawBytes += frames[to]!.rawLength;
    yield { from, to };
  }
}

/** The chunks of a frame by their place in its content. */
export class FrameChunks {
  #chunks: Bytes = new Uint8Array(0);
  #starts = new Uint32Array(64);
  #count = 0;

  open(chunks: Bytes): void {
    this.#chunks = chunks;
    this.#count = chunks.length / TABLE_CHUNK_BYTES;
    if (this.#starts.length <= this.#count) this.#starts = new Uint32Array(2 * this.#count);
    for (let i = 0, at = CHUNK_ID_BYTES, start = 0; i < this.#count; i++, at += TABLE_CHUNK_BYTES) {
      this.#starts[i] = start;
      start += chunks[at]! + chunks[at + 1]! * 2 ** 8 + chunks[at + 2]! * 2 ** 16 + chunks[at + 3]! * 2 ** 24;
      this.#starts[i + 1] = start;
    }
  }

  /** Whether the chunk with this ID (at `at` in `ids`) lies exactly there. */
  has(ids: Bytes, at: number, offset: number, length: number): boolean {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#starts[middle]! < offset) low = middle + 1;
      else high = middle;
    }
    if (low >= this.#count || this.#starts[low] !== offset || this.#starts[low + 1] !== offset + length) return false;
    const id = low * TABLE_CHUNK_BYTES;
    for (let i = 0; i < CHUNK_ID_BYTES; i++) if (this.#chunks[id + i] !== ids[at + i]) return false;
    return true;
  }
}

/** Why a frame gave no content. */
export function frameError(pack: Pick<PackRecord, 'type' | 'id'>, { frame, verdict }: Pick<LoadedFrame, 'frame' | 'verdict'>): SnapError {
  const reason = verdict === 'sealed' ? 'its seal does not match' : verdict === 'compressed' ? 'its content does not have the raw length'
    : 'chunks in it do not match their IDs';
  return corrupt('frame', `${reason} (frame ${frame} of '${packName(pack.type, pack.id)}')`, { pack: pack.id, frame }, 'FRAME_CORRUPT');
}

/** A chunk that no usable pack holds. */
export function missingChunk(id: ChunkId | Bytes): SnapError {
  return new SnapError('CHUNK_MISSING', `No usable pack holds chunk ${toHex(id)}`, {
    hint: 'Run `snap verify` to see what is hit', context: { chunk: toHex(id) },
  });
}
