/**
 * A reader: pins the snapshots that it reads, then makes sure that they are still valid, then looks at the index (repository
 * design, section 6.2, R0 to R3).
 */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { ChunkId } from '../format/ids.ts';
import type { Pin } from '../format/session.ts';
import type { Snapshot } from '../format/snapshot.ts';
import type { IndexLoadOptions } from './index-loader.ts';
import type { OpenRepository } from './opened-repository.ts';
import { PackReader } from './pack-reader.ts';
import { Registration, type SessionOwner } from './registration.ts';
import { establishView, type SessionView } from './session-view.ts';
import { isValidNow, type SnapshotRecord } from './snapshots.ts';
import { TreeReader } from './tree-reader.ts';

export class ReadingSession {
  readonly repository: OpenRepository;
  readonly packs: PackReader;
  readonly trees: TreeReader;
  readonly #onDamagedObject: IndexLoadOptions['onDamagedObject'];
  #view: SessionView;
  #looks = 1;
  #looking: Promise<void> = Promise.resolve();
  /** Undefined when the store cannot be written: then nothing is pinned, and a prune may make the reading fail. */
  readonly #registration: Registration | undefined;

  private constructor(
    repository: OpenRepository, registration: Registration | undefined, view: SessionView, onDamagedObject: IndexLoadOptions['onDamagedObject'],
  ) {
    this.repository = repository;
    this.#onDamagedObject = onDamagedObject;
    this.packs = new PackReader(repository);
    this.trees = new TreeReader(repository, this.packs, options => this.lookAgain(this.#looks, options));
    this.#view = view;
    this.#registration = registration;
  }

  get view(): SessionView {
    return this.#view;
  }

  /** How often this session has looked at the repository. */
  get looks(): number {
    return this.#looks;
  }

  /**
   * R3: a pack that was seen in look number `seen` has vanished, so a prune moved its chunks: loads the index and the listing
   * again. All who miss something of one look share the next one.
   */
  lookAgain(seen: number, options: CallOptions = {}): Promise<void> {
    if (seen === this.#looks) {
      this.#looks++;
      this.#looking = establishReadView(this.repository, { ...options, onDamagedObject: this.#onDamagedObject }).then(view => { this.#view = view; });
    }
    return this.#looking;
  }

  /**
   * With `options.onDamagedObject`, damaged index segments and gc documents are reported, also later on, and do not stop the reader.
   * @throws SNAPSHOT_NOT_FOUND when one of the snapshots was forgotten in the meantime
   */
  static async begin(repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], options: IndexLoadOptions = {}): Promise<ReadingSession> {
    const registration = await pin(repository, owner, records, options); // R1
    try {
      for (const { id } of records) { // R2
        if (await isValidNow(repository, id, options)) continue;
        throw new SnapError('SNAPSHOT_NOT_FOUND', `Snapshot '${id}' was forgotten in the meantime`);
      }
      return new ReadingSession(repository, registration, await establishReadView(repository, options), options.onDamagedObject); // R3
    } catch (error) {
      await registration?.end();
      throw error;
    }
  }

  /** Returns the error of a store that refused the clean-up, which is no failure of the reading. */
  async end(): Promise<unknown> {
    return this.#registration?.end();
  }
}

/** A store that refuses writes can still be read, without a pin. */
async function pin(repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], options: CallOptions): Promise<Registration | undefined> {
  const pins: Pin[] = records.map(({ id, snapshot }) => ({ snapshotId: id, rootNodes: rootNodesOf(snapshot) }));
  try {
    return await Registration.register(repository, 'reader', owner, pins, options);
  } catch (error) {
    if (error instanceof SnapError && (error.code === 'DENIED' || error.code === 'NO_SPACE')) return undefined;
    throw error;
  }
}

/**
 * A reader may use every pack that is there, condemned or not: its pin keeps the data, and a rescued or not yet swept pack is
 * as good as any.
 */
async function establishReadView(repository: OpenRepository, options: IndexLoadOptions): Promise<SessionView> {
  const view = await establishView(repository, options);
  const { chunks } = repository.cache;
  for (const { id, sizeBytes } of view.packs) {
    if (!view.excluded.has(id)) continue;
    const number = chunks.packNumber(id);
    if (number !== undefined && chunks.pack(number)?.sizeBytes === sizeBytes) chunks.addUsable(number);
  }
  return view;
}

/** Root nodes of all components: directories, and the content nodes of single large files. */
export function rootNodesOf(snapshot: Snapshot): ChunkId[] {
  return snapshot.components.flatMap(({ root }) => [root.directoryNode, root.contentNode].filter(id => id !== undefined));
}
