/** What came of a replication: the report, and a record of each replica in the source, where every host sees it. */
import { SnapError } from '../../base/errors.ts';
import { PREFIXES } from '../../format/object-names.ts';
import type { ReplicaError, ReplicaRecord } from '../../format/replica-record.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readReplicaRecords, writeReplicaRecord } from '../../repository/replicas.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { ReplicateReport } from '../reports.ts';
import type { ReadBack } from './read-back.ts';
import { firstId, packIds } from './replica-lag.ts';
import type { ReplicaTarget } from './replica-target.ts';
import type { ReplicaOutcome, ReplicateOptions } from './replicate-options.ts';
import type { ReplicationRun } from './replication-run.ts';

export interface ReplicationResult {
  readonly options: ReplicateOptions;
  readonly chosen: readonly SnapshotRecord[];
  /** Of the chosen snapshots, those that were there before. */
  readonly held: ReadonlyMap<ReplicaTarget, number>;
  readonly readBacks: ReadonlyMap<ReplicaTarget, ReadBack>;
  readonly durationMs: () => number;
}

export async function writeOutcome(run: ReplicationRun, targets: readonly ReplicaTarget[], result: ReplicationResult): Promise<ReplicateReport> {
  const { options, chosen } = result;
  const { damaged, findings, bytesRead } = run;
  const replicas = targets.map(target => outcomeOf(target, result));
  if (!options.dryRun) await keepRecords(run, targets, replicas, result);
  const failed = replicas.filter(({ status }) => status === 'failed').length;
  return {
    job: 'replicate', dryRun: options.dryRun, snapshotsChosen: chosen.length, snapshotsDamaged: chosen.filter(({ id }) => damaged.has(id)).length,
    status: failed === replicas.length ? 'failed' : replicas.every(({ status }) => status === 'complete') ? 'complete' : 'partial',
    bytesRead, replicas, findings: findings.list, durationMs: result.durationMs(),
  };
}

function outcomeOf(target: ReplicaTarget, { chosen, held, readBacks }: ReplicationResult): ReplicaOutcome {
  const { location, label, relation, failure, copied, packsCopied, packsSealed, bytesWritten } = target;
  const missing = chosen.filter(record => !target.held.has(firstId(record)) && !target.forgotten.has(firstId(record))).length;
  const forgotten = chosen.filter(record => target.forgotten.has(firstId(record))).length;
  const verified = readBacks.get(target);
  const isWhole = missing === 0 && (verified?.damaged ?? 0) === 0;
  return {
    location, label, relation, status: failure !== undefined ? 'failed' : isWhole ? 'complete' : 'partial',
    snapshotsHeld: held.get(target) ?? 0, snapshotsCopied: copied.length, snapshotsForgotten: forgotten, snapshotsMissing: missing, copied,
    packsCopied, packsSealed, bytesWritten, verified,
    error: failure === undefined ? undefined : { code: failure.code, message: failure.message, hint: failure.hint },
  };
}

/** What is known of replicas only informs: a source that cannot be written is replicated all the same. */
async function keepRecords(
  { source, findings, call }: ReplicationRun, targets: readonly ReplicaTarget[], outcomes: readonly ReplicaOutcome[], result: ReplicationResult,
): Promise<void> {
  try {
    const earlier = await readReplicaRecords(source, { ...call, onDamagedObject: (name, error) => { findings.warn('replica record', name, error.message); } });
    for (const [i, target] of targets.entries()) {
      await writeReplicaRecord(source, recordOf(source, target, outcomes[i]!, earlier.find(({ location }) => location === target.location), result), call);
    }
  } catch (error) {
    if (!(error instanceof SnapError) || error.code === 'CANCELLED') throw error;
    findings.warn('replica record', PREFIXES.replicas, `What came of the replication could not be written down for other hosts: ${error.message}`);
  }
}

function recordOf(
  { clock }: OpenRepository, target: ReplicaTarget, outcome: ReplicaOutcome, earlier: ReplicaRecord | undefined, { options, readBacks }: ReplicationResult,
): ReplicaRecord {
  const now = clock.now();
  const readBack = readBacks.get(target);
  const isKnown = target.relation !== undefined;
  return {
    location: target.location, targetId: isKnown ? target.repository.id : earlier?.targetId, label: target.label ?? earlier?.label,
    host: options.owner.host, attemptedAt: now, succeededAt: outcome.status === 'complete' ? now : earlier?.succeededAt,
    error: errorOf(outcome, now), selection: options.names === undefined ? options.selection : earlier?.selection,
    known: isKnown ? packIds([...target.held, ...target.forgotten]) : earlier?.known ?? new Uint8Array(),
    snapshots: isKnown ? target.held.size : earlier?.snapshots ?? 0,
    bytes: target.bytesHeld ?? earlier?.bytes ?? 0,
    verified: readBack === undefined ? earlier?.verified : { at: now, packs: readBack.packs, bytes: readBack.bytes, ofBytes: readBack.ofBytes },
  };
}

function errorOf({ status, error, snapshotsMissing }: ReplicaOutcome, at: number): ReplicaError | undefined {
  if (error !== undefined) return { code: error.code, message: error.message, at };
  if (status === 'complete') return undefined;
  const message = snapshotsMissing > 0 ? `${snapshotsMissing} snapshots could not be copied, since they are damaged in the source` : 'What was read back is damaged';
  return { code: 'DAMAGE_FOUND', message, at };
}
