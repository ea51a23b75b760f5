/** Finds the packs that need a repair: those that were named, or are suspected of something, are read as a whole. */
import type { CallOptions } from '../../base/call-options.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { PackContent } from '../../format/index-segment.ts';
import { packName } from '../../format/object-names.ts';
import { loadLedger } from '../../repository/ledger.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { listQuarantine } from '../../repository/quarantine.ts';
import type { ListedPack, SessionView } from '../../repository/session-view.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import { contentDigest, readSegment, surveyIndex, type Claim, type IndexSurvey } from './index-survey.ts';
import { FRAME_LOST, PackScan, type PackCondition, type ReadPack } from './pack-scan.ts';
import { changedMeanwhile, type RepairTally } from './repair-run.ts';
import { choosePacks, type DataSample } from '../verify/verify-sample.ts';

/** Which packs are read as a whole. */
export type PackChoice =
  /** IDs, or their first digits. */
  | { readonly kind: 'named'; readonly names: readonly string[] }
  /** What the listing, the index, the tables of the packs or an earlier check say something odd of. */
  | { readonly kind: 'suspected' }
  | { readonly kind: 'all' }
  | { readonly kind: 'sample'; readonly sample: DataSample };

export interface DamagedPack extends ListedPack {
  readonly name: string;
  /** The pack that really lies there, when two were exchanged or one was copied. */
  readonly holds: ListedPack;
  /** Undefined when the index does not know it. */
  readonly number: PackNumber | undefined;
  readonly frames: PackCondition['frames'];
  readonly wrongPlaces: PackCondition['wrongPlaces'];
  /** What the index says of it, when its own tables say nothing any more. */
  readonly indexed: PackContent | undefined;
}

export interface MissingPack {
  readonly name: string;
  readonly content: () => Promise<PackContent | undefined>;
}

export interface FoundPacks {
  readonly damaged: readonly DamagedPack[];
  /** Listed by the index and not there. */
  readonly missing: readonly MissingPack[];
}

const PARALLEL_TABLES = 8;
const MIN_PREFIX = 4;

export class PackFinder {
  readonly #repository: OpenRepository;
  readonly #engine: ExtractEngine;
  readonly #scan: PackScan;
  readonly #tally: RepairTally;
  readonly #call: CallOptions;
  #survey: IndexSurvey = { segments: [], claims: new Map(), packIds: new Map(), superseded: new Set() };

