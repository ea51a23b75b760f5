/** Shows what became of one path from snapshot to snapshot. */
import type { Bytes } from '../../base/bytes.ts';
import type { SnapshotId } from '../../format/ids.ts';
import type { Entry } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { withSession, type BrowseOptions } from './browsing.ts';
import { compareEntries, type EntryDifference } from './entry-comparison.ts';
import type { JobContext } from '../events.ts';
import { displayPath } from '../path-bytes.ts';
import { SnapshotTree } from '../reading/snapshot-tree.ts';

export interface Version {
  readonly snapshotId: SnapshotId;
  /** Time of the snapshot, ms since 1970. */
  readonly createdAt: number;
  /** Compared with the snapshot before: 'first' also when it is back after it was removed; 'content' of a directory: something below it. */
  readonly change: 'first' | 'removed' | EntryDifference;
  /** Absent when it was removed. */
  readonly entry: Entry | undefined;
}

/**
 * One version for each snapshot that holds the path, and one where it was removed; `records` oldest first.
 * @throws DAMAGE_FOUND at the end, when some snapshots could not be looked into
 */
export function history(
  repository: OpenRepository, records: readonly SnapshotRecord[], path: Bytes, options: BrowseOptions, context: JobContext = {},
): AsyncGenerator<Version> {
  return withSession(repository, options, records, context, async function* versions(session, damage) {
    let previous: Entry | undefined;
    for (const { id, snapshot } of records) {
      let entry: Entry | undefined;
      try {
        const place = await new SnapshotTree(session.trees, snapshot).find(path, damage.call);
        entry = place?.isStored === true ? place.entry : undefined;
      } catch (error) {
        if (!isDamage(error)) throw error;
        damage.add(path, `'${displayPath(path)}' in snapshot '${id}'`, error);
        continue;
      }
      const createdAt = snapshot.startedAt[0] * 1000 + Math.floor(snapshot.startedAt[1] / 1e6);
      if (entry !== undefined) yield { snapshotId: id, createdAt, entry, change: previous === undefined ? 'first' : compareEntries(previous, entry) };
      else if (previous !== undefined) yield { snapshotId: id, createdAt, entry, change: 'removed' };
      previous = entry;
    }
  });
}
