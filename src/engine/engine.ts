/**
 * Port: heavy byte work on whole batches, in parallel or inline. Use cases cannot tell the pool from its inline twin.
 *
 * Contract: each item is answered once and in order within its batch; every returned frame was opened, decompressed and
 * hashed again before it left (repository design, D9); an unreadable item is a status in its answer, never an error of the
 * batch; batches may overtake each other; a worker that dies fails every batch with WORKER_FAILED; an abort signal stops a batch
 * between two items or two chunks with CANCELLED, and what it had sealed by then still belongs to its packs. After any other
 * error the engine is of no further use: every call fails with that error.
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { AeadSuite, CutParameters, GearTable } from '../kernel/kernel.ts';
import type { IndexAccess, PackNumber } from '../cache/cache.ts';

/** Packs that a thread fills at the same time unless told otherwise; at least two hide the lengths of chunks (repository design, section 13.3). */
export const DEFAULT_OPEN_PACKS = 2;

/** Right to seal the frames of one data pack: used by one worker, never issued again. Frame numbers start at 0. */
export interface PackGrant {
  readonly pack: PackNumber;
  readonly suite: AeadSuite;
  /** 32 bytes of its own; wiped by the engine when the grant ends, so the caller keeps its own copy if it needs one. */
  readonly frameKey: Bytes;
  /** Constant prefix of the additional data of every frame: header bytes 0 to 59 and repository id. */
  readonly framePrefix: Bytes;
}

export interface IngestSetup {
  /** Key of data chunk IDs, 32 bytes. */
  readonly idKey: Bytes;
  readonly gear: GearTable;
  readonly profiles: Readonly<Record<'default' | 'pages' | 'media', CutParameters>>;
  /** zstd level. */
  readonly compressionLevel: number;
  /** Stored bytes after which a pack is full. */
  readonly packTargetBytes: number;
  readonly index: IndexAccess;
  /** False: every chunk gets a frame of its own ("grouping: none"). */
  readonly grouping: boolean;
  /** Called on the calling thread whenever a worker needs a new pack. A grant without any frame ends without `packFull`. */
  readonly grant: () => PackGrant;
}

/** Whole files of one directory, in name order. */
export interface FileGroup {
  readonly directory: Bytes;
  /** Packed names and stat records (`base/native-filesystem.ts`). */
  readonly names: Bytes;
  readonly stats: Bytes;
  readonly count: number;
}

/**
 * A range of one large file, planned and joined by `segment-join.ts`. A segment that does not start the file skips what it
 * cuts before its cuts can be expected to be those of the whole file, and goes on beyond `end` until it meets the next one.
 */
export interface FileSegment {
  readonly directory: Bytes;
  readonly name: Bytes;
  readonly stat: Bytes;
  readonly start: number;
  readonly end: number;
  /** Bridge: cut from `start` and stop at the first of these positions (ascending). Absent: a normal segment. */
  readonly stopAt?: Float64Array;
}

/** Consecutive bytes of a stream; all pieces of one stream go to one worker, in order. `bytes` is handed over to the engine. */
export interface StreamPiece {
  readonly stream: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly isLast: boolean;
}

export type IngestBatch =
  | { readonly kind: 'files'; readonly groups: readonly FileGroup[]; readonly sizeBytes: number }
  | { readonly kind: 'segment'; readonly segment: FileSegment; readonly sizeBytes: number }
  | { readonly kind: 'stream'; readonly piece: StreamPiece; readonly sizeBytes: number };

/** A sealed frame on its way to the pack of its grant. */
export interface SealedFrame {
  readonly pack: PackNumber;
  readonly frame: number;
  /** Ciphertext and tag, in memory of its own. */
  readonly stored: Uint8Array<ArrayBuffer>;
  readonly rawLength: number;
  /** 0 raw, 1 zstd. */
  readonly codec: number;
  /** 36 bytes each: 32 chunk id, u32 length; in frame order. */
  readonly chunks: Uint8Array<ArrayBuffer>;
}

