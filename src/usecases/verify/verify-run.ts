/** What the steps of a check share, and how one begins: listed, pinned, looked at through a session (repository design, R0 to R3). */
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode } from '../../base/errors.ts';
import type { PackId } from '../../format/ids.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { ReadingSession } from '../../repository/reading-session.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { ListedPack, SessionView } from '../../repository/session-view.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { Counters } from '../events.ts';
import { FindingList } from '../findings.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import { DamageMap } from './verify-damage.ts';
import type { DataSample } from './verify-sample.ts';
import { checkStructure, type StoredPackObject, type Structure } from './verify-structure.ts';

export interface VerifyOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  /** Packs that are read as a whole, opened and hashed: none, all (level 4), or a sample (level 3). */
  readonly readData: boolean | DataSample;
  /** How far to look beside that; each level includes the lower ones. Default 'metadata', which data needs at least. */
  readonly level?: 'structure' | 'metadata' | 'tables' | undefined;
  /** Trees, tables and data of this snapshot only. */
  readonly snapshot?: SnapshotRecord | undefined;
  /** For the coverage in the report; default 35. */
  readonly coverageDays?: number | undefined;
}

export interface VerifyRun {
  readonly repository: OpenRepository;
  readonly session: ReadingSession;
  readonly structure: Structure;
  /** Those whose trees are looked at, from the storage itself. */
  readonly snapshots: readonly SnapshotRecord[];
  readonly packs: ListedPacks;
  readonly call: CallOptions;
  readonly counters: Counters;
  readonly findings: FindingList;
  readonly damage: DamageMap;
}

/** Snapshots that are forgotten between their listing and their pins. */
const MAX_ROUNDS = 5;

/** The packs as the session saw them last. */
export class ListedPacks {
  readonly #session: ReadingSession;
  readonly #structure: Structure;
  #view: SessionView | undefined;
  #packs: ReadonlyMap<PackId, StoredPackObject> = new Map();

  constructor(session: ReadingSession, structure: Structure) {
    this.#session = session;
    this.#structure = structure;
  }

  get all(): ReadonlyMap<PackId, StoredPackObject> {
    const { view } = this.#session;
    if (this.#view !== view) {
      this.#view = view;
      this.#packs = new Map(view.packs.map(pack => [pack.id, this.#withTime(pack)]));
    }
    return this.#packs;
  }

  /** What the first listing did not have was stored since; its records are used again, since there may be a million. */
  #withTime(pack: ListedPack): StoredPackObject {
    const known = this.#structure.packs.get(pack.id);
    return known?.type === pack.type && known.sizeBytes === pack.sizeBytes ? known : { ...pack, storedAt: known?.storedAt ?? Number.POSITIVE_INFINITY };
  }

  get(id: PackId): StoredPackObject | undefined {
    return this.all.get(id);
  }

  /** All but those that a prune removes. */
  get lasting(): StoredPackObject[] {
    return [...this.all.values()].filter(({ id }) => !this.isExcluded(id));
  }

  /** Condemned by a prune or swept already: the pack may vanish at any time. */
  isExcluded(id: PackId): boolean {
    return this.#session.view.excluded.has(id);
  }

  /** After a look that was newer than the one that missed the pack: nobody says any more that it should be there. */
  isGone(id: PackId): boolean {
    const { chunks } = this.#session.repository.cache;
    const number = chunks.packNumber(id);
    return this.isExcluded(id) || number === undefined || chunks.pack(number) === undefined;
  }
}

export interface Beginning {
  readonly findings: FindingList;
  readonly counters: Counters;
  readonly call: CallOptions;
}

/** Level 0, and a session on what it found. */
export async function beginRun(repository: OpenRepository, { owner, snapshot }: VerifyOptions, { findings, counters, call }: Beginning): Promise<VerifyRun> {
  for (let round = 1; ; round++) {
    const waiting = new FindingList();
    const structure = await checkStructure(repository, waiting, call);
    // The record that was chosen may come from the cache; without one in the storage, level 0 has found why.
    const snapshots = snapshot === undefined ? structure.snapshots : structure.snapshots.filter(({ id }) => id === snapshot.id);
    try {
      // A damaged segment or gc document is found again by the checks that look for it.
      const session = await ReadingSession.begin(repository, owner, snapshots, { ...call, onDamagedObject: () => undefined });
      findings.addAll(waiting);
      const damage = new DamageMap(repository.cache.chunks);
      return { repository, session, structure, snapshots, packs: new ListedPacks(session, structure), call, counters, findings, damage };
    } catch (error) {
      if (round === MAX_ROUNDS || !hasCode(error, 'SNAPSHOT_NOT_FOUND')) throw error;
    }
  }
}
