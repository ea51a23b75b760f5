/**
 * Marks everything that roots reach, chunk by chunk and each at one place, and counts from that what every pack is good for
 * (repository design, section 7). Memory: a bit for a chunk, and what `ChunkNumbers` takes; 16 MiB for IDs that come often.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { invariant, SnapError } from '../../base/errors.ts';
import { viewOf, type Bytes } from '../../base/bytes.ts';
import type { ChunkLocation, PackNumber, PackRecord } from '../../cache/cache.ts';
import { FRAME_RECORD_BYTES } from '../../format/frame.ts';
import type { ChunkId, SnapshotId } from '../../format/ids.ts';
import { packName, type PackType } from '../../format/object-names.ts';
import type { Entry } from '../../format/tree-node.ts';
import { isUnreadable } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import { ChunkNumbers } from './chunk-numbers.ts';
import type { FindingList } from '../findings.ts';
import type { MarkRoots } from './mark-roots.ts';
import { BitSet, PagedColumn } from './paged-column.ts';
import { ReachWalk, type ReachedNode, type ReachSink } from './reach-walk.ts';
import { RecentIds } from './recent-ids.ts';

/** What the choice among several copies of a chunk depends on; the set of usable packs of the cache holds those that are found. */
export interface CopyRules {
  /** Counted on only where there is no other copy. */
  readonly condemned: ReadonlySet<PackNumber>;
  /** Known to be damaged: counted on only where there is no other copy. */
  readonly doubtful: ReadonlySet<PackNumber>;
  /** Written by this run for a plan that another prune forestalled: better than the packs that they are to replace. */
  readonly fresh: ReadonlySet<PackNumber>;
}

/** Stored bytes of the frames of a pack, by whether something needs them. */
export interface PackShares {
  readonly liveChunks: number;
  /** Frames that are needed as a whole, and the needed share of the others. */
  readonly liveBytes: number;
  readonly wasteBytes: number;
}

export interface MarkOptions extends CallOptions {
  readonly findings: FindingList;
  /** After each snapshot. */
  readonly onSnapshot?: (() => void) | undefined;
}

/** Loads the index and the packs once more: others may have moved what is missing. */
export type LookAgain = () => Promise<CopyRules>;

export class Mark implements ReachSink {
  readonly #repository: OpenRepository;
  readonly #options: MarkOptions;
  readonly #numbers: ChunkNumbers;
  readonly #live = new BitSet();
  /** Needed bytes of frames with several chunks, at the number of their first one. */
  readonly #frameBytes = new PagedColumn(32);
  /** Needed chunks by pack number. */
  readonly #packChunks = new PagedColumn(32);
  /** By pack number: 1 data, 2 tree. */
  readonly #types = new PagedColumn(16);
  readonly #recent = new RecentIds();
  readonly #marked = new Set<SnapshotId>();
  readonly #walk: ReachWalk;
  #rules: CopyRules;
  #lookAgain: LookAgain;
  #hasLookedAgain = false;
  /** Condemned packs that hold something for which there is no other copy. */
  readonly rescued = new Set<PackNumber>();
  chunks = 0;

  constructor(repository: OpenRepository, rules: CopyRules, options: MarkOptions, lookAgain: LookAgain) {
    this.#repository = repository;
    this.#rules = rules;
    this.#lookAgain = lookAgain;
    this.#options = options;
    this.#numbers = new ChunkNumbers(repository.cache.chunks);
    this.#walk = new ReachWalk(new TreeReader(repository, new PackReader(repository)), this, options);
  }

  /** What is marked from now on is looked for by these rules; what is marked already stays where it is. Nothing is rescued yet. */
  changeRules(rules: CopyRules, lookAgain: LookAgain): void {
    this.rescued.clear();
    this.#rules = rules;
    this.#lookAgain = lookAgain;
    this.#hasLookedAgain = false;
  }

