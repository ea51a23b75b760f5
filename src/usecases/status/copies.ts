/**
 * The rule 3-2-1 (pure): three copies, the original among them, on two media, one of them off-site. A replica counts while it
 * is up to date enough.
 */
import { formatDuration } from '../../base/units.ts';
import type { CopiesStatus, Copy, Place, ReplicaStatus } from './status-report.ts';

export interface CopiesOptions {
  /** Time of the look, ms since 1970. */
  readonly at: number;
  /** Age of the last success from which on a replica that lacks snapshots stands for nothing. */
  readonly maxReplicaAgeMs: number;
}

/** Where what is backed up lies: the machines themselves. */
export const ORIGINAL_MEDIUM = 'the disks of the machines';
const ORIGINAL: Copy = { role: 'original', location: 'what is backed up', medium: ORIGINAL_MEDIUM, isOffSite: false, reason: 'the original', counts: true };

export function copiesOf(repository: Place, replicas: readonly ReplicaStatus[], options: CopiesOptions): CopiesStatus {
  const all: Copy[] = [ORIGINAL, { ...repository, role: 'repository', counts: true }, ...replicas.map(each => replicaCopy(each, options))];
  const counted = all.filter(({ counts }) => counts);
  // Two copies at one place are one.
  const copies = new Set(counted.map(({ location }) => location)).size;
  const media = new Set(counted.map(({ medium }) => medium)).size;
  const offSite = counted.filter(({ isOffSite }) => isOffSite).length;
  const lacking = [
    ...copies >= 3 ? [] : [`there ${copies === 1 ? 'is 1 copy' : `are ${copies} copies`} with the original, not 3`],
    ...media >= 2 ? [] : ['all copies are on one medium'],
    ...offSite >= 1 ? [] : ['no copy is off-site'],
  ];
  return { copies, media, offSite, isMet: lacking.length === 0, lacking, all };
}

/** Whether a replica stands for the repository: it lacks nothing, or only what is newer than its age allows. */
export function isCurrent({ record, lag, look }: Pick<ReplicaStatus, 'record' | 'lag' | 'look'>, { at, maxReplicaAgeMs }: CopiesOptions): boolean {
  if (look !== undefined && 'error' in look) return false;
  if (record.succeededAt === undefined) return false;
  return lag.snapshots === 0 || at - record.succeededAt <= maxReplicaAgeMs;
}

function replicaCopy(replica: ReplicaStatus, options: CopiesOptions): Copy {
  const counts = isCurrent(replica, options);
  const { succeededAt } = replica.record;
  const age = succeededAt === undefined ? 'it was never completed' : `it is ${formatDuration(options.at - succeededAt)} old`;
  return { ...replica.place, role: 'replica', counts, reason: counts ? replica.place.reason : `does not count: ${age}` };
}
