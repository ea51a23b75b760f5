/**
 * Sends content to the engine and gives each file its answer: batches of small files, segments of large ones, streams.
 * Answers come in any order; what is under way is bounded.
 */
import { JobGroup } from '../../base/concurrency.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { Bytes } from '../../base/bytes.ts';
import { StatRecords } from '../../base/stat-record.ts';
import type { PackNumber } from '../../cache/cache.ts';
import { chunkIdFromBytes } from '../../format/ids.ts';
import type { ByteSpan } from '../../format/tree-node.ts';
import { readItem, ReferenceList, type ItemAnswer } from '../../engine/answer-writer.ts';
import { ITEM_PARTLY_UNREADABLE, REFERENCE_CHUNK, REFERENCE_CLAIMED, REFERENCE_ZEROS, type IngestResult } from '../../engine/engine.ts';
import { planSegments, SegmentJoiner, SPLIT_FILE_BYTES } from '../../engine/segment-join.ts';
import { ContentBuilder, type BuiltContent } from '../../repository/content-builder.ts';
import type { TreeWriter } from '../../repository/tree-writer.ts';
import { ContentBatches, type FilledBatch } from './content-batches.ts';
import type { IngestEngine } from '../ingest-engine.ts';

export interface ContentAnswer {
  /** 0, or why nothing could be read. */
  readonly errno: number;
  /** `ITEM_…` flags, equal to those of an entry. */
  readonly flags: number;
  readonly content: BuiltContent;
  readonly damagedSpans: readonly ByteSpan[];
  /** Packs of all chunks and content nodes. */
  readonly packs: Iterable<PackNumber>;
  /** Chunks that another thread is storing; their packs are known when that is done. */
  readonly claimed: readonly Bytes[];
}

/** A promise only when there is something to wait for: most answers are taken at once. */
export type OnAnswer<T> = (item: T, answer: ContentAnswer) => Promise<void> | undefined;

export class ContentIngest<T> {
  readonly #engine: IngestEngine;
  readonly #trees: TreeWriter;
  readonly #onAnswer: OnAnswer<T>;
  readonly #throttle: () => Promise<void>;
  readonly #options: CallOptions;
  readonly #batches = new ContentBatches<T>();
  readonly #jobs: JobGroup;
  #streams = 0;

  /** `throttle` waits while packs cannot be written fast enough. */
  constructor(
    engine: IngestEngine, trees: TreeWriter, onAnswer: OnAnswer<T>, throttle: () => Promise<void>, options: CallOptions,
  ) {
    this.#engine = engine;
    this.#trees = trees;
    this.#onAnswer = onAnswer;
    this.#throttle = throttle;
    this.#options = options;
    this.#jobs = new JobGroup(engine.capacity);
  }

  /** Returns a promise only when there is something to wait for. */
  addFile(directory: Bytes, name: Bytes, stat: Bytes, sizeBytes: number, item: T): Promise<void> | undefined {
    if (sizeBytes >= SPLIT_FILE_BYTES) return this.#addLargeFile(directory, name, stat, item);
    const full = this.#batches.add(directory, name, stat, sizeBytes, item);
    return full === undefined ? undefined : this.#send(full);
  }

  /** Content that is at hand already, such as a large extended attribute. */
  async addBytes(bytes: Bytes, item: T): Promise<void> {
    const stream = ++this.#streams;
    await this.#jobs.add(async () => {
      const piece = { stream, bytes: new Uint8Array(bytes), isLast: true };
      await this.#answer([item], await this.#engine.ingest({ kind: 'stream', piece, sizeBytes: bytes.length }, this.#options));
    });
  }

  /** A stream of unknown length as one item; pieces are collected to a size that is worth a message. */
  async addStream(content: AsyncIterable<Bytes>, onBytes: (count: number) => void): Promise<ContentAnswer> {
    const stream = ++this.#streams;
    const collector = new AnswerCollector(this.#trees);
    for await (const { bytes, isLast } of inPieces(content)) {
      await this.#throttle();
      const length = bytes.length;
      collector.add(await this.#engine.ingest({ kind: 'stream', piece: { stream, bytes, isLast }, sizeBytes: length }, this.#options), 0, 0);
      onBytes(length);
    }
    return collector.finish();
  }

  /** Lets the source go on only as fast as the rest. @throws the first failure of a batch */
  async backPressure(): Promise<void> {
    this.#jobs.check();
    await this.#throttle();
  }

  /** Every item has its answer when this resolves. */
  async finish(): Promise<void> {
    const rest = this.#batches.take();
    if (rest !== undefined) await this.#send(rest);
    await this.#jobs.done();
  }

  /** For clean-up after another error. */
  settled(): Promise<void> {
    return this.#jobs.settled();
  }

  async #send({ batch, items }: FilledBatch<T>): Promise<void> {
    await this.#throttle();
    await this.#jobs.add(async () => this.#answer(items, await this.#engine.ingest(batch, this.#options)));
  }

  async #answer(items: readonly T[], result: IngestResult): Promise<void> {
    const references = new ReferenceList(result.references);
    let reference = 0;
    for (let i = 0; i < items.length; i++) {
      const item = readItem(result.items, i);
      let answer = simpleAnswer(item, references, reference);
      if (answer === undefined) {
        const collector = new AnswerCollector(this.#trees);
        collector.add(result, i, reference);
        answer = collector.finish();
      }
      reference += item.referenceCount;
      const waiting = this.#onAnswer(items[i]!, answer);
      if (waiting !== undefined) await waiting;
    }
  }

  /** Segments run side by side; bridges between them as soon as both neighbours are known. */
  async #addLargeFile(directory: Bytes, name: Bytes, stat: Bytes, item: T): Promise<void> {
    const rest = this.#batches.take();
    if (rest !== undefined) await this.#send(rest);
    const stats = new StatRecords(stat);
    const segments = planSegments(stats.size(0), stats.allocatedBytes(0));
    const joiner = new SegmentJoiner(segments);
    const run = (start: number, end: number, stopAt?: Float64Array): Promise<IngestResult> => this.#engine.ingest({
      kind: 'segment', sizeBytes: end - start, segment: { directory, name, stat, start, end, ...(stopAt === undefined ? {} : { stopAt }) },
    }, this.#options);
    let missing = segments.length;
    let isAnswered = false;
    const join = async (): Promise<void> => {
      for (let step = joiner.next(); step.kind !== 'wait'; step = joiner.next()) {
        if (step.kind === 'bridge') {
          joiner.addBridge(await run(step.start, step.end, step.stopAt));
          continue;
        }
        // A file that shrank is done early; the answer still waits for the last segment, which may not be under way any more.
        if (missing > 0 || isAnswered) return;
        isAnswered = true;
        return this.#answer([item], step.result);
      }
    };
    let joining: Promise<void> = Promise.resolve();
    for (const [index, { start, end }] of segments.entries()) {
      await this.#throttle();
      await this.#jobs.add(async () => {
        joiner.addSegment(index, await run(start, end));
        missing--;
        await this.#throttle(); // the next segment starts when what this one made is on its way
        await (joining = joining.then(join));
      });
    }
  }
}

