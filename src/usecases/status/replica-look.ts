/** What a replica really holds, where it can be opened: its record is only what the last replication said. */
import type { CallOptions } from '../../base/call-options.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { ReplicaRecord } from '../../repository/replicas.ts';
import { loadSnapshots } from '../../repository/snapshots.ts';
import type { ReplicaLook } from './status-report.ts';

/** `missing` counts how many fewer snapshots there are than the record says: its own retention may have forgotten which. */
export async function replicaLook(replica: OpenRepository, record: ReplicaRecord, options: CallOptions = {}): Promise<ReplicaLook> {
  const { snapshots } = await loadSnapshots(replica, options);
  const newest = snapshots.at(-1)?.snapshot.startedAt[0];
  return { snapshots: snapshots.length, missing: Math.max(0, record.snapshots - snapshots.length), newestAt: newest === undefined ? undefined : newest * 1000 };
}
