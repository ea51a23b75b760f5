/** What walks of a reading session share that only count: a chunk that moved while the session began is looked for again. */
import type { CallOptions } from '../../base/call-options.ts';
import type { SnapError } from '../../base/errors.ts';
import type { ChunkLocation } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { ReachedNode, ReachSink } from './reach-walk.ts';

export abstract class SessionSink implements ReachSink {
  readonly #session: ReadingSession;
  readonly #options: CallOptions;

  constructor(session: ReadingSession, options: CallOptions) {
    this.#session = session;
    this.#options = options;
  }

  abstract data(id: ChunkId, lengthBytes: number | undefined, parent: number): boolean;
  abstract node(id: ChunkId, parent: number): ReachedNode | 'known' | undefined;

  async copies(id: ChunkId, error: SnapError): Promise<readonly ChunkLocation[]> {
    if (error.code === 'OBJECT_NOT_FOUND') await this.#session.lookAgain(this.#session.looks, this.#options);
    return this.#session.repository.cache.chunks.findAll(id);
  }

  foundAt(): void {
    // What a chunk takes is counted once, wherever it was first.
  }

  /** A prune may have moved chunks while the session began. */
  async lookAgain(): Promise<boolean> {
    if (this.#session.looks === 1) await this.#session.lookAgain(1, this.#options);
    return true;
  }
}
