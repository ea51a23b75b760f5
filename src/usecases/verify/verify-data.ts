/** Levels 2 to 4 of a check: which packs are read, several at once, and what becomes of those that vanish meanwhile. */
import { JobGroup } from '../../base/concurrency.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import { packName, parityName } from '../../format/object-names.ts';
import { findParityFault } from '../../repository/pack-parity.ts';
import type { ExtractEngine } from '../reading/extract-engine.ts';
import type { PackDigests } from './verify-index.ts';
import type { CheckedPacks } from './verify-ledger.ts';
import { PackCheck, type PackVerdict } from './verify-packs.ts';
import type { VerifyRun } from './verify-run.ts';
import type { StoredPackObject } from './verify-structure.ts';
import { TableCheck } from './verify-tables.ts';

/** Tables are small, so the storage may be asked for many at once. */
const PARALLEL_TABLES = 8;

export class DataCheck {
  readonly #run: VerifyRun;
  readonly #checked: CheckedPacks;
  readonly #tables: TableCheck;
  readonly #packs: PackCheck | undefined;
  readonly #parallel: number;
  readonly #done = new Set<StoredPackObject['id']>();
  /** Packs and bytes whose data was read, packs of which only the tables were, and packs with damage. */
  packsRead = 0;
  bytesRead = 0;
  tablesRead = 0;
  packsDamaged = 0;
  /** A pack was removed by a prune before it could be read: what is needed of it lies in another one by now. */
  hasMissed = false;

  /** Without an engine only tables are read. */
  constructor(run: VerifyRun, digests: PackDigests, checked: CheckedPacks, engine: ExtractEngine | undefined) {
    this.#run = run;
    this.#checked = checked;
    this.#parallel = engine?.capacity ?? 1;
    this.#tables = new TableCheck(run, digests);
    this.#packs = engine === undefined ? undefined : new PackCheck(run, this.#tables, engine, bytes => {
      this.bytesRead += bytes;
      run.counters.bytesDone += bytes;
    });
  }

  /** Tables and every frame of these packs, but for those that were read before. */
  async readData(packs: readonly StoredPackObject[], call: CallOptions): Promise<void> {
    const check = this.#packs;
    if (check === undefined) return;
    const left = this.#take(packs);
    this.#run.counters.totalBytes += left.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    await this.#each(left, this.#parallel, async pack => {
      const verdict = await this.#orVanished(pack, () => check.run(pack, call), call);
      if (verdict === undefined) return;
      this.packsRead++;
      await this.#checkParity(pack, call);
      await this.#note(pack, verdict, call);
    });
  }

  /** Parity is for the day when the pack is damaged; a damaged one is no loss yet. */
  async #checkParity({ type, id, sizeBytes }: StoredPackObject, call: CallOptions): Promise<void> {
    const { repository, structure, findings, packs } = this.#run;
    if (!structure.parity.has(id)) return;
    const fault = await findParityFault(repository, { type, id }, sizeBytes, call);
    if (fault === undefined || packs.isExcluded(id)) return;
    findings.warn('parity', parityName(id), `The parity of the pack is of no use: ${fault}. Run \`snap parity --verify\`, which makes it again`);
  }

  /** Only the tables, of packs that were not read. */
  async readTables(packs: readonly StoredPackObject[], call: CallOptions): Promise<void> {
    await this.#each(this.#take(packs), PARALLEL_TABLES, async pack => {
      const isGood = await this.#orVanished(pack, () => this.#tables.run(pack, call), call);
      if (isGood === undefined) return;
      this.tablesRead++;
      // That only the tables are good says nothing that a later run could build on.
      if (!isGood) await this.#note(pack, { isGood, detail: 'tables' }, call);
    });
  }

  /** Each pack once, whoever asks for it. */
  #take(packs: readonly StoredPackObject[]): StoredPackObject[] {
    return packs.filter(({ id }) => {
      const isNew = !this.#done.has(id);
      this.#done.add(id);
      return isNew;
    });
  }

  async #each(packs: readonly StoredPackObject[], parallel: number, work: (pack: StoredPackObject) => Promise<void>): Promise<void> {
    const jobs = new JobGroup(parallel);
    try {
      for (const pack of packs) await jobs.add(() => work(pack));
      await jobs.done();
    } finally {
      await jobs.settled();
    }
  }

  async #note({ id }: StoredPackObject, { isGood, detail }: PackVerdict, call: CallOptions): Promise<void> {
    if (!isGood) this.packsDamaged++;
    await this.#checked.add(id, isGood ? 'good' : 'damaged', detail, call);
  }

  /** Undefined for a pack that could not be checked, which is a finding unless a prune has removed it. */
  async #orVanished<T>(pack: StoredPackObject, check: () => Promise<T>, call: CallOptions): Promise<T | undefined> {
    const { session, findings, packs } = this.#run;
    const { looks } = session;
    try {
      return await check();
    } catch (error) {
      const name = packName(pack.type, pack.id);
      if (hasCode(error, 'UNSUPPORTED_FORMAT')) {
        findings.addUnsupported({ object: 'pack', name, message: error.message, files: [] });
        return undefined;
      }
      const isShort = hasCode(error, 'INVALID_RANGE');
      if (!isShort && !hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
      if (!isShort) await session.lookAgain(looks, call);
      // A prune removes packs, and what the index says of them, at any time.
      if (!isShort && packs.isGone(pack.id)) {
        this.hasMissed = true;
        return undefined;
      }
      this.packsDamaged++;
      this.#tables.packIsBad(pack, isShort ? 'The pack is shorter than its listing says' : 'The pack has vanished');
      return undefined;
    }
  }
}

/** Packs to be looked into: present, not what a prune removes, and not known to be of a wrong size or type already. */
export function candidates({ repository, packs, damage }: VerifyRun, needed?: ReadonlySet<PackNumber>): StoredPackObject[] {
  const { chunks } = repository.cache;
  return [...packs.all.values()].filter(({ id }) => {
    const number = chunks.packNumber(id);
    if (number !== undefined && damage.hasPack(number)) return false;
    return needed === undefined ? !packs.isExcluded(id) : number !== undefined && needed.has(number);
  });
}
