/** How far a replica is behind: snapshots that it is to hold by its own selection, and neither holds nor held. */
import { idBytes, ID_BYTES, type SnapshotId } from '../../format/ids.ts';
import type { Bytes } from '../../base/bytes.ts';
import { MAX_REPLICA_RECORD_BYTES } from '../../format/limits.ts';
import { unpackIds } from '../../format/body-codec.ts';
import type { ReplicaRecord, ReplicaSelection } from '../../format/replica-record.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { filterSnapshots } from '../reading/select-snapshots.ts';

export interface ReplicaLag {
  readonly snapshots: number;
  /** What these snapshots added to the repository, as stored: an estimate of what is to be copied. */
  readonly bytes: number;
  /** When the first of them was taken, ms since 1970; undefined when nothing is missing. */
  readonly since: number | undefined;
}

/** @param now ms since 1970 */
export function replicaLag(record: Pick<ReplicaRecord, 'selection' | 'known'>, snapshots: readonly SnapshotRecord[], now: number): ReplicaLag {
  const known = new Set<string>(unpackIds(record.known));
  const missing = record.selection === undefined ? [] : selectSnapshots(snapshots, record.selection, now).filter(each => !known.has(firstId(each)));
  return {
    snapshots: missing.length,
    bytes: missing.reduce((sum, { snapshot }) => sum + snapshot.statistics.bytesAddedStored, 0),
    since: missing[0] === undefined ? undefined : missing[0].snapshot.startedAt[0] * 1000,
  };
}

/** Oldest first, as they came. @param now ms since 1970 */
export function selectSnapshots(snapshots: readonly SnapshotRecord[], selection: ReplicaSelection, now: number): SnapshotRecord[] {
  const { latest, withinMs } = selection;
  const fitting = filterSnapshots(snapshots, selection).filter(({ snapshot }) => withinMs === undefined || snapshot.startedAt[0] * 1000 >= now - withinMs);
  return latest === undefined ? fitting : newestOfEach(fitting, latest);
}

function newestOfEach(snapshots: readonly SnapshotRecord[], count: number): SnapshotRecord[] {
  const taken = new Map<string, number>();
  return snapshots.toReversed().filter(({ snapshot: { series } }) => {
    const number = (taken.get(series) ?? 0) + 1;
    taken.set(series, number);
    return number <= count;
  }).reverse();
}

/** The same for all records of one snapshot: labels, undeletion and replication give it new IDs. */
export function firstId({ id, snapshot }: Pick<SnapshotRecord, 'id' | 'snapshot'>): SnapshotId {
  return snapshot.originalId ?? id;
}

/** What a record has room for; beyond it a replica seems to lack what it has. */
const MAX_KNOWN: number = Math.floor(MAX_REPLICA_RECORD_BYTES / ID_BYTES) - 4096;

/** As in a replica record: sorted, each once. */
export function packIds(ids: Iterable<SnapshotId>): Bytes {
  const sorted = [...new Set(ids)].sort().slice(0, MAX_KNOWN);
  const packed = new Uint8Array(sorted.length * ID_BYTES);
  sorted.forEach((id, i) => { packed.set(idBytes(id), i * ID_BYTES); });
  return packed;
}
