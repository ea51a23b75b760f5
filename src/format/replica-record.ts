/**
 * What is known of one replica: when it was last brought up to date, and what it held then (docs/format.md, section 8.2). Such
 * a record stands in the repository that was replicated, so that every host sees it; nothing depends on it.
 */
import type { Bytes } from '../base/bytes.ts';
import {
  bodyCodec, type BodyCodec, byteString, choice, id, list, mapOf, optional, optionalList, packedIds, required, text, uint, type ValueCodec,
} from './body-codec.ts';
import { unsupported } from './decode-error.ts';
import type { RepositoryId } from './ids.ts';
import { SNAPSHOT_KINDS, type SnapshotKind } from './snapshot.ts';

/** Which snapshots a replica is to hold, in the words of the command line; an empty list fits everything. */
export interface ReplicaSelection {
  readonly host: readonly string[];
  readonly series: readonly string[];
  readonly kind: readonly SnapshotKind[];
  /** Sets of tags, as `--tag a,b`; at least one set must fit. */
  readonly tags: readonly (readonly string[])[];
  readonly paths: readonly Bytes[];
  /** Of each series the newest ones only. */
  readonly latest?: number | undefined;
  /** Not older than so many milliseconds. */
  readonly withinMs?: number | undefined;
}

/** The outcome of the last attempt when it failed. */
export interface ReplicaError {
  /** As in docs/errors.md. */
  readonly code: string;
  readonly message: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** What was read back from a replica and found right. */
export interface ReplicaVerification {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly packs: number;
  readonly bytes: number;
  /** Of all packs that the replica held; `bytes / ofBytes` is the share that was read. */
  readonly ofBytes: number;
}

export interface ReplicaRecord {
  /** Without credentials; tells replicas apart. */
  readonly location: string;
  /** ID of the repository there: that of the source when the two share their keys. */
  readonly targetId?: RepositoryId | undefined;
  /** A name that people gave. */
  readonly label?: string | undefined;
  /** Host that ran the attempt. */
  readonly host: string;
  /** End of the last attempt, whatever came of it, ms since 1970. */
  readonly attemptedAt: number;
  /** End of the last attempt that left nothing undone. */
  readonly succeededAt?: number | undefined;
  readonly error?: ReplicaError | undefined;
  /** Absent when snapshots were only ever named one by one: then the replica lacks nothing. */
  readonly selection?: ReplicaSelection | undefined;
  /**
   * 16-byte IDs, sorted, of all snapshots that the replica holds or held: first IDs (key 17 of a snapshot when it has one).
   * Also those that its own retention forgot since.
   */
  readonly known: Bytes;
  /** Snapshots that it holds, and the stored bytes of all its packs, after the last attempt. */
  readonly snapshots: number;
  readonly bytes: number;
  readonly verified?: ReplicaVerification | undefined;
}

const selection: ValueCodec<ReplicaSelection> = mapOf<ReplicaSelection>({
  host: optionalList(1, text),
  series: optionalList(2, text),
  kind: optionalList(3, choice(SNAPSHOT_KINDS, number => unsupported('replica record', `snapshot kind ${number}`))),
  tags: optionalList(4, list(text)),
  paths: optionalList(5, byteString),
  latest: optional(6, uint()),
  withinMs: optional(7, uint()),
});

const error: ValueCodec<ReplicaError> = mapOf<ReplicaError>({ code: required(1, text), message: required(2, text), at: required(3, uint()) });

const verified: ValueCodec<ReplicaVerification> = mapOf<ReplicaVerification>({
  at: required(1, uint()), packs: required(2, uint()), bytes: required(3, uint()), ofBytes: required(4, uint()),
});

const body: BodyCodec<ReplicaRecord> = bodyCodec('replica record', mapOf<ReplicaRecord>({
  location: required(1, text),
  targetId: optional(2, id<RepositoryId>()),
  label: optional(3, text),
  host: required(4, text),
  attemptedAt: required(5, uint()),
  succeededAt: optional(6, uint()),
  error: optional(7, error),
  selection: optional(8, selection),
  known: required(9, packedIds),
  snapshots: required(10, uint()),
  bytes: required(11, uint()),
  verified: optional(12, verified),
}));

/** @throws RangeError for values that the decoder would refuse */
export const encodeReplicaRecord: (record: ReplicaRecord) => Uint8Array<ArrayBuffer> = body.encode;
/** Byte strings are views of the input. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export const decodeReplicaRecord: (bytes: Bytes) => ReplicaRecord = body.decode;
