/** One batch on one thread, synchronously: read, cut, identify, and store what nobody has yet. */
import type { Random } from '../base/ambient.ts';
import { type Bytes, isAllZero } from '../base/bytes.ts';
import { type NativeFileSystem, READ_CHANGED, READ_RESULT_FIELDS, READ_TOO_LARGE, STAT_RECORD_BYTES } from '../base/native-filesystem.ts';
import { StatRecords } from '../base/stat-record.ts';
import { MiB } from '../base/units.ts';
import type { IndexAccess, KnownChunks } from '../cache/cache.ts';
import { chooseProfile, PROFILE_PROBE_BYTES } from '../format/chunking.ts';
import type { CutParameters, Kernel } from '../kernel/kernel.ts';
import { AnswerWriter } from './answer-writer.ts';
import { ChunkStore } from './chunk-store.ts';
import type { ClaimTable } from './claim-table.ts';
import { ContentCutter } from './content-cutter.ts';
import { ContentError, ContentReader, mayHaveHoles, reading } from './content-reader.ts';
import {
  type FileGroup, type FileSegment, type IngestBatch, type IngestResult, type IngestSetup, type IngestSink, ITEM_CHANGED, ITEM_SPARSE,
  type PackGrant, type StreamPiece,
} from './engine.ts';
import { FrameSealer } from './frame-sealer.ts';
import { OpenPacks } from './open-packs.ts';
import { type ChunkSink, type CoveredRange, type CutRange, RangeCutter } from './range-cutter.ts';
import { StreamCutter } from './stream-cutter.ts';

/** Opens this thread's view of the chunk index. */
export type OpenKnownChunks = (access: IndexAccess) => Promise<OpenedKnownChunks>;
export type OpenedKnownChunks = KnownChunks & { close(): Promise<void> };

/** What an ingest works with; everything belongs to its thread but the claim table. */
export interface IngestParts {
  readonly kernel: Kernel;
  readonly native: NativeFileSystem;
  readonly knownChunks: KnownChunks;
  readonly claims: ClaimTable;
  readonly random: Random;
  /** Packs to fill at the same time. */
  readonly openPacks: number;
  readonly takeGrant: () => PackGrant;
  readonly sink: IngestSink;
}

export type IngestParameters = Omit<IngestSetup, 'index' | 'grant'>;

/** Throws when the batch should stop. */
export type StopCheck = () => void;

/** Two chunks of the largest profile. */
const WINDOW_BYTES = 16 * MiB;
/** Small files are read together into this much memory: enough for many, little enough to stay in the processor's cache. */
const STAGING_BYTES = 1 * MiB;
const WHOLE_CONTENT: CutRange = { start: 0, end: Number.POSITIVE_INFINITY, isAligned: true, stopAt: undefined };

export class Ingest {
  readonly #profiles: IngestSetup['profiles'];
  /** Files up to this size are one chunk. */
  readonly #smallBytes: number;
  readonly #native: NativeFileSystem;
  readonly #knownChunks: KnownChunks;
  readonly #answer = new AnswerWriter();
  readonly #packs: OpenPacks;
  readonly #chunks: ChunkStore;
  readonly #cutter: ContentCutter;
  readonly #ranges: RangeCutter;
  readonly #streams = new Map<number, StreamCutter>();
  readonly #staging: Uint8Array<ArrayBuffer>;
  #results = new Float64Array(256 * READ_RESULT_FIELDS);
  #checkStop: StopCheck = () => undefined;

