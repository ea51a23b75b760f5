/** What a check writes down, so that every host knows what was verified when. */
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { parseLedgerId } from '../../../src/format/ids.ts';
import { ledgerName } from '../../../src/format/object-names.ts';
import { withoutRemove } from '../../../src/backend/without-remove.ts';
import { loadLedger } from '../../../src/repository/ledger.ts';
import type { OpenRepository } from '../../../src/repository/opened-repository.ts';
import { FaultyBackend } from '../../support/faulty-backend.ts';
import { backupPath, reopen } from '../../support/memory-repository.ts';
import { flipBit, frameOfFile } from '../../support/read-jobs.ts';
import { ScriptedBackend } from '../../support/scripted-backend.ts';
import { damage, ledgerOf, runVerify, verifySample, warnings } from '../../support/verify-jobs.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

function later(repository: OpenRepository, days: number): OpenRepository {
  return { ...repository, clock: { ...repository.clock, now: () => repository.clock.now() + days * DAY_MS } };
}

describe('a check that read data', () => {
  test('is known to other hosts, and grows old', async () => {
    const { backend, repository } = await verifySample();
    expect((await runVerify(repository)).coverage).toMatchObject({ packsTotal: 4, packsVerified: 0, packsNever: 4, oldestCheckAt: undefined });
    await runVerify(repository, { readData: true });
    const other = await reopen(backend);
    expect((await runVerify(other)).coverage).toMatchObject({ days: 35, packsVerified: 4, packsNever: 0, packsDamaged: 0 });
    expect((await runVerify(other, { level: 'structure' })).coverage).toMatchObject({ packsVerified: 4 });
    expect((await runVerify(later(other, 36))).coverage).toMatchObject({ packsVerified: 0, bytesVerified: 0, packsNever: 0 });
    expect((await runVerify(later(other, 36), { coverageDays: 40 })).coverage).toMatchObject({ days: 40, packsVerified: 4 });
  });

  test('goes through everything by parts, those not verified for longest first', async () => {
    const { backend, repository, root } = await verifySample();
    const sample = { kind: 'bytes', bytes: 1, order: 'oldest' } as const;
    for (let run = 1; run <= 4; run++) {
      expect((await runVerify(repository, { readData: sample })).coverage.packsVerified).toBe(run);
    }
    writeFileSync(`${root}/own/new`, 'not there before');
    await backupPath(await reopen(backend), `${root}/own`, { kind: 'full', series: 'other' });
    const before = await loadLedger(repository);
    for (const packsVerified of [5, 6]) {
      expect(await runVerify(await reopen(backend), { readData: sample })).toMatchObject({ packsRead: 1, coverage: { packsTotal: 6, packsVerified } });
    }
    // The new packs, of data and of trees, were never verified and so came first.
    expect([before.size, (await loadLedger(repository)).size]).toEqual([4, 6]);
  });

  test('marks the packs in which it found damage, until they are found whole', async () => {
    const { backend, repository, root } = await verifySample();
    const frame = await frameOfFile(repository, `${root}/shared/large`);
    await flipBit(backend, frame);
    const id = frame.object.slice(-32) as Parameters<Awaited<ReturnType<typeof loadLedger>>['get']>[0];
    expect((await runVerify(await reopen(backend), { readData: true })).coverage).toMatchObject({ packsDamaged: 1, packsVerified: 3 });
    expect((await loadLedger(repository)).get(id)).toMatchObject({ result: 'damaged', detail: 'data' });
    await flipBit(backend, frame); // back again
    expect((await runVerify(await reopen(backend), { readData: true })).coverage).toMatchObject({ packsDamaged: 0, packsVerified: 4 });
  });

  test('that was interrupted counts as far as it came', async () => {
    const { backend } = await verifySample();
    const stop = new AbortController();
    const seen = new Set<string>();
    const stopping = new ScriptedBackend(backend, (verb, name) => {
      if (verb === 'read' && name.startsWith('packs/d/')) seen.add(name);
      if (seen.size === 2) stop.abort(); // the first of the two is done
    });
    await expect(runVerify(await reopen(stopping), { readData: true }, { signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
    const { size } = await loadLedger(await reopen(backend));
    expect(size).toBeGreaterThan(0);
    expect(size).toBeLessThan(4);
    expect(ledgerOf(backend)).toHaveLength(1);
  });

  test('that runs for hours writes down every hour what it has done', async () => {
    const { backend, repository } = await verifySample();
    let now = 0;
    const slow = { ...repository, clock: { ...repository.clock, monotonic: () => now += 30 * 60 * 1000 } };
    await runVerify(slow, { readData: true });
    expect(ledgerOf(backend).length).toBeGreaterThan(1);
    expect((await loadLedger(repository)).size).toBe(4);
  });

  test('keeps the number of objects small', async () => {
    const { backend, repository } = await verifySample();
    for (let run = 0; run < 12; run++) await runVerify(repository, { readData: { kind: 'part', part: 1, parts: 1 } });
    expect(ledgerOf(backend).length).toBeLessThanOrEqual(8);
    expect((await loadLedger(repository)).size).toBe(4);
  });
});

describe('a ledger that cannot be used', () => {
  test.each([['create', 'DENIED'], ['create', 'NO_SPACE'], ['create', 'UNAVAILABLE'], ['read', 'DENIED']] as const)('for want of %s (%s) is reported and does not make the check fail', async (verb, code) => {
    const { backend } = await verifySample();
    const faulty = new FaultyBackend(backend, [{ verb, name: /^ledger\//, effect: 'fail-before', code, times: 9 }]);
    const report = await runVerify(await reopen(faulty), { readData: true });
    expect(report.status).toBe('complete');
    expect(warnings(report)).toMatchObject([{ object: 'ledger', message: expect.stringContaining('could not be written down') }]);
    expect(report.coverage.packsVerified).toBe(4); // by this very run
  });

  test('since nothing can be removed is not merged, and nothing is said', async () => {
    const { backend } = await verifySample();
    const repository = await reopen(withoutRemove(backend));
    for (let run = 0; run < 10; run++) expect((await runVerify(repository, { readData: { kind: 'part', part: 1, parts: 1 } })).findings.filter(({ object }) => object === 'ledger')).toEqual([]);
    expect(ledgerOf(backend)).toHaveLength(10);
  });

  test('because it is damaged is a warning, at every level', async () => {
    const { backend, repository } = await verifySample();
    const name = ledgerName(parseLedgerId('ab'.repeat(16)));
    await backend.create(name, [new Uint8Array(200)]);
    for (const options of [{ level: 'structure' } as const, {}, { readData: true }]) {
      const report = await runVerify(repository, options);
      expect(report.status).toBe('complete');
      expect([damage(report), warnings(report)]).toMatchObject([[], [{ object: 'ledger', name, hint: expect.stringContaining('may be removed') }]]);
    }
  });
});
