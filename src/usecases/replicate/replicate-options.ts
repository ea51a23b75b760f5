/** What a replication is asked to do, and what it says of each replica at its end. */
import type { SnapErrorCode } from '../../base/errors.ts';
import type { ReplicaSelection } from '../../format/replica-record.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { Relation } from './replica-survey.ts';

export interface ReplicateOptions {
  readonly owner: SessionOwner;
  /** Exactly these snapshots; undefined: what `selection` lets through. */
  readonly names?: readonly string[] | undefined;
  /** What the replicas are to hold; with `names` only what `latest` means. */
  readonly selection: ReplicaSelection;
  /** Snapshots that the retention of a replica forgot are copied again. */
  readonly again: boolean;
  /** Read back what was stored. */
  readonly verify: boolean;
  /** Read back this share, 0 to 1, of all packs of each replica. */
  readonly verifyShare?: number | undefined;
  readonly dryRun: boolean;
}

export interface ReplicaOutcome {
  readonly location: string;
  readonly label: string | undefined;
  /** Undefined when it could not be opened. */
  readonly relation: Relation | undefined;
  /** 'partial': a snapshot is damaged in the source. */
  readonly status: 'complete' | 'partial' | 'failed';
  /** Of the chosen snapshots: those that it held before, those that were copied, those that its own retention forgot, and those it lacks. */
  readonly snapshotsHeld: number;
  readonly snapshotsCopied: number;
  readonly snapshotsForgotten: number;
  readonly snapshotsMissing: number;
  readonly copied: readonly { readonly from: string; readonly to: string }[];
  /** Packs that were copied as they are, and packs that were sealed anew; stored bytes of both. */
  readonly packsCopied: number;
  readonly packsSealed: number;
  readonly bytesWritten: number;
  readonly verified?: { readonly packs: number; readonly bytes: number; readonly ofBytes: number } | undefined;
  readonly error?: { readonly code: SnapErrorCode; readonly message: string; readonly hint?: string | undefined } | undefined;
}
