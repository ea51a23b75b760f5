import { describe, expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { backendConformance, listedNames } from '../conformance/backend.ts';
import { TestClock } from '../support/test-clock.ts';

for (const createIfAbsent of ['atomic', 'none'] as const) {
  backendConformance(`MemoryBackend declaring ${createIfAbsent}`, async () => {
    const backend = new MemoryBackend({ clock: systemClock, createIfAbsent });
    return { open: async () => backend, dispose: async () => undefined };
  }, { createIfAbsent, canRemove: true, clockToleranceMs: 10_000 });
}

describe('MemoryBackend', () => {
  test('takes the time of storage from its clock', async () => {
    const clock = new TestClock({ startAt: 1_000_000 });
    const backend = new MemoryBackend({ clock });
    await backend.create('a', [utf8('x')]);
    clock.advance(500);
    await backend.create('b', [utf8('x')]);
    expect([(await backend.stat('a')).storedAt, (await backend.stat('b')).storedAt]).toEqual([1_000_000, 1_000_500]);
  });
  test('a state is a value: neither the old nor the new backend changes it', async () => {
    const clock = new TestClock();
    const backend = new MemoryBackend({ clock });
    await backend.create('a', [utf8('one')]);
    const state = backend.snapshotState();
    await backend.create('b', [utf8('two')]);
    await backend.remove('a');
    const replay = MemoryBackend.fromState(state, { clock });
    expect(await listedNames(replay)).toEqual(['a']);
    expect(await replay.read('a')).toEqual(utf8('one'));
    await replay.remove('a');
    expect(await listedNames(MemoryBackend.fromState(state, { clock }))).toEqual(['a']);
  });
  test('create does not take the same bytes twice under one name', async () => {
    const backend = new MemoryBackend({ clock: new TestClock() });
    await backend.create('a', [utf8('x')]);
    await expect(backend.create('a', [utf8('x')])).rejects.toMatchObject({ code: 'DENIED', context: { exists: 1 } });
  });
});
