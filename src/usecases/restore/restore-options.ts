/** What a restore was asked to do. */
import type { Bytes } from '../../base/bytes.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { OverwriteMode } from '../../targets/target.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import type { PathMatcher } from './selection.ts';

export interface RestoreOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  readonly snapshot: SnapshotRecord;
  /**
   * Absolute path in the snapshot. The content of a directory goes directly into the target, a single file under its name.
   * Without a path the whole snapshot is restored under its full source paths.
   */
  readonly path?: Bytes | undefined;
  /** On absolute paths in the snapshot. */
  readonly include?: PathMatcher | undefined;
  readonly exclude?: PathMatcher | undefined;
  readonly overwrite: OverwriteMode;
  /** Removes what is at the target but not in the snapshot; only in directories and among names that the restore covers. */
  readonly delete: boolean;
  readonly dryRun: boolean;
  /** Reads every restored file again and compares it with the snapshot. */
  readonly verify: boolean;
  /** Makes holes of all runs of zeros, not only where the source had them. */
  readonly sparse: boolean;
  /** Restores user and group, as far as this process may. */
  readonly setsOwner: boolean;
}
