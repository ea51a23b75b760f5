/**
 * The chunk index in LMDB, a log-structured merge of sorted runs (O'Neil et al.: "The Log-Structured Merge-Tree", 1996;
 * repository design, section 18). Chunk IDs are uniformly random, so one record per key would touch a page per chunk;
 * here every segment becomes a run that is written in order, and runs of similar size are merged.
 *
 * Safe with several processes: every change is a transaction that first looks whether it still makes sense. What another
 * process adds is seen at the next call of `segments`, or when a run that it merged away is missed.
 */
import type { Clock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { chunkIdFromBytes, type ChunkId, type PackId, type SegmentId } from '../format/ids.ts';
import type { ChunkIndex, ChunkLocation, IndexAccess, PackNumber, PackRecord, SegmentContent } from './cache.ts';
import { ID_BYTES, readLocation } from './chunk-record.ts';
import { IndexSharing } from './index-sharing.ts';
import type { LmdbEnvironment } from './lmdb-environment.ts';
import { LmdbPackTable, type ClaimPlan } from './lmdb-pack-table.ts';
import type { LmdbStore } from './lmdb-store.ts';
import { planMerge } from './merge-plan.ts';
import { MergedRecords } from './record-cursor.ts';
import { BATCH_BYTES, RunBuilder } from './run-builder.ts';
import { runSource } from './run-source.ts';
import { putUnlisted, readRuns, removeWaste, writeRuns, type Run } from './run-table.ts';
import { readClaims, segmentSource, type SegmentClaims } from './segment-reader.ts';
import type { SharedMemory } from './shared-index.ts';

/** What `openKnownChunks` needs. */
export interface LmdbIndexAccess {
  readonly kind: 'lmdb';
  readonly folder: string;
  readonly generation: string;
  readonly memory: SharedMemory;
}

const NOBODY: ReadonlySet<number> = new Set();

export class LmdbChunkIndex implements ChunkIndex {
  readonly #environment: LmdbEnvironment;
  readonly #store: LmdbStore;
  readonly #clock: Clock;
  readonly #batchBytes: number;
  readonly #packs: LmdbPackTable;
  readonly #shared: IndexSharing;
  #segments: ReadonlySet<SegmentId> | undefined;
  #queue: Promise<unknown> = Promise.resolve();

  private constructor(environment: LmdbEnvironment, clock: Clock, batchBytes: number) {
    this.#environment = environment;
    this.#store = environment.store;
    this.#clock = clock;
    this.#batchBytes = batchBytes;
    this.#packs = new LmdbPackTable(environment);
    this.#shared = new IndexSharing(environment.store, () => this.highestPackNumber());
  }

  /** Removes what a crash left behind. */
  static async open(environment: LmdbEnvironment, clock: Clock, batchBytes: number = BATCH_BYTES): Promise<LmdbChunkIndex> {
    await removeWaste(environment.store, clock);
    return new LmdbChunkIndex(environment, clock, batchBytes);
  }

  segments(): ReadonlySet<SegmentId> {
    const segments = this.#packs.segments();
    if (segments !== this.#segments) this.#shared.renewRuns();
    this.#segments = segments;
    return segments;
  }

  packsOf(segment: SegmentId): readonly PackNumber[] {
    return this.#packs.packsOf(segment);
  }

  addSegment(content: SegmentContent): Promise<void> {
    return this.#inTurn(() => this.#addSegment(content));
  }

  dropSegments(ids: readonly SegmentId[]): Promise<void> {
    return this.#inTurn(async () => {
      const present = ids.filter(id => this.#packs.hasSegment(id));
      if (present.length === 0) return;
      const gone = this.#environment.removeEntries(() => this.#packs.removeSegments(present));
      this.#shared.removeUsable(gone);
      await this.#mergeRuns();
    });
  }

  reservePack(id: PackId): PackNumber {
    return this.#packs.reserve(id);
  }

  packNumber(id: PackId): PackNumber | undefined {
    return this.#packs.number(id);
  }

  pack(number: PackNumber): PackRecord | undefined {
    return this.#packs.pack(number);
  }

  packs(): Iterable<PackRecord> {
    return this.#packs.packs();
  }

  highestPackNumber(): PackNumber {
    return this.#packs.highestNumber();
  }

  setUsable(numbers: Iterable<PackNumber>): void {
    this.#shared.setUsable([...numbers]);
  }

  addUsable(number: PackNumber): void {
    this.#shared.addUsable(number);
  }

  isUsable(number: PackNumber): boolean {
    return this.#shared.isUsable(number);
  }

  find(id: Bytes): ChunkLocation | undefined {
    return this.#shared.lookup().findLocation(id);
  }

  findAll(id: Bytes): ChunkLocation[] {
    return this.#shared.lookup().findAllLocations(id);
  }

  access(): IndexAccess {
    const { folder, generation } = this.#environment;
    return { kind: 'lmdb', folder, generation, memory: this.#shared.handOut() } satisfies LmdbIndexAccess;
  }

  chunkCount(): number {
    return readRuns(this.#store).reduce((sum, run) => sum + run.records, 0);
  }

  *entries(): Generator<{ readonly id: ChunkId; readonly location: ChunkLocation }> {
    const deadPacks = this.#packs.deadPacks();
    const snapshot = this.#store.snapshot();
    try {
      const records = new MergedRecords(readRuns(snapshot).map(run => runSource(run, key => snapshot.get(key))));
      for (let cursor = records.next(); cursor !== undefined; cursor = records.next()) {
        const location = readLocation(cursor.block.view, cursor.at);
        if (deadPacks.has(location.pack)) continue;
        yield { id: chunkIdFromBytes(cursor.block.bytes.slice(cursor.at, cursor.at + ID_BYTES)), location };
      }
    } finally {
      snapshot.close();
    }
  }

  /** Waits for changes under way and gives back what this session did not use. */
  async close(): Promise<void> {
    await this.#queue;
    this.#store.flush();
    this.#packs.returnNumbers();
  }

  async #addSegment(content: SegmentContent): Promise<void> {
    const statement = readClaims(content);
    while (!this.#packs.hasSegment(content.id)) {
      const plans = statement.claims.map(claim => this.#packs.planClaim(claim));
      const builder = await this.#buildRun(content, statement, plans);
      if (builder !== undefined && this.#store.write(() => this.#listSegment(content, plans, builder))) break;
    }
    this.#shared.renewRuns();
    await this.#mergeRuns();
  }

  /** A run with the chunks of those packs that are new; undefined: begin again. */
  async #buildRun(content: SegmentContent, { counts }: SegmentClaims, plans: readonly ClaimPlan[]): Promise<RunBuilder | undefined> {
    const records = counts.reduce((sum, count, ordinal) => sum + (plans[ordinal]!.isKnown ? 0 : count), 0);
    const builder = new RunBuilder(this.#store, this.#clock, records, this.#batchBytes);
    const numbers = plans.map(plan => (plan.isKnown ? 0 : plan.number));
    const isBuilt = await builder.addAll(new MergedRecords([segmentSource(content, numbers)]), NOBODY);
    return isBuilt ? builder : undefined;
  }

  /** Inside a transaction. False: another process changed something that the run was built on. */
  #listSegment(content: SegmentContent, plans: readonly ClaimPlan[], builder: RunBuilder): boolean {
    const isDone = this.#packs.hasSegment(content.id);
    const isCurrent = plans.every(plan => this.#packs.isCurrent(plan));
    const run = isDone || !isCurrent ? undefined : builder.finish();
    if (run === undefined) {
      builder.abandon();
      return isDone;
    }
    this.#packs.putSegment(content.id, plans);
    if (run.records > 0) writeRuns(this.#store, [...readRuns(this.#store), run]);
    return true;
  }

  async #mergeRuns(): Promise<void> {
    for (;;) {
      const deadPacks = this.#packs.deadPacks();
      const plan = planMerge(readRuns(this.#store), [...deadPacks.values()].reduce((sum, count) => sum + count, 0));
      if (plan.length === 0) return;
      const builder = new RunBuilder(this.#store, this.#clock, plan.reduce((sum, run) => sum + run.records, 0), this.#batchBytes);
      const records = new MergedRecords(plan.map(run => runSource(run, key => this.#store.peek(key))));
      const isBuilt = await builder.addAll(records, deadPacks);
      if (isBuilt) this.#store.write(() => this.#replaceRuns(plan, builder, deadPacks));
      this.#shared.renewRuns();
      await removeWaste(this.#store, this.#clock);
    }
  }

  /** Inside a transaction: the merged run takes the place of its parts, unless another process merged one of them. */
  #replaceRuns(plan: readonly Run[], builder: RunBuilder, deadPacks: ReadonlyMap<PackNumber, number>): void {
    const runs = readRuns(this.#store);
    const kept = runs.filter(run => !plan.some(each => each.number === run.number));
    const merged = kept.length === runs.length - plan.length ? builder.finish() : undefined;
    if (merged === undefined) return builder.abandon();
    for (const run of plan) putUnlisted(this.#store, run, 0);
    writeRuns(this.#store, merged.records > 0 ? [...kept, merged] : kept);
    if (kept.length === 0) this.#packs.removeDeadPacks(deadPacks.keys());
  }

  /** One change after the other: a merge must not meet another one. */
  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const turn = this.#queue.then(change);
    this.#queue = turn.catch(() => undefined);
    return turn;
  }
}
