/**
 * Another repository from which this one is healed: a copy of it, or one that shares its deduplication secret, so that equal chunks
 * have equal IDs. A pack of a copy comes back whole and under its own ID, unless a sweep names it: a delete that is late must not hit
 * it. Everything else comes chunk by chunk. Each byte is checked by the keys of this repository before it is stored.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackRecord } from '../../cache/cache.ts';
import type { ChunkId, PackId } from '../../format/ids.ts';
import { packContent } from '../../format/index-segment.ts';
import { packName, type PackType } from '../../format/object-names.ts';
import { openPackHead } from '../../format/pack.ts';
import { isDamage } from '../../repository/damage.ts';
import { IndexWriter } from '../../repository/index-writer.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { tableOptions } from '../../repository/pack-tables.ts';
import { findPackFault } from '../../repository/pack-verification.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { createSettled } from '../../repository/settled-write.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import { changedMeanwhile, type RepairTally } from './repair-run.ts';

export interface ReplicaOptions extends CallOptions {
  readonly owner: SessionOwner;
  readonly dryRun: boolean;
}

export class ReplicaSource {
  readonly #reading: ReadingSession;
  readonly #session: WritingSession;
  readonly #index: IndexWriter;
  readonly #tally: RepairTally;
  readonly #options: ReplicaOptions;
  readonly #listed: ReadonlySet<PackId>;
  /** Names of packs that came back as a whole, or would in a dry run. */
  readonly restored = new Set<string>();
  /** Packs that could not. */
  readonly #refused = new Set<PackId>();

  private constructor(reading: ReadingSession, session: WritingSession, tally: RepairTally, options: ReplicaOptions) {
    this.#reading = reading;
    this.#session = session;
    this.#index = new IndexWriter(session.repository, options);
    this.#tally = tally;
    this.#options = options;
    this.#listed = new Set(session.view.packs.map(({ id }) => id));
  }

  /** @throws UNRELATED_REPOSITORY; the errors of a repository that cannot be read */
  static async open(replica: OpenRepository, session: WritingSession, tally: RepairTally, options: ReplicaOptions): Promise<ReplicaSource> {
    checkRelated(session.repository, replica);
    const reading = await ReadingSession.begin(replica, options.owner, [], {
      ...options, onDamagedObject: (name, error) => { tally.left('replica', name, `The other repository is damaged, too: ${error.message}`); },
    });
    return new ReplicaSource(reading, session, tally, options);
  }

  /** The chunk, which is stored here from now on, in its pack or by `store`; undefined when the replica does not have it either. */
  async heal(type: PackType, id: ChunkId, length: number | undefined, store: (bytes: Bytes) => void): Promise<Bytes | undefined> {
    const { looks } = this.#reading;
    const found = await this.#heal(type, id, length, store);
    if (found !== 'vanished') return found;
    await this.#reading.lookAgain(looks, this.#options);
    const again = await this.#heal(type, id, length, store);
    return again === 'vanished' ? undefined : again;
  }

  async #heal(type: PackType, id: ChunkId, length: number | undefined, store: (bytes: Bytes) => void): Promise<Bytes | undefined | 'vanished'> {
    const { chunks } = this.#reading.repository.cache;
    let outcome: 'vanished' | undefined;
    for (const location of chunks.findAll(id)) {
      const record = chunks.pack(location.pack);
      if (record?.type !== type || (length !== undefined && location.length !== length)) continue;
      try {
        const bytes = await this.#reading.packs.chunk(id, location, this.#options);
        if (!await this.#restore(record)) store(bytes);
        return bytes;
      } catch (error) {
        if (!isDamage(error)) throw error;
        if (hasCode(error, 'OBJECT_NOT_FOUND')) outcome = 'vanished';
      }
    }
    return outcome;
  }

  /** Puts the whole pack in its old place. False: not this one. */
  async #restore(record: PackRecord): Promise<boolean> {
    const { repository, view } = this.#session;
    const { id, type } = record;
    const name = packName(type, id);
    if (this.restored.has(name)) return true;
    if (this.#refused.has(id) || this.#reading.repository.id !== repository.id || this.#listed.has(id) || view.excluded.has(id)) return false;
    const bytes = await this.#reading.repository.backend.read(name, undefined, this.#options);
    this.#tally.counts.bytesRead += bytes.length;
    if (findPackFault(repository, record, bytes) !== undefined) {
      this.#refused.add(id);
      return false;
    }
    this.#tally.step('restore', 'pack', name, 'whole, from the other repository');
    if (!this.#options.dryRun) await this.#place(name, bytes, record);
    this.restored.add(name);
    this.#tally.counts.packsRestored++;
    this.#tally.counts.bytesWritten += bytes.length;
    return true;
  }

  async #place(name: string, bytes: Bytes, { id, type }: PackRecord): Promise<void> {
    const { backend, cache } = this.#session.repository;
    await createSettled(backend, name, bytes, this.#options);
    if (!equalBytes(await backend.read(name, undefined, this.#options), bytes)) {
      throw changedMeanwhile(`Something else is in the place of '${name}'`, undefined);
    }
    const content = packContent(openPackHead(bytes, tableOptions(this.#session.repository, { type, id, sizeBytes: bytes.length })));
    const number = cache.chunks.reservePack(id);
    if (cache.chunks.pack(number)?.sizeBytes !== bytes.length) await this.#index.add(content);
    cache.chunks.addUsable(number);
  }

  /** Packs that came back are in the index when this resolves. */
  flush(): Promise<void> {
    return this.#index.flush();
  }

  /** Returns the error of a store that refused the clean-up. */
  end(): Promise<unknown> {
    return this.#reading.end();
  }
}

/** Two repositories with one secret name equal chunks by equal IDs. @throws UNRELATED_REPOSITORY */
export function checkRelated(repository: OpenRepository, replica: OpenRepository): void {
  if (equalBytes(repository.keys.keyring.dedupSecret, replica.keys.keyring.dedupSecret)) return;
  throw new SnapError('UNRELATED_REPOSITORY', `The repository at '${replica.backend.location}' is no copy of this one and does not share its deduplication secret`, {
    hint: 'Name a copy of this repository', context: { location: replica.backend.location },
  });
}
