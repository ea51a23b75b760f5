/** What is known of the replicas of a repository, and how far each is behind; asks only the repository itself. */
import type { ReplicaRecord } from '../../format/replica-record.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readReplicaRecords, removeReplicaRecord } from '../../repository/replicas.ts';
import { loadSnapshots } from '../../repository/snapshots.ts';
import { isolated, type JobContext } from '../events.ts';
import { replicaLag, type ReplicaLag } from './replica-lag.ts';

export interface ReplicaStatus {
  readonly record: ReplicaRecord;
  readonly lag: ReplicaLag;
  /** Whole percent of the bytes of the replica that were read back last; undefined: never, or it is empty. */
  readonly verifiedShare: number | undefined;
}

/** By location. A record that cannot be read becomes an event. @throws every error of the storage that is no damage */
export async function replicaStatus(repository: OpenRepository, { signal, onEvent }: JobContext = {}): Promise<readonly ReplicaStatus[]> {
  const emit = isolated(onEvent);
  const records = await readReplicaRecords(repository, {
    signal,
    onDamagedObject: (name, { message }) => {
      emit({ type: 'damage-found', finding: { object: 'replica record', name, message, severity: 'warning', files: [] } });
    },
  });
  if (records.length === 0) return [];
  const { snapshots } = await loadSnapshots(repository, { signal });
  return records.map(record => {
    const { verified } = record;
    const verifiedShare = verified === undefined || verified.ofBytes === 0 ? undefined : Math.floor(100 * verified.bytes / verified.ofBytes);
    return { record, lag: replicaLag(record, snapshots, repository.clock.now()), verifiedShare };
  });
}

/** For a replica that is given up; it stays as it is. False: none is known at this location. @throws every error of the storage */
export function dropReplica(repository: OpenRepository, location: string, { signal }: JobContext = {}): Promise<boolean> {
  return removeReplicaRecord(repository, location, { signal });
}
