/** What a backup was asked to do, and what its steps share. */
import type { SnapshotKind } from '../../format/snapshot.ts';
import type { Time } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import type { BackupTally } from './backup-tally.ts';
import type { Counters, JobContext } from '../events.ts';
import type { EngineFactory, IngestEngine } from '../ingest-engine.ts';

export interface BackupOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  readonly kind: SnapshotKind;
  readonly series: string;
  readonly tags: readonly string[];
  readonly description?: string | undefined;
  /** Time of the snapshot instead of now. */
  readonly time?: Time | undefined;
  readonly dryRun: boolean;
  readonly skipIfUnchanged: boolean;
  readonly allowEmpty: boolean;
  /** For network file systems that invent inode numbers. */
  readonly ignoreInode: boolean;
  /** zstd level. */
  readonly compressionLevel: number;
  /** False: no two chunks share a frame, against guessing by compressed sizes. */
  readonly grouping: boolean;
}

export interface BackupRun {
  readonly repository: OpenRepository;
  readonly options: BackupOptions;
  readonly context: JobContext;
  readonly session: WritingSession;
  readonly engine: IngestEngine;
  readonly tally: BackupTally;
  readonly counters: Counters;
  readonly parent: SnapshotRecord | undefined;
  readonly startedAt: Time;
}