  constructor(setup: IngestParameters, parts: IngestParts) {
    const { kernel, random, openPacks, takeGrant, sink, knownChunks, claims } = parts;
    const { packTargetBytes, grouping, profiles } = setup;
    this.#profiles = profiles;
    this.#smallBytes = profiles.default.minBytes;
    this.#staging = new Uint8Array(Math.max(STAGING_BYTES, 2 * this.#smallBytes));
    this.#native = parts.native;
    this.#knownChunks = knownChunks;
    const hasher = kernel.createHasher(setup.idKey);
    const sealer = new FrameSealer(kernel, hasher, setup.compressionLevel);
    this.#packs = new OpenPacks({ kernel, sealer, random, openPacks, packTargetBytes, grouping, takeGrant, sink });
    this.#chunks = new ChunkStore(hasher, knownChunks, claims, this.#packs, this.#answer);
    const largestChunk = Math.max(...Object.values(profiles).map(profile => profile.maxBytes));
    this.#cutter = new ContentCutter(kernel.createCutter(setup.gear, Math.max(WINDOW_BYTES, 2 * largestChunk)), profiles.default);
    this.#ranges = new RangeCutter(this.#cutter, this.#chunkSink());
  }

  run(batch: IngestBatch, checkStop: StopCheck): IngestResult {
    this.#checkStop = checkStop;
    this.#knownChunks.refresh();
    this.#answer.begin();
    try {
      const { from, to } = this.#runBatch(batch);
      return this.#answer.finish(from, to);
    } finally {
      this.#packs.handOver();
    }
  }

  /** Seals what is left and closes all packs. */
  end(): void {
    this.#packs.end();
  }

  /** Wipes the keys of packs that are still open. */
  wipe(): void {
    this.#packs.wipe();
  }

