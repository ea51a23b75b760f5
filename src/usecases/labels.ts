/**
 * Tags and pins. Snapshots are immutable, so a change writes a new record with the same trees and then forgets the old one;
 * at every moment one of the two is valid, and a prune sees it as a root.
 */
import { SnapError } from '../base/errors.ts';
import type { SnapshotId } from '../format/ids.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { checkMayForget, forgetSnapshot } from '../repository/forget.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import type { SessionOwner } from '../repository/registration.ts';
import { isValidNow, type SnapshotRecord } from '../repository/snapshots.ts';
import { WritingSession } from '../repository/writing-session.ts';
import type { JobContext } from './events.ts';

export interface TagChange {
  /** Replaces all tags; then `add` and `remove` are applied. */
  readonly set?: readonly string[] | undefined;
  readonly add?: readonly string[] | undefined;
  readonly remove?: readonly string[] | undefined;
}

export interface Relabelled {
  readonly from: SnapshotId;
  /** Equal to `from` when nothing was to be changed. */
  readonly to: SnapshotId;
}

export function changedTags(tags: readonly string[], { set, add = [], remove = [] }: TagChange): string[] {
  const removed = new Set(remove);
  return [...new Set([...(set ?? tags), ...add])].filter(tag => !removed.has(tag));
}

export function changeTags(
  repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], change: TagChange, context: JobContext = {},
): Promise<Relabelled[]> {
  return relabel(repository, owner, records, snapshot => ({ ...snapshot, tags: changedTags(snapshot.tags, change) }), context);
}

export function setPinned(
  repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], isPinned: boolean, context: JobContext = {},
): Promise<Relabelled[]> {
  return relabel(repository, owner, records, snapshot => ({ ...snapshot, protected: isPinned }), context);
}

async function relabel(
  repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], change: (snapshot: Snapshot) => Snapshot, context: JobContext,
): Promise<Relabelled[]> {
  const results: Relabelled[] = [];
  for (const { id, snapshot } of records) {
    const changed = change(snapshot);
    const isSame = changed.protected === snapshot.protected && changed.tags.join('\0') === snapshot.tags.join('\0');
    results.push({ from: id, to: isSame ? id : await replaceRecord(repository, owner, id, changed, context) });
  }
  return results;
}

async function replaceRecord(
  repository: OpenRepository, owner: SessionOwner, id: SnapshotId, changed: Snapshot, { signal }: JobContext,
): Promise<SnapshotId> {
  checkMayForget(repository); // the record that is replaced
  const session = await WritingSession.begin(repository, { owner, compressionLevel: 1, discard: false, renews: false, signal });
  try {
    if (!await isValidNow(repository, id, { signal })) throw new SnapError('SNAPSHOT_NOT_FOUND', `Snapshot '${id}' was forgotten in the meantime`);
    const committed = await session.commit(identity => ({ ...changed, id: identity.id, gcNumber: identity.gcNumber, originalId: changed.originalId ?? id }));
    if (committed === undefined) throw new SnapError('SESSION_REVOKED', 'A prune revoked the session', { hint: 'Run the command again' });
    await forgetSnapshot(repository, id, `replaced by ${committed.id}`, { signal });
    return committed.id;
  } finally {
    await session.end();
  }
}