  constructor(repository: OpenRepository, engine: ExtractEngine, tally: RepairTally, call: CallOptions) {
    this.#repository = repository;
    this.#engine = engine;
    this.#tally = tally;
    this.#call = call;
    this.#scan = new PackScan(repository, engine, bytes => {
      tally.counts.bytesRead += bytes;
      tally.counters.bytesDone += bytes;
    });
  }

  /** `view` is that of a session. @throws USAGE for a name that no pack has, UNSUPPORTED_FORMAT, OBJECT_CONFLICT for a pack that vanishes */
  async find(view: SessionView, choice: PackChoice): Promise<FoundPacks> {
    const { counters } = this.#tally;
    counters.phase = 'scanning';
    this.#survey = await surveyIndex(this.#repository, this.#call);
    const packs = view.packs.filter(({ id }) => !view.excluded.has(id));
    const absent = this.#missing(view);
    const named = choice.kind === 'named' ? onlyNamed(packs, absent, choice.names) : undefined;
    const chosen = named?.packs ?? await this.#choose(packs, choice);
    const missing = named?.missing ?? absent;
    for (const { name } of missing) this.#tally.found('pack', name, 'The pack is missing');
    counters.phase = 'reading';
    counters.totalBytes = chosen.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    return { damaged: await this.#examineAll(chosen), missing };
  }

  /** Packs that something else has found damaged, by their IDs. */
  examine({ packs, excluded }: SessionView, ids: readonly string[]): Promise<DamagedPack[]> {
    return this.#examineAll(packs.filter(({ id }) => ids.includes(id) && !excluded.has(id)));
  }

  async #examineAll(packs: readonly ListedPack[]): Promise<DamagedPack[]> {
    const damaged: DamagedPack[] = [];
    await mapBounded(packs, this.#engine.capacity, async pack => {
      const found = await this.#orVanished(pack, () => this.#examine(pack));
      if (found !== undefined) damaged.push(found);
    });
    return damaged.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #missing({ packs, excluded }: SessionView): MissingPack[] {
    const present = new Set(packs.map(({ type, id }) => packName(type, id)));
    const missing: MissingPack[] = [];
    for (const [name, claims] of this.#survey.claims) {
      if (present.has(name) || excluded.has(this.#survey.packIds.get(name)!)) continue;
      missing.push({ name, content: () => this.#contentOf(name, claims[0]!) });
    }
    return missing;
  }

  async #choose(packs: readonly ListedPack[], choice: PackChoice): Promise<readonly ListedPack[]> {
    switch (choice.kind) {
      case 'named':
      case 'all': return packs;
      case 'sample': {
        const ledger = await loadLedger(this.#repository, { ...this.#call, onDamagedObject: () => undefined });
        return choosePacks(packs, choice.sample, id => ledger.get(id)?.checkedAt, this.#repository.random);
      }
      case 'suspected': return this.#suspected(packs);
    }
  }

  async #suspected(packs: readonly ListedPack[]): Promise<ListedPack[]> {
    const ledger = await loadLedger(this.#repository, { ...this.#call, onDamagedObject: () => undefined });
    // A copy in quarantine beside its pack: a repair was interrupted.
    const quarantined = new Set((await listQuarantine(this.#repository, this.#call)).map(({ id }) => id));
    const isSuspected = await mapBounded(packs, PARALLEL_TABLES, async pack => {
      if (quarantined.has(pack.id) || ledger.get(pack.id)?.result === 'damaged') return true;
      const claims = this.#survey.claims.get(packName(pack.type, pack.id)) ?? [];
      if (claims.some(({ sizeBytes }) => sizeBytes !== pack.sizeBytes)) return true;
      return (await this.#orVanished(pack, () => this.#scan.lookAtTables(pack, this.#call))).length > 0;
    });
    return packs.filter((_, i) => isSuspected[i]);
  }

  /** Undefined for a pack that is whole. */
  async #examine(pack: ListedPack): Promise<DamagedPack | undefined> {
    const name = packName(pack.type, pack.id);
    const claims = this.#survey.claims.get(name) ?? [];
    let indexed: PackContent | undefined;
    let condition = await this.#scan.run(pack, undefined, { ...this.#call, wantsContent: false });
    if (condition.content !== undefined) this.#compare(name, claims, condition.content);
    else for (const claim of claims) {
      const content = await this.#contentOf(name, claim);
      const next = await this.#scan.run(pack, content, { ...this.#call, wantsContent: false });
      if (indexed !== undefined && readable(next) <= readable(condition)) continue;
      condition = next;
      indexed = content;
    }
    if (condition.faults.length === 0) return undefined;
    const holds = readable(condition) === 0 ? await this.#otherPack(pack) : undefined;
    this.#tally.found('pack', name, holds === undefined ? condition.faults.join('; ') : `It holds pack '${packName(holds.type, holds.id)}'`);
    const { frames, wrongPlaces } = condition;
    return { ...pack, name, holds: holds ?? pack, number: this.#repository.cache.chunks.packNumber(pack.id), frames, wrongPlaces, indexed };
  }

  /** What lies there by its own header, if a frame of it opens. */
  async #otherPack(pack: ListedPack): Promise<ListedPack | undefined> {
    const holds = await this.#scan.identityOf(pack, this.#call);
    if (holds === undefined || (holds.id === pack.id && holds.type === pack.type)) return undefined;
    const condition = await this.#scan.run(holds, undefined, { ...this.#call, wantsContent: false, read: readUnder(this.#repository, pack, this.#call) });
    return readable(condition) > 0 ? holds : undefined;
  }

  #compare(name: string, claims: readonly Claim[], content: PackContent): void {
    if (claims.length === 0 || claims.every(({ digest }) => digest === contentDigest(this.#repository.kernel, content))) return;
    this.#tally.left('pack', name, 'The index does not say of the pack what its own table says');
    this.#tally.next('Run `snap repair index --full`, which lets the tables of the packs decide');
  }

  async #contentOf(name: string, { segments }: Claim): Promise<PackContent | undefined> {
    const segment = await readSegment(this.#repository, this.#survey.segments[segments[0]!]!.id, this.#call);
    return segment === undefined || 'damage' in segment ? undefined : segment.packs.find(pack => packName(pack.type, pack.id) === name);
  }

  async #orVanished<T>(pack: ListedPack, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      throw changedMeanwhile(`'${packName(pack.type, pack.id)}' vanished while it was looked at`, error);
    }
  }
}

/** Reads a pack under the name of another one. */
export function readUnder({ backend }: OpenRepository, { type, id }: ListedPack, call: CallOptions): ReadPack {
  return (offset, length) => backend.read(packName(type, id), { offset, length }, call);
}

function readable({ frames }: PackCondition): number {
  return frames.filter(state => state !== FRAME_LOST).length;
}

function onlyNamed(packs: readonly ListedPack[], missing: readonly MissingPack[], names: readonly string[]): { packs: ListedPack[]; missing: MissingPack[] } {
  const found = { packs: new Set<ListedPack>(), missing: new Set<MissingPack>() };
  for (const name of names) {
    const prefix = (name.split('/').at(-1) ?? '').toLowerCase();
    const isMeant = (id: string): boolean => /^[0-9a-f]+$/.test(prefix) && prefix.length >= MIN_PREFIX && id.startsWith(prefix);
    const here = packs.filter(({ id }) => isMeant(id));
    const gone = missing.filter(each => isMeant(each.name.split('/').at(-1)!));
    if (here.length + gone.length !== 1) {
      throw new SnapError('USAGE', here.length + gone.length === 0 ? `No pack matches '${name}'` : `'${name}' matches ${here.length + gone.length} packs`, {
        hint: `Give the ID of a pack as \`snap verify\` names it, or at least its first ${MIN_PREFIX} digits`,
      });
    }
    for (const pack of here) found.packs.add(pack);
    for (const pack of gone) found.missing.add(pack);
  }
  return { packs: [...found.packs], missing: [...found.missing] };
}
