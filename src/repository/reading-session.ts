/**
 * A reader: pins the snapshots that it reads, then makes sure that they are still valid, then looks at the index (repository
 * design, section 6.2, R0 to R3).
 */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { ChunkId } from '../format/ids.ts';
import type { Pin } from '../format/session.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { listSegments, type IndexLoadOptions } from './index-loader.ts';
import type { ViewRenewal } from './moved-chunks.ts';
import type { OpenRepository } from './opened-repository.ts';
import { PackReader } from './pack-reader.ts';
import { Registration, type SessionOwner } from './registration.ts';
import { establishView, type SessionView } from './session-view.ts';
import { isValidNow, type SnapshotRecord } from './snapshots.ts';
import { TreeReader } from './tree-reader.ts';

/** Snapshots that are looked for at the same time: each costs one round trip to the store. */
const PARALLEL_LOOKS = 16;

/** Rounds until a look is settled; where others store all the time the last one counts. */
const MAX_ROUNDS = 5;

export class ReadingSession implements ViewRenewal {
  readonly repository: OpenRepository;
  readonly packs: PackReader;
  readonly trees: TreeReader;
  readonly #onDamagedObject: IndexLoadOptions['onDamagedObject'];
  #view: SessionView;
  #looks = 1;
  #lastLook: Promise<void> = Promise.resolve();
  #nextLook: Promise<void> | undefined;
  /** None when the store cannot be written: then nothing is pinned, and a prune may make the reading fail. */
  readonly #registrations: readonly Registration[];

  private constructor(
    repository: OpenRepository, registrations: readonly Registration[], view: SessionView, onDamagedObject: IndexLoadOptions['onDamagedObject'],
  ) {
    this.repository = repository;
    this.#onDamagedObject = onDamagedObject;
    this.packs = new PackReader(repository);
    this.trees = new TreeReader(repository, this.packs, this);
    this.#view = view;
    this.#registrations = registrations;
  }

  get view(): SessionView {
    return this.#view;
  }

  /** How often this session has looked at the repository. All looks but the first one are settled: they miss nothing that is there. */
  get looks(): number {
    return this.#looks;
  }

  /**
   * R3: something was missing in look number `seen`, since a prune moved it: loads the index and the listing again. All who miss
   * something share the next look, but not one that has begun: it may have listed what has vanished since.
   */
  lookAgain(seen: number, options: CallOptions = {}): Promise<void> {
    if (seen < this.#looks) return Promise.resolve();
    const look = (): Promise<void> => this.#look(options);
    return this.#nextLook ??= this.#lastLook.then(look, look);
  }

  #look(options: CallOptions): Promise<void> {
    this.#nextLook = undefined;
    return this.#lastLook = settledReadView(this.repository, { ...options, onDamagedObject: this.#onDamagedObject }).then(view => {
      this.#view = view;
      this.#looks++;
    });
  }

  /**
   * With `options.onDamagedObject`, damaged index segments and gc documents are reported, also later on, and do not stop the reader.
   * @throws SNAPSHOT_NOT_FOUND when one of the snapshots was forgotten in the meantime
   */
  static async begin(repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], options: IndexLoadOptions = {}): Promise<ReadingSession> {
    const registrations = await pin(repository, owner, records, options); // R1
    try {
      await mapBounded(records, PARALLEL_LOOKS, async ({ id }) => { // R2
        if (await isValidNow(repository, id, options)) return;
        throw new SnapError('SNAPSHOT_NOT_FOUND', `Snapshot '${id}' was forgotten in the meantime`);
      });
      return new ReadingSession(repository, registrations, await establishReadView(repository, options), options.onDamagedObject); // R3
    } catch (error) {
      await endAll(registrations);
      throw error;
    }
  }

  /** Returns the error of a store that refused the clean-up, which is no failure of the reading. */
  end(): Promise<unknown> {
    return endAll(this.#registrations);
  }
}

async function endAll(registrations: readonly Registration[]): Promise<unknown> {
  let failure: unknown;
  for (const registration of registrations) failure ??= await registration.end();
  return failure;
}

/** Pins of one session object, which may have 64 KiB; each takes about 28 bytes, and 34 for each chunk. */
const PIN_BYTES = 48 * 1024;
const PIN_HEAD_BYTES = 28;
const PINNED_ID_BYTES = 34;

/** A store that refuses writes can still be read, without a pin. Many snapshots take several session objects. */
async function pin(repository: OpenRepository, owner: SessionOwner, records: readonly SnapshotRecord[], options: CallOptions): Promise<Registration[]> {
  const registrations: Registration[] = [];
  try {
    for (const pins of groupPins(records)) registrations.push(await Registration.register(repository, 'reader', owner, pins, options));
    return registrations;
  } catch (error) {
    if (error instanceof SnapError && (error.code === 'DENIED' || error.code === 'NO_SPACE')) return registrations;
    await endAll(registrations);
    throw error;
  }
}

/** The pins of each session object. A snapshot with very many roots has a pin in several of them. */
function groupPins(records: readonly SnapshotRecord[]): Pin[][] {
  const groups: Pin[][] = [[]];
  let room = PIN_BYTES;
  for (const { id, snapshot } of records) {
    const { nodes, chunks } = rootsOf(snapshot);
    const total = nodes.length + chunks.length;
    let at = 0;
    do {
      const wanted = PIN_HEAD_BYTES + PINNED_ID_BYTES * (total - at);
      if (room < Math.min(wanted, PIN_BYTES / 2)) {
        groups.push([]);
        room = PIN_BYTES;
      }
      const end = Math.min(total, at + Math.floor((room - PIN_HEAD_BYTES) / PINNED_ID_BYTES));
      const dataChunks = chunks.slice(Math.max(0, at - nodes.length), Math.max(0, end - nodes.length));
      groups.at(-1)!.push({ snapshotId: id, rootNodes: nodes.slice(at, end), ...dataChunks.length === 0 ? {} : { dataChunks } });
      room -= PIN_HEAD_BYTES + PINNED_ID_BYTES * (end - at);
      at = end;
    } while (at < total);
  }
  return groups;
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

/**
 * A view in which nothing is on its way. Whoever moves a chunk stores a new index segment before it removes a pack; so when the
 * listing of the packs stands between two listings of the index of which the later one has nothing new, every chunk that is
 * stored can be found.
 */
async function settledReadView(repository: OpenRepository, options: IndexLoadOptions): Promise<SessionView> {
  let before = await listSegments(repository.backend, options);
  for (let round = 1; ; round++) {
    const view = await establishReadView(repository, options);
    const after = await listSegments(repository.backend, options);
    if (round === MAX_ROUNDS || [...after].every(id => before.has(id))) return view;
    before = after;
  }
}

/**
 * What the record of a snapshot names itself: nodes of directories and of long contents, and data chunks of single files and
 * of extended attributes. Everything else is below the nodes.
 */
export function rootsOf(snapshot: Snapshot): { readonly nodes: ChunkId[]; readonly chunks: ChunkId[] } {
  const nodes: ChunkId[] = [];
  const chunks: ChunkId[] = [];
  for (const { root: { directoryNode, contentNode, content = [], xattrs = [] } } of snapshot.components) {
    for (const id of [directoryNode, contentNode]) if (id !== undefined) nodes.push(id);
    for (const items of [content, ...xattrs.map(({ value }) => value)]) {
      if (!(items instanceof Uint8Array)) for (const { id } of items) if (id !== undefined) chunks.push(id);
    }
  }
  return { nodes, chunks };
}
