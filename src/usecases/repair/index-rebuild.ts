/** The work of `repair index`; also done by `repair packs`, after packs were removed. The order of the steps is the order of `run`. */
import type { CallOptions } from '../../base/call-options.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import { packContent, type PackContent } from '../../format/index-segment.ts';
import { packName } from '../../format/object-names.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { readPackTable } from '../../repository/pack-tables.ts';
import { SegmentWriter } from '../../repository/segment-writer.ts';
import { establishView, type ListedPack, type SessionView } from '../../repository/session-view.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import { count, HEAL, tellIndexLosses } from './index-losses.ts';
import { contentDigest, readSegment, surveyIndex, type Claim, type IndexSurvey } from './index-survey.ts';
import { FRAME_LOST, PackScan, type PackCondition } from './pack-scan.ts';
import { changedMeanwhile, type RepairTally } from './repair-run.ts';

const PARALLEL_READS = 8;

export interface RebuildOptions {
  readonly dryRun: boolean;
  readonly full: boolean;
  /** False: the caller has said what is lost already. */
  readonly tellsLosses: boolean;
  /** Names of packs that are taken for removed, or for put back, in a dry run. */
  readonly without?: ReadonlySet<string> | undefined;
  readonly with?: ReadonlySet<string> | undefined;
}

export class IndexRebuild {
  readonly #repository: OpenRepository;
  readonly #tally: RepairTally;
  readonly #options: RebuildOptions;
  readonly #call: CallOptions;
  readonly #writer: SegmentWriter;
  readonly #scan: PackScan;
  #survey: IndexSurvey = { segments: [], claims: new Map(), packIds: new Map(), superseded: new Set() };
  /** Of packs that were looked at: which claim is true, if any. All others stand as they are. */
  readonly #verdicts = new Map<string, Claim | undefined>();
  /** Packs whose entries are dropped: they are missing, or nothing of them can be read. */
  readonly #gone = new Set<string>();
  /** Packs that a prune, or a repair, removed. */
  readonly #swept = new Set<string>();
  /** Why segments are removed, by their place in the survey. */
  readonly #removals = new Map<number, string>();
  #unlisted = 0;

  constructor(repository: OpenRepository, engine: ExtractEngine, tally: RepairTally, options: RebuildOptions, call: CallOptions) {
    this.#repository = repository;
    this.#tally = tally;
    this.#options = options;
    this.#call = call;
    this.#writer = new SegmentWriter(repository, options.dryRun, call);
    this.#scan = new PackScan(repository, engine, bytes => { tally.counts.bytesRead += bytes; });
  }

  async run(): Promise<void> {
    const { counters, counts } = this.#tally;
    counters.phase = 'scanning';
    // Segments before packs: a pack is durable before a segment lists it, so what is not listed then is gone.
    this.#survey = await surveyIndex(this.#repository, this.#call);
    const view = await this.#look();
    const doubtful = this.#compare(view);
    counters.phase = 'reading';
    counters.totalEntries = doubtful.length;
    await mapBounded(doubtful, PARALLEL_READS, async pack => {
      await this.#judge(pack).catch((error: unknown) => { throw hasCode(error, 'OBJECT_NOT_FOUND') ? vanished(packName(pack.type, pack.id), error) : error; });
      counters.entriesDone++;
    });
    counters.phase = 'writing';
    counts.packsIndexed += this.#writer.packs;
    this.#tellUnlisted();
    this.#collectRemovals();
    await this.#carryOver();
    await this.#writer.finish([...this.#removals.keys()].map(place => this.#survey.segments[place]!.id));
    counts.segmentsWritten += this.#writer.written.length;
    counts.bytesWritten += this.#writer.bytes;
    await this.#tellLosses();
    await this.#remove();
  }

  /** A damaged segment is what is to be repaired here. */
  #look(): Promise<SessionView> {
    return establishView(this.#repository, { ...this.#call, onDamagedObject: () => undefined });
  }

  // --- finding out ---