const NOTHING: readonly never[] = [];

/** A file of one chunk that is stored or known: most files are, and need no collector. */
function simpleAnswer({ errno, flags, referenceCount, sizeBytes }: ItemAnswer, references: ReferenceList, at: number): ContentAnswer | undefined {
  if (errno !== 0 || referenceCount !== 1 || references.kind(at) !== REFERENCE_CHUNK || (flags & ITEM_PARTLY_UNREADABLE) !== 0) return undefined;
  const id = chunkIdFromBytes(references.id(at));
  return {
    errno, flags, content: { sizeBytes, content: [{ id, lengthBytes: sizeBytes }] }, damagedSpans: NOTHING, packs: [references.pack(at)], claimed: NOTHING,
  };
}

/** Puts the references of one item together. */
class AnswerCollector {
  readonly #packs = new Set<PackNumber>();
  readonly #claimed: Bytes[] = [];
  readonly #spans: ByteSpan[] = [];
  readonly #builder: ContentBuilder;
  #errno = 0;
  #flags = 0;

  constructor(trees: TreeWriter) {
    this.#builder = new ContentBuilder(trees.sink(this.#packs));
  }

  /** Takes item `i`, whose references start at `first`. Returns the first reference of the next item. */
  add(result: IngestResult, i: number, first: number): number {
    const { errno, flags, referenceCount } = readItem(result.items, i);
    this.#errno ||= errno;
    this.#flags |= flags;
    const references = new ReferenceList(result.references);
    const end = first + referenceCount;
    for (let at = first; at < end; at++) {
      const kind = references.kind(at);
      if (kind === REFERENCE_ZEROS) {
        this.#builder.add(undefined, references.length(at));
        continue;
      }
      const id = chunkIdFromBytes(references.id(at));
      if (kind === REFERENCE_CLAIMED) this.#claimed.push(id);
      else this.#packs.add(references.pack(at));
      this.#builder.add(id, references.length(at));
    }
    for (const { item, offset, length } of result.damage) if (item === i) this.#spans.push({ offset, length });
    return end;
  }

  finish(): ContentAnswer {
    return {
      errno: this.#errno, flags: this.#flags, content: this.#builder.finish(), damagedSpans: this.#spans, packs: this.#packs, claimed: this.#claimed,
    };
  }
}

const PIECE_BYTES = 4 * 1024 * 1024;

/** Pieces of 4 MiB, the last one shorter and possibly empty. */
async function* inPieces(content: AsyncIterable<Bytes>): AsyncGenerator<{ bytes: Uint8Array<ArrayBuffer>; isLast: boolean }> {
  let piece = new Uint8Array(PIECE_BYTES);
  let filled = 0;
  for await (const bytes of content) {
    for (let at = 0; at < bytes.length;) {
      const take = Math.min(bytes.length - at, PIECE_BYTES - filled);
      piece.set(bytes.subarray(at, at + take), filled);
      at += take;
      filled += take;
      if (filled < PIECE_BYTES) continue;
      yield { bytes: piece, isLast: false };
      piece = new Uint8Array(PIECE_BYTES);
      filled = 0;
    }
  }
  yield { bytes: piece.slice(0, filled), isLast: true };
}
