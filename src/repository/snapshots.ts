/** The valid snapshots of a repository: a record that opens, and no marker that it was forgotten (repository design, section 7). */
import { SnapError } from '../base/errors.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { corrupt } from '../format/decode-error.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { SnapshotId } from '../format/ids.ts';
import { forgottenName, parseObjectName, PREFIXES, rejectedName, snapshotName } from '../format/object-names.ts';
import { decodeSnapshot, type Snapshot } from '../format/snapshot.ts';
import { isDamage, isUnreadable, withName } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

export interface SnapshotRecord {
  readonly id: SnapshotId;
  readonly snapshot: Snapshot;
  /** Time of storage by the clock of the storage, ms since 1970. */
  readonly storedAt: number;
  /** Size of the record itself. */
  readonly sizeBytes: number;
}

/** A record that is there but cannot be used. */
export interface UnreadableSnapshot {
  readonly id: SnapshotId;
  readonly error: SnapError;
  /** As in `SnapshotRecord`. */
  readonly storedAt: number;
}

export interface SnapshotListing {
  /** Oldest first. */
  readonly snapshots: readonly SnapshotRecord[];
  readonly unreadable: readonly UnreadableSnapshot[];
}

const PARALLEL_READS = 8;

export interface LoadSnapshotsOptions extends CallOptions {
  /**
   * Left-over records of forgotten snapshots are listed, too: for who asks for one of them with `isMarkedDead` when it matters.
   * Markers stay for ever, so listing them costs more and more.
   */
  readonly ignoresMarkers?: boolean;
}

/** Every valid snapshot; damaged records are listed apart, since they must not hide the others. */
export async function loadSnapshots(repository: OpenRepository, options: LoadSnapshotsOptions = {}): Promise<SnapshotListing> {
  const { backend } = repository;
  const marked = new Set<SnapshotId>();
  // Markers first: a snapshot that is forgotten in between is then listed once more, never half.
  for (const prefix of options.ignoresMarkers === true ? [] : markerPrefixes(repository)) {
    for await (const { name } of backend.list(prefix, options)) {
      const ref = parseObjectName(name);
      if (ref?.kind === 'forgotten' || ref?.kind === 'rejected') marked.add(ref.id);
    }
  }
  const listed: { id: SnapshotId; storedAt: number; sizeBytes: number }[] = [];
  for await (const { name, storedAt, sizeBytes } of backend.list(PREFIXES.snapshots, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'snapshot' && !(marked.has(ref.id) && await isMarkedDead(repository, ref.id, options))) listed.push({ id: ref.id, storedAt, sizeBytes });
  }
  const snapshots: SnapshotRecord[] = [];
  const unreadable: UnreadableSnapshot[] = [];
  await mapBounded(listed, PARALLEL_READS, async ({ id, storedAt, sizeBytes }) => {
    try {
      const snapshot = await loadSnapshot(repository, id, options);
      if (snapshot !== undefined) snapshots.push({ id, snapshot, storedAt, sizeBytes });
    } catch (error) {
      if (!(error instanceof SnapError) || (error.kind !== 'corrupt' && error.kind !== 'unsupported')) throw error;
      unreadable.push({ id, error, storedAt });
    }
  });
  return { snapshots: snapshots.sort(byTime), unreadable };
}

/** Rejections exist only where the store does not decide races. */
function markerPrefixes({ config }: OpenRepository): string[] {
  return config.storeMode === 'fallback' ? [PREFIXES.forgotten, PREFIXES.rejected] : [PREFIXES.forgotten];
}

function byTime(a: SnapshotRecord, b: SnapshotRecord): number {
  const [x, y] = [a.snapshot.startedAt, b.snapshot.startedAt];
  return x[0] - y[0] || x[1] - y[1] || (a.id < b.id ? -1 : 1);
}

/** One record; undefined for a tombstone, or when it is gone. Copies of these immutable objects are kept in the cache. */
export async function loadSnapshot(repository: OpenRepository, id: SnapshotId, options: CallOptions = {}): Promise<Snapshot | undefined> {
  const { backend, objects, cache } = repository;
  const name = snapshotName(id);
  const kept = cache.objects.get(name);
  try {
    const bytes = kept ?? await backend.read(name, undefined, options);
    const { header, payload } = await objects.openFresh(name, bytes, options);
    if (header.type === OBJECT_TYPES.tombstone) return undefined;
    const snapshot = decodeSnapshot(payload);
    if (snapshot.id !== id) throw corrupt('snapshot', 'header and body name different snapshots');
    if (kept === undefined) cache.objects.put(name, bytes);
    return snapshot;
  } catch (error) {
    if (error instanceof SnapError && error.code === 'OBJECT_NOT_FOUND') return undefined;
    throw withName(error, name);
  }
}

/** Whether the snapshot is valid at this moment, asked of the repository itself and in this order (R2). */
export async function isValidNow(repository: OpenRepository, id: SnapshotId, options: CallOptions = {}): Promise<boolean> {
  try {
    const { header } = await repository.objects.load(snapshotName(id), options);
    if (header.type !== OBJECT_TYPES.snapshot) return false;
  } catch (error) {
    if (error instanceof SnapError && error.code === 'OBJECT_NOT_FOUND') return false;
    throw error;
  }
  return !await isMarkedDead(repository, id, options);
}

/** A marker that cannot be verified counts for nothing here: whoever can write to the storage could hide snapshots with it. */
export async function isMarkedDead({ objects, config }: OpenRepository, id: SnapshotId, options: CallOptions = {}): Promise<boolean> {
  for (const marker of config.storeMode === 'fallback' ? [forgottenName(id), rejectedName(id)] : [forgottenName(id)]) {
    try {
      if ((await objects.loadSigned(marker, options)).isTrusted) return true;
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
    }
  }
  return false;
}
