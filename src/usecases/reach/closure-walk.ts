/**
 * Whether everything that a snapshot reaches lies in usable packs, found by a full walk: of what a forgotten snapshot needs,
 * nothing is sure to be there. What was found whole is not walked again for the next snapshot.
 */
import type { CallOptions } from '../../base/call-options.ts';
import type { ChunkLocation, PackNumber } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { isDamage } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';
import { ChunkMap } from './chunk-map.ts';
import { ReachWalk, type ReachedNode, type ReachSink } from './reach-walk.ts';
import { NO_PARENT } from './reached-chunks.ts';

const MAX_MARK = 65_535;

export class ClosureWalk implements ReachSink {
  /** Of everything that was found, whole snapshots or not. */
  readonly packs = new Set<PackNumber>();
  readonly #repository: OpenRepository;
  readonly #trees: TreeReader;
  readonly #options: CallOptions;
  /** Nodes by the walk that met them; those of walks that ended well are whole. */
  #marks: ChunkMap;
  #mark = 0;
  readonly #wholeMarks = new Set<number>();

  /** Usable packs are those of the session view that was established last; the trees are read from them. */
  constructor(repository: OpenRepository, trees: TreeReader, options: CallOptions) {
    this.#repository = repository;
    this.#trees = trees;
    this.#options = options;
    this.#marks = new ChunkMap(repository.cache.chunks);
  }

  /** False as soon as something is missing or damaged. @throws every error that says nothing about the data */
  async isWhole({ components }: Snapshot): Promise<boolean> {
    this.#nextMark();
    try {
      await new ReachWalk(this.#trees, this, this.#options).reach(components.map(({ root }) => root));
      this.#wholeMarks.add(this.#mark);
      return true;
    } catch (error) {
      if (!isDamage(error)) throw error;
      return false;
    }
  }

  #nextMark(): void {
    if (this.#mark === MAX_MARK) {
      this.#marks = new ChunkMap(this.#repository.cache.chunks);
      this.#wholeMarks.clear();
      this.#mark = 0;
    }
    this.#mark++;
  }

  /** @internal for the walk, like all below */
  data(id: ChunkId, lengthBytes: number | undefined): boolean {
    const location = this.#find(id, 'data');
    return location !== undefined && (lengthBytes === undefined || location.length === lengthBytes);
  }

  node(id: ChunkId): ReachedNode | 'known' | undefined {
    const location = this.#find(id, 'tree');
    if (location === undefined) return undefined;
    const mark = this.#marks.get(location);
    if (mark === this.#mark || this.#wholeMarks.has(mark)) return 'known';
    this.#marks.set(location, this.#mark);
    return { number: NO_PARENT, location };
  }

  async copies(id: ChunkId): Promise<readonly ChunkLocation[]> {
    return this.#repository.cache.chunks.findAll(id).filter(({ pack }) => this.#repository.cache.chunks.pack(pack)?.type === 'tree');
  }

  foundAt(_: ChunkLocation, instead: ChunkLocation): void {
    this.packs.add(instead.pack);
  }

  /** The view stays as it is: what it does not have must not be relied on. */
  async lookAgain(): Promise<boolean> {
    return false;
  }

  #find(id: ChunkId, type: 'data' | 'tree'): ChunkLocation | undefined {
    const { chunks } = this.#repository.cache;
    const location = chunks.find(id);
    if (location === undefined || chunks.pack(location.pack)?.type !== type) return undefined;
    this.packs.add(location.pack);
    return location;
  }
}
