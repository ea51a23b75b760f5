/**
 * Saves what is left of damaged packs, heals what other copies still have, and puts the damaged packs aside (repository design,
 * section 16.3). The order of the steps is the order of `run`: nothing is removed before what replaces it is durable, indexed and
 * read back, and before everything that is lost was named.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { parsePackId, type PackId } from '../../format/ids.ts';
import { quarantineName } from '../../format/object-names.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { listQuarantine } from '../../repository/quarantine.ts';
import { WritingSession } from '../../repository/writing-session.ts';
import { PackFinder, type DamagedPack, type PackChoice } from './damaged-packs.ts';
import type { JobContext } from '../events.ts';
import { ExtractEngine } from '../reading/extract-engine.ts';
import { IndexRebuild } from './index-rebuild.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import { finishRemovals, removePacks } from './pack-removal.ts';
import { PackSalvage } from './pack-salvage.ts';
import { confirmPacks, type NewPack } from './pack-confirmation.ts';
import { LossWalk } from './loss-walk.ts';
import { checkMayRepair, RepairTally, type RepairOptions } from './repair-run.ts';
import { checkRelated } from './replica-source.ts';
import type { RepairReport } from '../reports.ts';
import { verify } from '../verify/verify.ts';

export interface RepairPacksOptions extends RepairOptions {
  readonly engines: EngineFactory;
  readonly choice: PackChoice;
  /** A copy of this repository, or one that shares its deduplication secret. */
  readonly replica?: OpenRepository | undefined;
}

/** zstd level of what is stored anew. */
const COMPRESSION_LEVEL = 3;
/** Damaged tree packs may come to light only while the trees are read. */
const MAX_ROUNDS = 5;

/**
 * What is lost in spite of it, and what was left as it is, is in the report.
 * @throws DENIED, PRUNE_UNFINISHED, UNSUPPORTED_FORMAT, UNRELATED_REPOSITORY, USAGE before anything is written, OBJECT_CONFLICT when
 * somebody else changes the packs, OBJECT_CORRUPT for a damaged index, and every error that is no damage: nothing was removed then
 */
export async function repairPacks(repository: OpenRepository, options: RepairPacksOptions, context: JobContext = {}): Promise<RepairReport> {
  const tally = new RepairTally('packs', options.dryRun, repository.clock, context);
  const call: CallOptions = { signal: context.signal };
  repository.keys.adminSeed();
  if (options.replica !== undefined) checkRelated(repository, options.replica);
  if (!options.dryRun) await finishRemovals(repository, call);
  await checkMayRepair(repository, call);
  const newPacks: NewPack[] = [];
  const session = await WritingSession.begin(repository, {
    owner: options.owner, compressionLevel: COMPRESSION_LEVEL, discard: options.dryRun, signal: context.signal,
    onPackWritten: pack => {
      newPacks.push(pack);
      tally.packWritten(pack.packId, pack.sizeBytes, pack.chunks);
    },
  });
  const engine = new ExtractEngine(options.engines, repository);
  try {
    await checkMayRepair(repository, call);
    await new PackRepair(repository, session, engine, options, tally, newPacks, call).run();
    return tally.report();
  } finally {
    tally.counters.phase = 'finishing';
    await engine.close();
    await session.end();
  }
}

class PackRepair {
  readonly #repository: OpenRepository;
  readonly #session: WritingSession;
  readonly #engine: ExtractEngine;
  readonly #options: RepairPacksOptions;
  readonly #tally: RepairTally;
  readonly #newPacks: readonly NewPack[];
  readonly #call: CallOptions;
  readonly #damaged: DamagedPack[] = [];

  constructor(
    repository: OpenRepository, session: WritingSession, engine: ExtractEngine, options: RepairPacksOptions, tally: RepairTally, newPacks: readonly NewPack[], call: CallOptions,
  ) {
    this.#repository = repository;
    this.#session = session;
    this.#engine = engine;
    this.#options = options;
    this.#tally = tally;
    this.#newPacks = newPacks;
    this.#call = call;
  }

