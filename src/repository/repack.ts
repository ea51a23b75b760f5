/**
 * Stores what is still needed of packs again in new ones (repository design, section 7). Frames that are needed as a whole are
 * opened and sealed under the new keys without compressing them again; of the others the needed chunks are grouped
 * anew. Every frame is opened again before it is written (D9). The work goes by pack and place, with one open pack of each type,
 * so that chunks of one directory stay together and a dry run gives exactly the sizes of a real one.
 */
import { hasCode, invariant, SnapError, throwIfAborted } from '../base/errors.ts';
import { equalBytes, viewOf, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { releaseMemory } from '../base/release-memory.ts';
import { MiB } from '../base/units.ts';
import type { ChunkLocation, PackRecord } from '../cache/cache.ts';
import { findWrongChunks } from '../engine/frame-chunks.ts';
import { corrupt } from '../format/decode-error.ts';
import { decodePayload, encodeFramePrefix, FrameCipher } from '../format/frame.ts';
import { CHUNK_ID_BYTES, type SessionId } from '../format/ids.ts';
import { packName, type PackType } from '../format/object-names.ts';
import { firstChunks, indexFrames, TABLE_CHUNK_BYTES, tableFrameAt, type PackTable, type TableFrame } from '../format/pack-table.ts';
import { isUnreadable } from './damage.ts';
import { frameRuns } from './frame-runs.ts';
import { IndexWriter } from './index-writer.ts';
import type { OpenRepository } from './opened-repository.ts';
import { PackAssembler, type PackWritten } from './pack-assembler.ts';
import { readPackTable } from './pack-tables.ts';
import { PackFiller } from './pack-filler.ts';

/** One read is at most so long, unless one frame is longer. */
const MAX_READ_BYTES = 4 * MiB;
/** Only chunks from frames that lose some of them are compressed again; a little better than new data, since they have stayed so long. */
const COMPRESSION_LEVEL = 3;

export interface RepackOptions extends CallOptions {
  /** Stands in the new packs as the session that wrote them. */
  readonly runId: SessionId;
  /** Dry run: everything is done, and nothing stored. */
  readonly discard: boolean;
  /** Needed chunks of each frame of a pack. */
  readonly liveByFrame: (record: PackRecord) => Uint32Array;
  readonly isLive: (location: ChunkLocation) => boolean;
  /** Stored bytes of the old packs that were read. */
  readonly onRead?: ((bytes: number) => void) | undefined;
  readonly onPackWritten?: ((pack: PackWritten) => void) | undefined;
}

export interface RepackResult {
  /** Old packs of which everything that is needed lies in new ones now. */
  readonly moved: readonly PackRecord[];
  /** Old packs in which something that is needed could not be read; some of it may lie in new ones as well. */
  readonly damaged: readonly { readonly pack: PackRecord; readonly error: SnapError }[];
  readonly written: readonly PackWritten[];
}

/** New packs and their index segments are durable when this resolves. @throws every repository error that is no damage */
export async function repack(repository: OpenRepository, packs: readonly PackRecord[], options: RepackOptions): Promise<RepackResult> {
  const written: PackWritten[] = [];
  const index = new IndexWriter(repository, options);
  const assembler = new PackAssembler(repository, index, {
    signal: options.signal, sessionId: options.runId, discard: options.discard,
    onPackWritten: pack => {
      written.push(pack);
      options.onPackWritten?.(pack);
    },
  });
  const moved: PackRecord[] = [];
  const damaged: { pack: PackRecord; error: SnapError }[] = [];
  try {
    const target: Target = {
      assembler, data: new PackFiller(repository, assembler, 'data', COMPRESSION_LEVEL), tree: new PackFiller(repository, assembler, 'tree', COMPRESSION_LEVEL),
    };
    for (const pack of packs) {
      throwIfAborted(options.signal);
      try {
        await new PackMove(repository, pack, target, options).run();
        moved.push(pack);
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        damaged.push({ pack, error });
      }
    }
    target.data.finish();
    target.tree.finish();
    await assembler.finish();
    if (!options.discard) await index.flush();
  } catch (error) {
    // What is durable shall be found by whoever comes next.
    await assembler.abandon();
    await index.abandon();
    throw error;
  }
  return { moved, damaged, written };
}

interface Frame extends TableFrame {
  readonly number: number;
}

/** Where it goes: one open pack of each type. */
type Target = Readonly<Record<PackType, PackFiller>> & { readonly assembler: PackAssembler };

/** Moves what is needed of one pack. */
class PackMove {
  readonly #repository: OpenRepository;
  readonly #record: PackRecord;
  readonly #target: Target;
  readonly #options: RepackOptions;

  constructor(repository: OpenRepository, record: PackRecord, target: Target, options: RepackOptions) {
    this.#repository = repository;
    this.#record = record;
    this.#target = target;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { keys, kernel } = this.#repository;
    const table = await readPackTable(this.#repository, this.#record, this.#options);
    if (!equalBytes(indexFrames(table), this.#record.frames) || table.chunkCount !== this.#record.chunkCount) throw this.#indexDiffers();
    const live = this.#options.liveByFrame(this.#record);
    const cipher = new FrameCipher(kernel.createAead(table.suite, keys.packKeys(table).frameKey), encodeFramePrefix(table, keys.repositoryId));
    const first = firstChunks(table);
    for (const run of runsOf(table, live)) {
      const start = run[0]!.offset;
      const length = run.at(-1)!.offset + run.at(-1)!.storedLength - start;
      const stored = await this.#repository.backend.read(packName(this.#record.type, this.#record.id), { offset: start, length }, this.#options);
      for (const frame of run) {
        const chunks = table.chunks.slice(first[frame.number]! * TABLE_CHUNK_BYTES, first[frame.number + 1]! * TABLE_CHUNK_BYTES);
        this.#moveFrame(frame, cipher, stored.subarray(frame.offset - start, frame.offset - start + frame.storedLength), chunks, live[frame.number]!);
      }
      releaseMemory([stored]);
      await this.#target.assembler.backPressure();
      this.#options.onRead?.(length);
    }
  }

  #moveFrame(frame: Frame, cipher: FrameCipher, stored: Bytes, chunks: Uint8Array<ArrayBuffer>, liveChunks: number): void {
    const payload = cipher.open(frame, stored);
    if (payload === undefined) throw this.#frameIsBad(frame, 'its seal does not match');
    const places = this.#placesOf(frame, chunks);
    if (liveChunks === frame.chunkCount) this.#moveWhole(frame, payload, chunks);
    else this.#moveChunks(frame, this.#contentOf(frame, payload).slice(), chunks, places, liveChunks); // the decompressor uses its buffer again for what is sealed meanwhile
    releaseMemory([payload]);
  }

  /** Content is decompressed and hashed once, when the new frame is read back; only if that fails it is asked whose fault it is. */
  #moveWhole(frame: Frame, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    const target = this.#target[this.#record.type];
    try {
      target.addWhole(frame, payload, chunks);
    } catch (error) {
      if (!hasCode(error, 'INTERNAL')) throw error;
      if (findWrongChunks(target.hasher, this.#contentOf(frame, payload), chunks).length > 0) throw this.#hasWrongChunk(frame);
      throw error;
    }
  }

  #contentOf(frame: Frame, payload: Bytes): Bytes {
    const content = decodePayload(this.#repository.kernel, frame, payload);
    if (content === undefined) throw this.#frameIsBad(frame, 'its content does not have the raw length');
    return content;
  }

  #moveChunks(frame: Frame, content: Bytes, chunks: Bytes, places: readonly ChunkLocation[], liveChunks: number): void {
    const target = this.#target[this.#record.type];
    const wrong = new Set(findWrongChunks(target.hasher, content, chunks));
    let moved = 0;
    for (const [i, place] of places.entries()) {
      if (!this.#options.isLive(place)) continue;
      if (wrong.has(i)) throw this.#hasWrongChunk(frame);
      const id = chunks.subarray(i * TABLE_CHUNK_BYTES, i * TABLE_CHUNK_BYTES + CHUNK_ID_BYTES);
      target.add(id, content.subarray(place.offset, place.offset + place.length));
      moved++;
    }
    invariant(moved === liveChunks, `${moved} chunks of frame ${frame.number} were moved instead of ${liveChunks}`);
  }

  /** Where the chunks of a frame lie; the index must say the same, since it was asked what is needed. */
  #placesOf(frame: Frame, chunks: Bytes): ChunkLocation[] {
    const { number } = this.#record;
    const view = viewOf(chunks);
    const places: ChunkLocation[] = [];
    let offset = 0;
    for (let at = 0; at < chunks.length; at += TABLE_CHUNK_BYTES) {
      const length = view.getUint32(at + CHUNK_ID_BYTES, true);
      const place = { pack: number, frame: frame.number, offset, length };
      const isKnown = this.#repository.cache.chunks.findAll(chunks.subarray(at, at + CHUNK_ID_BYTES))
        .some(known => known.pack === number && known.frame === frame.number && known.offset === place.offset && known.length === length);
      if (!isKnown) throw this.#indexDiffers();
      places.push(place);
      offset += length;
    }
    return places;
  }

  #frameIsBad({ number }: Frame, reason: string): SnapError {
    const { type, id } = this.#record;
    return corrupt('frame', `${reason} (frame ${number} of '${packName(type, id)}')`, { pack: id, frame: number }, 'FRAME_CORRUPT');
  }

  #hasWrongChunk(frame: Frame): SnapError {
    return this.#frameIsBad(frame, 'a chunk in it does not match its ID');
  }

  #indexDiffers(): SnapError {
    return corrupt('pack', 'the index does not say of it what its own table says', { pack: this.#record.id }, 'PACK_CORRUPT');
  }
}

/** Frames of which something is needed, in the order of the pack; neighbours together. */
function runsOf(table: PackTable, live: Uint32Array): Frame[][] {
  const frames = Array.from({ length: table.frameCount }, (_, number): Frame => ({ ...tableFrameAt(table, number), number }))
    .filter(({ number }) => live[number]! > 0).sort((a, b) => a.offset - b.offset);
  return frameRuns(frames, MAX_READ_BYTES);
}
