/**
 * Moves what is left of damaged packs into new ones: every chunk that can still be read, needed or not, since a running backup may
 * rely on any of them; then what their parity gives. What another pack holds, and was read there, is left where it is.
 */
import { viewOf, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { chunkIdFromBytes, CHUNK_ID_BYTES, type ChunkId, type PackId } from '../../format/ids.ts';
import { TABLE_CHUNK_BYTES } from '../../format/pack-table.ts';
import type { PackType } from '../../format/object-names.ts';
import { ChunkWriter } from '../../repository/chunk-writer.ts';
import { isDamage } from '../../repository/damage.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import { readUnder, type DamagedPack } from './damaged-packs.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import { FRAME_PARTLY_WRONG, FRAME_WHOLE, PackScan, placeKey, type ReadableFrame } from './pack-scan.ts';
import { restoreFromParity } from '../parity.ts';
import type { RepairTally } from './repair-run.ts';

export class PackSalvage {
  /** Packs whose copies of chunks are relied on: none of them may go before the damaged ones are gone. */
  readonly carriers = new Set<PackId>();
  readonly #session: WritingSession;
  readonly #scan: PackScan;
  readonly #reader: PackReader;
  readonly #writer: ChunkWriter;
  readonly #tally: RepairTally;
  readonly #call: CallOptions;
  readonly #bad: ReadonlyMap<PackNumber, DamagedPack>;

  constructor(session: WritingSession, engine: ExtractEngine, writer: ChunkWriter, damaged: readonly DamagedPack[], tally: RepairTally, call: CallOptions) {
    this.#session = session;
    this.#scan = new PackScan(session.repository, engine, bytes => { tally.counts.bytesRead += bytes; });
    this.#reader = new PackReader(session.repository);
    this.#writer = writer;
    this.#tally = tally;
    this.#call = call;
    this.#bad = new Map(damaged.flatMap(pack => (pack.number === undefined ? [] : [[pack.number, pack]])));
  }

  async run(pack: DamagedPack): Promise<void> {
    const moved = this.#tally.counts.chunksMoved;
    await this.#scan.run(pack.holds, pack.indexed, {
      ...this.#call, wantsContent: true, read: readUnder(this.#session.repository, pack, this.#call),
      onFrame: frame => this.#saveFrame(pack.holds.type, pack.number, frame, 'moved'),
    });
    const count = this.#tally.counts.chunksMoved - moved;
    if (count > 0) this.#tally.step('store', 'chunks of pack', pack.name, `${count} of them, into new packs`);
    await this.#fromParity(pack);
  }

  /** Parity gives the whole pack back, or nothing. */
  async #fromParity(pack: DamagedPack): Promise<void> {
    const { repository } = this.#session;
    const bytes = await restoreFromParity(repository, pack, this.#call);
    if (bytes === undefined) return;
    const healed = this.#tally.counts.chunksHealed;
    await this.#scan.run({ ...pack, sizeBytes: bytes.length }, undefined, {
      ...this.#call, wantsContent: true, read: async (offset, length) => bytes.subarray(offset, offset + length),
      onFrame: async frame => {
        const state = pack.frames[frame.number];
        if (state !== FRAME_WHOLE || pack.frames.length === 0) await this.#saveFrame(pack.type, pack.number, frame, 'healed');
      },
    });
    const count = this.#tally.counts.chunksHealed - healed;
    if (count > 0) this.#tally.step('store', 'chunks of pack', pack.name, `${count} of them, made from its parity, into new packs`);
  }

  async #saveFrame(type: PackType, number: PackNumber | undefined, frame: ReadableFrame, how: 'moved' | 'healed'): Promise<void> {
    let offset = 0;
    for (const [i, { id, length }] of chunksOf(frame.chunks).entries()) {
      const at = offset;
      offset += length;
      if (frame.wrong.includes(i) || await this.#hasGoodCopy(type, id, length)) continue;
      // Of a frame with wrong chunks the engine gives nothing: those that are right are asked for one by one.
      const bytes = frame.content?.subarray(at, offset) ?? await this.#single(id, { pack: number, frame: frame.number, offset: at, length });
      if (bytes === undefined || !this.#writer.put(type, id, bytes)) continue;
      if (how === 'moved') this.#tally.counts.chunksMoved++;
      else this.#tally.counts.chunksHealed++;
      await this.#session.assembler.backPressure();
    }
  }

  async #single(id: ChunkId, { pack, ...place }: Omit<ChunkLocation, 'pack'> & { readonly pack: PackNumber | undefined }): Promise<Bytes | undefined> {
    return pack === undefined || this.#session.repository.cache.chunks.pack(pack) === undefined ? undefined : this.#read(id, { ...place, pack });
  }

  async #read(id: ChunkId, location: ChunkLocation): Promise<Bytes | undefined> {
    try {
      return await this.#reader.chunk(id, location, this.#call);
    } catch (error) {
      if (!isDamage(error)) throw error;
      return undefined;
    }
  }

  /** A copy counts when it was read just now. */
  async #hasGoodCopy(type: PackType, id: ChunkId, length: number): Promise<boolean> {
    const { chunks } = this.#session.repository.cache;
    for (const location of chunks.findAll(id)) {
      const record = chunks.pack(location.pack);
      if (this.#bad.has(location.pack) || location.length !== length || record?.type !== type) continue;
      if (await this.#read(id, location) === undefined) continue;
      this.carriers.add(record.id);
      return true;
    }
    return false;
  }
}

/**
 * Which chunks can be had when the repair is done, as far as is known: those in sound packs, and those that are moved out of damaged
 * ones. In a dry run nothing was moved, so the damaged packs themselves answer for their whole frames; what lies under the name of
 * another pack counts as lost then, although it would be saved.
 */
export class ChunkHealth {
  readonly #session: WritingSession;
  readonly #bad: ReadonlyMap<PackNumber, DamagedPack>;

  constructor(session: WritingSession, damaged: readonly DamagedPack[]) {
    this.#session = session;
    this.#bad = new Map(damaged.flatMap(pack => (pack.number === undefined ? [] : [[pack.number, pack]])));
  }

  has(type: PackType, id: ChunkId, length?: number): boolean {
    const { chunks } = this.#session.repository.cache;
    const first = chunks.find(id);
    if (first === undefined) return false;
    return this.#isGood(first, type, length) || chunks.findAll(id).some(location => this.#isGood(location, type, length));
  }

  #isGood(location: ChunkLocation, type: PackType, length: number | undefined): boolean {
    if ((length !== undefined && location.length !== length) || this.#session.repository.cache.chunks.pack(location.pack)?.type !== type) return false;
    const bad = this.#bad.get(location.pack);
    if (bad === undefined) return true;
    const state = bad.frames[location.frame];
    return state === FRAME_WHOLE || (state === FRAME_PARTLY_WRONG && !bad.wrongPlaces.has(placeKey(location.frame, location.offset)));
  }
}

export function chunksOf(chunks: Bytes): { readonly id: ChunkId; readonly length: number }[] {
  const view = viewOf(chunks);
  return Array.from({ length: chunks.length / TABLE_CHUNK_BYTES }, (_, i) => {
    const at = i * TABLE_CHUNK_BYTES;
    return { id: chunkIdFromBytes(chunks.subarray(at, at + CHUNK_ID_BYTES)), length: view.getUint32(at + CHUNK_ID_BYTES, true) };
  });
}
