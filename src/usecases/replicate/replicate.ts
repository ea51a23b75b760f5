/**
 * Copies snapshots into other repositories. The source is read by a pinned reader, each target is a writing session, so it is safe beside
 * backups and prunes on both sides. In steps: what each target lacks; then, for some snapshots at a time, walk them, copy what is missing
 * pack by pack (each is read once, for all targets), make it durable and indexed, commit. An interrupted run leaves packs that the next
 * one finds. A target that fails stops only itself; damage in the source keeps back the snapshots that it hits, in every target.
 */
import { BytesGate } from '../../base/bytes-gate.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, SnapError, throwIfAborted } from '../../base/errors.ts';
import { MiB } from '../../base/units.ts';
import type { PackRecord } from '../../cache/cache.ts';
import { chunkIdKey, type SnapshotId } from '../../format/ids.ts';
import { packName, snapshotName } from '../../format/object-names.ts';
import { isDamage, isUnreadable } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import { isValidNow, loadSnapshots, type SnapshotListing, type SnapshotRecord } from '../../repository/snapshots.ts';
import { isolated, newCounters, type Counters, type JobContext, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import { resolveIn } from '../reading/select-snapshots.ts';
import type { ReplicateReport } from '../reports.ts';
import { ForeignCopy } from './foreign-copy.ts';
import { MAX_TARGETS, NeedWalk, type Pending } from './need-walk.ts';
import { PackCopy } from './pack-copy.ts';
import { firstId, selectSnapshots } from './replica-lag.ts';
import { writeOutcome } from './replica-outcome.ts';
import { ReplicaTarget, type ReplicaPlace } from './replica-target.ts';
import type { ReplicateOptions } from './replicate-options.ts';
import { readBack, type ReadBack } from './read-back.ts';

/** Snapshots of one session: each has a registration in the storage. */
const SESSION_SNAPSHOTS = 128;
/** Snapshots, and raw bytes that wait to be copied, after which what is complete is committed. */
const BATCH_SNAPSHOTS = 16;
const BATCH_BYTES: number = 1024 * MiB;
/** Packs that are read at the same time, and bytes of packs that are in memory: read, or being written to some target. */
const PARALLEL_READS = 3;
const MEMORY_BYTES: number = 96 * MiB;
/** Looks at one batch: packs may move under our hands, and sessions be revoked, but not for ever. */
const MAX_ROUNDS = 8;

/**
 * @throws every error of the source that is no damage; USAGE; SNAPSHOT_NOT_FOUND; with a single target its error, when it failed
 */
export async function replicate(source: OpenRepository, places: readonly ReplicaPlace[], options: ReplicateOptions, context: JobContext = {}): Promise<ReplicateReport> {
  if (places.length === 0 || places.length > MAX_TARGETS) throw new SnapError('USAGE', `A replication has 1 to ${MAX_TARGETS} targets, not ${places.length}`);
  return new Replication(source, places, options, context).run();
}

class Replication {
  readonly #source: OpenRepository;
  readonly #options: ReplicateOptions;
  readonly #call: CallOptions;
  readonly #counters: Counters;
  readonly #emit: (event: SnapEvent) => void;
  readonly #findings: FindingList;
  readonly #targets: readonly ReplicaTarget[];
  readonly #damagedPacks = new Set<string>();
  readonly #damaged = new Set<SnapshotId>();
  readonly #memory = new BytesGate(MEMORY_BYTES);
  #bytesRead = 0;

  constructor(source: OpenRepository, places: readonly ReplicaPlace[], options: ReplicateOptions, context: JobContext) {
    const { signal, counters = newCounters() } = context;
    this.#source = source;
    this.#options = options;
    this.#call = { signal };
    this.#counters = counters;
    this.#emit = isolated(context.onEvent);
    this.#findings = new FindingList(finding => { this.#emit({ type: 'damage-found', finding }); });
    const { owner, dryRun, again } = options;
    this.#targets = places.map((place, i) => new ReplicaTarget(place, 1 << i, {
      owner, dryRun, again, signal,
      onRevoked: sessionId => { this.#emit({ type: 'session-revoked', sessionId }); },
      onPackWritten: ({ packId, sizeBytes, chunks }) => {
        counters.bytesAdded += sizeBytes;
        this.#emit({ type: 'pack-written', packId, sizeBytes, chunks });
      },
    }));
  }

  async run(): Promise<ReplicateReport> {
    const { clock } = this.#source;
    const startedAt = clock.monotonic();
    this.#emit({ type: 'run-started', job: 'replicate', at: clock.now() });
    this.#counters.phase = 'scanning';
    const listing = await loadSnapshots(this.#source, this.#call);
    const chosen = this.#choose(listing);
    await Promise.all(this.#targets.map(target => target.attempt(() => target.survey(this.#source))));
    const held = new Map(this.#targets.map(target => [target, chosen.filter(record => target.held.has(firstId(record))).length]));
    await this.#copyAll(chosen, listing);
    const readBacks = await this.#readBack();
    const report = await writeOutcome(this.#source, this.#targets, {
      options: this.#options, chosen, listing, held, readBacks, damaged: this.#damaged, findings: this.#findings, call: this.#call,
      bytesRead: this.#bytesRead, durationMs: () => clock.monotonic() - startedAt,
    });
    const [only, ...others] = this.#targets;
    if (others.length === 0 && only?.failure !== undefined) throw only.failure;
    return report;
  }

  #choose(listing: SnapshotListing): SnapshotRecord[] {
    const { names, selection } = this.#options;
    if (names !== undefined) return sortByTime(new Map(names.map(name => resolveIn(listing, name, selection)).map(record => [record.id, record])).values());
    for (const { id, error } of listing.unreadable) this.#findings.unreadable('snapshot', snapshotName(id), error);
    return selectSnapshots(listing.snapshots, selection, this.#source.clock.now());
  }

  async #copyAll(chosen: readonly SnapshotRecord[], listing: SnapshotListing): Promise<void> {
    const missing = chosen.filter(record => this.#targets.some(target => target.wants(record)));
    this.#counters.totalEntries = missing.length;
    this.#counters.totalBytes = missing.reduce((sum, { snapshot }) => sum + snapshot.statistics.bytesAddedStored, 0);
    if (missing.length === 0) return;
    const firstOf = new Map(listing.snapshots.map(record => [record.id, firstId(record)]));
    const reading = await this.#pin([...missing, ...this.#bases(missing, listing.snapshots)]);
    try {
      for (let from = 0; from < missing.length; from += SESSION_SNAPSHOTS) await this.#session(reading, missing.slice(from, from + SESSION_SNAPSHOTS), listing.snapshots, firstOf);
    } finally {
      const failure = await reading.end();
      if (failure instanceof SnapError) this.#findings.warn('session', this.#source.backend.location, `The registration of this run could not be removed: ${failure.message}`);
    }
  }

  /** Of each series the last snapshot before those that a foreign target lacks: what it shares with them need not be read. */
  #bases(missing: readonly SnapshotRecord[], all: readonly SnapshotRecord[]): SnapshotRecord[] {
    const bases = new Set<SnapshotRecord>();
    for (const target of this.#targets.filter(({ relation }) => relation === 'foreign')) {
      for (const record of missing.filter(each => target.wants(each))) {
        const base = baseOf(record, all, target);
        if (base !== undefined && !missing.includes(base)) bases.add(base);
      }
    }
    return [...bases];
  }

  /** Snapshots that were forgotten since they were listed are left out. */
  async #pin(missing: readonly SnapshotRecord[]): Promise<ReadingSession> {
    let records = missing;
    for (let round = 1; ; round++) {
      try {
        return await ReadingSession.begin(this.#source, this.#options.owner, records, this.#call);
      } catch (error) {
        if (!hasCode(error, 'SNAPSHOT_NOT_FOUND') || round === MAX_ROUNDS) throw error;
        const valid = await mapBounded(records, 8, record => isValidNow(this.#source, record.id, this.#call));
        for (const [i, record] of records.entries()) if (valid[i] === false) this.#damaged.add(record.id);
        records = records.filter((_, i) => valid[i]);
      }
    }
  }

  async #session(reading: ReadingSession, records: readonly SnapshotRecord[], all: readonly SnapshotRecord[], firstOf: ReadonlyMap<SnapshotId, SnapshotId>): Promise<void> {
    const targets = this.#targets.filter(target => records.some(record => target.wants(record)));
    try {
      await Promise.all(targets.map(target => target.attempt(() => target.begin(records.filter(record => target.wants(record)).length))));
      const related = targets.filter(({ relation }) => relation !== 'foreign');
      const walk = new NeedWalk(reading, related, this.#call);
      let left = records.filter(({ id }) => !this.#damaged.has(id));
      while (left.length > 0 && related.some(({ isAlive }) => isAlive)) left = await this.#batch(reading, walk, related, left, firstOf);
      await Promise.all(targets.filter(target => !related.includes(target)).map(target => this.#copyForeign(reading, target, records, all, firstOf)));
    } finally {
      for (const target of targets) await target.end();
    }
  }

  /** For a target that shares nothing with the source: snapshot by snapshot. */
  async #copyForeign(
    reading: ReadingSession, target: ReplicaTarget, records: readonly SnapshotRecord[], all: readonly SnapshotRecord[], firstOf: ReadonlyMap<SnapshotId, SnapshotId>,
  ): Promise<void> {
    let copy: ForeignCopy | undefined;
    for (const record of records) {
      for (let round = 1; target.wants(record) && !this.#damaged.has(record.id); round++) {
        if (round > MAX_ROUNDS) throw this.#vanishes();
        throwIfAborted(this.#call.signal);
        this.#counters.phase = 'writing';
        const { parent } = record.snapshot;
        const base = baseOf(record, all, target);
        try {
          const isDone = await target.attempt(async () => {
            copy ??= new ForeignCopy(reading, target, { ...this.#call, onRead: bytes => { this.#countRead(bytes); } });
            const pair = base === undefined ? undefined : { source: base.snapshot, target: target.snapshotOf(firstId(base))! };
            const components = await copy.components(record.snapshot, pair);
            await target.flush();
            return target.commit(record, parent === undefined ? undefined : firstOf.get(parent), components);
          });
          if (isDone !== true) copy = undefined;
        } catch (error) {
          if (!isDamage(error) && !isUnreadable(error)) throw error;
          this.#giveUp(record, error);
          copy = undefined;
        }
      }
      this.#counters.entriesDone++;
    }
  }

  #countRead(bytes: number): void {
    this.#bytesRead += bytes;
    this.#counters.bytesDone += bytes;
  }

  #vanishes(): SnapError {
    return new SnapError('OBJECT_CONFLICT', 'Packs vanish again and again while they are copied', {
      hint: 'Another program changes one of the repositories; run the command again when it has ended. What was copied stays',
    });
  }

  /** Copies and commits the first of the records; returns the others. */
  async #batch(reading: ReadingSession, walk: NeedWalk, targets: readonly ReplicaTarget[], records: readonly SnapshotRecord[], firstOf: ReadonlyMap<SnapshotId, SnapshotId>): Promise<SnapshotRecord[]> {
    let batch: SnapshotRecord[] = [];
    for (let round = 1; round <= MAX_ROUNDS; round++) {
      const isFirst = round === 1;
      const walked = await this.#walk(walk, targets, isFirst ? records : batch, isFirst);
      batch = walked;
      const pending = walk.take();
      const isWhole = await this.#copyPending(reading, walk, targets, pending);
      await Promise.all(targets.map(target => target.attempt(() => target.flush())));
      if (isWhole && await this.#commit(targets, batch, firstOf)) {
        const done = new Set(batch);
        return records.filter(record => !done.has(record) && !this.#damaged.has(record.id));
      }
      walk.forget();
      batch = batch.filter(record => targets.some(target => target.wants(record)));
    }
    throw this.#vanishes();
  }

  /** The records that were walked, which are those that can be copied; a full batch of them when there are more. */
  async #walk(walk: NeedWalk, targets: readonly ReplicaTarget[], records: readonly SnapshotRecord[], isBounded: boolean): Promise<SnapshotRecord[]> {
    this.#counters.phase = 'planning';
    const walked: SnapshotRecord[] = [];
    for (const record of records) {
      throwIfAborted(this.#call.signal);
      const bits = targets.reduce((all, target) => (target.wants(record) ? all | target.bit : all), 0);
      try {
        if (bits !== 0) await walk.walk(record.snapshot, bits);
        walked.push(record);
      } catch (error) {
        if (!isDamage(error) && !isUnreadable(error)) throw error;
        this.#giveUp(record, error);
        walk.forget();
      }
      if (isBounded && (walked.length >= BATCH_SNAPSHOTS || walk.pendingBytes >= BATCH_BYTES)) break;
    }
    return walked;
  }

  #giveUp({ id, snapshot }: SnapshotRecord, error: SnapError): void {
    this.#damaged.add(id);
    this.#counters.problems++;
    this.#findings.add({
      object: 'snapshot', name: id, severity: 'damage', files: [],
      message: `The snapshot of series '${snapshot.series}' cannot be copied, since something that it needs is damaged: ${error.message}`,
      hint: 'Run `snap verify`, then `snap repair packs`; a replica that holds older snapshots may heal it: `snap repair packs --from LOCATION`',
    });
  }

  /** False: something is lost or has moved, so everything must be looked up anew. */
  async #copyPending(reading: ReadingSession, walk: NeedWalk, targets: readonly ReplicaTarget[], pending: Pending): Promise<boolean> {
    this.#counters.phase = 'writing';
    const lostBefore = walk.lost.size;
    const { looks } = reading;
    let hasVanished = false;
    const distrusted = new Set<number>();
    const { chunks } = this.#source.cache;
    await mapBounded(pending.packs().filter(pack => pending.chunksOf(pack) > 0), PARALLEL_READS, async number => {
      throwIfAborted(this.#call.signal);
      const record = chunks.pack(number)!;
      const copy = new PackCopy(reading, record, pending, targets, {
        ...this.#call,
        onRead: bytes => { this.#countRead(bytes); },
        onDamage: (pack, error) => { this.#damagedPack(pack, error); },
        onLost: id => { walk.lost.add(chunkIdKey(id)); },
      });
      await this.#memory.acquire(record.sizeBytes);
      try {
        if (targets.some(({ isAlive }) => isAlive)) await copy.run();
      } catch (error) {
        if (hasCode(error, 'OBJECT_NOT_FOUND')) hasVanished = true;
        else if (isUnreadable(error)) {
          this.#damagedPack(record, error);
          distrusted.add(number);
        } else throw error;
      } finally {
        void copy.settled().then(() => { this.#memory.release(record.sizeBytes); });
      }
    });
    if (hasVanished) await reading.lookAgain(looks, this.#call);
    if (distrusted.size > 0) this.#distrust(distrusted);
    return !hasVanished && distrusted.size === 0 && walk.lost.size === lostBefore;
  }

  /** Nobody knows what is in these packs of the source: only other copies of their chunks count from now on. */
  #distrust(packs: ReadonlySet<number>): void {
    const { chunks } = this.#source.cache;
    const usable: number[] = [];
    for (let number = 1; number <= chunks.highestPackNumber(); number++) if (!packs.has(number) && chunks.isUsable(number)) usable.push(number);
    chunks.setUsable(usable);
  }

  #damagedPack({ type, id }: PackRecord, error: SnapError): void {
    if (this.#damagedPacks.has(id)) return;
    this.#damagedPacks.add(id);
    this.#findings.damage('pack', packName(type, id), error.message);
  }

  /** False when a target must look everything up anew for a snapshot. */
  async #commit(targets: readonly ReplicaTarget[], batch: readonly SnapshotRecord[], firstOf: ReadonlyMap<SnapshotId, SnapshotId>): Promise<boolean> {
    this.#counters.phase = 'finishing';
    let isDone = true;
    await Promise.all(targets.map(async target => {
      for (const record of batch) {
        if (!target.wants(record)) continue;
        const { parent } = record.snapshot;
        if (await target.attempt(() => target.commit(record, parent === undefined ? undefined : firstOf.get(parent))) !== false) continue;
        isDone = false;
        break;
      }
    }));
    if (isDone) this.#counters.entriesDone += batch.length;
    return isDone;
  }

  async #readBack(): Promise<ReadonlyMap<ReplicaTarget, ReadBack>> {
    const results = new Map<ReplicaTarget, ReadBack>();
    const { verify, verifyShare, dryRun } = this.#options;
    if (dryRun || (!verify && verifyShare === undefined)) return results;
    this.#counters.phase = 'checking';
    await Promise.all(this.#targets.map(target => target.attempt(async () => {
      results.set(target, await readBack(target.repository, target.stored, verifyShare ?? 0, this.#findings, { ...this.#call, onRead: bytes => { this.#counters.bytesDone += bytes; } }));
    })));
    return results;
  }
}

/** The snapshot of the same series before it that the target has. */
function baseOf(record: SnapshotRecord, all: readonly SnapshotRecord[], target: ReplicaTarget): SnapshotRecord | undefined {
  const before = all.slice(0, all.findIndex(({ id }) => id === record.id));
  return before.findLast(each => each.snapshot.series === record.snapshot.series && target.snapshotOf(firstId(each)) !== undefined);
}

function sortByTime(records: Iterable<SnapshotRecord>): SnapshotRecord[] {
  return [...records].sort((a, b) => a.snapshot.startedAt[0] - b.snapshot.startedAt[0] || a.snapshot.startedAt[1] - b.snapshot.startedAt[1] || (a.id < b.id ? -1 : 1));
}
