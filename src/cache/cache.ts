/**
 * Ports of the local cache: what this host knows of a repository. Deleting the cache costs time, never data.
 *
 * The cache may forget but never lies (repository design, rule I9): a chunk counts as present only when its pack is in the
 * session's set of usable packs, which the repository takes from a listing of this very session.
 */
import type { Bytes } from '../base/bytes.ts';
import type { ChunkId, PackId, SegmentId } from '../format/ids.ts';

/** Number of a pack in this cache, from 1; given once, never used again for another pack. */
export type PackNumber = number;

export interface ChunkLocation {
  readonly pack: PackNumber;
  /** Frame number in the pack, offset of the chunk in the plaintext of the frame, length in bytes. */
  readonly frame: number;
  readonly offset: number;
  readonly length: number;
}

/** What the cache keeps of a pack. */
export interface PackRecord {
  readonly number: PackNumber;
  readonly id: PackId;
  /** 32 hex digits of the writing session. */
  readonly sessionId: string;
  readonly type: 'data' | 'tree';
  readonly suite: number;
  readonly epoch: number;
  readonly sizeBytes: number;
  readonly chunkCount: number;
  /** Frame records as in an index segment, 16 bytes each: u32 offset, stored length, raw length; u16 chunks; u8 codec, flags. */
  readonly frames: Bytes;
}

/** The content of an index segment, ready for the cache: see `format/index-segment.ts` for the layouts. */
export interface SegmentContent {
  readonly id: SegmentId;
  readonly supersedes: readonly SegmentId[];
  readonly packs: readonly Omit<PackRecord, 'number'>[];
  /** 48 bytes each, sorted by (chunk id, pack ordinal): 32 id, u32 pack ordinal, u32 frame, u32 offset, u32 length. */
  readonly chunks: Bytes;
}

/** Structured-clonable description from which a worker opens its read-only view. Opaque outside the cache. */
export type IndexAccess = unknown;

/** Narrow view for the engine: is this chunk in a usable pack? A view is for data chunks or for tree chunks, never both. */
export interface KnownChunks {
  /** A usable pack of the type of the view that holds it, or 0. */
  find(id: Bytes): PackNumber;
  /** Sees what was added since the last call (a new read transaction). Cheap; call once per batch. */
  refresh(): void;
}

export interface ChunkIndex {
  /** Segments whose content is in the cache. */
  segments(): ReadonlySet<SegmentId>;
  /** Packs that a segment lists, in its order; one that another segment describes otherwise may have no record. */
  packsOf(segment: SegmentId): readonly PackNumber[];
  /**
   * Adds the content of a segment; durable when it resolves. Idempotent. What the last segment says of a pack counts.
   * @throws OBJECT_CORRUPT for chunk records that are cut off, out of order, or of a pack that the segment does not list
   */
  addSegment(content: SegmentContent): Promise<void>;
  /** Forgets segments that are gone from the repository, with everything that only they said. */
  dropSegments(ids: readonly SegmentId[]): Promise<void>;
  /** A number for a pack that this session is going to write; known to `packNumber` from now on. */
  reservePack(id: PackId): PackNumber;
  packNumber(id: PackId): PackNumber | undefined;
  pack(number: PackNumber): PackRecord | undefined;
  packs(): Iterable<PackRecord>;
  /** Upper bound of pack numbers given so far; sizes of bitmaps follow from it. */
  highestPackNumber(): PackNumber;
  /** Replaces the set of usable packs of this session; shared with all worker views at once. */
  setUsable(numbers: Iterable<PackNumber>): void;
  /** A pack of this session became durable. */
  addUsable(number: PackNumber): void;
  isUsable(number: PackNumber): boolean;
  /** Only from usable packs. */
  find(id: Bytes): ChunkLocation | undefined;
  /** All usable places of a chunk, for repair and verification. */
  findAll(id: Bytes): ChunkLocation[];
  /** For worker threads. */
  access(): IndexAccess;
  /** Number of stored chunk records; those of forgotten packs count until a merge drops them. */
  chunkCount(): number;
  /** Every record of every pack, usable or not, (chunk id, location), for verification; streamed. */
  entries(): Iterable<{ readonly id: ChunkId; readonly location: ChunkLocation }>;
}

/** Directory records of earlier runs, opaque bytes by 32-byte key. A record is only a hint until its packs are checked. */
export interface FileCache {
  get(key: Bytes): Uint8Array | undefined;
  put(key: Bytes, record: Bytes): void;
  /** Waits until everything put so far is stored. */
  flush(): Promise<void>;
}

/** Copies of immutable objects by name (snapshots, tree frames), bounded in size, least recently used first out. */
export interface ObjectCache {
  get(name: string): Uint8Array | undefined;
  put(name: string, bytes: Bytes): void;
  delete(name: string): void;
}

/** What this host has seen of the repository, to notice a roll-back (repository design, section 15). */
export interface HostMemory {
  readonly highestGc: number;
  readonly highestKeyring: number;
  readonly lastSnapshot: string | undefined;
  /** IDs of the newest snapshots of all series, and of those that have vanished since. */
  readonly seen: readonly string[];
}

export interface Cache {
  readonly chunks: ChunkIndex;
  readonly files: FileCache;
  readonly objects: ObjectCache;
  memory(): HostMemory;
  /** Numbers never go down. */
  remember(memory: Partial<HostMemory>): Promise<void>;
  /** Numbers may go down: for somebody who knows why. */
  replaceMemory(memory: HostMemory): Promise<void>;
  /** Folder and size in bytes, for people. */
  describe(): { location: string; sizeBytes: number };
  close(): Promise<void>;
}
