import { beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { ThrottledBackend } from '../../src/backend/throttled.ts';
import { TransferLimits, type TransferRates } from '../../src/backend/transfer-limits.ts';
import { backendConformance, codeOf } from '../conformance/backend.ts';
import { TestClock } from '../support/test-clock.ts';

backendConformance('ThrottledBackend', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  const clock = new TestClock({ runsByItself: true });
  return {
    open: async () => new ThrottledBackend(memory, new TransferLimits(clock, () => ({ upload: 1000, download: 1000 }))),
    dispose: async () => undefined,
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('ThrottledBackend', () => {
  const KiB = 1024;
  const rate = 100 * KiB;
  let clock: TestClock;
  let memory: MemoryBackend;
  beforeEach(() => {
    clock = new TestClock({ runsByItself: true });
    memory = new MemoryBackend({ clock });
  });
  const make = (rates: TransferRates): ThrottledBackend => new ThrottledBackend(memory, new TransferLimits(clock, () => rates));
  const pack = new Uint8Array(200 * KiB);

  test('holds the rate of uploads over calls at once', async () => {
    const backend = make({ upload: rate });
    await Promise.all(Array.from({ length: 20 }, (_, i) => i % 2 === 0 ? backend.create(`a/${i}`, [pack]) : backend.createIfAbsent(`a/${i}`, pack)));
    // 20 packs of two seconds each; the first goes at once, and one second is the burst.
    expect(clock.monotonic()).toBeGreaterThanOrEqual(36_000);
    expect(clock.monotonic()).toBeLessThanOrEqual(40_000);
  });
  test('counts all parts of an object', async () => {
    const backend = make({ upload: rate });
    await backend.create('a', [pack, pack, pack]);
    await backend.create('b', [pack]);
    expect(clock.monotonic()).toBeCloseTo(5000, 0);
  });
  test('holds the rate of downloads, for ranges and for whole objects', async () => {
    await memory.create('a', [pack]);
    const backend = make({ download: rate });
    await Promise.all(Array.from({ length: 10 }, () => backend.read('a', { offset: 0, length: 100 * KiB })));
    expect(clock.monotonic()).toBeCloseTo(8000, 0);
    for (let i = 0; i < 5; i++) await backend.read('a');
    expect(clock.monotonic()).toBeCloseTo(17_000, 0);
  });
  test('a pause saves up one second and no more', async () => {
    const backend = make({ upload: rate });
    await backend.create('a', [pack]);
    clock.advance(3_600_000);
    const before = clock.monotonic();
    for (const name of ['b', 'c', 'd']) await backend.create(name, [pack]);
    expect(clock.monotonic() - before).toBeCloseTo(3000, 0);
  });
  test('limits neither the other direction nor calls without bytes', async () => {
    await memory.create('a', [pack]);
    const backend = make({ upload: 1 });
    for (let i = 0; i < 5; i++) await backend.read('a');
    await backend.stat('a');
    await backend.remove('a');
    expect(clock.sleeps).toEqual([]);
  });
  test('a heartbeat does not wait behind packs, but is charged', async () => {
    const backend = make({ upload: rate });
    const heartbeat = new Uint8Array(10 * KiB);
    await backend.create('a', [pack, pack]);
    await backend.createIfAbsent('sessions/1.hb1', heartbeat);
    expect(clock.monotonic()).toBe(0);
    await backend.create('b', [pack]);
    expect(clock.monotonic()).toBeCloseTo(3100, 0);
  });
  test('an abort ends the wait at once and costs the others nothing', async () => {
    const backend = make({ upload: rate });
    await backend.create('a', [pack]);
    const controller = new AbortController();
    const call = codeOf(backend.create('b', [new Uint8Array(10_000 * KiB)], { signal: controller.signal }));
    controller.abort();
    expect(await call).toBe('CANCELLED');
    await backend.create('c', [pack]);
    expect(clock.monotonic()).toBeLessThanOrEqual(1000);
  });
  test.each([0, -1, Number.NaN])('%d bytes per second is no rate', bytes =>
    expect(() => make({ upload: bytes })).toThrow(RangeError));
});
