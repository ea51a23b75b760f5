/** What a look at a repository says: facts, what is wrong about them, and how bad it is. Sizes in bytes, times in ms since 1970. */
import type { ReplicaRecord } from '../../format/replica-record.ts';
import type { ReplicaLag } from '../replicate/replica-lag.ts';
import type { Coverage } from '../verify/verify-coverage.ts';

export const STATUS_LEVELS = ['ok', 'warning', 'critical'] as const;
export type StatusLevel = (typeof STATUS_LEVELS)[number];

export type CheckName = 'reachable' | 'snapshots' | 'freshness' | 'size' | 'roll-back' | 'damage' | 'verification' | 'space' | 'prune' | 'replicas' | '3-2-1';

export interface StatusCheck {
  readonly name: CheckName;
  readonly level: StatusLevel;
  /** One sentence without a full stop. */
  readonly message: string;
  /** What to do; undefined when all is well. */
  readonly hint?: string | undefined;
}

export interface SeriesStatus {
  readonly series: string;
  readonly snapshots: number;
  readonly newestId: string;
  /** When the newest snapshot was taken; never later than it was stored. */
  readonly newestAt: number;
  /** Size of its files. */
  readonly bytes: number;
  readonly problems: number;
}

export interface StorageSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

/** Where a copy lies, as far as its location tells or the configuration says. */
export interface Place {
  readonly location: string;
  /** Copies with the same words are lost together: 'disk 2049 of this machine', 'server nas', 'object storage'. */
  readonly medium: string;
  readonly isOffSite: boolean;
  /** Why it is taken for that; a clause. */
  readonly reason: string;
}

export interface ReplicaStatus {
  readonly record: ReplicaRecord;
  readonly lag: ReplicaLag;
  readonly place: Place;
  /** What was seen at the place itself, when that was asked for. */
  readonly look?: ReplicaLook | undefined;
}

export type ReplicaLook =
  | { readonly snapshots: number; readonly missing: number; readonly newestAt: number | undefined }
  | { readonly error: string };

export interface Copy extends Place {
  readonly role: 'original' | 'repository' | 'replica';
  /** False for a replica that is too far behind to stand for the original. */
  readonly counts: boolean;
}

export interface CopiesStatus {
  readonly copies: number;
  readonly media: number;
  readonly offSite: number;
  readonly isMet: boolean;
  /** What is missing, one clause each. */
  readonly lacking: readonly string[];
  readonly all: readonly Copy[];
}

export interface StatusFacts {
  readonly at: number;
  readonly repositoryId: string;
  readonly location: string;
  readonly snapshots: number;
  readonly unreadableSnapshots: readonly string[];
  /** Stored bytes of everything, and of the packs. */
  readonly bytes: number;
  readonly packs: number;
  readonly packBytes: number;
  /** Those that were not left out; most urgent first is the business of whoever shows them. */
  readonly series: readonly SeriesStatus[];
  /** Series whose newest snapshot has shrunk, one sentence each. */
  readonly shrunken: readonly string[];
  /** One sentence for each thing that this host has seen before and does not see now. */
  readonly rollback: readonly string[];
  readonly coverage: Coverage;
  readonly lastVerifiedAt: number | undefined;
  /** Packs that are older than the days of the coverage and were not verified within them. */
  readonly overduePacks: number;
  readonly overdueBytes: number;
  readonly lastPruneAt: number | undefined;
  /** Forgotten after the last prune: their space is not free yet. */
  readonly forgottenSincePrune: number;
  readonly unfinishedPlans: readonly { readonly number: number; readonly since: number | undefined }[];
  /** Condemned, not deleted yet. */
  readonly pendingBytes: number;
  /** Names that no admin key signed. */
  readonly unsignedDocuments: readonly string[];
  /** Undefined when a gc document cannot be read; then backups and prunes stop. */
  readonly gcError: string | undefined;
  readonly sessionsRunning: number;
  readonly sessionsDead: number;
  /** Undefined where the storage has no limit that it tells. */
  readonly space: StorageSpace | undefined;
  readonly replicas: readonly ReplicaStatus[];
  readonly copies: CopiesStatus;
}

export interface StatusReport {
  readonly job: 'status';
  readonly level: StatusLevel;
  readonly checks: readonly StatusCheck[];
  /** Undefined when nothing could be found out; the check 'reachable' says why. */
  readonly facts: StatusFacts | undefined;
}

export function worstLevel(levels: Iterable<StatusLevel>): StatusLevel {
  let worst: StatusLevel = 'ok';
  for (const level of levels) if (STATUS_LEVELS.indexOf(level) > STATUS_LEVELS.indexOf(worst)) worst = level;
  return worst;
}
