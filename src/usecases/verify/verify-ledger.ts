/**
 * What a check writes into the ledger: the packs whose data it read, and those that it found damaged. A ledger that cannot be
 * read or written never makes a check fail.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode, SnapError, type SnapErrorKind } from '../../base/errors.ts';
import type { PackId } from '../../format/ids.ts';
import type { LedgerRecord } from '../../format/ledger.ts';
import { PREFIXES } from '../../format/object-names.ts';
import { loadLedger, mergeLedger, writeLedger, type Ledger } from '../../repository/ledger.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { FindingList } from '../findings.ts';

/** A check of many terabytes takes days: what it has done by now survives a power cut. */
const CHECKPOINT_MS = 60 * 60 * 1000;

/** What a storage may answer that does not want to be written to, or cannot just now. */
const REFUSALS: readonly SnapErrorKind[] = ['denied', 'no-space', 'unavailable', 'conflict', 'corrupt', 'not-found'];

export class CheckedPacks {
  /** What was known before, and what this run has found. */
  readonly ledger: Ledger;
  readonly #repository: OpenRepository;
  readonly #pending = new Map<PackId, LedgerRecord>();
  #lastWrite: number;

  private constructor(repository: OpenRepository, ledger: Ledger) {
    this.#repository = repository;
    this.ledger = ledger;
    this.#lastWrite = repository.clock.monotonic();
  }

  static async load(repository: OpenRepository, findings: FindingList, options: CallOptions): Promise<CheckedPacks> {
    const ledger = await loadLedger(repository, { ...options, onDamagedObject: (name, error) => { findings.warn('ledger', name, error.message); } });
    return new CheckedPacks(repository, ledger);
  }

  /** The pack was checked at this moment. */
  async add(packId: PackId, result: LedgerRecord['result'], detail: LedgerRecord['detail'], options: CallOptions): Promise<void> {
    const { clock } = this.#repository;
    const record: LedgerRecord = { packId, checkedAt: clock.now(), result, detail };
    this.ledger.add(record);
    this.#pending.set(packId, record);
    if (clock.monotonic() - this.#lastWrite >= CHECKPOINT_MS) await this.#tryWrite(options);
  }

  /** At the end of a run. `isThere`: packs that are not are dropped when objects are merged. */
  async finish(isThere: (id: PackId) => boolean, findings: FindingList, options: CallOptions): Promise<void> {
    if (this.#pending.size === 0) return;
    const refusal = await this.#tryWrite(options) ?? await refusalOf(() => mergeLedger(this.#repository, isThere, options));
    if (refusal === undefined) return;
    findings.warn('ledger', PREFIXES.ledger, `What was verified could not be written down for later runs and other hosts: ${refusal.message}`);
  }

  /** After an interruption or failure: what was checked so far counts. Returns the error of a storage that refused. */
  async abandon(): Promise<unknown> {
    try {
      return await this.#tryWrite({});
    } catch (error) {
      return error; // the caller throws what came first
    }
  }

  async #tryWrite(options: CallOptions): Promise<SnapError | undefined> {
    const records = [...this.#pending.values()];
    this.#lastWrite = this.#repository.clock.monotonic();
    const refusal = await refusalOf(() => writeLedger(this.#repository, records, options));
    for (const record of refusal === undefined ? records : []) if (this.#pending.get(record.packId) === record) this.#pending.delete(record.packId);
    return refusal;
  }
}

/** @throws what no storage answers */
async function refusalOf(work: () => Promise<unknown>): Promise<SnapError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (hasCode(error, 'CANCELLED') || !(error instanceof SnapError) || !REFUSALS.includes(error.kind)) throw error;
    return error;
  }
}
