/**
 * One repository that snapshots are copied to: a writing session there (repository design, section 6.1), what it holds already, and what
 * this run stored. An error of a target ends the work for this target only; it is kept, and the others go on.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { FrameIdentity } from '../../format/frame.ts';
import type { PackId, SessionId, SnapshotId } from '../../format/ids.ts';
import type { PackType } from '../../format/object-names.ts';
import type { Component, Snapshot } from '../../format/snapshot.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackFiller } from '../../repository/pack-filler.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { WritingSession } from '../../repository/writing-session.ts';
import { firstId } from './replica-lag.ts';
import { surveyReplica, type Relation } from './replica-survey.ts';
import { SourceFailure } from './source-failure.ts';
import { WholePacks, type StoredPackName } from './whole-packs.ts';

/** A repository that was opened, or why it could not be. */
export interface ReplicaPlace {
  /** Without credentials. */
  readonly location: string;
  readonly label?: string | undefined;
  readonly repository: OpenRepository | SnapError;
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
  #whole: WholePacks | undefined;
  #fillers: Readonly<Record<PackType, PackFiller>> | undefined;
  /** Of all its packs, before this run. */
  #bytesAtBegin: number | undefined;

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

  /** What it holds, and how it is related. @throws USAGE when it is the source by another name; errors of the target */
  async survey(source: OpenRepository): Promise<void> {
    const { relation, snapshots, forgotten } = await surveyReplica(source, this.repository, this.#options);
    this.relation = relation;
    for (const record of snapshots) {
      this.held.add(firstId(record));
      this.#byFirst.set(firstId(record), record.snapshot);
    }
    for (const first of forgotten) if (!this.held.has(first)) this.forgotten.add(first);
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
    this.#bytesAtBegin = this.#session.view.packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) - this.bytesWritten;
    const { assembler } = this.#session;
    const filler = (type: PackType): PackFiller => new PackFiller(repository, assembler, type, COMPRESSION_LEVEL);
    this.#fillers = { data: filler('data'), tree: filler('tree') };
    this.#whole = await WholePacks.begin(this.#session, {
      dryRun, signal, isSame: this.relation === 'same',
      onTaken: (pack, chunks) => {
        this.packsCopied++;
        this.#count(pack);
        onPackWritten({ packId: pack.id, sizeBytes: pack.sizeBytes, chunks });
      },
      onFound: pack => { this.#refer(pack.id); },
    });
  }

  /** The usable pack that holds the chunk already. */
  find(id: Bytes, type: PackType, lengthBytes?: number): PackNumber | undefined {
    const { chunks } = this.repository.cache;
    const location = chunks.find(id);
    if (location === undefined || (lengthBytes !== undefined && location.length !== lengthBytes)) return undefined;
    return chunks.pack(location.pack)?.type === type ? location.pack : undefined;
  }

  /** Takes packs of the source as they are. */
  get wholePacks(): WholePacks {
    if (this.#whole === undefined) throw new SnapError('INTERNAL', 'There is no session at the replica');
    return this.#whole;
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
    await this.#whole!.done();
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
    await this.#whole?.settled();
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
