/** What all parts of one replication share: whom it is told to, what it counts, and what turned out to be damaged in the source. */
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { PackRecord } from '../../cache/cache.ts';
import type { SnapshotId } from '../../format/ids.ts';
import { packName } from '../../format/object-names.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { isolated, newCounters, type Counters, type JobContext, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import { firstId } from './replica-lag.ts';
import type { ReplicaTarget } from './replica-target.ts';

/** Looks at the same snapshots: packs may move under our hands, and sessions be revoked, but not for ever. */
export const MAX_ROUNDS = 8;

export class ReplicationRun {
  readonly source: OpenRepository;
  readonly call: CallOptions;
  readonly counters: Counters;
  readonly emit: (event: SnapEvent) => void;
  readonly findings: FindingList;
  /** Snapshots that nobody can copy. */
  readonly damaged = new Set<SnapshotId>();
  /** Snapshots that were forgotten since they were listed. */
  readonly gone = new Set<SnapshotId>();
  bytesRead = 0;
  readonly #damagedPacks = new Set<string>();

  constructor(source: OpenRepository, context: JobContext) {
    const { signal, counters = newCounters() } = context;
    this.source = source;
    this.call = { signal };
    this.counters = counters;
    this.emit = isolated(context.onEvent);
    this.findings = new FindingList(finding => { this.emit({ type: 'damage-found', finding }); });
  }

  countRead(bytes: number): void {
    this.bytesRead += bytes;
    this.counters.bytesDone += bytes;
  }

  /** Something that the snapshot needs cannot be read. */
  giveUp({ id, snapshot }: SnapshotRecord, error: SnapError): void {
    this.damaged.add(id);
    this.counters.problems++;
    this.findings.add({
      object: 'snapshot', name: id, severity: 'damage', files: [],
      message: `The snapshot of series '${snapshot.series}' cannot be copied, since something that it needs is damaged: ${error.message}`,
      hint: 'Run `snap verify`, then `snap repair packs`; a replica that holds older snapshots may heal it: `snap repair packs --from LOCATION`',
    });
  }

  damagedPack({ type, id }: PackRecord, error: SnapError): void {
    if (this.#damagedPacks.has(id)) return;
    this.#damagedPacks.add(id);
    this.findings.unreadable('pack', packName(type, id), error);
  }

  vanishes(): SnapError {
    return new SnapError('OBJECT_CONFLICT', 'Packs vanish again and again while they are copied', {
      hint: 'Another program changes one of the repositories; run the command again when it has ended. What was copied stays',
    });
  }
}

/** The snapshots of one session, and what is known of all. */
export class CopyOrder {
  readonly reading: ReadingSession;
  /** To be copied to those that want them, oldest first. */
  readonly records: readonly SnapshotRecord[];
  readonly #all: readonly SnapshotRecord[];
  readonly #firstOf: ReadonlyMap<SnapshotId, SnapshotId>;

  /** `snapshots`: all that are there, oldest first. */
  constructor(reading: ReadingSession, records: readonly SnapshotRecord[], snapshots: readonly SnapshotRecord[]) {
    this.reading = reading;
    this.records = records;
    this.#all = snapshots;
    this.#firstOf = new Map(snapshots.map(record => [record.id, firstId(record)]));
  }

  /** First ID of its parent, by which it may be called otherwise in a target. */
  parentOf({ snapshot: { parent } }: SnapshotRecord): SnapshotId | undefined {
    return parent === undefined ? undefined : this.#firstOf.get(parent);
  }

  baseOf(record: SnapshotRecord, target: ReplicaTarget): SnapshotRecord | undefined {
    return baseOf(record, this.#all, target);
  }
}

/** The snapshot of the same series before it that the target has. */
export function baseOf(record: SnapshotRecord, all: readonly SnapshotRecord[], target: ReplicaTarget): SnapshotRecord | undefined {
  const before = all.slice(0, all.findIndex(({ id }) => id === record.id));
  return before.findLast(each => each.snapshot.series === record.snapshot.series && target.snapshotOf(firstId(each)) !== undefined);
}
