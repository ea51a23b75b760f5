/**
 * What this repository knows of its replicas (docs/format.md, section 8.2): one record each, by location. Every run writes a new
 * object with all that is known, and then removes the ones that it has read. It informs, nothing depends on it: a record that
 * cannot be read is left out.
 */
import type { SnapError } from '../base/errors.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import { replicaRecordIdFromBytes } from '../format/ids.ts';
import { parseObjectName, PREFIXES, replicaRecordName } from '../format/object-names.ts';
import { decodeReplicaRecord, encodeReplicaRecord, type ReplicaRecord } from '../format/replica-record.ts';
import { isDamage, isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

export type { ReplicaRecord } from '../format/replica-record.ts';

const PARALLEL_READS = 8;

export interface ReplicaReadOptions extends CallOptions {
  /** A record that is damaged or needs a newer version, and was left out. */
  readonly onDamagedObject?: ((name: string, error: SnapError) => void) | undefined;
}

/** The record of each replica, by location; none when nothing was replicated yet. @throws every error that is no damage */
export async function readReplicaRecords(repository: OpenRepository, options: ReplicaReadOptions = {}): Promise<readonly ReplicaRecord[]> {
  const newest = new Map<string, ReplicaRecord>();
  for (const { record } of await readAll(repository, options)) newest.set(record.location, mergeRecords(newest.get(record.location), record));
  return [...newest.values()].sort((a, b) => (a.location < b.location ? -1 : 1));
}

/** Durable when it resolves; older records of this location are removed where that is possible. @throws every error of the storage */
export async function writeReplicaRecord(repository: OpenRepository, record: ReplicaRecord, options: CallOptions = {}): Promise<void> {
  const { backend, objects, random } = repository;
  const earlier = (await readAll(repository, options)).filter(each => each.record.location === record.location);
  const name = replicaRecordName(replicaRecordIdFromBytes(random.bytes(16)));
  const merged = earlier.reduce((all, each) => mergeRecords(all, each.record), record);
  await backend.create(name, [objects.seal(name, OBJECT_TYPES.replica, encodeReplicaRecord(merged), { compress: true })], options);
  if (backend.capabilities.canRemove) for (const each of earlier) await backend.remove(each.name, options);
}

/** For a replica that is given up. False when there is no record of this location. @throws every error of the storage */
export async function removeReplicaRecord(repository: OpenRepository, location: string, options: CallOptions = {}): Promise<boolean> {
  const found = (await readAll(repository, options)).filter(({ record }) => record.location === location);
  for (const { name } of found) await repository.backend.remove(name, options);
  return found.length > 0;
}

interface NamedRecord {
  readonly name: string;
  readonly record: ReplicaRecord;
}

async function readAll({ backend, objects }: OpenRepository, options: ReplicaReadOptions): Promise<NamedRecord[]> {
  const listed: { name: string; storedAt: number }[] = [];
  for await (const { name, storedAt } of backend.list(PREFIXES.replicas, options)) if (parseObjectName(name)?.kind === 'replica') listed.push({ name, storedAt });
  const found: NamedRecord[] = [];
  await mapBounded(listed, PARALLEL_READS, async ({ name, storedAt }) => {
    try {
      const record = decodeReplicaRecord((await objects.load(name, options)).payload);
      // A clock that was ahead must not hide later attempts.
      found.push({ name, record: { ...record, attemptedAt: Math.min(record.attemptedAt, Math.max(0, Math.floor(storedAt))) } });
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      if (error.code !== 'OBJECT_NOT_FOUND') options.onDamagedObject?.(name, error);
    }
  });
  return found;
}

/** Two hosts may have replicated at the same time: the later attempt counts, and the latest success and reading of both. */
function mergeRecords(a: ReplicaRecord | undefined, b: ReplicaRecord): ReplicaRecord {
  if (a === undefined) return b;
  const [older, newer] = a.attemptedAt < b.attemptedAt ? [a, b] : [b, a];
  const succeededAt = Math.max(older.succeededAt ?? 0, newer.succeededAt ?? 0);
  const verified = (older.verified?.at ?? 0) > (newer.verified?.at ?? 0) ? older.verified : newer.verified;
  return { ...newer, succeededAt: succeededAt === 0 ? undefined : succeededAt, verified, selection: newer.selection ?? older.selection };
}
