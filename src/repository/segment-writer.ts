/**
 * Writes index segments as large as they should be, from packs of any origin, holding the packs of one. Each segment is read
 * back from the storage before anybody relies on it, since others are removed for its sake.
 */
import { equalBytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { SnapError } from '../base/errors.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import { segmentIdFromBytes, type SegmentId } from '../format/ids.ts';
import { decodeIndexSegment, encodeIndexSegment, type PackContent } from '../format/index-segment.ts';
import { segmentName } from '../format/object-names.ts';
import type { OpenRepository } from './opened-repository.ts';
import { toSegmentContent } from './segment-content.ts';

/** Chunk records of one segment, and packs, of which each takes more than a record. */
const MAX_RECORDS = 400_000;
const MAX_PACKS = 100_000;

export class SegmentWriter {
  readonly written: SegmentId[] = [];
  packs = 0;
  bytes = 0;
  readonly #repository: OpenRepository;
  readonly #isDryRun: boolean;
  readonly #options: CallOptions;
  #pending: PackContent[] = [];
  #pendingRecords = 0;

  /** A dry run counts. */
  constructor(repository: OpenRepository, isDryRun: boolean, options: CallOptions) {
    this.#repository = repository;
    this.#isDryRun = isDryRun;
    this.#options = options;
  }

  /** The pack is durable. */
  async add(pack: PackContent): Promise<void> {
    if (this.#pending.length >= MAX_PACKS || (this.#pendingRecords + pack.chunkCount > MAX_RECORDS && this.#pending.length > 0)) await this.#write([]);
    this.#pending.push(pack);
    this.#pendingRecords += pack.chunkCount;
    this.packs++;
  }

  /** Everything that was added is durable, read back, and in the cache. The last segment names those that are to be removed. */
  async finish(supersedes: readonly SegmentId[]): Promise<void> {
    if (this.#pending.length > 0) await this.#write(supersedes);
  }

  async #write(supersedes: readonly SegmentId[]): Promise<void> {
    const { backend, objects, random, cache, config } = this.#repository;
    const packs = this.#pending;
    this.#pending = [];
    this.#pendingRecords = 0;
    const id = segmentIdFromBytes(random.bytes(16));
    const name = segmentName(id);
    const payload = encodeIndexSegment(supersedes, packs);
    const sealed = objects.seal(name, OBJECT_TYPES.indexSegment, payload, { suite: config.defaultSuite });
    this.written.push(id);
    this.bytes += sealed.length;
    if (this.#isDryRun) return;
    await backend.create(name, [sealed], this.#options);
    const stored = await objects.load(name, this.#options);
    if (!equalBytes(stored.payload, payload)) {
      throw new SnapError('OBJECT_CORRUPT', `The new index segment '${name}' does not come back as it was written`, {
        hint: 'Nothing was removed. The storage or the memory of this computer may be faulty', context: { name },
      });
    }
    await cache.chunks.addSegment(toSegmentContent(id, decodeIndexSegment(stored.payload)));
  }
}
