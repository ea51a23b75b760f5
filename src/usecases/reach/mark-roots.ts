/**
 * From where everything that is needed can be reached: valid snapshots, and those that readers have pinned (repository design,
 * section 7, P3 and P7). Fails closed: a record that cannot be read stops the prune.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { SnapshotId } from '../../format/ids.ts';
import type { Pin } from '../../format/session.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { isStale, listSessions, type ListedSession } from '../../repository/sessions.ts';
import { loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';

export interface MarkRoots {
  readonly snapshots: readonly SnapshotRecord[];
  /** Of snapshots that are not valid any more. */
  readonly pins: readonly Pin[];
  readonly sessions: readonly ListedSession[];
  readonly strayHeartbeats: readonly string[];
}

export interface RootOptions extends CallOptions {
  /** By the clock of the storage, ms since 1970: readers that gave no sign of life for a day are not waited for. */
  readonly storageTime: number;
  /** Snapshots that are taken as forgotten. */
  readonly without: ReadonlySet<SnapshotId>;
}

/** Lists markers, then snapshots, then sessions: in this order no snapshot is missed that a reader pinned before it was forgotten. */
export async function loadRoots(repository: OpenRepository, { storageTime, without, ...options }: RootOptions): Promise<MarkRoots> {
  const { snapshots, unreadable } = await loadSnapshots(repository, options);
  for (const { id, error } of unreadable) {
    if (without.has(id)) continue;
    throw new SnapError(error.code, `Cannot read snapshot '${id}', so nobody can know which data it needs: ${error.message}`, {
      hint: `Nothing was removed. Restore the object from a copy of the repository, or give the snapshot up with \`snap forget ${id}\``,
      cause: error, context: { ...error.context, snapshot: id },
    });
  }
  const kept = snapshots.filter(({ id }) => !without.has(id));
  const valid = new Set(kept.map(({ id }) => id));
  const { sessions, strayHeartbeats } = await listSessions(repository, options);
  const pins = sessions.filter(session => !isStale(session, storageTime)).flatMap(({ session }) => session?.pins ?? []).filter(({ snapshotId }) => !valid.has(snapshotId));
  return { snapshots: kept, pins, sessions, strayHeartbeats };
}
