/**
 * Walks all snapshots for a repair of packs: what no sound pack holds is asked of the replica, if there is one, and stored; the rest
 * is lost, and told by files and ranges.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { chunkIdKey, type ChunkId } from '../../format/ids.ts';
import type { PackType } from '../../format/object-names.ts';
import { decodeNode, type TreeNode } from '../../format/tree-node.ts';
import { ChunkWriter } from '../../repository/chunk-writer.ts';
import { isDamage } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { loadSnapshots } from '../../repository/snapshots.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import type { DamagedPack } from './damaged-packs.ts';
import { LossList } from './loss-list.ts';
import { missingChunk } from '../reading/frame-loader.ts';
import { ChunkHealth } from './pack-salvage.ts';
import { pathNames, pathOfNames } from '../path-bytes.ts';
import { RecentIds } from '../reach/recent-ids.ts';
import { changedMeanwhile, type RepairTally } from './repair-run.ts';
import { ReplicaSource } from './replica-source.ts';
import { TreeMend } from './tree-mend.ts';

/** Healed chunks that are remembered until the cache answers for them. */
const MAX_PENDING = 50_000;

export interface LossWalkOptions extends CallOptions {
  readonly owner: SessionOwner;
  readonly dryRun: boolean;
  readonly replica: OpenRepository | undefined;
  readonly compressionLevel: number;
}

export class LossWalk {
  readonly writer: ChunkWriter;
  losses = new LossList();
  /** Distinct ones that a snapshot needs. */
  chunksLost = 0;
  readonly #session: WritingSession;
  readonly #tally: RepairTally;
  readonly #options: LossWalkOptions;
  readonly #replica: ReplicaSource | undefined;
  readonly #healed = new Set<string>();
  #lost = new RecentIds();
  #health: ChunkHealth;
  #trees: TreeReader;
  /** IDs of packs with damage that nobody knew of. */
  readonly #suspects = new Set<string>();
  #known: ReadonlySet<string> = new Set();

  private constructor(session: WritingSession, tally: RepairTally, options: LossWalkOptions, replica: ReplicaSource | undefined) {
    const { repository } = session;
    this.#session = session;
    this.#tally = tally;
    this.#options = options;
    this.#replica = replica;
    this.writer = new ChunkWriter(repository, session.assembler, options.compressionLevel);
    this.#health = new ChunkHealth(session, []);
    this.#trees = new TreeReader(repository, new PackReader(repository));
  }

  static async begin(session: WritingSession, tally: RepairTally, options: LossWalkOptions): Promise<LossWalk> {
    const { replica } = options;
    return new LossWalk(session, tally, options, replica === undefined ? undefined : await ReplicaSource.open(replica, session, tally, options));
  }

  /** Returns the IDs of packs that turned out to be damaged, beside those that are known to be. */
  async run(damaged: readonly DamagedPack[]): Promise<string[]> {
    const { repository } = this.#session;
    this.losses = new LossList();
    this.chunksLost = 0;
    this.#lost = new RecentIds();
    this.#suspects.clear();
    this.#known = new Set(damaged.map(({ id }) => id));
    this.#health = new ChunkHealth(this.#session, damaged);
    this.#trees = new TreeReader(repository, new PackReader(repository));
    const mend = new TreeMend({
      ...this.#options, index: repository.cache.chunks, auxiliaryHasher: repository.keys.auxiliaryHasher,
      source: { hasChunk: (id, length) => this.#hasChunk(id, length), node: id => this.#node(id) },
    });
    const { snapshots, unreadable } = await loadSnapshots(repository, this.#options);
    for (const { id, error } of unreadable) {
      this.#tally.left('snapshot', `snapshots/${id}`, `The record cannot be read, so nobody knows what it needs: ${error.message}`);
      this.#tally.next('Run `snap repair snapshots`, which says what can be done about damaged records');
    }
    for (const { id, snapshot } of snapshots) {
      for (const { root, sourcePath } of snapshot.components) await mend.mend(root, pathOfNames(pathNames(sourcePath)), { onLoss: loss => { this.losses.add(id, loss); } });
    }
    await this.flush();
    return [...this.#suspects];
  }

  /** Everything that was saved so far is durable and indexed. */
  async flush(): Promise<void> {
    this.writer.finish();
    await this.#session.flush();
    await this.#replica?.flush();
    if (!this.#options.dryRun) this.#healed.clear();
  }

  /** Names of packs that came back as a whole, or would in a dry run. */
  get restored(): ReadonlySet<string> {
    return this.#replica?.restored ?? new Set();
  }

  /** Returns the error of a replica that refused the clean-up. */
  async end(): Promise<unknown> {
    return this.#replica?.end();
  }

  // --- single chunks ---

  #hasChunk(id: ChunkId, length: number): boolean | Promise<boolean> {
    if (this.#health.has('data', id, length)) return true;
    return this.#heal('data', id, length).then(bytes => bytes !== undefined);
  }

  async #node(id: ChunkId): Promise<TreeNode> {
    let failure: SnapError = missingChunk(id);
    if (this.#health.has('tree', id)) {
      try {
        return await this.#trees.node(id, this.#options);
      } catch (error) {
        if (!isDamage(error)) throw error;
        if (error.code === 'OBJECT_NOT_FOUND') throw changedMeanwhile(`Packs vanish while they are looked at: ${error.message}`, error);
        const { pack } = error.context;
        if (typeof pack === 'string' && !this.#known.has(pack)) this.#suspects.add(pack);
        failure = error;
      }
    }
    const bytes = await this.#heal('tree', id, undefined);
    if (bytes === undefined) throw failure;
    return decodeNode(bytes);
  }

  /** Of a chunk that was healed a moment ago the bytes are asked for again: only nodes need them, and few are met twice. */
  async #heal(type: PackType, id: ChunkId, length: number | undefined): Promise<Bytes | undefined> {
    const key = chunkIdKey(id);
    if (type === 'data' && this.#healed.has(key)) return NOTHING;
    const bytes = await this.#replica?.heal(type, id, length, found => { this.#store(type, id, found); });
    if (bytes === undefined) {
      if (!this.#lost.has(id)) this.chunksLost++;
      this.#lost.add(id);
      return undefined;
    }
    this.#healed.add(key);
    await this.#session.assembler.backPressure();
    if (this.#healed.size >= MAX_PENDING) await this.#forgetHealed();
    return bytes;
  }

  #store(type: PackType, id: ChunkId, bytes: Bytes): void {
    if (this.#healed.has(chunkIdKey(id)) || !this.writer.put(type, id, bytes)) return;
    this.#tally.counts.chunksHealed++;
  }

  /** In a dry run a chunk may then be counted twice. */
  async #forgetHealed(): Promise<void> {
    await this.flush();
    this.#healed.clear();
  }
}

const NOTHING: Bytes = new Uint8Array(0);
