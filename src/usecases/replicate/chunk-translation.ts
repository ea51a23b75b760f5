/**
 * Chunks for a target that names content in its own way: each is read, checked by its ID in the source, named by the keys of the target, and
 * stored there unless the target has it. What was translated lately is remembered, within a bound, so that a chunk that many files share
 * is mostly read once.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { chunkIdFromBytes, chunkIdKey, type ChunkId } from '../../format/ids.ts';
import type { ContentItem } from '../../format/tree-node.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { isDamage } from '../../repository/damage.ts';
import { missingChunk } from '../reading/frame-loader.ts';
import type { ReplicaTarget } from './replica-target.ts';
import { fromSource } from './source-failure.ts';

/** IDs of each of two generations: some 60 MiB. */
const REMEMBERED = 150_000;
/** Raw bytes of what is read at the same time. */
const WINDOW_BYTES: number = 16 * MiB;

/** From IDs of the source to those of the target; forgets what was not asked for for long. */
export class Translations {
  #young = new Map<string, ChunkId>();
  #old = new Map<string, ChunkId>();

  get(id: ChunkId): ChunkId | undefined {
    const key = chunkIdKey(id);
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.#put(key, old);
    return old;
  }

  set(id: ChunkId, translated: ChunkId): void {
    this.#put(chunkIdKey(id), translated);
  }

  #put(key: string, translated: ChunkId): void {
    this.#young.set(key, translated);
    if (this.#young.size < REMEMBERED) return;
    this.#old = this.#young;
    this.#young = new Map();
  }
}

interface Wanted {
  readonly id: ChunkId;
  readonly location: ChunkLocation;
}

export interface TranslationOptions extends CallOptions {
  readonly onRead: (bytes: number) => void;
}

export class ChunkTranslation {
  readonly known = new Translations();
  readonly #reading: ReadingSession;
  readonly #target: ReplicaTarget;
  readonly #options: TranslationOptions;
  readonly #hasher: Hasher;
  readonly #sourceHasher: Hasher;

  constructor(reading: ReadingSession, target: ReplicaTarget, options: TranslationOptions) {
    this.#reading = reading;
    this.#target = target;
    this.#options = options;
    const { kernel, keys } = target.repository;
    this.#hasher = kernel.createHasher(keys.content.idKeyData);
    this.#sourceHasher = kernel.createHasher(reading.repository.keys.content.idKeyData);
  }

  /** The same items by the IDs of the target, where their chunks are stored now, or will be. @throws SourceFailure; errors of the target */
  async items(items: readonly ContentItem[]): Promise<ContentItem[]> {
    const translated = new Map<string, ChunkId>();
    const window = new Map<string, Wanted>();
    let bytes = 0;
    const flush = async (): Promise<void> => {
      await this.#store([...window.values()], (id, to) => { translated.set(chunkIdKey(id), to); });
      window.clear();
      bytes = 0;
    };
    for (const { id, lengthBytes } of items) {
      const key = id === undefined ? undefined : chunkIdKey(id);
      if (id === undefined || key === undefined || translated.has(key) || window.has(key)) continue;
      const known = this.known.get(id);
      if (known !== undefined) translated.set(key, known);
      else {
        window.set(key, { id, location: await fromSource(() => this.#locate(id, lengthBytes)) });
        bytes += lengthBytes;
      }
      if (bytes >= WINDOW_BYTES) await flush();
    }
    await flush();
    return items.map(item => (item.id === undefined ? item : { ...item, id: translated.get(chunkIdKey(item.id))! }));
  }

  async #locate(id: ChunkId, lengthBytes: number): Promise<ChunkLocation> {
    const { chunks } = this.#reading.repository.cache;
    const find = (): ChunkLocation | undefined => chunks.findAll(id).find(({ pack, length }) => length === lengthBytes && chunks.pack(pack)?.type === 'data');
    const found = find();
    if (found !== undefined) return found;
    if (this.#reading.looks === 1) await this.#reading.lookAgain(1, this.#options);
    const again = find();
    if (again === undefined) throw missingChunk(id);
    return again;
  }

  async #store(wanted: readonly Wanted[], deliver: (id: ChunkId, translated: ChunkId) => void): Promise<void> {
    const byPack = new Map<PackNumber, Wanted[]>();
    for (const each of wanted) byPack.set(each.location.pack, [...byPack.get(each.location.pack) ?? [], each]);
    const unread: Wanted[] = [];
    for (const [pack, chunks] of byPack) {
      const frames = [...new Set(chunks.map(({ location }) => location.frame))].sort((a, b) => a - b);
      await fromSource(() => this.#reading.packs.frames(pack, frames, (frame, content) => {
        for (const each of chunks.filter(({ location }) => location.frame === frame)) {
          const bytes = content instanceof SnapError ? undefined : content.subarray(each.location.offset, each.location.offset + each.location.length);
          if (bytes !== undefined && equalBytes(this.#sourceHasher.hash(bytes), each.id)) deliver(each.id, this.#put(each.id, bytes));
          else unread.push(each);
        }
      }, this.#options));
    }
    for (const each of unread) deliver(each.id, this.#put(each.id, await fromSource(() => this.#readAnywhere(each.id))));
    this.#options.onRead(wanted.reduce((sum, { location }) => sum + location.length, 0));
    await this.#target.backPressure();
  }

  /** @throws the error of the last place where the chunk should be */
  async #readAnywhere(id: ChunkId): Promise<Bytes> {
    const { chunks } = this.#reading.repository.cache;
    let failure: SnapError = missingChunk(id);
    for (let round = 1; round <= 2; round++) {
      for (const location of chunks.findAll(id)) {
        try {
          return await this.#reading.packs.chunk(id, location, this.#options);
        } catch (error) {
          if (!isDamage(error)) throw error;
          failure = error;
        }
      }
      if (round === 1) await this.#reading.lookAgain(this.#reading.looks, this.#options);
    }
    throw failure;
  }

  #put(id: ChunkId, bytes: Bytes): ChunkId {
    const translated = chunkIdFromBytes(this.#hasher.hash(bytes).slice());
    const pack = this.#target.find(translated, 'data');
    if (pack === undefined) this.#target.addChunk('data', translated, bytes);
    else this.#target.session.reference([pack]);
    this.known.set(id, translated);
    return translated;
  }
}