  /** @throws CHUNK_MISSING, and the error of a node that cannot be read: then nothing may be deleted */
  async from({ snapshots, pins }: MarkRoots): Promise<void> {
    for (const { id, snapshot } of snapshots) {
      if (!this.#marked.has(id)) await this.#follow(id, snapshot.components.map(({ root }) => root));
      this.#marked.add(id);
      this.#options.onSnapshot?.();
    }
    for (const { snapshotId, rootNodes, dataChunks = [] } of pins) {
      // A pin that came too late pins nothing: its reader finds the snapshot forgotten and gives up.
      let isIncomplete = false;
      await this.#walk.reach({ nodes: rootNodes, chunks: dataChunks }, () => { isIncomplete = true; });
      if (isIncomplete) {
        this.#options.findings.warn('session', snapshotId, 'A reader pinned a snapshot that was forgotten before, and whose data is gone');
      }
    }
  }

  async #follow(id: SnapshotId, roots: readonly Entry[]): Promise<void> {
    try {
      await this.#walk.reach(roots);
    } catch (error) {
      if (!isUnreadable(error)) throw error;
      throw new SnapError(error.code, `Cannot find everything that snapshot '${id}' needs: ${error.message}`, {
        hint: 'Nothing was removed. Run `snap verify` to see what is hit, and `snap repair` or forget the snapshots that are hit',
        cause: error, context: { ...error.context, snapshot: id },
      });
    }
  }

  // --- what is marked ---

  isLive(location: ChunkLocation): boolean {
    return this.#live.has(this.#numbers.of(location));
  }

  liveChunksOf(pack: PackNumber): number {
    return this.#packChunks.get(pack);
  }

