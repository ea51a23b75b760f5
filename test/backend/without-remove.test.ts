import { expect, test } from 'vitest';
import { systemClock } from '../../src/base/ambient.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { backendConformance, codeOf } from '../conformance/backend.ts';

backendConformance('withoutRemove', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  return { open: async () => withoutRemove(memory), dispose: async () => undefined };
}, { createIfAbsent: 'atomic', canRemove: false, clockToleranceMs: 10_000 });

test('the fallback for missing create-only calls stays declared', () =>
  expect(withoutRemove(new MemoryBackend({ clock: systemClock, createIfAbsent: 'none' })).capabilities).toEqual({ createIfAbsent: 'none', canRemove: false }));
test('remove of an absent object is refused too', async () =>
  expect(await codeOf(withoutRemove(new MemoryBackend({ clock: systemClock })).remove('index/0'))).toBe('DENIED'));
