/**
 * What targets lack of a snapshot: follows every reference in the source, each node once, and asks the index of every target. Targets are
 * bits of a number, so that chunks take 4 bytes, and those that share frames 4 more, whatever the number of targets. What is in a usable
 * pack of a target is referred to there; the rest waits, by its place in the source, to be copied pack by pack.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { SnapError } from '../../base/errors.ts';
import type { ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { chunkIdKey, type ChunkId } from '../../format/ids.ts';
import type { PackType } from '../../format/object-names.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { ChunkMap } from '../reach/chunk-map.ts';
import { ChunkNumbers } from '../reach/chunk-numbers.ts';
import { PagedColumn } from '../reach/paged-column.ts';
import { ReachWalk, type ReachedNode, type ReachSink } from '../reach/reach-walk.ts';
import { NO_PARENT } from '../reach/reached-chunks.ts';
import type { ReplicaTarget } from './replica-target.ts';

/** One bit of a 16-bit number each. */
export const MAX_TARGETS = 16;

/** Looks in a row that did not help, after which what is missing is taken for gone: in a damaged repository much is. */
const MAX_FRUITLESS_LOOKS = 3;

/** Chunks that are to be copied, as bits of the targets that lack them. */
export class Pending {
  readonly #chunks: ChunkMap;
  readonly #perPack = new PagedColumn(32);

  constructor(reading: ReadingSession, numbers: ChunkNumbers) {
    this.#chunks = new ChunkMap(reading.repository.cache.chunks, numbers);
  }

  get(location: ChunkLocation): number {
    return this.#chunks.get(location);
  }

  add(location: ChunkLocation, bits: number): void {
    const before = this.#chunks.get(location);
    if (before === 0) this.#perPack.set(location.pack, this.#perPack.get(location.pack) + 1);
    this.#chunks.set(location, before | bits);
  }

  packs(): PackNumber[] {
    return [...this.#chunks.packs()].filter(pack => this.chunksOf(pack) > 0);
  }

  /** Chunks of the pack that some target lacks. */
  chunksOf(pack: PackNumber): number {
    return this.#perPack.get(pack);
  }
}

export class NeedWalk implements ReachSink {
  readonly #reading: ReadingSession;
  readonly #targets: readonly ReplicaTarget[];
  readonly #options: CallOptions;
  /** Chunks of the source that nobody can read. */
  readonly lost = new Set<string>();
  /** Packs of the source of which nobody knows any more what is in them: only other copies of their chunks count. */
  readonly distrusted = new Set<PackNumber>();
  readonly #numbers: ChunkNumbers;
  /** Bits of the targets that have a chunk, or will have it; of nodes also: everything below. */
  #settled: ChunkMap;
  #pending: Pending;
  #wanting: readonly ReplicaTarget[] = [];
  #bits = 0;
  #fruitlessLooks = 0;
  /** Raw length of what waits. */
  pendingBytes = 0;

  constructor(reading: ReadingSession, targets: readonly ReplicaTarget[], options: CallOptions) {
    this.#reading = reading;
    this.#targets = targets;
    this.#options = options;
    this.#numbers = new ChunkNumbers(reading.repository.cache.chunks);
    this.#settled = new ChunkMap(reading.repository.cache.chunks, this.#numbers);
    this.#pending = new Pending(reading, this.#numbers);
  }

  /** Nothing that was looked up counts any more. */
  forget(): void {
    this.#settled = new ChunkMap(this.#reading.repository.cache.chunks, this.#numbers);
  }

  /** What waits is taken over by the caller. */
  take(): Pending {
    const pending = this.#pending;
    this.#pending = new Pending(this.#reading, this.#numbers);
    this.pendingBytes = 0;
    return pending;
  }

  /** `bits`: targets that are to have the snapshot. @throws damage, and every error of the source */
  async walk({ components }: Snapshot, bits: number): Promise<void> {
    this.#bits = bits;
    this.#wanting = this.#targets.filter(target => (target.bit & bits) !== 0);
    await new ReachWalk(this.#reading.trees, this, this.#options).reach(components.map(({ root }) => root));
    this.#fruitlessLooks = 0;
  }

  /** @internal for the walk, like all below */
  data(id: ChunkId, lengthBytes: number | undefined): boolean {
    const location = this.#find(id, 'data');
    if (location === undefined || (lengthBytes !== undefined && location.length !== lengthBytes)) return this.#isAtAllTargets(id, lengthBytes);
    this.#settle(id, location, 'data');
    return true;
  }

  node(id: ChunkId): ReachedNode | 'known' | undefined {
    const location = this.#find(id, 'tree');
    if (location === undefined) return undefined;
    if ((this.#settled.get(location) & this.#bits) === this.#bits) return 'known';
    this.#settle(id, location, 'tree');
    return { number: NO_PARENT, location };
  }

  async copies(id: ChunkId, error: SnapError): Promise<readonly ChunkLocation[]> {
    if (error.code === 'OBJECT_NOT_FOUND') await this.#reading.lookAgain(this.#reading.looks, this.#options);
    const { chunks } = this.#reading.repository.cache;
    return chunks.findAll(id).filter(({ pack }) => chunks.pack(pack)?.type === 'tree');
  }

  foundAt(): void {
    // What was found damaged is copied from its other place when its own turn comes.
  }

  async lookAgain(): Promise<boolean> {
    if (this.#fruitlessLooks === MAX_FRUITLESS_LOOKS) return false;
    this.#fruitlessLooks++;
    await this.#reading.lookAgain(this.#reading.looks, this.#options);
    return true;
  }

  #find(id: Bytes, type: PackType): ChunkLocation | undefined {
    const { chunks } = this.#reading.repository.cache;
    let location = chunks.find(id);
    if (location !== undefined && this.distrusted.has(location.pack)) location = chunks.findAll(id).find(({ pack }) => !this.distrusted.has(pack));
    if (location === undefined || chunks.pack(location.pack)?.type !== type) return undefined;
    return this.lost.size > 0 && this.lost.has(chunkIdKey(id as ChunkId)) ? undefined : location;
  }

  /** What is gone in the source is no loss where it was copied before. */
  #isAtAllTargets(id: ChunkId, lengthBytes: number | undefined): boolean {
    const packs = this.#wanting.filter(({ isAlive }) => isAlive).map(target => ({ target, pack: target.find(id, 'data', lengthBytes) }));
    if (packs.some(({ pack }) => pack === undefined)) return false;
    for (const { target, pack } of packs) target.session.reference([pack!]);
    return true;
  }

  #settle(id: ChunkId, location: ChunkLocation, type: PackType): void {
    const settled = this.#settled.get(location);
    const open = this.#bits & ~settled;
    if (open === 0) return;
    this.#settled.set(location, settled | open);
    let lacking = 0;
    for (const target of this.#wanting) {
      if ((target.bit & open) === 0 || !target.isAlive) continue;
      const pack = target.find(id, type);
      if (pack === undefined) lacking |= target.bit;
      else target.session.reference([pack]);
    }
    if (lacking === 0) return;
    this.#pending.add(location, lacking);
    this.pendingBytes += location.length;
  }
}
