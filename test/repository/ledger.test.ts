import { describe, expect, test } from 'vitest';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { OBJECT_TYPES } from '../../src/format/header.ts';
import { parseLedgerId, parsePackId, type PackId } from '../../src/format/ids.ts';
import { encodeLedger, type LedgerRecord } from '../../src/format/ledger.ts';
import { ledgerName, PREFIXES } from '../../src/format/object-names.ts';
import { loadLedger, mergeLedger, writeLedger } from '../../src/repository/ledger.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { FaultyBackend } from '../support/faulty-backend.ts';
import { makeRepository, memoryBackend, reopen } from '../support/memory-repository.ts';
import { TestClock } from '../support/test-clock.ts';

const [A, B, C] = ['0a', '0b', '0c'].map(digits => parsePackId(digits.repeat(16))) as [PackId, PackId, PackId];
const NOW = Date.UTC(2024, 0, 1);

function check(packId: PackId, checkedAt: number, result: LedgerRecord['result'] = 'good', detail: LedgerRecord['detail'] = 'data'): LedgerRecord {
  return { packId, checkedAt, result, detail };
}

async function sample(): Promise<{ backend: MemoryBackend; repository: OpenRepository; clock: TestClock }> {
  const clock = new TestClock({ startAt: NOW });
  const backend = memoryBackend();
  return { backend, repository: await makeRepository(backend, { clock }), clock };
}

function names(backend: MemoryBackend): string[] {
  return [...backend.snapshotState().keys()].filter(name => name.startsWith(PREFIXES.ledger));
}

describe('the ledger', () => {
  test('is empty in a new repository', async () => {
    const { repository } = await sample();
    expect([...(await loadLedger(repository)).records()]).toEqual([]);
  });

  test('is what all objects say, of each pack the newest check', async () => {
    const { backend, repository } = await sample();
    await writeLedger(repository, [check(A, 30), check(B, 10)]);
    await writeLedger(repository, [check(A, 20, 'damaged'), check(B, 20, 'damaged', 'tables'), check(C, 5)]);
    const ledger = await loadLedger(await reopen(backend));
    expect(ledger.get(A)).toEqual({ checkedAt: 30, result: 'good', detail: 'data' });
    expect(ledger.get(B)).toEqual({ checkedAt: 20, result: 'damaged', detail: 'tables' });
    expect(ledger.get(C)).toEqual({ checkedAt: 5, result: 'good', detail: 'data' });
    expect(ledger.current.size).toBe(2);
  });

  test.each([[['good', 'damaged'] as const], [['damaged', 'good'] as const]])('takes the worse of two checks of one moment: %j', async results => {
    const { repository } = await sample();
    for (const result of results) await writeLedger(repository, [check(A, 30, result)]);
    expect((await loadLedger(repository)).get(A)!.result).toBe('damaged');
  });

  test('takes no check for younger than the object that says it: a clock that was ahead hides nothing', async () => {
    const { repository } = await sample();
    const storedAt = Date.now();
    await writeLedger(repository, [check(A, storedAt + 10 ** 9, 'good')]);
    expect((await loadLedger(repository)).get(A)!.checkedAt).toBeLessThanOrEqual(storedAt + 60_000);
  });

  test('leaves out an object that is damaged, or of a newer version, and says which', async () => {
    const { backend, repository } = await sample();
    await writeLedger(repository, [check(A, 1)]);
    const [damaged, newer] = ['aa', 'bb'].map(digits => ledgerName(parseLedgerId(digits.repeat(16)))) as [string, string];
    await backend.create(damaged, [new Uint8Array(100)]);
    const body = encodeLedger([], [check(B, 1)]);
    body[0] = 2;
    await backend.create(newer, [repository.objects.seal(newer, OBJECT_TYPES.ledger, body)]);
    const left: string[] = [];
    const ledger = await loadLedger(repository, { onDamagedObject: name => { left.push(name); } });
    expect([ledger.get(A)?.checkedAt, ledger.get(B)]).toEqual([1, undefined]);
    expect(left.sort()).toEqual([damaged, newer]);
  });

  test('reads again when an object vanishes while it is read: another run has merged it', async () => {
    const { backend, repository } = await sample();
    await writeLedger(repository, [check(A, 1)]);
    const faulty = new FaultyBackend(backend, [{ verb: 'read', name: /^ledger/, effect: 'fail-before', code: 'OBJECT_NOT_FOUND' }]);
    expect((await loadLedger(await reopen(faulty))).get(A)?.checkedAt).toBe(1);
    faulty.assertAllHit();
  });
});

