/** One report type per job. Partial failure is a result, not an exception. Sizes in bytes, times in ms since 1970. */
import type { Bytes } from '../base/bytes.ts';
import type { SnapErrorCode } from '../base/errors.ts';
import type { Finding } from './events.ts';
import type { ReplicaOutcome } from './replicate/replicate-options.ts';
import type { Coverage } from './verify/verify-coverage.ts';
import type { VerifyLevel } from './verify/verify-levels.ts';
import type { SampleStatement } from './verify/verify-sample.ts';

export type Status = 'complete' | 'partial' | 'failed';

/** Something wrong with one entry of a source or target. */
export interface Problem {
  readonly path: Bytes | undefined;
  readonly during: string;
  readonly code: SnapErrorCode;
  readonly message: string;
}

export interface BackupReport {
  readonly job: 'backup';
  readonly status: Status;
  /** Absent in a dry run, and when nothing changed and `skipIfUnchanged` was asked for. */
  readonly snapshotId: string | undefined;
  readonly parentId: string | undefined;
  readonly kind: 'full' | 'incremental' | 'config';
  readonly dryRun: boolean;
  readonly unchanged: boolean;
  readonly filesNew: number;
  readonly filesChanged: number;
  readonly filesUnmodified: number;
  readonly directoriesNew: number;
  readonly directoriesChanged: number;
  readonly directoriesUnmodified: number;
  readonly filesTotal: number;
  /** Size of all files of the snapshot. */
  readonly bytesTotal: number;
  /** Content bytes that were read from the source. */
  readonly bytesRead: number;
  readonly dataChunksAdded: number;
  readonly treeChunksAdded: number;
  /** New chunks before compression, and stored bytes with all overhead. */
  readonly bytesAddedRaw: number;
  readonly bytesAddedStored: number;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly problems: readonly Problem[];
  /** More problems than are listed. */
  readonly problemsTotal: number;
}

export interface RestoreReport {
  readonly job: 'restore';
  readonly status: Status;
  readonly snapshotId: string;
  readonly dryRun: boolean;
  readonly entriesTotal: number;
  readonly filesRestored: number;
  readonly filesKept: number;
  readonly filesRemoved: number;
  readonly bytesTotal: number;
  /** Bytes written to the target, and bytes that were right there already. */
  readonly bytesWritten: number;
  readonly bytesReused: number;
  readonly filesVerified: number;
  readonly durationMs: number;
  readonly problems: readonly Problem[];
  readonly problemsTotal: number;
  readonly findings: readonly Finding[];
}

export interface VerifyReport {
  readonly job: 'verify';
  readonly status: Status;
  /** How far the check looked, the lowest level first. */
  readonly levels: readonly VerifyLevel[];
  /** The one snapshot that was looked at. */
  readonly snapshotId?: string | undefined;
  readonly snapshots: number;
  readonly packs: number;
  readonly segments: number;
  readonly treeNodes: number;
  readonly chunksReferenced: number;
  /** Packs of which only the tables were read. */
  readonly tablesRead: number;
  /** Packs and stored bytes whose content was read and checked. */
  readonly packsRead: number;
  readonly bytesRead: number;
  /** Bytes of packs that nothing references. */
  readonly unusedBytes: number;
  /** Of the whole repository, by all runs of all hosts. */
  readonly coverage: Coverage;
  /** When only some of the data was read. */
  readonly sample?: SampleStatement | undefined;
  readonly durationMs: number;
  readonly findings: readonly Finding[];
}

/** A snapshot that was restored into a temporary place, read back and compared. */
export interface TestRestoreReport {
  readonly job: 'test-restore';
  readonly status: Status;
  readonly snapshotId: string;
  /** Restored and compared: entries, and the size of all files. */
  readonly entries: number;
  readonly bytes: number;
  /** What is different in the live files now: information, nothing wrong. `sameStat` of `content` have the same size and time. */
  readonly live?: Readonly<Record<'added' | 'removed' | 'content' | 'metadata' | 'type' | 'sameStat', number>> | undefined;
  readonly durationMs: number;
  readonly problems: readonly Problem[];
  readonly problemsTotal: number;
  readonly findings: readonly Finding[];
}

export interface StatsReport {
  readonly job: 'stats';
  readonly snapshots: number;
  /** Sum of the file sizes of the snapshots looked at. */
  readonly restoreBytes: number;
  /** Distinct chunks they reach, before compression, and their share of the stored bytes. */
  readonly rawBytes: number;
  readonly storedBytes: number;
  readonly files: number;
  readonly chunks: number;
  readonly packs: number;
  /** All packs of the repository. */
  readonly repositoryBytes: number;
  readonly perSnapshot: readonly {
    readonly snapshotId: string; readonly restoreBytes: number; readonly files: number;
    /** Stored bytes that only this snapshot reaches. */
    readonly uniqueBytes: number;
  }[];
}

/** Bytes are those of whole packs as stored; the small documents of a prune (plans, markers, index) are not counted. */
export interface PruneReport {
  readonly job: 'prune';
  readonly status: Status;
  readonly dryRun: boolean;
  /** Of the last plan that this run made or went on with; undefined: there was nothing to do, or it was a dry run. */
  readonly planNumber: number | undefined;
  /** Packs of the repository before the run. */
  readonly packsTotal: number;
  readonly bytesTotal: number;
  /** Packs that nothing needs. */
  readonly packsDropped: number;
  readonly bytesDropped: number;
  /** Partly used packs whose content was stored again in new ones: the old packs, and the new bytes. */
  readonly packsRewritten: number;
  readonly bytesRewritten: number;
  readonly bytesWritten: number;
  readonly packsKept: number;
  /** Condemned packs that turned out to be needed. */
  readonly packsRescued: number;
  /** Dropped and rewritten packs less the new ones: freed by this run, or, when it is pending, by the one that ends it. */
  readonly bytesFreed: number;
  /** Bytes of kept packs that no snapshot needs. */
  readonly unusedBytesLeft: number;
  readonly sessionsRevoked: number;
  /** Index segments that were merged into others. */
  readonly segmentsMerged: number;
  /** Packs are condemned but not deleted yet: `pendingReason` says for whom or what they wait. */
  readonly isPending: boolean;
  readonly pendingReason?: string | undefined;
  readonly durationMs: number;
  readonly findings: readonly Finding[];
}

