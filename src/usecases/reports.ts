/** One report type per job. Partial failure is a result, not an exception. Sizes in bytes, times in ms since 1970. */
import type { Bytes } from '../base/bytes.ts';
import type { SnapErrorCode } from '../base/errors.ts';
import type { Finding } from './events.ts';

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
  readonly snapshots: number;
  readonly packs: number;
  readonly segments: number;
  readonly treeNodes: number;
  readonly chunksReferenced: number;
  /** Packs and stored bytes whose content was read and checked. */
  readonly packsRead: number;
  readonly bytesRead: number;
  /** Bytes of packs that nothing references. */
  readonly unusedBytes: number;
  readonly durationMs: number;
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

export type RunReport = BackupReport | RestoreReport | VerifyReport | StatsReport;

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
