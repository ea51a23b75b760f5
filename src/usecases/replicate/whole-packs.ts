/**
 * Packs of the source that a replica with its keys takes as they are, under their own names. A name that was used there before must not
 * come back while a prune that sleeps in the midst of its deletes could wake up (docs/concurrency.md, "Replication").
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { JobGroup } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackId } from '../../format/ids.ts';
import { packContent, type PackContent } from '../../format/index-segment.ts';
import type { PackType } from '../../format/object-names.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { loadGcPlans } from '../../repository/gc-plans.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readPackTable } from '../../repository/pack-tables.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import { hasEpoch } from './replica-survey.ts';

export interface StoredPackName {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
}

export interface WholePacksOptions extends CallOptions {
  readonly dryRun: boolean;
  /** The replica has ID and keys of the source. */
  readonly isSame: boolean;
  readonly onTaken: (pack: StoredPackName, chunks: number) => void;
  /** It was there, and is in the index now. */
  readonly onFound: (pack: StoredPackName) => void;
}

/** Packs that are written at the same time, unless the backend wants more, up to the second. */
const PARALLEL_WRITES = 2;
const MAX_PARALLEL_WRITES = 4;

export class WholePacks {
  readonly #session: WritingSession;
  readonly #options: WholePacksOptions;
  /** Sizes of what was there when the session began. */
  readonly #listed: ReadonlyMap<PackId, number>;
  readonly #writes: JobGroup;
  /** Packs that were made before this time may have been deleted here, by a plan of which nothing is left. */
  readonly #doubtfulBefore: number;

  private constructor(session: WritingSession, options: WholePacksOptions, doubtfulBefore: number) {
    this.#session = session;
    this.#options = options;
    this.#listed = new Map(session.view.packs.map(pack => [pack.id, pack.sizeBytes]));
    this.#writes = new JobGroup(Math.min(MAX_PARALLEL_WRITES, session.repository.backend.writesAtOnce ?? PARALLEL_WRITES));
    this.#doubtfulBefore = doubtfulBefore;
  }

  static async begin(session: WritingSession, options: WholePacksOptions): Promise<WholePacks> {
    return new WholePacks(session, options, options.isSame ? await findDoubtfulTime(session.repository, options) : Number.POSITIVE_INFINITY);
  }

  /** @param createdAt as the table of the pack says, ms since 1970 */
  mayTake({ id, epoch }: Pick<PackContent, 'id' | 'epoch'>, source: OpenRepository, createdAt: number): boolean {
    if (!this.#options.isSame || this.#session.view.excluded.has(id)) return false;
    const secret = source.keys.keyring.epochs.find(each => each.epoch === epoch)?.secret;
    if (secret === undefined || !hasEpoch(this.#session.repository, epoch, secret)) return false;
    return this.#listed.has(id) || createdAt >= this.#doubtfulBefore;
  }

  /**
   * Returns when there is room for the next one; `onSettled` is called when the bytes are not needed any more. False: the pack must be
   * sealed anew.
   */
  async take(content: PackContent, bytes: Bytes, onSettled: () => void): Promise<boolean> {
    const listedSize = this.#listed.get(content.id);
    if (listedSize !== undefined) {
      onSettled();
      return listedSize === content.sizeBytes && await this.#takeListed({ id: content.id, type: content.type, sizeBytes: content.sizeBytes });
    }
    try {
      await this.#writes.add(() => this.#adopt(content, bytes).finally(onSettled));
    } catch (error) {
      onSettled(); // of an earlier pack: this one was not begun
      throw error;
    }
    return true;
  }

  /** Everything that was taken is durable. @throws the first failure */
  done(): Promise<void> {
    return this.#writes.done();
  }

  /** Nothing is being written any more, whatever became of it. */
  settled(): Promise<void> {
    return this.#writes.settled();
  }

  async #adopt(content: PackContent, bytes: Bytes): Promise<void> {
    const { id, type, sizeBytes, chunkCount } = content;
    if (!await this.#session.adopt(content, bytes)) {
      throw new SnapError('OBJECT_CONFLICT', `Something else lies at the place of pack '${id}' at '${this.#session.repository.backend.location}'`, {
        hint: 'Run the command again; if that does not help, `snap verify` at the replica says more',
      });
    }
    this.#options.onTaken({ id, type, sizeBytes }, chunkCount);
  }

  /** A run that was interrupted stored it, but did not get to write it into the index. */
  async #takeListed(pack: StoredPackName): Promise<boolean> {
    try {
      const table = await readPackTable(this.#session.repository, pack, this.#options);
      if (this.#options.dryRun) return true;
      await this.#session.addToIndex(packContent(table));
      this.#options.onFound(pack);
      return true;
    } catch (error) {
      if (!isUnreadable(error) && !hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      return false;
    }
  }
}

/** Names of deleted packs stand in the sweeps that are stored. Of older plans the documents are gone. */
async function findDoubtfulTime(repository: OpenRepository, options: CallOptions): Promise<number> {
  const { plans, highestNumber } = await loadGcPlans(repository, options);
  const [first] = plans;
  if (highestNumber === 0 || first?.number === 1) return 0;
  return first?.condemned?.storedAt ?? Number.POSITIVE_INFINITY;
}
