/**
 * The ledger of a repository: which packs were verified when, for every host to see. Each run adds an object of its own;
 * all of them together count, and of a pack the newest check. It informs, nothing depends on it: an object that cannot be
 * read is left out, and a result that cannot be written is lost.
 */
import { SnapError } from '../base/errors.ts';
import { equalBytes } from '../base/bytes.ts';
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import { ledgerIdFromBytes, type LedgerId, type PackId } from '../format/ids.ts';
import { decodeLedger, encodeLedger, LEDGER_DETAILS, LEDGER_RESULTS, ledgerRecords, MAX_LEDGER_RECORDS, type LedgerRecord } from '../format/ledger.ts';
import { ledgerName, parseObjectName, PREFIXES } from '../format/object-names.ts';
import { isDamage, isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

/** Objects, beside those that are full, that are left as they are before they are merged into one. */
const MAX_OBJECTS = 8;
/** IDs that one object says it replaces, so that it always has room for them. */
const MAX_REPLACED = 1_024;
const PARALLEL_READS = 4;
/** A merge of another run may remove listed objects under our hands; then the listing is repeated. */
const MAX_ROUNDS = 3;

export type PackCheckResult = Omit<LedgerRecord, 'packId'>;

export interface LedgerLoadOptions extends CallOptions {
  /** An object that is damaged or needs a newer version, and was left out. */
  readonly onDamagedObject?: ((name: string, error: SnapError) => void) | undefined;
}

/** The newest check of each pack. */
export class Ledger {
  /** A check as one number, since there may be a million packs: time × 4 + detail × 2 + result. */
  readonly #checks = new Map<PackId, number>();
  /** Objects that were read, and those that are in one of them as well. */
  readonly current = new Set<LedgerId>();
  readonly superseded = new Set<LedgerId>();

  /** Of two checks at the same time the worse one counts. */
  add({ packId, checkedAt, result, detail }: LedgerRecord): void {
    const check = checkedAt * 4 + LEDGER_DETAILS.indexOf(detail) * 2 + LEDGER_RESULTS.indexOf(result);
    const known = this.#checks.get(packId);
    const isNewer = known === undefined || timeOf(known) < checkedAt || (timeOf(known) === checkedAt && known % 2 <= check % 2);
    if (isNewer) this.#checks.set(packId, check);
  }

  get(id: PackId): PackCheckResult | undefined {
    const check = this.#checks.get(id);
    return check === undefined ? undefined : resultOf(check);
  }

  get size(): number {
    return this.#checks.size;
  }

  *records(): Generator<LedgerRecord> {
    for (const [packId, check] of this.#checks) yield { packId, ...resultOf(check) };
  }
}

function timeOf(check: number): number {
  return Math.floor(check / 4);
}

function resultOf(check: number): PackCheckResult {
  return { checkedAt: timeOf(check), result: LEDGER_RESULTS[check % 2]!, detail: LEDGER_DETAILS[(check % 4) >> 1]! };
}

/** Everything that is known, from the storage itself. @throws every error that is no damage */
export async function loadLedger(repository: OpenRepository, options: LedgerLoadOptions = {}): Promise<Ledger> {
  for (let round = 1; ; round++) {
    const ledger = new Ledger();
    // Newest first: a merged object makes those that it replaced needless.
    const listed = (await listLedger(repository, options)).sort((a, b) => b.storedAt - a.storedAt);
    let hasVanished = false;
    await mapBounded(listed, PARALLEL_READS, async ({ id, storedAt }) => {
      if (!ledger.superseded.has(id) && !await addObject(repository, ledger, id, storedAt, options)) hasVanished = true;
    });
    if (hasVanished && round < MAX_ROUNDS) continue;
    for (const id of ledger.superseded) ledger.current.delete(id);
    const isThere = new Set(listed.map(({ id }) => id));
    for (const id of ledger.superseded) if (!isThere.has(id)) ledger.superseded.delete(id);
    return ledger;
  }
}

async function listLedger({ backend }: OpenRepository, options: CallOptions): Promise<{ id: LedgerId; storedAt: number }[]> {
  const listed: { id: LedgerId; storedAt: number }[] = [];
  for await (const { name, storedAt } of backend.list(PREFIXES.ledger, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'ledger') listed.push({ id: ref.id, storedAt });
  }
  return listed;
}

/** False when the object is gone. No check is younger than its object: a clock that was ahead must not hide later checks. */
async function addObject({ objects }: OpenRepository, ledger: Ledger, id: LedgerId, storedAt: number, options: LedgerLoadOptions): Promise<boolean> {
  try {
    const decoded = decodeLedger((await objects.load(ledgerName(id), options)).payload);
    for (const record of ledgerRecords(decoded)) ledger.add({ ...record, checkedAt: Math.min(record.checkedAt, Math.max(0, Math.floor(storedAt))) });
    for (const each of decoded.supersedes) ledger.superseded.add(each);
    ledger.current.add(id);
    return true;
  } catch (error) {
    if (!isDamage(error) && !isUnreadable(error)) throw error;
    if (error.code === 'OBJECT_NOT_FOUND') return false;
    options.onDamagedObject?.(ledgerName(id), error);
    return true;
  }
}

/** Adds the checks of a run. @throws DENIED, NO_SPACE and every other error of the storage */
export async function writeLedger(repository: OpenRepository, records: readonly LedgerRecord[], options: CallOptions = {}): Promise<void> {
  for (let from = 0; from < records.length; from += MAX_LEDGER_RECORDS) await writeObject(repository, [], records.slice(from, from + MAX_LEDGER_RECORDS), options);
}

/**
 * Makes one object of many: writes it, reads it back, then removes those that are in it. Packs that are not there any more are
 * dropped. False when there is nothing to do, or nothing can be removed.
 * @throws every error of the storage; nothing is lost then
 */
export async function mergeLedger(repository: OpenRepository, isThere: (id: PackId) => boolean, options: LedgerLoadOptions = {}): Promise<boolean> {
  const { backend } = repository;
  if (!backend.capabilities.canRemove) return false;
  const ledger = await loadLedger(repository, options);
  if (ledger.current.size <= MAX_OBJECTS + Math.floor(ledger.size / MAX_LEDGER_RECORDS)) return false;
  const kept = [...ledger.records()].filter(({ packId }) => isThere(packId));
  const replaced = [...ledger.current, ...ledger.superseded].slice(0, MAX_REPLACED);
  for (let from = 0; from === 0 || from < kept.length; from += MAX_LEDGER_RECORDS) {
    // Only the last object says what all of them replace: until it is there, nothing is taken for replaced.
    const isLast = from + MAX_LEDGER_RECORDS >= kept.length;
    await writeObject(repository, isLast ? replaced : [], kept.slice(from, from + MAX_LEDGER_RECORDS), options);
  }
  for (const id of replaced) await backend.remove(ledgerName(id), options);
  return true;
}

/** Durable, and read back, when it resolves. */
async function writeObject({ backend, objects, random }: OpenRepository, supersedes: readonly LedgerId[], records: readonly LedgerRecord[], options: CallOptions): Promise<void> {
  const name = ledgerName(ledgerIdFromBytes(random.bytes(16)));
  const bytes = objects.seal(name, OBJECT_TYPES.ledger, encodeLedger(supersedes, records));
  await backend.create(name, [bytes], options);
  if (!equalBytes(await backend.read(name, undefined, options), bytes)) {
    throw new SnapError('OBJECT_CORRUPT', `The storage does not give '${name}' back as it was written`, { context: { name } });
  }
}