  /** Packs of which the index says nothing, something else than the listing, or different things; with `full` all. */
  #compare({ packs, excluded }: SessionView): ListedPack[] {
    const { full, without, tellsLosses } = this.#options;
    const present = new Map(packs.map(pack => [packName(pack.type, pack.id), pack] as const).filter(([name]) => without?.has(name) !== true));
    const doubtful: ListedPack[] = [];
    for (const [name, claims] of this.#survey.claims) {
      const pack = present.get(name);
      if (pack === undefined && this.#options.with?.has(name) === true) continue;
      if (pack === undefined) {
        const isSwept = excluded.has(this.#survey.packIds.get(name)!) || without?.has(name) === true;
        (isSwept ? this.#swept : this.#gone).add(name);
        this.#refute(claims, isSwept ? 'It lists packs that were removed' : 'It lists packs that are missing');
        if (!isSwept && tellsLosses) this.#tally.found('pack', name, 'The pack is missing');
      } else if (full || claims.length > 1 || claims[0]!.sizeBytes !== pack.sizeBytes) doubtful.push(pack);
    }
    for (const [name, pack] of present) if (!this.#survey.claims.has(name) && !excluded.has(pack.id)) doubtful.push(pack);
    return doubtful;
  }

  /** The tables of a pack, and if both are damaged its frames, decide what is true of it. */
  async #judge(pack: ListedPack): Promise<void> {
    const name = packName(pack.type, pack.id);
    const claims = this.#survey.claims.get(name) ?? [];
    const content = await this.#tableOf(pack);
    if (content === undefined) return this.#judgeByFrames(pack, name, claims);
    const digest = contentDigest(this.#repository.kernel, content);
    const right = claims.find(claim => claim.digest === digest);
    this.#verdicts.set(name, right);
    this.#refute(claims.filter(claim => claim !== right), 'It says of a pack what is not so');
    if (right !== undefined) return;
    if (claims.length === 0) this.#unlisted++;
    else this.#tally.found('pack', name, 'The index does not say of the pack what its own table says');
    await this.#writer.add(content);
  }

  async #tableOf(pack: ListedPack): Promise<PackContent | undefined> {
    try {
      const table = await readPackTable(this.#repository, pack, this.#call);
      this.#tally.counts.bytesRead += table.tableBytes;
      return packContent(table);
    } catch (error) {
      if (!(error instanceof SnapError) || error.kind !== 'corrupt') throw error;
      return undefined;
    }
  }

  /** The frame boundaries of the old index stay as they are, if frames open by them. */
  async #judgeByFrames(pack: ListedPack, name: string, claims: readonly Claim[]): Promise<void> {
    let best: { readonly claim: Claim; readonly condition: PackCondition; readonly readable: number } | undefined;
    for (const claim of claims) {
      const condition = await this.#scan.run(pack, await this.#contentOf(name, claim), { ...this.#call, wantsContent: false });
      const readable = condition.frames.filter(state => state !== FRAME_LOST).length;
      if (readable > (best?.readable ?? 0)) best = { claim, condition, readable };
    }
    this.#verdicts.set(name, best?.claim);
    this.#refute(claims.filter(claim => claim !== best?.claim), 'It says of a damaged pack what is not so');
    this.#tally.next(HEAL);
    if (best !== undefined) {
      const frames = `${best.readable} of ${best.condition.frames.length} frames`;
      this.#tally.left('pack', name, `Both of its tables are damaged; what the index says of it stays, since ${frames} open by it`);
    } else if (claims.length === 0) this.#tally.left('pack', name, 'Both of its tables are damaged and no index segment lists it: nobody can know what it held');
    else {
      this.#gone.add(name);
      this.#tally.found('pack', name, 'Both of its tables and all of its frames are damaged');
    }
  }

  async #contentOf(name: string, { segments }: Claim): Promise<PackContent | undefined> {
    const segment = await readSegment(this.#repository, this.#survey.segments[segments[0]!]!.id, this.#call);
    return segment === undefined || 'damage' in segment ? undefined : segment.packs.find(pack => packName(pack.type, pack.id) === name);
  }

  #refute(claims: readonly Claim[], reason: string): void {
    for (const place of claims.flatMap(({ segments }) => segments)) if (!this.#removals.has(place)) this.#removals.set(place, reason);
  }

  #tellUnlisted(): void {
    if (this.#unlisted === 0) return;
    this.#tally.found('index', 'index/', `${count(this.#unlisted, 'pack')} listed by no index segment`);
    this.#tally.step('add', 'index entries', 'index/', `of ${count(this.#unlisted, 'pack')}, by their own tables`);
  }

  // --- writing ---

  #collectRemovals(): void {
    const { segments, claims, superseded } = this.#survey;
    for (const [place, { damage, name }] of segments.entries()) {
      if (damage === undefined) continue;
      this.#removals.set(place, damage.message);
      this.#tally.found('index segment', name, damage.message);
    }
    // A segment that another one took the place of goes when each of its packs stands in one that stays.
    const isSuperseded = (place: number): boolean => superseded.has(segments[place]!.id);
    const needed = new Set<number>();
    for (const [name, each] of claims) {
      const holders = this.#rightClaim(name, each)?.segments.filter(place => !this.#removals.has(place)) ?? [];
      if (holders.length > 0 && holders.every(isSuperseded)) needed.add(holders[0]!);
    }
    for (const place of segments.keys()) {
      if (isSuperseded(place) && !needed.has(place) && !this.#removals.has(place)) this.#removals.set(place, 'Another segment took its place');
    }
  }

  #rightClaim(name: string, claims: readonly Claim[]): Claim | undefined {
    if (this.#gone.has(name) || this.#swept.has(name)) return undefined;
    return this.#verdicts.has(name) ? this.#verdicts.get(name) : claims[0];
  }

  /** What is right in segments that go, and stands in none that stays, is written once more. */
  async #carryOver(): Promise<void> {
    const wanted = new Map<number, Set<string>>();
    for (const [name, claims] of this.#survey.claims) {
      const right = this.#rightClaim(name, claims);
      if (right === undefined || right.segments.some(place => !this.#removals.has(place))) continue;
      const place = right.segments[0]!;
      wanted.set(place, (wanted.get(place) ?? new Set()).add(name));
    }
    for (const [place, names] of wanted) {
      const { id, name } = this.#survey.segments[place]!;
      const segment = await readSegment(this.#repository, id, this.#call);
      if (segment === undefined || 'damage' in segment) throw vanished(name, segment?.damage);
      for (const pack of segment.packs) if (names.has(packName(pack.type, pack.id))) await this.#writer.add(pack);
    }
  }

  // --- removing ---

  /** Pack by pack, with the chunks that no other pack holds. */
  async #tellLosses(): Promise<void> {
    if (this.#gone.size === 0 || !this.#options.tellsLosses) return;
    await this.#look();
    const { segments, packIds } = this.#survey;
    await tellIndexLosses(this.#repository, [...this.#removals.keys()].map(place => segments[place]!.id), {
      ...this.#call, gone: this.#gone, packIds, tally: this.#tally, isAtMost: this.#options.dryRun && this.#unlisted > 0,
    });
  }

  async #remove(): Promise<void> {
    const { backend, cache } = this.#repository;
    if (this.#swept.size > 0) this.#tally.step('drop', 'index entries', 'index/', `of ${count(this.#swept.size, 'removed pack')}`);
    for (const [place, reason] of this.#removals) {
      const { name } = this.#survey.segments[place]!;
      if (!backend.capabilities.canRemove) {
        this.#tally.left('index segment', name, `${reason}, but nothing may be removed from this storage`);
        continue;
      }
      this.#tally.step('remove', 'index segment', name, reason);
      this.#tally.counts.segmentsRemoved++;
      if (!this.#options.dryRun) await backend.remove(name, this.#call);
    }
    if (this.#options.dryRun || this.#removals.size + this.#writer.written.length === 0) return;
    // Of a pack of which two segments said different things the cache keeps the word of one: it hears the new ones last.
    await cache.chunks.dropSegments([...this.#writer.written, ...[...this.#removals.keys()].map(place => this.#survey.segments[place]!.id)]);
    await this.#look();
  }
}

function vanished(name: string, cause: unknown): SnapError {
  return changedMeanwhile(`'${name}' vanished while the index was repaired`, cause);
}