  /** Packs that something marked lies in. */
  *packs(): Generator<PackNumber> {
    for (const pack of this.#numbers.packs()) if (this.#packChunks.get(pack) > 0) yield pack;
  }

  /** Needed chunks of each frame. */
  liveChunksByFrame({ number, frames }: PackRecord): Uint32Array {
    const counts = new Uint32Array(frames.length / FRAME_RECORD_BYTES);
    if (this.#packChunks.get(number) === 0) return counts;
    const view = viewOf(frames);
    let chunk = this.#numbers.baseOf(number);
    for (let frame = 0; frame < counts.length; frame++) {
      for (let left = view.getUint16(frame * FRAME_RECORD_BYTES + 12, true); left > 0; left--) if (this.#live.has(chunk++)) counts[frame]!++;
    }
    return counts;
  }

  sharesOf(record: PackRecord): PackShares {
    const counts = this.liveChunksByFrame(record);
    const view = viewOf(record.frames);
    let chunk = this.#packChunks.get(record.number) === 0 ? 0 : this.#numbers.baseOf(record.number);
    let liveBytes = 0;
    let wasteBytes = 0;
    counts.forEach((live, frame) => {
      const at = frame * FRAME_RECORD_BYTES;
      const count = view.getUint16(at + 12, true);
      const stored = count === 0 ? 0 : view.getUint32(at + 4, true); // padding is no waste: a new pack would have it too
      const needed = live === count ? stored : live === 0 ? 0 : stored * (this.#frameBytes.get(chunk) / view.getUint32(at + 8, true));
      liveBytes += needed;
      wasteBytes += stored - needed;
      chunk += count;
    });
    return { liveChunks: this.#packChunks.get(record.number), liveBytes, wasteBytes };
  }

  /** Everything that was marked in the pack lies in others now. */
  movedAway(pack: PackNumber): void {
    this.#packChunks.set(pack, 0);
  }

  /** The pack holds something that was moved into it. */
  movedInto(pack: PackNumber): void {
    this.#numbers.baseOf(pack);
    this.#packChunks.set(pack, Math.max(1, this.#packChunks.get(pack)));
  }

  // --- ReachSink ---

  data(id: ChunkId, lengthBytes: number | undefined): boolean {
    if (this.#recent.has(id)) return true;
    const location = this.#locate(id, 'data', lengthBytes);
    if (location === undefined) return false;
    this.#mark(location);
    this.#recent.add(id);
    return true;
  }

  node(id: ChunkId): ReachedNode | 'known' | undefined {
    if (this.#recent.has(id)) return 'known';
    const location = this.#locate(id, 'tree', undefined);
    if (location === undefined) return undefined;
    this.#recent.add(id);
    return this.#mark(location) ? { number: 0, location } : 'known';
  }

  async copies(id: ChunkId): Promise<readonly ChunkLocation[]> {
    return this.#repository.cache.chunks.findAll(id).filter(({ pack }) => this.#typeOf(pack) === 'tree');
  }

  /** From now on the copy that could be read is the one that counts. */
  foundAt(location: ChunkLocation, instead: ChunkLocation, error: SnapError): void {
    const { pack, frame } = instead;
    this.#unmark(instead);
    this.#mark(location);
    if (this.#rules.condemned.has(location.pack)) this.rescued.add(location.pack);
    const record = this.#repository.cache.chunks.pack(pack);
    const name = record === undefined ? String(pack) : packName(record.type, record.id);
    this.#options.findings.damage('frame', name, `Frame ${frame} cannot be read, and another copy was used: ${error.message}`);
  }

  async lookAgain(): Promise<boolean> {
    if (this.#hasLookedAgain) return false;
    this.#hasLookedAgain = true;
    this.#rules = await this.#lookAgain();
    return true;
  }

  // --- places ---

  /** True when it was not marked before. */
  #mark(location: ChunkLocation): boolean {
    const number = this.#numbers.of(location);
    if (!this.#live.add(number)) return false;
    this.chunks++;
    this.#packChunks.set(location.pack, this.#packChunks.get(location.pack) + 1);
    const first = this.#numbers.firstOfShared(location);
    if (first !== undefined) this.#frameBytes.set(first, this.#frameBytes.get(first) + location.length);
    return true;
  }

  #unmark(location: ChunkLocation): void {
    if (!this.#live.remove(this.#numbers.of(location))) return;
    this.chunks--;
    this.#packChunks.set(location.pack, this.#packChunks.get(location.pack) - 1);
    const first = this.#numbers.firstOfShared(location);
    if (first !== undefined) this.#frameBytes.set(first, this.#frameBytes.get(first) - location.length);
  }

  /**
   * The place that counts. The same one for every host and whatever the order in which the index was loaded: of equally good
   * copies that in the pack with the least ID, so that of two packs with the same content one is needed and one is not.
   */
  #locate(id: Bytes, type: PackType, lengthBytes: number | undefined): ChunkLocation | undefined {
    const places = this.#repository.cache.chunks.findAll(id).filter(({ pack, length }) => this.#typeOf(pack) === type && (lengthBytes === undefined || length === lengthBytes));
    const [first] = places;
    if (first === undefined) return undefined;
    const best = places.length === 1 ? first : places.reduce((a, b) => (this.#isBetter(b, a) ? b : a));
    if (this.#rules.condemned.has(best.pack)) for (const { pack } of places) if (this.#rules.condemned.has(pack)) this.rescued.add(pack);
    return best;
  }

  #isBetter(a: ChunkLocation, b: ChunkLocation): boolean {
    const [x, y] = [this.#rank(a), this.#rank(b)];
    if (x !== y) return x < y;
    if (a.pack === b.pack) return a.frame - b.frame < 0 || (a.frame === b.frame && a.offset < b.offset);
    return this.#idOf(a.pack) < this.#idOf(b.pack);
  }

  #rank({ pack }: ChunkLocation): number {
    return (this.#rules.doubtful.has(pack) ? 4 : 0) + (this.#rules.condemned.has(pack) ? 2 : 0) + (this.#rules.fresh.has(pack) ? 0 : 1);
  }

  #idOf(pack: PackNumber): string {
    const record = this.#repository.cache.chunks.pack(pack);
    invariant(record !== undefined, `The cache has no record of pack ${pack}`);
    return record.id;
  }

  #typeOf(pack: PackNumber): PackType | undefined {
    let type = this.#types.get(pack);
    if (type === 0) {
      const record = this.#repository.cache.chunks.pack(pack);
      if (record === undefined) return undefined;
      this.#types.set(pack, type = record.type === 'data' ? 1 : 2);
    }
    return type === 1 ? 'data' : 'tree';
  }
}
