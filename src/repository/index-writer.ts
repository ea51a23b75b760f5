/**
 * Writes index segments that cover only durable packs, and takes them into the cache (repository design, W5 and rule I1).
 * A segment is also flushed while a long run goes on, so that an interrupted one leaves most of its work findable.
 */
import { OBJECT_TYPES } from '../format/header.ts';
import type { PackNumber } from '../cache/cache.ts';
import { segmentIdFromBytes } from '../format/ids.ts';
import { decodeIndexSegment, encodeIndexSegment, type PackContent } from '../format/index-segment.ts';
import { segmentName } from '../format/object-names.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { OpenRepository } from './opened-repository.ts';
import { toSegmentContent } from './segment-content.ts';

/** Chunks after which a segment is written: 1.5 MiB of records. */
const FLUSH_CHUNKS = 32_768;
/** And at the latest after so long. */
const FLUSH_MS = 60_000;

export class IndexWriter {
  readonly #repository: OpenRepository;
  readonly #options: CallOptions;
  #pending: PackContent[] = [];
  #pendingChunks = 0;
  #lastFlush: number;
  #flushing: Promise<void> = Promise.resolve();
  /** Told of every pack whose chunks the cache finds from now on. */
  onIndexed: ((pack: PackNumber) => void) | undefined;

  constructor(repository: OpenRepository, options: CallOptions) {
    this.#repository = repository;
    this.#options = options;
    this.#lastFlush = repository.clock.monotonic();
  }

  /** The pack is durable. @throws the error of an earlier flush */
  async add(pack: PackContent): Promise<void> {
    this.#pending.push(pack);
    this.#pendingChunks += pack.chunkCount;
    const isDue = this.#repository.clock.monotonic() - this.#lastFlush >= FLUSH_MS;
    if (this.#pendingChunks >= FLUSH_CHUNKS || isDue) await this.flush();
  }

  /** Everything added so far is in a durable segment, and in the cache, when this resolves. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#write(this.#options));
    return this.#flushing;
  }

  /** For the end of a run that failed or was interrupted: the next one shall find what is durable. Returns the error of a store that refused. */
  async abandon(): Promise<unknown> {
    await Promise.allSettled([this.#flushing]);
    try {
      await this.#write({});
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #write(options: CallOptions): Promise<void> {
    if (this.#pending.length === 0) return;
    const { backend, objects, random, cache, config } = this.#repository;
    const packs = this.#pending;
    this.#pending = [];
    this.#pendingChunks = 0;
    this.#lastFlush = this.#repository.clock.monotonic();
    const id = segmentIdFromBytes(random.bytes(16));
    const name = segmentName(id);
    const payload = encodeIndexSegment([], packs);
    try {
      await backend.create(name, [objects.seal(name, OBJECT_TYPES.indexSegment, payload, { suite: config.defaultSuite })], options);
    } catch (error) {
      this.#pending.unshift(...packs);
      throw error;
    }
    await cache.chunks.addSegment(toSegmentContent(id, decodeIndexSegment(payload)));
    for (const pack of packs) {
      const number = cache.chunks.packNumber(pack.id);
      if (number !== undefined) this.onIndexed?.(number);
    }
  }
}