/** What a retention policy, or the operator, decided about one snapshot. */
export interface ForgetDecision {
  readonly snapshotId: string;
  /** Time of the snapshot, ms since 1970; undefined when it cannot be read. */
  readonly createdAt: number | undefined;
  readonly kind: 'full' | 'incremental' | 'config' | undefined;
  readonly series: string | undefined;
  readonly host: string | undefined;
  /** What the snapshots that were counted together have in common; undefined when none were counted. */
  readonly group: string | undefined;
  readonly keeps: boolean;
  /** At least one. */
  readonly reasons: readonly string[];
}

export interface ForgetReport {
  readonly job: 'forget';
  /** 'failed': a dry run found objections that nobody overrode; without a dry run they are an error. */
  readonly status: Status;
  readonly dryRun: boolean;
  /** Sorted by group, newest first. */
  readonly decisions: readonly ForgetDecision[];
  readonly kept: number;
  readonly forgotten: number;
  /** Records that an interrupted run had left beside their markers. */
  readonly leftOversRemoved: number;
  /** Stored bytes that the kept snapshots reach, and the limit; undefined when nobody had to know. */
  readonly keptBytes: number | undefined;
  readonly maxBytes: number | undefined;
  /** Why a guard stops such a run; when it was forced they are only told. */
  readonly objections: readonly string[];
  /** IDs of snapshots whose records cannot be read; the policy leaves them alone. */
  readonly unreadable: readonly string[];
  readonly durationMs: number;
}

/** What a repair changed, or would change in a dry run. */
export interface RepairCounts {
  segmentsWritten: number;
  segmentsRemoved: number;
  /** Packs that new index segments list, and missing ones that no segment lists any more. */
  packsIndexed: number;
  packsDropped: number;
  /** Whole packs that came back from parity or a replica; packs moved to and removed from quarantine; new packs. */
  packsRestored: number;
  packsQuarantined: number;
  packsReleased: number;
  packsWritten: number;
  /** Out of damaged packs into new ones; found in parity or a replica; gone. */
  chunksMoved: number;
  chunksHealed: number;
  chunksLost: number;
  snapshotsRepaired: number;
  snapshotsForgotten: number;
  bytesRead: number;
  bytesWritten: number;
}

export interface RepairReport {
  readonly job: 'repair';
  readonly part: 'index' | 'packs' | 'snapshots' | 'quarantine';
  /** 'partial': something was left as it is, see the findings of severity 'warning'. */
  readonly status: Status;
  readonly dryRun: boolean;
  /** Objects that needed a repair. */
  readonly damagedObjects: number;
  readonly counts: Readonly<RepairCounts>;
  /** What to do now, in sentences. */
  readonly next: readonly string[];
  readonly durationMs: number;
  /** 'damage': what is lost in spite of the repair. 'warning': what was found, and what was left as it is. */
  readonly findings: readonly Finding[];
}

export interface ParityReport {
  readonly job: 'parity';
  readonly status: Status;
  readonly dryRun: boolean;
  /** All parity was removed, and none made. */
  readonly isRemoval: boolean;
  /** Of the size of a pack that was asked for. */
  readonly share: number;
  /** Packs that were looked at: all, or those that were named. */
  readonly packsTotal: number;
  readonly bytesTotal: number;
  /** Packs with enough parity now, and those of them that got it in this run. */
  readonly packsProtected: number;
  readonly packsAdded: number;
  /** Packs that are damaged and so got none. */
  readonly packsDamaged: number;
  readonly bytesRead: number;
  /** Parity, as stored: by this run, and all in the repository. */
  readonly bytesAdded: number;
  readonly bytesStored: number;
  /** Parity objects without a pack, or replaced by larger ones. */
  readonly objectsRemoved: number;
  readonly bytesRemoved: number;
  readonly durationMs: number;
  readonly findings: readonly Finding[];
}

export interface ReplicateReport {
  readonly job: 'replicate';
  /** 'partial': some replica lacks something now; 'failed': all failed. */
  readonly status: Status;
  readonly dryRun: boolean;
  readonly snapshotsChosen: number;
  /** Of these, held back since something that they need is damaged in the source. */
  readonly snapshotsDamaged: number;
  /** Of packs of the source. */
  readonly bytesRead: number;
  readonly replicas: readonly ReplicaOutcome[];
  readonly durationMs: number;
  readonly findings: readonly Finding[];
}

export type RunReport = ReplicateReport | BackupReport | RestoreReport | VerifyReport | StatsReport | PruneReport | RepairReport | ParityReport | ForgetReport | TestRestoreReport;

/** Keeps the first problems and counts them all, so that a bad disk cannot fill the memory. */
export class ProblemList {
  readonly #problems: Problem[] = [];
  #total = 0;

  add(problem: Problem): void {
    this.#total++;
    if (this.#problems.length < 1000) this.#problems.push(problem);
  }

  get list(): readonly Problem[] {
    return this.#problems;
  }

  get total(): number {
    return this.#total;
  }
}
