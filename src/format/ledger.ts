/** The ledger: which packs were verified when, and what was found (docs/format.md, section 8.1). Records stay packed. */
import { type Bytes, toHex, viewOf } from '../base/bytes.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { ID_BYTES, idBytes, type LedgerId, ledgerIdFromBytes, type PackId } from './ids.ts';
import { MAX_LEDGER_BYTES } from './limits.ts';

const VERSION = 1;
const FIXED_BYTES = 16;
/** Width of a record: 16 pack ID, u48 time, u8 result, u8 detail. */
const RECORD_BYTES = 24;
/** Largest time that 48 bits hold, in the year 10889. */
const MAX_TIME = 2 ** 48 - 1;

export const LEDGER_RESULTS = ['good', 'damaged'] as const;
/** How far a check came: the tables at both ends, or every frame as well. */
export const LEDGER_DETAILS = ['tables', 'data'] as const;

/** One check of one pack. */
export interface LedgerRecord {
  readonly packId: PackId;
  /** Milliseconds since 1970. */
  readonly checkedAt: number;
  readonly result: (typeof LEDGER_RESULTS)[number];
  readonly detail: (typeof LEDGER_DETAILS)[number];
}

export interface Ledger {
  /** Objects whose records are in this one. */
  readonly supersedes: readonly LedgerId[];
  /** See `ledgerRecords`. */
  readonly records: Bytes;
}

/** Records that one object takes beside a few superseded IDs. */
export const MAX_LEDGER_RECORDS: number = Math.floor((MAX_LEDGER_BYTES - FIXED_BYTES) / RECORD_BYTES) - 1024;

/** @param records one for each pack, in any order. @throws RangeError for what the decoder would refuse */
export function encodeLedger(supersedes: readonly LedgerId[], records: Iterable<LedgerRecord>): Uint8Array<ArrayBuffer> {
  const sorted = [...records].sort((a, b) => (a.packId < b.packId ? -1 : 1));
  const recordsAt = FIXED_BYTES + ID_BYTES * supersedes.length;
  const bytes = new Uint8Array(recordsAt + RECORD_BYTES * sorted.length);
  if (bytes.length > MAX_LEDGER_BYTES) throw new RangeError(`A ledger of ${bytes.length} bytes`);
  const view = viewOf(bytes);
  [VERSION, supersedes.length, sorted.length].forEach((value, i) => { view.setUint32(4 * i, value, true); });
  supersedes.forEach((id, i) => { bytes.set(idBytes(id), FIXED_BYTES + ID_BYTES * i); });
  sorted.forEach(({ packId, checkedAt, result, detail }, i) => {
    const at = recordsAt + RECORD_BYTES * i;
    if (!Number.isInteger(checkedAt) || checkedAt < 0 || checkedAt > MAX_TIME) throw new RangeError(`Not a time of the ledger: ${checkedAt}`);
    bytes.set(idBytes(packId), at);
    view.setUint32(at + 16, checkedAt % 2 ** 32, true);
    view.setUint16(at + 20, Math.floor(checkedAt / 2 ** 32), true);
    view.setUint8(at + 22, LEDGER_RESULTS.indexOf(result) + 1);
    view.setUint8(at + 23, LEDGER_DETAILS.indexOf(detail) + 1);
  });
  checkRecords(bytes.subarray(recordsAt), reason => new RangeError(`Cannot be encoded: ${reason}`));
  return bytes;
}

function fail(reason: string): Error {
  return corrupt('ledger', reason);
}

/** A ledger from its payload; the records are a view of it. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function decodeLedger(payload: Bytes): Ledger {
  if (payload.length < FIXED_BYTES || payload.length > MAX_LEDGER_BYTES) throw fail(`${payload.length} bytes`);
  const view = viewOf(payload);
  const version = view.getUint32(0, true);
  if (version !== VERSION) throw unsupported('ledger', `version ${version}`, { version });
  const [superseded, count] = [view.getUint32(4, true), view.getUint32(8, true)];
  if (view.getUint32(12, true) !== 0) throw fail('reserved bytes are not zero');
  const recordsAt = FIXED_BYTES + ID_BYTES * superseded;
  if (recordsAt + RECORD_BYTES * count !== payload.length) throw fail('its counts do not fit its length');
  const supersedes = Array.from({ length: superseded }, (_, i) => ledgerIdFromBytes(payload.subarray(FIXED_BYTES + ID_BYTES * i, FIXED_BYTES + ID_BYTES * (i + 1))));
  if (new Set(supersedes).size !== superseded) throw fail('it supersedes an object twice');
  const records = payload.subarray(recordsAt);
  checkRecords(records, fail);
  return { supersedes, records };
}

function checkRecords(records: Bytes, failWith: (reason: string) => Error): void {
  for (let at = 0; at < records.length; at += RECORD_BYTES) {
    const [result, detail] = [records[at + 22]!, records[at + 23]!];
    if (result < 1 || result > LEDGER_RESULTS.length) throw unsupported('ledger', `result ${result}`, { result });
    if (detail < 1 || detail > LEDGER_DETAILS.length) throw unsupported('ledger', `level of detail ${detail}`, { detail });
    if (at > 0 && !isBefore(records, at - RECORD_BYTES, at)) throw failWith('its packs are not in order');
  }
}

function isBefore(records: Bytes, a: number, b: number): boolean {
  for (let i = 0; i < ID_BYTES; i++) {
    const difference = records[a + i]! - records[b + i]!;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** The records of a ledger, one at a time. */
export function* ledgerRecords({ records }: Pick<Ledger, 'records'>): Generator<LedgerRecord> {
  const view = viewOf(records);
  for (let at = 0; at < records.length; at += RECORD_BYTES) {
    yield {
      packId: toHex(records.subarray(at, at + ID_BYTES)) as PackId,
      checkedAt: view.getUint32(at + 16, true) + view.getUint16(at + 20, true) * 2 ** 32,
      result: LEDGER_RESULTS[records[at + 22]! - 1]!, detail: LEDGER_DETAILS[records[at + 23]! - 1]!,
    };
  }
}
