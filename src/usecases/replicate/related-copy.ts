/**
 * Copies snapshots to targets that name content as the source does, all at once: walk some snapshots, copy what is missing pack by pack,
 * make it durable and indexed, commit. When something moved, was lost, or is not usable any more in a target, everything that is
 * not committed yet is looked up anew.
 */
import { BytesGate } from '../../base/bytes-gate.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, throwIfAborted } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { PackNumber } from '../../cache/cache.ts';
import { chunkIdKey } from '../../format/ids.ts';
import { isDamage, isUnreadable } from '../../repository/damage.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { NeedWalk, type Pending } from './need-walk.ts';
import { PackCopy } from './pack-copy.ts';
import type { ReplicaTarget } from './replica-target.ts';
import { MAX_ROUNDS, type CopyOrder, type ReplicationRun } from './replication-run.ts';

/** Snapshots, and raw bytes that wait to be copied, after which what is complete is committed. */
const BATCH_SNAPSHOTS = 16;
const BATCH_BYTES: number = 1024 * MiB;
/** Packs that are read at the same time, and bytes of packs that are in memory: read, or being written to some target. */
const PARALLEL_READS = 3;
const MEMORY_BYTES: number = 96 * MiB;

export class RelatedCopy {
  readonly #run: ReplicationRun;
  readonly #order: CopyOrder;
  readonly #targets: readonly ReplicaTarget[];
  readonly #walk: NeedWalk;
  readonly #memory = new BytesGate(MEMORY_BYTES);

  constructor(run: ReplicationRun, order: CopyOrder, targets: readonly ReplicaTarget[]) {
    this.#run = run;
    this.#order = order;
    this.#targets = targets;
    this.#walk = new NeedWalk(order.reading, targets, run.call);
  }

  /** @throws every error of the source that is no damage */
  async copyAll(): Promise<void> {
    let left = this.#order.records.filter(({ id }) => !this.#run.damaged.has(id));
    while (left.length > 0 && this.#targets.some(({ isAlive }) => isAlive)) left = await this.#batch(left);
  }

  /** Copies and commits the first of the records; returns the others. */
  async #batch(records: readonly SnapshotRecord[]): Promise<SnapshotRecord[]> {
    let batch = await this.#look(records, true);
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const isWhole = await this.#copyPending(this.#walk.take());
      await Promise.all(this.#targets.map(target => target.attempt(() => target.flush())));
      if (isWhole && await this.#commit(batch)) {
        const done = new Set(batch);
        return records.filter(record => !done.has(record) && !this.#run.damaged.has(record.id));
      }
      this.#walk.forget();
      batch = await this.#look(batch.filter(record => this.#targets.some(target => target.wants(record))), false);
    }
    throw this.#run.vanishes();
  }

  /** What targets lack of these waits to be copied then. The records that can be copied; a full batch of them when there are more. */
  async #look(records: readonly SnapshotRecord[], isBounded: boolean): Promise<SnapshotRecord[]> {
    this.#run.counters.phase = 'planning';
    const walked: SnapshotRecord[] = [];
    for (const record of records) {
      throwIfAborted(this.#run.call.signal);
      const bits = this.#targets.reduce((all, target) => (target.wants(record) ? all | target.bit : all), 0);
      try {
        if (bits !== 0) await this.#walk.walk(record.snapshot, bits);
        walked.push(record);
      } catch (error) {
        if (!isDamage(error) && !isUnreadable(error)) throw error;
        this.#run.giveUp(record, error);
        this.#walk.forget();
      }
      if (isBounded && (walked.length >= BATCH_SNAPSHOTS || this.#walk.pendingBytes >= BATCH_BYTES)) break;
    }
    return walked;
  }

  /** False: something is lost, or has moved. */
  async #copyPending(pending: Pending): Promise<boolean> {
    this.#run.counters.phase = 'writing';
    const { reading } = this.#order;
    const { looks } = reading;
    const [lost, distrusted] = [this.#walk.lost.size, this.#walk.distrusted.size];
    let hasVanished = false;
    await mapBounded(pending.packs(), PARALLEL_READS, async number => {
      if (await this.#copyPack(number, pending) === 'vanished') hasVanished = true;
    });
    if (hasVanished) await reading.lookAgain(looks, this.#run.call);
    return !hasVanished && this.#walk.distrusted.size === distrusted && this.#walk.lost.size === lost;
  }

  async #copyPack(number: PackNumber, pending: Pending): Promise<'vanished' | undefined> {
    const { call, source } = this.#run;
    throwIfAborted(call.signal);
    const record = source.cache.chunks.pack(number);
    if (record === undefined) return 'vanished'; // another look at the source, since this was planned, found it gone
    const copy = new PackCopy(this.#order.reading, record, pending, this.#targets, {
      ...call,
      onRead: bytes => { this.#run.countRead(bytes); },
      onDamage: (pack, error) => { this.#run.damagedPack(pack, error); },
      onLost: id => { this.#walk.lost.add(chunkIdKey(id)); },
    });
    await this.#memory.acquire(record.sizeBytes);
    try {
      if (this.#targets.some(({ isAlive }) => isAlive)) await copy.run();
      return undefined;
    } catch (error) {
      if (hasCode(error, 'OBJECT_NOT_FOUND')) return 'vanished';
      if (!isUnreadable(error)) throw error;
      this.#run.damagedPack(record, error);
      this.#walk.distrusted.add(number);
      return undefined;
    } finally {
      void copy.settled().then(() => { this.#memory.release(record.sizeBytes); });
    }
  }

  /** False when a target must look everything up anew for a snapshot. */
  async #commit(batch: readonly SnapshotRecord[]): Promise<boolean> {
    this.#run.counters.phase = 'finishing';
    const outcomes = await Promise.all(this.#targets.map(async target => {
      for (const record of batch) {
        if (target.wants(record) && await target.attempt(() => target.commit(record, this.#order.parentOf(record))) === false) return false;
      }
      return true;
    }));
    const isDone = outcomes.every(outcome => outcome);
    if (isDone) this.#run.counters.entriesDone += batch.length;
    return isDone;
  }
}
