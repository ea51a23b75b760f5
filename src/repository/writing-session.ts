/**
 * A writer, from its registration to the commit: the order of the calls here is the protocol (repository design, section 6.1).
 * Success is reported in one place, at the end of `commit`.
 */
import { SnapError } from '../base/errors.ts';
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { PackNumber } from '../cache/cache.ts';
import { chunkIdFromBytes, chunkIdFromKey, chunkIdKey, type SessionId, type SnapshotId } from '../format/ids.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { PackContent } from '../format/index-segment.ts';
import { packName, snapshotName } from '../format/object-names.ts';
import { encodeSnapshot, type Snapshot } from '../format/snapshot.ts';
import { commitRecord } from './commit.ts';
import { IndexWriter } from './index-writer.ts';
import type { OpenRepository } from './opened-repository.ts';
import { PackAssembler, type PackWritten } from './pack-assembler.ts';
import { Registration, type SessionOwner } from './registration.ts';
import { withdrawRecord } from './revocation.ts';
import { establishView, type SessionView } from './session-view.ts';
import { createSettled } from './settled-write.ts';
import { TreeWriter } from './tree-writer.ts';

/** Revocations that one commit survives before it gives up. */
const MAX_ROUNDS = 5;
/** Claimed chunks that are remembered before those that are stored by now are dropped. */
const MAX_CLAIMED = 50_000;
const PARALLEL_REGISTRATIONS = 8;

export interface WritingOptions extends CallOptions {
  readonly owner: SessionOwner;
  readonly compressionLevel: number;
  /** Dry run: nothing is registered, stored or committed. */
  readonly discard: boolean;
  /**
   * False for a snapshot of trees that were not looked up: only this very session keeps them alive, so it must not commit under
   * another ID when a prune has revoked it. Defaults to true.
   */
  readonly renews?: boolean | undefined;
  /** Snapshots that the session may commit; each has a registration of its own, all of them before the view. Defaults to 1. */
  readonly commits?: number | undefined;
  readonly onPackWritten?: ((pack: PackWritten) => void) | undefined;
  readonly onRevoked?: ((sessionId: SessionId) => void) | undefined;
}

export interface Committed {
  readonly id: SnapshotId;
  /** The sealed record as stored. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** What a commit needs to know of the session that it happens in. */
export interface CommitIdentity {
  readonly id: SnapshotId;
  readonly gcNumber: number;
}

export class WritingSession {
  readonly repository: OpenRepository;
  readonly assembler: PackAssembler;
  readonly trees: TreeWriter;
  readonly #options: WritingOptions;
  readonly #index: IndexWriter;
  readonly #referenced = new Set<PackNumber>();
  readonly #claimed = new Set<string>();
  #isDoubtful = false;
  /** A commit was begun, and nobody knows yet how it ended. */
  #isCommitOpen = false;
  #registration: Registration | undefined;
  /** For the commits after the next one. */
  #spares: readonly Registration[];
  #view: SessionView;