describe('a merge', () => {
  async function nineObjects(): Promise<{ backend: MemoryBackend; repository: OpenRepository }> {
    const { backend, repository } = await sample();
    for (let i = 1; i <= 9; i++) await writeLedger(repository, [check(A, i), check(B, 100 - i), ...i === 3 ? [check(C, 7)] : []]);
    return { backend, repository };
  }

  test('makes one object of more than eight, without the packs that are gone', async () => {
    const { backend, repository } = await nineObjects();
    expect(await mergeLedger(repository, id => id !== C)).toBe(true);
    expect(names(backend)).toHaveLength(1);
    const ledger = await loadLedger(await reopen(backend));
    expect([...ledger.records()].map(({ packId, checkedAt }) => [packId, checkedAt]).sort()).toEqual([[A, 9], [B, 99]]);
  });

  test('leaves eight objects as they are', async () => {
    const { backend, repository } = await nineObjects();
    await backend.remove(names(backend)[0]!);
    expect(await mergeLedger(repository, () => true)).toBe(false);
    expect(names(backend)).toHaveLength(8);
  });

  test('is not made where nothing can be removed', async () => {
    const { backend } = await nineObjects();
    expect(await mergeLedger(await reopen(withoutRemove(backend)), () => true)).toBe(false);
    expect(names(backend)).toHaveLength(9);
  });

  test('that cannot remove loses nothing, and is not made again and again', async () => {
    const { backend } = await nineObjects();
    const faulty = new FaultyBackend(backend, [{ verb: 'remove', effect: 'fail-before', code: 'DENIED' }]);
    const repository = await reopen(faulty);
    await expect(mergeLedger(repository, () => true)).rejects.toMatchObject({ code: 'DENIED' });
    expect(names(backend)).toHaveLength(10);
    const ledger = await loadLedger(repository);
    expect([ledger.get(A)?.checkedAt, ledger.get(C)?.checkedAt, ledger.current.size]).toEqual([9, 7, 1]);
    expect(await mergeLedger(repository, () => true)).toBe(false);
    // The next one cleans up.
    for (let i = 1; i <= 8; i++) await writeLedger(repository, [check(A, 20 + i)]);
    expect(await mergeLedger(repository, () => true)).toBe(true);
    expect(names(backend)).toHaveLength(1);
  });

  test('removes nothing when what it wrote does not come back', async () => {
    const { backend } = await nineObjects();
    const faulty = new FaultyBackend(backend, [{ verb: 'read', name: /^ledger/, after: 9, effect: 'flip' }]);
    await expect(mergeLedger(await reopen(faulty), () => true)).rejects.toMatchObject({ code: 'OBJECT_CORRUPT' });
    faulty.assertAllHit();
    expect(names(backend)).toHaveLength(10);
  });

  test('leaves damaged objects alone', async () => {
    const { backend, repository } = await nineObjects();
    const damaged = ledgerName(parseLedgerId('aa'.repeat(16)));
    await backend.create(damaged, [new Uint8Array(100)]);
    expect(await mergeLedger(repository, () => true)).toBe(true);
    expect(names(backend)).toContain(damaged);
    expect(names(backend)).toHaveLength(2);
  });
});