  async run(): Promise<void> {
    const { counters, counts } = this.#tally;
    const finder = new PackFinder(this.#repository, this.#engine, this.#tally, this.#call);
    const found = await finder.find(this.#session.view, this.#options.choice);
    const walk = await LossWalk.begin(this.#session, this.#tally, {
      ...this.#call, owner: this.#options.owner, dryRun: this.#options.dryRun, replica: this.#options.replica, compressionLevel: COMPRESSION_LEVEL,
    });
    const carriers = new Set<PackId>();
    try {
      let damaged = found.damaged;
      for (let round = 1; ; round++) {
        counters.phase = 'writing';
        await this.#save(damaged, walk, carriers);
        counters.phase = 'checking';
        const suspects = await walk.run(this.#damaged);
        damaged = suspects.length === 0 || round === MAX_ROUNDS ? [] : await finder.examine(this.#session.view, suspects);
        if (damaged.length === 0) break;
      }
      counters.phase = 'finishing';
      if (!this.#options.dryRun) await confirmPacks(this.#repository, this.#engine, this.#newPacks, this.#call);
      counts.chunksLost = walk.chunksLost;
      walk.losses.tell(this.#tally);
      this.#advise(walk.losses.isEmpty);
      await this.#putAside(carriers, found.missing.length > 0, walk.restored);
    } finally {
      await walk.end();
    }
  }

  /** What is left of packs goes to new ones; from then on nothing asks the damaged ones any more. */
  async #save(damaged: readonly DamagedPack[], walk: LossWalk, carriers: Set<PackId>): Promise<void> {
    this.#damaged.push(...damaged);
    const salvage = new PackSalvage(this.#session, this.#engine, walk.writer, this.#damaged, this.#tally, this.#call);
    for (const pack of damaged) await salvage.run(pack);
    await walk.flush();
    for (const id of salvage.carriers) carriers.add(id);
    if (!this.#options.dryRun) this.#session.distrust(this.#damaged.flatMap(({ number }) => (number === undefined ? [] : [number])));
  }

  async #putAside(carriers: Set<PackId>, hasMissing: boolean, restored: ReadonlySet<string>): Promise<void> {
    const { dryRun } = this.#options;
    for (const { packId } of this.#newPacks) carriers.add(parsePackId(packId));
    const isRemoved = this.#damaged.length > 0
      && await removePacks(this.#repository, this.#damaged, this.#tally, { ...this.#call, dryRun, gcNumber: this.#session.view.gcNumber, carriers });
    if (!isRemoved && !hasMissing) return;
    const without = new Set(dryRun ? this.#damaged.map(({ name }) => name) : []);
    const rebuild = { dryRun, full: false, tellsLosses: false, without, with: dryRun ? restored : undefined };
    await new IndexRebuild(this.#repository, this.#engine, this.#tally, rebuild, this.#call).run();
  }

  #advise(isWhole: boolean): void {
    const { counts } = this.#tally;
    if (!isWhole) {
      if (this.#options.replica === undefined) this.#tally.next('If there is a copy of this repository, run the same with --from, which heals from it');
      this.#tally.next('Run a backup: it stores again what its source still has, and so heals older snapshots too');
      this.#tally.next('Then run `snap verify`; `snap repair snapshots` makes snapshots that say exactly what stays lost');
    }
    if (counts.packsQuarantined + this.#damaged.length === 0) return;
    this.#tally.next('When `snap verify` is clean, `snap repair packs --empty-quarantine` frees the space of what was put aside');
  }
}

/** Removes what is in quarantine, if a check of structure and metadata finds nothing wrong. */
export async function emptyQuarantine(repository: OpenRepository, options: Omit<RepairPacksOptions, 'choice' | 'replica'>, context: JobContext = {}): Promise<RepairReport> {
  const tally = new RepairTally('quarantine', options.dryRun, repository.clock, context);
  const call: CallOptions = { signal: context.signal };
  await checkMayRepair(repository, call);
  const packs = await listQuarantine(repository, call);
  if (packs.length === 0) return tally.report();
  const { findings, status } = await verify(repository, { engines: options.engines, owner: options.owner, readData: false }, { signal: context.signal, counters: tally.counters });
  if (status !== 'complete') {
    throw new SnapError('DAMAGE_FOUND', 'The repository is damaged, and something in quarantine may still help', {
      hint: `Nothing was removed. \`snap verify\` names what is wrong: ${findings.find(({ severity }) => severity === 'damage')?.message ?? 'something needs a newer version'}`,
    });
  }
  for (const { id, sizeBytes } of packs) {
    tally.step('remove', 'pack in quarantine', quarantineName(id), `${sizeBytes} bytes`);
    tally.counts.packsReleased++;
    if (!options.dryRun) await repository.backend.remove(quarantineName(id), call);
  }
  return tally.report();
}
