/** Finds the snapshot that a backup compares with: the newest of the same series, host and paths (pure). */
import { toHex } from '../../base/bytes.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';

export interface ParentQuery {
  readonly series: string;
  readonly host: string;
  /** Source paths of the components, as hexadecimal text, sorted. */
  readonly paths: readonly string[];
}

export function findParent(snapshots: readonly SnapshotRecord[], query: ParentQuery): SnapshotRecord | undefined {
  return snapshots.findLast(({ snapshot }) => snapshot.kind !== 'config' && snapshot.series === query.series && snapshot.host === query.host
    && pathsOf(snapshot).join() === query.paths.join());
}

export function pathsOf(snapshot: Pick<Snapshot, 'components'>): string[] {
  return snapshot.components.map(component => toHex(component.sourcePath)).sort();
}