/**
 * Bytes of one content reference: 32 id | u64 length | u32 pack number | u32 kind. The pack number of a claimed chunk is 0; in
 * a zero run the field holds the length of its chunks (the last one may be shorter), which a joiner of segments needs.
 */
export const REFERENCE_BYTES = 48;
/** Kinds of content references: stored or known chunk; claimed earlier in this run, pack not known here; zero run (id is zero). */
export const REFERENCE_CHUNK = 0;
export const REFERENCE_CLAIMED = 1;
export const REFERENCE_ZEROS = 2;

/**
 * Bytes of one item answer: u32 errno | u32 flags | u32 reference count | u32 reserved | u64 size read. The size read is the
 * sum of the lengths of the references, whatever the stat record said. With an errno there are no references.
 */
export const ITEM_BYTES = 24;
/** Item flags, equal to the entry flags of the format: changed while read, sparse, partly unreadable. */
export const ITEM_CHANGED = 1;
export const ITEM_SPARSE = 2;
export const ITEM_PARTLY_UNREADABLE = 4;

export interface IngestResult {
  /** `ITEM_BYTES` per item, in order. A segment or a stream piece is one item. */
  readonly items: Uint8Array<ArrayBuffer>;
  /** `REFERENCE_BYTES` each: first those of item 0, then of item 1, ... */
  readonly references: Uint8Array<ArrayBuffer>;
  /** Segments only: start of the first reference, and the position after the last one. */
  readonly from: number;
  readonly to: number;
  /** Unreadable ranges, item by item (partly unreadable items only), as offsets in the file; the content has zeros there. */
  readonly damage: readonly { readonly item: number; readonly offset: number; readonly length: number; readonly errno: number }[];
}

/** Called while a batch runs: frames first, then possibly "this pack is full". */
export interface IngestSink {
  frames(frames: readonly SealedFrame[]): void;
  packFull(pack: PackNumber): void;
}

/** A frame to be opened and checked. */
export interface FrameToOpen {
  readonly frame: number;
  readonly stored: Bytes;
  readonly rawLength: number;
  readonly codec: number;
  readonly flags: number;
  /** 36 bytes each, as in `SealedFrame`; checked one by one against the content. */
  readonly chunks: Bytes;
}

export interface ExtractBatch {
  readonly suite: AeadSuite;
  readonly frameKey: Bytes;
  readonly framePrefix: Bytes;
  /** 'data' or 'tree': which ID key checks the chunks. */
  readonly type: 'data' | 'tree';
  readonly frames: readonly FrameToOpen[];
  /** False: only check, return no plaintext (verify). */
  readonly wantsContent: boolean;
}

export interface OpenedFrame {
  /** Undefined when the frame is damaged or content was not asked for. */
  readonly content: Uint8Array<ArrayBuffer> | undefined;
  /** 'ok'; 'sealed' the tag does not match; 'compressed' decompression failed; otherwise indices of wrong chunks. */
  readonly verdict: 'ok' | 'sealed' | 'compressed' | readonly number[];
}

export interface Engine {
  /** Batches that keep every thread busy: how many the caller should have under way. */
  readonly capacity: number;
  /** Before the first `ingest`; once per engine. */
  beginIngest(setup: IngestSetup, sink: IngestSink): Promise<void>;
  ingest(batch: IngestBatch, options?: CallOptions): Promise<IngestResult>;
  /** The chunk index now finds the chunks of this pack: claims on them may be forgotten. Not calling it costs only double work. */
  packIndexed(pack: PackNumber): void;
  /** Seals what is left in open frames and closes every pack; after it no `ingest` may follow. */
  endIngest(): Promise<void>;
  /** Keys with which `extract` checks chunk IDs, 32 bytes each; once, before the first `extract`. */
  beginExtract(keys: { readonly data: Bytes; readonly tree: Bytes }): Promise<void>;
  extract(batch: ExtractBatch, options?: CallOptions): Promise<readonly OpenedFrame[]>;
  /** Ends what is still under way with CANCELLED and wipes all keys. May be called twice. */
  close(): Promise<void>;
}
