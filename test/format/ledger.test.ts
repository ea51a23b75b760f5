import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { viewOf } from '../../src/base/bytes.ts';
import { idBytes, parseLedgerId, parsePackId, type LedgerId } from '../../src/format/ids.ts';
import { decodeLedger, encodeLedger, LEDGER_DETAILS, LEDGER_RESULTS, ledgerRecords, MAX_LEDGER_RECORDS, type LedgerRecord } from '../../src/format/ledger.ts';
import { MAX_LEDGER_BYTES } from '../../src/format/limits.ts';
import { decodeHostile, expectKind, mutations, packIds } from './samples.ts';

const records: fc.Arbitrary<LedgerRecord[]> = fc.uniqueArray(fc.record<LedgerRecord>({
  packId: packIds, checkedAt: fc.oneof(fc.nat(), fc.nat(2 ** 48 - 1)), result: fc.constantFrom(...LEDGER_RESULTS), detail: fc.constantFrom(...LEDGER_DETAILS),
}), { maxLength: 20, selector: ({ packId }) => packId });
const ledgerIds = fc.uniqueArray(packIds.map(id => id as string as LedgerId), { maxLength: 4 });

const RECORD: LedgerRecord = { packId: parsePackId('0a'.repeat(16)), checkedAt: 0x1234_5678_9abc, result: 'damaged', detail: 'data' };
const HEAD_BYTES = 16;

describe('ledger', () => {
  it('comes back from its bytes, sorted by pack', () => {
    fc.assert(fc.property(ledgerIds, records, (supersedes, list) => {
      const decoded = decodeLedger(encodeLedger(supersedes, list));
      expect(decoded.supersedes).toEqual(supersedes);
      expect([...ledgerRecords(decoded)]).toEqual(list.toSorted((a, b) => (a.packId < b.packId ? -1 : 1)));
    }));
  });

  it('has the layout of docs/format.md', () => {
    const replaced = parseLedgerId('bb'.repeat(16));
    const bytes = encodeLedger([replaced], [RECORD]);
    expect([...bytes.subarray(0, HEAD_BYTES)]).toEqual([1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect([...bytes.subarray(HEAD_BYTES, HEAD_BYTES + 16)]).toEqual([...idBytes(replaced)]);
    expect([...bytes.subarray(HEAD_BYTES + 16)]).toEqual([...idBytes(RECORD.packId), 0xbc, 0x9a, 0x78, 0x56, 0x34, 0x12, 2, 2]);
  });

  it('refuses a pack twice, or packs that are not in order', () => {
    expect(() => encodeLedger([], [RECORD, { ...RECORD, checkedAt: 1 }])).toThrow(RangeError);
    const two = encodeLedger([], [RECORD, { ...RECORD, packId: parsePackId('0b'.repeat(16)) }]);
    const swapped = new Uint8Array([...two.subarray(0, HEAD_BYTES), ...two.subarray(HEAD_BYTES + 24), ...two.subarray(HEAD_BYTES, HEAD_BYTES + 24)]);
    expectKind(() => decodeLedger(swapped), 'corrupt', /not in order/);
  });

  it('refuses times that do not fit, and more than its limit', () => {
    for (const checkedAt of [-1, 0.5, 2 ** 48, Number.NaN]) expect(() => encodeLedger([], [{ ...RECORD, checkedAt }])).toThrow(RangeError);
    expect(MAX_LEDGER_RECORDS * 24 + HEAD_BYTES + 16 * 1024).toBeLessThanOrEqual(MAX_LEDGER_BYTES);
    expectKind(() => decodeLedger(new Uint8Array(MAX_LEDGER_BYTES + 1)), 'corrupt');
  });

  it('refuses counts that do not fit its length, before it allocates anything', () => {
    const bytes = encodeLedger([], [RECORD]);
    for (const at of [4, 8]) {
      const changed = bytes.slice();
      viewOf(changed).setUint32(at, 0xffff_ffff, true);
      expectKind(() => decodeLedger(changed), 'corrupt', /counts/);
    }
    expectKind(() => decodeLedger(bytes.subarray(0, 8)), 'corrupt');
  });

  it('takes an unknown version, result or level of detail for one of a newer snap', () => {
    for (const at of [0, HEAD_BYTES + 22, HEAD_BYTES + 23]) {
      const bytes = encodeLedger([], [RECORD]);
      bytes[at] = 9;
      expectKind(() => decodeLedger(bytes), 'unsupported');
    }
  });

  it('gives a value or refuses, whatever is changed', () => {
    const valid = encodeLedger([parseLedgerId('cc'.repeat(16))], [RECORD, { ...RECORD, packId: parsePackId('0b'.repeat(16)) }]);
    fc.assert(fc.property(mutations(valid), bytes => { decodeHostile(() => [...ledgerRecords(decodeLedger(bytes))]); }));
  });
});