  private constructor(repository: OpenRepository, options: WritingOptions, registrations: readonly Registration[], view: SessionView, id: SessionId) {
    this.repository = repository;
    this.#options = options;
    [this.#registration, ...this.#spares] = registrations;
    this.#view = view;
    this.#index = new IndexWriter(repository, options);
    this.assembler = new PackAssembler(repository, this.#index, { ...options, sessionId: id });
    this.trees = new TreeWriter(repository, this.assembler, options.compressionLevel);
  }

  /** W1 to W4: register first, then look. */
  static async begin(repository: OpenRepository, options: WritingOptions): Promise<WritingSession> {
    if (options.discard) {
      const id = '00000000000000000000000000000000' as SessionId;
      return new WritingSession(repository, options, [], await establishView(repository, options), id);
    }
    const registrations = await registerAll(repository, options, options.commits ?? 1);
    try {
      return new WritingSession(repository, options, registrations, await establishView(repository, options), registrations[0]!.id);
    } catch (error) {
      for (const registration of registrations) await registration.end();
      throw error;
    }
  }

  /** Under which it is registered; undefined in a dry run. */
  get id(): SessionId | undefined {
    return this.#registration?.id;
  }

  get view(): SessionView {
    return this.#view;
  }

  /** `listener` is told of every pack whose chunks the cache finds from now on; it takes the place of an earlier one. */
  listenToIndex(listener: (pack: PackNumber) => void): void {
    this.#index.onIndexed = listener;
  }

  /** Every pack that the new snapshot refers to must be named here before the commit. */
  reference(packs: Iterable<PackNumber>): void {
    for (const pack of packs) this.#referenced.add(pack);
  }

  /** Chunks that another thread was storing when they were referred to: they are looked up before the commit. */
  referenceClaimed(ids: Iterable<Bytes>): void {
    for (const id of ids) this.#claimed.add(chunkIdKey(chunkIdFromBytes(id)));
    if (this.#claimed.size > MAX_CLAIMED) this.#resolveClaimed();
  }

  /**
   * A pack of a copy of this repository, byte by byte and under its own ID. The caller has checked the bytes, and that no prune
   * deleted a pack of this name here long ago. False: the name must not be used, since a plan names it or something else lies there.
   */
  async adopt(content: PackContent, bytes: Bytes): Promise<boolean> {
    const { backend } = this.repository;
    if (this.#view.excluded.has(content.id)) return false;
    if (this.#options.discard) return true;
    const name = packName(content.type, content.id);
    const isOurs = await createSettled(backend, name, bytes, this.#options) === 'created' || equalBytes(await backend.read(name, undefined, this.#options), bytes);
    if (isOurs) await this.addToIndex(content);
    return isOurs;
  }

  /** A pack that is stored, but not in the index or otherwise. */
  async addToIndex(content: PackContent): Promise<void> {
    const { cache: { chunks } } = this.repository;
    const number = chunks.reservePack(content.id);
    if (chunks.pack(number)?.sizeBytes !== content.sizeBytes) await this.#index.add(content);
    chunks.addUsable(number);
  }

  /**
   * For packs in which something was found damaged: they are not usable any more, so what is needed of them is stored again,
   * and nothing is committed before the caller has gone through everything once more.
   */
  distrust(packs: Iterable<PackNumber>): void {
    const { chunks } = this.repository.cache;
    const bad = new Set(packs);
    const usable: PackNumber[] = [];
    for (let number = 1; number <= chunks.highestPackNumber(); number++) if (!bad.has(number) && chunks.isUsable(number)) usable.push(number);
    chunks.setUsable(usable);
    this.#isDoubtful = true;
  }

  /** Something was found damaged since the last commit: what was built may refer to it. */
  get isDoubtful(): boolean {
    return this.#isDoubtful;
  }

  /** W6: everything handed to the assembler so far is durable and indexed. Closes the open tree pack. */
  async flush(): Promise<void> {
    this.trees.finish();
    await this.assembler.finish();
    if (!this.#options.discard) await this.#index.flush();
  }

  /** Whether every chunk and pack that was named is usable in the present view. */
  isClosed(): boolean {
    this.#resolveClaimed();
    if (this.#isDoubtful || this.#claimed.size > 0) return false;
    for (const pack of this.#referenced) if (!this.repository.cache.chunks.isUsable(pack)) return false;
    return true;
  }

  /**
   * W6 to W8. Undefined: some of what the session referred to is gone or damaged, mostly after a revocation; the caller stores
   * and names everything again (the session has a new registration and view then) and calls `commit` once more.
   * @throws SESSION_REVOKED after five revocations, or the first one when the session does not renew itself
   */
  async commit(build: (identity: CommitIdentity) => Snapshot): Promise<Committed | undefined> {
    await this.flush();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      if (!this.isClosed()) return this.#forgetReferences();
      const { id } = this.#registration!;
      const { config, backend } = this.repository;
      this.#registration!.check();
      const bytes = this.#seal(build({ id, gcNumber: this.#view.gcNumber }));
      this.#isCommitOpen = true;
      const outcome = await commitRecord(backend, config.storeMode, id, bytes, this.#options);
      this.#isCommitOpen = false;
      if (outcome === 'committed') {
        await this.#nextRegistration();
        return { id, bytes };
      }
      if (outcome === 'revoked' && config.storeMode === 'fallback') await withdrawRecord(this.repository, id, this.#view.gcNumber, this.#options);
      this.#options.onRevoked?.(id);
      if (this.#options.renews === false) throw new SnapError('SESSION_REVOKED', 'A prune took this run for dead', { hint: 'Nothing was changed. Run the command again' });
      await this.#renew();
    }
    throw new SnapError('SESSION_REVOKED', `The session was revoked ${MAX_ROUNDS} times`, {
      hint: 'A prune runs again and again beside this backup; run the backup again when it is done',
    });
  }

  /**
   * W9. Returns the error of a store that refused the clean-up, which is no failure of the session. The record of a snapshot whose
   * write failed may still be on its way: then the session stays, so that the next prune decides its fate before it deletes anything.
   */
  async end(): Promise<unknown> {
    await this.assembler.abandon();
    const failure = await this.#index.abandon();
    for (const spare of this.#spares) await spare.end();
    if (this.#isCommitOpen) {
      await this.#registration?.leave();
      return failure;
    }
    return await this.#registration?.end() ?? failure;
  }

  /** The last one stays for `end`. */
  async #nextRegistration(): Promise<void> {
    const [next, ...others] = this.#spares;
    if (next === undefined) return;
    await this.#registration!.end();
    this.#registration = next;
    this.#spares = others;
  }

  /** Claimed chunks that are indexed by now become references to their packs. */
  #resolveClaimed(): void {
    for (const key of this.#claimed) {
      const location = this.repository.cache.chunks.find(chunkIdFromKey(key));
      if (location === undefined) continue;
      this.#referenced.add(location.pack);
      this.#claimed.delete(key);
    }
  }

  #forgetReferences(): undefined {
    this.#referenced.clear();
    this.#claimed.clear();
    this.#isDoubtful = false;
  }

  #seal(snapshot: Snapshot): Uint8Array<ArrayBuffer> {
    return this.repository.objects.seal(snapshotName(snapshot.id), OBJECT_TYPES.snapshot, encodeSnapshot(snapshot), { compress: true });
  }

  /** W8: a new session ID and a new look at the repository. */
  async #renew(): Promise<void> {
    const former = [this.#registration!, ...this.#spares];
    const [registration, ...spares] = await registerAll(this.repository, this.#options, former.length);
    this.#registration = registration;
    this.#spares = spares;
    for (const each of former) await each.end();
    this.#view = await establishView(this.repository, this.#options);
    this.trees.forgetPacks();
  }
}

async function registerAll(repository: OpenRepository, options: WritingOptions, count: number): Promise<readonly Registration[]> {
  const registrations: Registration[] = [];
  try {
    await mapBounded(Array.from({ length: count }), PARALLEL_REGISTRATIONS, async () => {
      registrations.push(await Registration.register(repository, 'writer', options.owner, [], options));
    });
    return registrations;
  } catch (error) {
    for (const registration of registrations) await registration.end();
    throw error;
  }
}
