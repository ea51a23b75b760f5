/**
 * What happens during a job, as plain facts, and the counters that a renderer polls. Facts are pushed, numbers are polled.
 * The list is public API: additive only, documented in `docs/events.md`, which a test compares with this union.
 */
import type { RequestCounts } from '../backend/backend.ts';
import type { Bytes } from '../base/bytes.ts';
import type { SnapErrorCode } from '../base/errors.ts';

export type Phase = 'opening' | 'scanning' | 'reading' | 'planning' | 'writing' | 'checking' | 'finishing';

export type SnapEvent =
  | { readonly type: 'run-started'; readonly job: string; readonly at: number }
  | { readonly type: 'parent-found'; readonly snapshotId: string; readonly createdAt: number }
  | { readonly type: 'source-totals'; readonly entries: number; readonly bytes: number }
  | { readonly type: 'entry-stored'; readonly path: Bytes; readonly change: 'new' | 'changed' | 'unmodified'; readonly sizeBytes: number }
  | { readonly type: 'entry-restored'; readonly path: Bytes; readonly action: 'created' | 'updated' | 'kept' | 'removed'; readonly sizeBytes: number }
  | { readonly type: 'problem-found'; readonly path: Bytes | undefined; readonly during: string; readonly code: SnapErrorCode; readonly message: string }
  | { readonly type: 'damage-found'; readonly finding: Finding }
  | { readonly type: 'difference-found'; readonly path: Bytes; readonly change: 'added' | 'removed' | 'content' | 'metadata' | 'type' }
  | { readonly type: 'pack-written'; readonly packId: string; readonly sizeBytes: number; readonly chunks: number }
  | { readonly type: 'retry-scheduled'; readonly operation: string; readonly attempt: number; readonly delayMs: number }
  | { readonly type: 'requests-counted'; readonly location: string; readonly counts: RequestCounts }
  | { readonly type: 'session-revoked'; readonly sessionId: string }
  | { readonly type: 'snapshot-created'; readonly snapshotId: string }
  | { readonly type: 'repair-step'; readonly step: RepairStep };

/** Something wrong in a repository. */
export interface Finding {
  /** Kind of object: 'config', 'pack', 'index segment', 'snapshot', 'tree', 'chunk', 'session', 'gc document', 'stray file', ... */
  readonly object: string;
  /** Name of the stored object or ID of the chunk. */
  readonly name: string;
  /** One sentence. */
  readonly message: string;
  /** 'damage': data is lost or in danger. 'warning': unusual, nothing lost. */
  readonly severity: 'damage' | 'warning';
  /** Files and snapshots hit, as far as known. */
  readonly files: readonly HitFile[];
  /** IDs of chunks that are hit, the first ones. */
  readonly chunks?: readonly string[];
  /** What to do next. */
  readonly hint?: string | undefined;
}

export interface HitFile {
  readonly snapshotId: string;
  readonly path: Bytes;
  /** `[offset, length]` of what is hit of its content, ascending, the first 1,000; absent: unknown, or no content. */
  readonly ranges?: readonly (readonly [offset: number, length: number])[] | undefined;
}

/** One thing that a repair does, told before it is done; in a dry run, what it would do. */
export interface RepairStep {
  readonly action: 'add' | 'remove' | 'drop' | 'restore' | 'store' | 'quarantine' | 'forget';
  /** Kind of object, as in `Finding`. */
  readonly object: string;
  /** Name of the stored object. */
  readonly name: string;
  /** Why, or what of it; one sentence without a full stop. */
  readonly message: string;
  readonly isDryRun: boolean;
}

/** Polled by renderers a few times per second; a use case only adds. */
export interface Counters {
  phase: Phase;
  /** Totals as far as known; 0 while unknown. */
  totalEntries: number;
  totalBytes: number;
  entriesDone: number;
  /** Bytes of the source or of stored data worked through. */
  bytesDone: number;
  /** Stored bytes added by this run. */
  bytesAdded: number;
  problems: number;
  /** What is being worked on, at most a few. */
  currentPath: Bytes | undefined;
}

export function newCounters(): Counters {
  return {
    phase: 'opening', totalEntries: 0, totalBytes: 0, entriesDone: 0, bytesDone: 0, bytesAdded: 0, problems: 0, currentPath: undefined,
  };
}

/** What every use case takes besides its own options. */
export interface JobContext {
  readonly onEvent?: ((event: SnapEvent) => void) | undefined;
  /** False: no events for single entries, which cost more than the rest of an unchanged entry. Defaults to true. */
  readonly wantsEntries?: boolean | undefined;
  readonly counters?: Counters | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Wraps a listener so that its errors never reach the job: the first one is kept and the listener is called no more. */
export function isolated(listener: ((event: SnapEvent) => void) | undefined): (event: SnapEvent) => void {
  let failed = listener === undefined;
  return event => {
    if (failed) return;
    try {
      listener!(event);
    } catch {
      failed = true; // a broken renderer must not stop a backup, nor be asked again
    }
  };
}

/** Whether anybody listens to events for single entries. */
export function listensToEntries({ onEvent, wantsEntries = true }: JobContext): boolean {
  return onEvent !== undefined && wantsEntries;
}
