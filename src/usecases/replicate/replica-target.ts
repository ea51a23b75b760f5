/**
 * One repository that snapshots are copied to: a writing session there (repository design, section 6.1), what it holds already, and what
 * this run stored. An error of a target ends the work for this target only; it is kept, and the others go on.
 */
import { equalBytes, toHex, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { JobGroup } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { FrameIdentity } from '../../format/frame.ts';
import type { PackId, SessionId, SnapshotId } from '../../format/ids.ts';
import type { PackContent } from '../../format/index-segment.ts';
import { packContent } from '../../format/index-segment.ts';
import { probeName, type PackType } from '../../format/object-names.ts';
import type { Component, Snapshot } from '../../format/snapshot.ts';
import { exists } from '../../repository/commit.ts';
import { readConfigBytes } from '../../repository/open-repository.ts';
import { copyKeyrings } from '../../repository/create-repository.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { loadForgotten } from '../../repository/forgotten.ts';
import { loadGcPlans } from '../../repository/gc-plans.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackFiller } from '../../repository/pack-filler.ts';
import { readPackTable } from '../../repository/pack-tables.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';
import { WritingSession } from '../../repository/writing-session.ts';
import { firstId } from './replica-lag.ts';

/** 'same': ID and keys of the source. 'shared': other keys, equal chunks have equal IDs. 'foreign': nothing in common. */
export type Relation = 'same' | 'shared' | 'foreign';

/** An error of the source, met while something is done for a target: it must not be taken for one of the target. */
export class SourceFailure extends Error {
  constructor(cause: unknown) {
    super('The source failed', { cause });
  }
}

/** @throws SourceFailure */
export async function fromSource<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    throw error instanceof SourceFailure ? error : new SourceFailure(error);
  }
}

/** A repository that was opened, or why it could not be. */
export interface ReplicaPlace {
  /** Without credentials. */
  readonly location: string;
  readonly label?: string | undefined;
  readonly repository: OpenRepository | SnapError;
}

export interface StoredPackName {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
}

export interface TargetOptions extends CallOptions {
  readonly owner: SessionOwner;
  readonly dryRun: boolean;
  /** Snapshots that the retention of the target forgot are copied again. */
  readonly again: boolean;
  readonly onRevoked: (sessionId: SessionId) => void;
  readonly onPackWritten: (pack: { readonly packId: string; readonly sizeBytes: number; readonly chunks: number }) => void;
}

/** Frames sealed anew keep their compression; only chunks out of partly needed frames are compressed again. */
const COMPRESSION_LEVEL = 3;
/** Whole packs that are written at the same time, unless the backend wants more. */
const PARALLEL_WRITES = 2;
const MAX_PARALLEL_WRITES = 4;

export class ReplicaTarget {
  readonly location: string;
  readonly label: string | undefined;
  readonly bit: number;
  failure: SnapError | undefined;
  relation: Relation | undefined;
  /** First IDs of snapshots that it holds, and of those that it forgot. */
  readonly held = new Set<SnapshotId>();
  readonly forgotten = new Set<SnapshotId>();
  /** What this run stored, or would. */
  readonly stored: StoredPackName[] = [];
  readonly copied: { readonly from: SnapshotId; readonly to: SnapshotId }[] = [];
  packsCopied = 0;
  packsSealed = 0;
  bytesWritten = 0;
  readonly #repository: OpenRepository | undefined;
  readonly #options: TargetOptions;
  /** Its snapshots by their first IDs. */
  readonly #byFirst = new Map<SnapshotId, Snapshot>();
  #session: WritingSession | undefined;
  #listed: ReadonlyMap<PackId, number> = new Map();
  #fillers: Readonly<Record<PackType, PackFiller>> | undefined;
  #writes: JobGroup | undefined;
  /** Of all its packs, before this run. */
  #bytesAtBegin: number | undefined;
  /** Packs that were made before this time may have been deleted here, by a plan of which nothing is left. */
  #doubtfulBefore = 0;

  constructor(place: ReplicaPlace, bit: number, options: TargetOptions) {
    this.location = place.location;
    this.label = place.label;
    this.bit = bit;
    this.#options = options;
    if (place.repository instanceof SnapError) this.failure = place.repository;
    else this.#repository = place.repository;
  }

  get repository(): OpenRepository {
    if (this.#repository === undefined) throw new SnapError('INTERNAL', 'The replica was not opened');
    return this.#repository;
  }

  get session(): WritingSession {
    if (this.#session === undefined) throw new SnapError('INTERNAL', 'There is no session at the replica');
    return this.#session;
  }

  /** Stored bytes of all its packs; undefined when nobody looked. */
  get bytesHeld(): number | undefined {
    return this.#bytesAtBegin === undefined ? undefined : this.#bytesAtBegin + this.bytesWritten;
  }

  get isAlive(): boolean {
    return this.failure === undefined;
  }

  /** Undefined when it failed, now or before. Whatever says nothing about this target is thrown, such as an error of the source. */
  async attempt<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.failure !== undefined) return undefined;
    try {
      return await work();
    } catch (error) {
      if (error instanceof SourceFailure) throw error.cause;
      if (!(error instanceof SnapError) || error.code === 'INTERNAL' || error.code === 'CANCELLED') throw error;
      this.failure ??= error;
      return undefined;
    }
  }

