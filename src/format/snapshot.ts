/** Body of a snapshot, the commit record of one backup (repository design, section 14.1). */
import type { Bytes } from '../base/bytes.ts';
import {
  bodyCodec, type BodyCodec, byteString, choice, fixedBytes, flag, id, list, mapOf, optional, optionalList, required, text, tuple, uint, type ValueCodec,
} from './body-codec.ts';
import { CHUNKING_PROFILES, chunkerFault, CHUNKING_ALGORITHMS, type ChunkingAlgorithm, type ProfileName } from './chunking.ts';
import { unsupported } from './decode-error.ts';
import type { Entry, Time } from './entry.ts';
import { readEntry, readTime, writeEntry, writeTime } from './entry-codec.ts';
import type { HostId, SnapshotId } from './ids.ts';

export const SNAPSHOT_KINDS = ['full', 'incremental', 'config'] as const;
export type SnapshotKind = (typeof SNAPSHOT_KINDS)[number];

/** One source of a snapshot, with a tree that restores alone. */
export interface Component {
  /** Unique in its snapshot. */
  readonly name: string;
  /** The component holds configuration. */
  readonly isConfiguration: boolean;
  /** Raw bytes; empty when the source is no path. */
  readonly sourcePath: Bytes;
  /** Without a name. */
  readonly root: Entry;
  /** The profile that was configured for the source; absent when files chose by content. */
  readonly profile?: ProfileName | undefined;
}

export interface SnapshotStatistics {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  /** New data before and after compression and sealing. */
  readonly bytesAddedRaw: number;
  readonly bytesAddedStored: number;
  readonly chunksAdded: number;
  readonly sourceErrors: number;
}

/** Chunker parameters of one profile that the run used. */
export interface ChunkerUse {
  readonly profile: ProfileName;
  readonly algorithm: ChunkingAlgorithm;
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

/** Link to the previous snapshot of the same host, against hidden snapshots. */
export interface PreviousSnapshot {
  readonly id: SnapshotId;
  /** BLAKE3 of the object as stored, 32 bytes. */
  readonly digest: Bytes;
}

export interface Snapshot {
  readonly id: SnapshotId;
  readonly kind: SnapshotKind;
  readonly parent?: SnapshotId | undefined;
  readonly startedAt: Time;
  readonly finishedAt: Time;
  readonly host: string;
  readonly hostId: HostId;
  readonly user: string;
  readonly series: string;
  /** Without duplicates. */
  readonly tags: readonly string[];
  /** At least one. */
  readonly components: readonly Component[];
  readonly statistics: SnapshotStatistics;
  readonly program: string;
  readonly chunkers: readonly ChunkerUse[];
  /** Highest gc number that the session saw; 0 when there was none. */
  readonly gcNumber: number;
  readonly previous?: PreviousSnapshot | undefined;
  /** The first ID of a snapshot that was replicated or rewritten. */
  readonly originalId?: SnapshotId | undefined;
  readonly description?: string | undefined;
  /** Retention never forgets it (a pin on the command line). */
  readonly protected: boolean;
  /** Reserved; carried along but not used by this version. */
  readonly hostPublicKey?: Bytes | undefined;
  readonly hostSignature?: Bytes | undefined;
}

const time: ValueCodec<Time> = { write: writeTime, read: readTime };
const rootEntry: ValueCodec<Entry> = {
  write: (writer, entry) => writeEntry(writer, entry, true),
  read: reader => readEntry(reader, true),
};
const profile: ValueCodec<ProfileName> = choice(CHUNKING_PROFILES, number => unsupported('snapshot', `chunking profile ${number}`));
const algorithm: ValueCodec<ChunkingAlgorithm> = choice(CHUNKING_ALGORITHMS, number => unsupported('snapshot', `chunking algorithm ${number}`));

const COMPONENT_FLAGS = 1;
const componentFlags: ValueCodec<boolean> = {
  write: (writer, isConfiguration) => writer.uint(isConfiguration ? 1 : 0),
  read(reader) {
    const flags = reader.uint();
    if (flags > COMPONENT_FLAGS) throw unsupported('snapshot', `component flags ${flags}`);
    return flags === 1;
  },
};

const component: ValueCodec<Component> = mapOf<Component>({
  name: required(1, text),
  isConfiguration: required(2, componentFlags),
  sourcePath: required(3, byteString),
  root: required(4, rootEntry),
  profile: optional(5, profile),
});

const statistics: ValueCodec<SnapshotStatistics> = mapOf<SnapshotStatistics>({
  files: required(1, uint()),
  directories: required(2, uint()),
  bytes: required(3, uint()),
  bytesAddedRaw: required(4, uint()),
  bytesAddedStored: required(5, uint()),
  chunksAdded: required(6, uint()),
  sourceErrors: required(7, uint()),
});

const chunkerUse: ValueCodec<ChunkerUse> = tuple<ChunkerUse>([
  ['profile', profile], ['algorithm', algorithm], ['minBytes', uint()], ['averageBytes', uint()], ['maxBytes', uint()],
]);

const body: BodyCodec<Snapshot> = bodyCodec('snapshot', mapOf<Snapshot>({
  id: required(1, id<SnapshotId>()),
  kind: required(2, choice(SNAPSHOT_KINDS, number => unsupported('snapshot', `snapshot kind ${number}`))),
  parent: optional(3, id<SnapshotId>()),
  startedAt: required(4, time),
  finishedAt: required(5, time),
  host: required(6, text),
  hostId: required(7, id<HostId>()),
  user: required(8, text),
  series: required(9, text),
  tags: optionalList(10, text),
  components: required(11, list(component)),
  statistics: required(12, statistics),
  program: required(13, text),
  chunkers: required(14, list(chunkerUse)),
  gcNumber: required(15, uint()),
  previous: optional(16, tuple<PreviousSnapshot>([['id', id<SnapshotId>()], ['digest', fixedBytes(32)]])),
  originalId: optional(17, id<SnapshotId>()),
  description: optional(18, text),
  protected: flag(19),
  hostPublicKey: optional(20, fixedBytes(32)),
  hostSignature: optional(21, fixedBytes(64)),
}, snapshotFault));

function snapshotFault(snapshot: Snapshot): string | undefined {
  if (snapshot.components.length === 0) return 'it has no component';
  if (new Set(snapshot.components.map(({ name }) => name)).size !== snapshot.components.length) return 'two components have one name';
  if (new Set(snapshot.tags).size !== snapshot.tags.length) return 'a tag appears twice';
  return snapshot.chunkers.map(chunkerFault).find(fault => fault !== undefined);
}

/** @throws RangeError for values that the decoder would refuse */
export const encodeSnapshot: (snapshot: Snapshot) => Uint8Array<ArrayBuffer> = body.encode;
/** Byte strings are views of the input. The caller checks `id` against the name. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export const decodeSnapshot: (bytes: Bytes) => Snapshot = body.decode;