  #runBatch(batch: IngestBatch): CoveredRange {
    switch (batch.kind) {
      case 'files':
        for (const group of batch.groups) this.#addGroup(group);
        return { from: 0, to: 0 };
      case 'segment':
        return this.#addSegment(batch.segment);
      case 'stream':
        this.#addPiece(batch.piece);
        return { from: 0, to: 0 };
    }
  }

  // --- whole files ---

  #addGroup({ directory, names, stats, count }: FileGroup): void {
    let fd: number;
    try {
      fd = reading(() => this.#native.openDirectory(directory, false));
    } catch (error) {
      if (!(error instanceof ContentError)) throw error;
      for (let i = 0; i < count; i++) this.#answer.failItem(error.errno);
      return;
    }
    try {
      this.#addFiles(fd, names, new StatRecords(stats), count);
    } finally {
      this.#native.close(fd);
    }
    this.#packs.endDirectory();
  }

  /** Files in name order: runs of small ones together, every other one alone. */
  #addFiles(directory: number, names: Bytes, stats: StatRecords, count: number): void {
    let nameAt = 0;
    for (let i = 0; i < count;) {
      let end = i;
      let nameEnd = nameAt;
      for (; end < count && this.#isSmall(stats.size(end)); end++) nameEnd = names.indexOf(0, nameEnd) + 1;
      if (end > i) {
        this.#addSmallFiles(directory, names.subarray(nameAt, nameEnd), stats.bytes.subarray(i * STAT_RECORD_BYTES, end * STAT_RECORD_BYTES));
      } else {
        end++;
        nameEnd = names.indexOf(0, nameAt) + 1;
        if (stats.size(i) === 0) this.#answer.endItem(0);
        else this.#addFile(directory, names.subarray(nameAt, nameEnd - 1), stats.at(i));
      }
      i = end;
      nameAt = nameEnd;
    }
  }

  #isSmall(sizeBytes: number): boolean {
    return sizeBytes > 0 && sizeBytes <= this.#smallBytes;
  }

  #addSmallFiles(directory: number, names: Bytes, records: Bytes): void {
    const stats = new StatRecords(records);
    if (this.#results.length < stats.count * READ_RESULT_FIELDS) this.#results = new Float64Array(stats.count * READ_RESULT_FIELDS);
    let nameAt = 0;
    for (let first = 0; first < stats.count;) {
      const handled = this.#native.readFiles(directory, names, records, first, this.#staging, 0, this.#results);
      for (let i = first; i < first + handled; i++) {
        this.#checkStop();
        const nameEnd = names.indexOf(0, nameAt);
        if (!this.#addSmallFile(stats, i)) this.#addFile(directory, names.subarray(nameAt, nameEnd), stats.at(i));
        nameAt = nameEnd + 1;
      }
      first += handled;
    }
  }

  /** False: the file grew too large for this, or its medium is damaged, so it has to be read on its own. */
  #addSmallFile(stats: StatRecords, i: number): boolean {
    const at = i * READ_RESULT_FIELDS;
    const errno = this.#results[at]!;
    const length = this.#results[at + 1]!;
    const flags = this.#results[at + 2]!;
    const position = this.#results[at + 3]!;
    if (errno !== 0 || (flags & READ_TOO_LARGE) !== 0 || length > this.#smallBytes) return false;
    const bytes = this.#staging.subarray(position, position + length);
    if (length > 0) this.#chunks.add(bytes);
    const isSparse = mayHaveHoles(stats, i) && isAllZero(bytes);
    this.#answer.endItem(((flags & READ_CHANGED) === 0 ? 0 : ITEM_CHANGED) | (isSparse ? ITEM_SPARSE : 0));
    return true;
  }

  // --- content that is cut ---

  #addFile(directory: number, name: Bytes, stat: Bytes): void {
    this.#checkStop();
    this.#addContent(directory, name, stat, WHOLE_CONTENT);
  }

  #addSegment({ directory, name, stat, start, end, stopAt }: FileSegment): CoveredRange {
    const isLast = end >= new StatRecords(stat).size(0);
    const range = { start, end: isLast ? Number.POSITIVE_INFINITY : end, isAligned: start === 0 || stopAt !== undefined, stopAt };
    const nothing = { from: start, to: start };
    let fd: number;
    try {
      fd = reading(() => this.#native.openDirectory(directory, false));
    } catch (error) {
      if (!(error instanceof ContentError)) throw error;
      this.#answer.failItem(error.errno);
      return nothing;
    }
    try {
      return this.#addContent(fd, name, stat, range) ?? nothing;
    } finally {
      this.#native.close(fd);
    }
  }

  /** One item: a range of a file. Undefined if the file cannot be read. */
  #addContent(directory: number, name: Bytes, stat: Bytes, range: CutRange): CoveredRange | undefined {
    const expected = new StatRecords(stat);
    let reader: ContentReader | undefined;
    try {
      reader = new ContentReader(this.#native, directory, name, expected);
      const covered = this.#ranges.run(reader, this.#parametersOf(reader, expected.size(0)), range);
      const flags = reader.finish();
      if (range === WHOLE_CONTENT && reader.isWhollyUnreadable) {
        this.#answer.failItem(reader.unreadable[0]!.errno);
        return undefined;
      }
      for (const { offset, length, errno } of reader.unreadable) this.#answer.damage(offset, length, errno);
      this.#answer.endItem(flags);
      return covered;
    } catch (error) {
      if (!(error instanceof ContentError)) throw error;
      this.#answer.failItem(error.errno);
      return undefined;
    } finally {
      reader?.close();
    }
  }

  #parametersOf(reader: ContentReader, sizeBytes: number): CutParameters {
    return this.#profiles[chooseProfile(reader.peek(PROFILE_PROBE_BYTES), sizeBytes)];
  }

  #addPiece({ stream, bytes, isLast }: StreamPiece): void {
    let cutter = this.#streams.get(stream);
    if (cutter === undefined) this.#streams.set(stream, cutter = new StreamCutter(this.#cutter, this.#profiles));
    cutter.add(bytes, isLast, this.#chunkSink());
    if (isLast) this.#streams.delete(stream);
    this.#answer.endItem(0);
  }

  #chunkSink(): ChunkSink {
    return {
      chunk: bytes => this.#chunks.add(bytes),
      zeros: (length, chunkBytes) => this.#answer.zeros(length, chunkBytes),
      discard: () => this.#answer.discardReferences(),
      checkStop: () => this.#checkStop(),
    };
  }
}