  /** What it holds, and how it is related; a target with the keys of the source gets keyrings that it lacks. @throws errors of the target */
  async survey(source: OpenRepository): Promise<void> {
    const { keys } = this.repository;
    const isSame = this.repository.id === source.id && equalBytes(keys.keyringKey, source.keys.keyringKey);
    this.relation = isSame ? 'same' : equalBytes(keys.keyring.dedupSecret, source.keys.keyring.dedupSecret) ? 'shared' : 'foreign';
    if (isSame && !this.#options.dryRun) {
      await this.#refuseSource(source);
      await this.#takeKeyrings(source);
    }
    const { snapshots, unreadable } = await loadSnapshots(this.repository, this.#options);
    for (const record of snapshots) {
      this.held.add(firstId(record));
      this.#byFirst.set(firstId(record), record.snapshot);
    }
    // Nobody knows which one it is, so it might be copied once more; that is better than a replica that lacks it.
    if (unreadable.length === snapshots.length + unreadable.length && unreadable[0] !== undefined) throw unreadable[0].error;
    for (const record of (await loadForgotten(this.repository, this.#options)).forgotten) if (!this.held.has(firstId(record))) this.forgotten.add(firstId(record));
  }

  /**
   * A repository under another name of its own would always be up to date, and be taken for a second copy. A copy that was made byte by byte
   * has the same config, so only a write tells. @throws USAGE
   */
  async #refuseSource(source: OpenRepository): Promise<void> {
    const { backend, random } = this.repository;
    const [here, there] = [await readConfigBytes(source.backend, this.#options), await readConfigBytes(backend, this.#options)];
    if (!equalBytes(here.bytes, there.bytes)) return;
    const name = probeName(toHex(random.bytes(16)));
    await backend.create(name, [random.bytes(16)], this.#options);
    const isSource = await exists(source.backend, name, this.#options);
    if (backend.capabilities.canRemove) await backend.remove(name, this.#options);
    if (isSource) throw new SnapError('USAGE', `'${this.location}' is the repository itself`, { hint: 'Name a repository at another place' });
  }

  /** Keys that were rotated at the source since: packs of the new epoch are copied as they are, too. */
  async #takeKeyrings(source: OpenRepository): Promise<void> {
    const { keys, backend } = this.repository;
    if (keys.keyringNumber >= source.keyringNumber || !keys.keyring.epochs.every(({ epoch, secret }) => hasEpoch(source, epoch, secret))) return;
    await copyKeyrings(source, backend, keys.keyringNumber, this.#options);
    await keys.refresh(backend, this.#options);
  }

  wants(record: SnapshotRecord): boolean {
    const first = firstId(record);
    return this.isAlive && !this.held.has(first) && (this.#options.again || !this.forgotten.has(first));
  }

  /** @throws errors of the target */
  async begin(commits: number): Promise<void> {
    const { onRevoked, onPackWritten, owner, dryRun, signal } = this.#options;
    const { repository } = this;
    this.#session = await WritingSession.begin(repository, {
      owner, compressionLevel: COMPRESSION_LEVEL, discard: dryRun, commits, signal, onRevoked,
      onPackWritten: pack => {
        this.packsSealed++;
        this.#count({ id: pack.packId as PackId, type: pack.type, sizeBytes: pack.sizeBytes });
        onPackWritten(pack);
      },
    });
    this.#listed = new Map(this.#session.view.packs.map(pack => [pack.id, pack.sizeBytes]));
    this.#bytesAtBegin = this.#session.view.packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) - this.bytesWritten;
    const { assembler } = this.#session;
    this.#fillers = { data: new PackFiller(repository, assembler, 'data', COMPRESSION_LEVEL), tree: new PackFiller(repository, assembler, 'tree', COMPRESSION_LEVEL) };
    this.#writes = new JobGroup(Math.min(MAX_PARALLEL_WRITES, repository.backend.writesAtOnce ?? PARALLEL_WRITES));
    this.#doubtfulBefore = await this.#findDoubtfulTime();
  }

  /**
   * Names of deleted packs stand in the sweeps that are stored. Of older plans the documents are gone: a prune that sleeps in the
   * midst of its deletes since then could delete a pack that comes back under its old name.
   */
  async #findDoubtfulTime(): Promise<number> {
    const { plans, highestNumber } = await loadGcPlans(this.repository, this.#options);
    const [first] = plans;
    if (highestNumber === 0 || first?.number === 1) return 0;
    return first?.condemned?.storedAt ?? Number.POSITIVE_INFINITY;
  }

  /** The usable pack that holds the chunk already. */
  find(id: Bytes, type: PackType, lengthBytes?: number): PackNumber | undefined {
    const { chunks } = this.repository.cache;
    const location = chunks.find(id);
    if (location === undefined || (lengthBytes !== undefined && location.length !== lengthBytes)) return undefined;
    return chunks.pack(location.pack)?.type === type ? location.pack : undefined;
  }

  /** Whether a pack of the source may come here under its own name. */
  takesWhole({ id, epoch }: Pick<PackContent, 'id' | 'epoch'>, source: OpenRepository, createdAt: number): boolean {
    if (this.relation !== 'same' || this.session.view.excluded.has(id)) return false;
    const secret = source.keys.keyring.epochs.find(each => each.epoch === epoch)?.secret;
    if (secret === undefined || !hasEpoch(this.repository, epoch, secret)) return false;
    return this.#listed.has(id) || createdAt >= this.#doubtfulBefore;
  }

  /**
   * Returns when there is room for the next one; `onSettled` is called when the bytes are not needed any more. False: the pack must be
   * sealed anew.
   */
  async takeWhole(content: PackContent, bytes: Bytes, onSettled: () => void): Promise<boolean> {
    const pack = { id: content.id, type: content.type, sizeBytes: content.sizeBytes };
    const listedSize = this.#listed.get(content.id);
    if (listedSize !== undefined) {
      onSettled();
      return listedSize === content.sizeBytes && await this.#takeListed(pack);
    }
    try {
      await this.#writes!.add(async () => {
        try {
          await this.#adopt(content, pack, bytes);
        } finally {
          onSettled();
        }
      });
    } catch (error) {
      onSettled(); // of an earlier pack: this one was not begun
      throw error;
    }
    return true;
  }

  async #adopt(content: PackContent, pack: StoredPackName, bytes: Bytes): Promise<void> {
    if (!await this.session.adopt(content, bytes)) {
      throw new SnapError('OBJECT_CONFLICT', `Something else lies at the place of pack '${content.id}' at '${this.location}'`, {
        hint: 'Run the command again; if that does not help, `snap verify` at the replica says more',
      });
    }
    this.packsCopied++;
    this.#count(pack);
    this.#options.onPackWritten({ packId: content.id, sizeBytes: content.sizeBytes, chunks: content.chunkCount });
  }

  /** A run that was interrupted stored it, but did not get to write it into the index. */
  async #takeListed(pack: StoredPackName): Promise<boolean> {
    try {
      const table = await readPackTable(this.repository, pack, this.#options);
      if (this.#options.dryRun) return true;
      await this.session.addToIndex(packContent(table));
      this.#refer(pack.id);
      return true;
    } catch (error) {
      if (!isUnreadable(error) && !hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      return false;
    }
  }

  addFrame(type: PackType, frame: Pick<FrameIdentity, 'rawLength' | 'codec'>, payload: Bytes, chunks: Uint8Array<ArrayBuffer>): void {
    this.#fillers![type].addWhole(frame, payload, chunks);
  }

  addChunk(type: PackType, id: Bytes, bytes: Bytes): void {
    this.#fillers![type].add(id, bytes);
  }

  async backPressure(): Promise<void> {
    await this.session.assembler.backPressure();
  }

  /** Everything that was given to it is durable and in its index. */
  async flush(): Promise<void> {
    this.#fillers!.data.finish();
    this.#fillers!.tree.finish();
    await this.#writes!.done();
    await this.session.flush();
  }

  /** A snapshot as it is called here. */
  snapshotOf(first: SnapshotId): Snapshot | undefined {
    return this.#byFirst.get(first);
  }

  /**
   * `components`: as they are here, when that differs from the source. False: some of what the snapshot needs is not usable any more, and
   * everything is to be looked up anew.
   */
  async commit({ id, snapshot }: SnapshotRecord, parentFirst: SnapshotId | undefined, components: readonly Component[] = snapshot.components): Promise<boolean> {
    const first = snapshot.originalId ?? id;
    if (!this.#options.dryRun) {
      const parent = parentFirst === undefined ? undefined : this.#byFirst.get(parentFirst)?.id;
      const copy = { ...snapshot, components, originalId: first, parent };
      const committed = await this.session.commit(identity => ({ ...copy, id: identity.id, gcNumber: identity.gcNumber }));
      if (committed === undefined) return false;
      this.#byFirst.set(first, { ...copy, id: committed.id });
      this.copied.push({ from: id, to: committed.id });
    } else this.copied.push({ from: id, to: id });
    this.held.add(first);
    this.forgotten.delete(first);
    return true;
  }

  /** Returns the error of a storage that refused the clean-up. */
  async end(): Promise<unknown> {
    await this.#writes?.settled();
    const failure = await this.#session?.end();
    this.#session = undefined;
    return failure;
  }

  #count(pack: StoredPackName): void {
    this.stored.push(pack);
    this.bytesWritten += pack.sizeBytes;
    if (!this.#options.dryRun) this.#refer(pack.id);
  }

  /** What this session stored is looked for before each commit, too: after a revocation it may be gone. */
  #refer(id: PackId): void {
    const number = this.repository.cache.chunks.packNumber(id);
    if (number !== undefined) this.session.reference([number]);
  }
}

function hasEpoch({ keys }: OpenRepository, epoch: number, secret: Bytes): boolean {
  const known = keys.keyring.epochs.find(each => each.epoch === epoch)?.secret;
  return known !== undefined && equalBytes(known, secret);
}
