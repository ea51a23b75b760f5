/**
 * Turns sealed frames into packs: gives out the right to seal frames of a pack, collects what comes back, and when a pack is
 * full writes it in the background and hands it to the index (repository design, sections 4.5, 4.6 and 13.3).
 */
import { invariant } from '../base/errors.ts';
import { releaseMemory, returnFreeMemory } from '../base/release-memory.ts';
import { JobGroup } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { MiB } from '../base/units.ts';
import type { PackNumber } from '../cache/cache.ts';
import type { PackGrant, SealedFrame } from '../engine/engine.ts';
import { encodeFramePrefix } from '../format/frame.ts';
import { SALT_BYTES } from '../format/header.ts';
import { packIdFromBytes, type SessionId } from '../format/ids.ts';
import { packContent } from '../format/index-segment.ts';
import type { PackIdentity } from '../format/key-derivation.ts';
import { packName, type PackType } from '../format/object-names.ts';
import { assemblePack } from '../format/pack.ts';
import type { Random } from '../base/ambient.ts';
import type { IndexWriter } from './index-writer.ts';
import type { OpenRepository } from './opened-repository.ts';

/** Stored bytes after which a pack is closed. Smaller than S3 would like, since open packs are held in memory (decision 0004). */
export const DATA_PACK_BYTES: number = 16 * MiB;
export const TREE_PACK_BYTES: number = 4 * MiB;
/** Packs being written at the same time unless the backend wants more; each is held in memory until it is durable. */
const PARALLEL_WRITES = 2;

interface OpenPack {
  readonly number: PackNumber;
  readonly identity: PackIdentity;
  readonly frames: (SealedFrame | undefined)[];
}

export interface PackWritten {
  readonly packId: string;
  readonly type: PackType;
  readonly sizeBytes: number;
  readonly chunks: number;
  readonly rawBytes: number;
}

export interface AssemblerOptions extends CallOptions {
  readonly sessionId: SessionId;
  /** Dry run: packs are counted and dropped. */
  readonly discard: boolean;
  readonly onPackWritten?: ((pack: PackWritten) => void) | undefined;
}

export class PackAssembler {
  readonly #repository: OpenRepository;
  readonly #index: IndexWriter;
  readonly #options: AssemblerOptions;
  readonly #open = new Map<PackNumber, OpenPack>();
  readonly #writes: JobGroup;
  /** Packs that are closed and wait for a place to be written. */
  #queued: Promise<void> = Promise.resolve();
  #queuedCount = 0;
  #failure: { readonly error: unknown } | undefined;

  constructor(repository: OpenRepository, index: IndexWriter, options: AssemblerOptions) {
    this.#repository = repository;
    this.#writes = new JobGroup(repository.backend.writesAtOnce ?? PARALLEL_WRITES);
    this.#index = index;
    this.#options = options;
  }

  /** A new pack with keys of its own; its number is known to the cache, its object exists only when it is closed. */
  grant(type: PackType): PackGrant {
    const { cache, keys, random, config } = this.#repository;
    const identity: PackIdentity = {
      type, suite: config.defaultSuite, epoch: keys.currentEpoch, id: packIdFromBytes(random.bytes(16)), salt: random.bytes(SALT_BYTES),
    };
    const number = cache.chunks.reservePack(identity.id);
    this.#open.set(number, { number, identity, frames: [] });
    const { frameKey } = keys.packKeys(identity);
    return { pack: number, suite: identity.suite, frameKey, framePrefix: encodeFramePrefix(identity, keys.repositoryId) };
  }

  addFrames(frames: readonly SealedFrame[]): void {
    for (const frame of frames) {
      const pack = this.#open.get(frame.pack);
      invariant(pack !== undefined && pack.frames[frame.frame] === undefined, `Frame ${frame.frame} of pack ${frame.pack} came twice or too late`);
      pack.frames[frame.frame] = frame;
    }
  }

  /** The pack gets no more frames. Returns at once; `backPressure` and `finish` report failures. */
  close(number: PackNumber): void {
    const pack = this.#open.get(number);
    invariant(pack !== undefined, `Pack ${number} was closed twice`);
    this.#open.delete(number);
    if (pack.frames.length === 0) return;
    this.#queuedCount++;
    this.#queued = this.#queued.then(async () => {
      if (this.#failure === undefined) await this.#writes.add(() => this.#write(pack));
      this.#queuedCount--;
    }).catch((error: unknown) => { this.#failure ??= { error }; });
  }

  /** Waits while packs are queued, so that memory stays bounded. @throws the first failure of a write */
  async backPressure(): Promise<void> {
    if (this.#queuedCount > 0) await this.#queued;
    this.#check();
  }

  /** Every closed pack is durable when this resolves. @throws the first failure of a write */
  async finish(): Promise<void> {
    await this.#queued;
    this.#check();
    await this.#writes.done();
  }

  /** For clean-up after another error: nothing runs any more when this resolves. */
  async abandon(): Promise<void> {
    this.#failure ??= { error: undefined };
    this.#open.clear();
    await this.#queued;
    await this.#writes.settled();
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#writes.check();
  }

  async #write(pack: OpenPack): Promise<void> {
    const { backend, kernel, keys, cache, clock, random } = this.#repository;
    const { identity } = pack;
    const frames = pack.frames.map(frame => {
      invariant(frame !== undefined, `Pack ${pack.number} lacks a frame`);
      return frame;
    });
    const { parts, table } = assemblePack({
      kernel, pack: identity, repositoryId: keys.repositoryId, root: keys.packRoot(identity.type, identity.epoch)!,
      sessionId: this.#options.sessionId, createdAt: clock.now(), frames, layout: layoutOf(frames, random),
    });
    if (!this.#options.discard) {
      await backend.create(packName(identity.type, identity.id), parts, this.#options);
      cache.chunks.addUsable(pack.number);
      await this.#index.add(packContent(table));
    }
    releaseMemory(frames.map(frame => frame.stored));
    returnFreeMemory();
    const rawBytes = frames.reduce((sum, frame) => sum + frame.rawLength, 0);
    this.#options.onPackWritten?.({ packId: identity.id, type: identity.type, sizeBytes: table.sizeBytes, chunks: table.chunkCount, rawBytes });
  }
}

const CHUNK_RECORD_BYTES = 36;

/**
 * Places of the frames: group frames keep their order, so that a directory reads in one go; frames of single chunks swap
 * places at random, so that an observer of the pack learns no sequence of chunk lengths.
 */
export function layoutOf(frames: readonly Pick<SealedFrame, 'chunks'>[], random: Random): number[] {
  const layout = frames.map((_, i) => i);
  const singles = layout.filter(i => frames[i]!.chunks.length === CHUNK_RECORD_BYTES);
  const shuffled = [...singles];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
  }
  singles.forEach((place, i) => { layout[place] = shuffled[i]!; });
  return layout;
}
