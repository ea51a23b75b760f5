import { beforeEach, describe, expect, test } from 'vitest';
import { systemClock, systemRandom } from '../../src/base/ambient.ts';
import { type Bytes, utf8 } from '../../src/base/bytes.ts';
import { SnapError, type SnapErrorCode } from '../../src/base/errors.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import { type RetryEvent, RetryingBackend, type RetryingOptions } from '../../src/backend/retrying.ts';
import { backendConformance, codeOf, listedNames } from '../conformance/backend.ts';
import { FaultyBackend, type FaultVerb } from '../support/faulty-backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { TestClock } from '../support/test-clock.ts';

backendConformance('RetryingBackend', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  return {
    open: async () => new RetryingBackend(memory, { clock: systemClock, random: systemRandom }),
    dispose: async () => undefined,
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

backendConformance('RetryingBackend over a storage that fails every call once', async () => {
  const memory = new MemoryBackend({ clock: systemClock });
  const verbs: readonly FaultVerb[] = ['read', 'stat', 'list', 'create', 'createIfAbsent', 'remove'];
  const clock = new TestClock({ runsByItself: true });
  return {
    open: async () => {
      const faulty = new FaultyBackend(memory, verbs.map(verb => ({ verb, effect: 'fail-before' })));
      return new RetryingBackend(faulty, { clock, random: new SeededRandom(1) });
    },
    dispose: async () => undefined,
  };
}, { createIfAbsent: 'atomic', canRemove: true, clockToleranceMs: 10_000 });

describe('RetryingBackend', () => {
  let clock: TestClock;
  let memory: MemoryBackend;
  let faulty: FaultyBackend;
  let events: RetryEvent[];
  let backend: RetryingBackend;
  const make = (options: Partial<RetryingOptions> = {}): RetryingBackend =>
    new RetryingBackend(faulty, { clock, random: new SeededRandom(7), onRetry: event => events.push(event), ...options });

  beforeEach(async () => {
    clock = new TestClock({ runsByItself: true });
    memory = new MemoryBackend({ clock });
    await memory.create('index/old', [utf8('old')]);
    faulty = new FaultyBackend(memory);
    events = [];
    backend = make();
  });

  const calls: Record<FaultVerb, () => Promise<unknown>> = {
    read: () => backend.read('index/old'),
    stat: () => backend.stat('index/old'),
    list: () => listedNames(backend, 'index/'),
    create: () => backend.create('index/new', [utf8('new')]),
    createIfAbsent: () => backend.createIfAbsent('index/new', utf8('new')),
    remove: () => backend.remove('index/old'),
  };
  const verbs = Object.keys(calls) as FaultVerb[];

  test.each(verbs)('repeats %s until it works', async verb => {
    faulty.plan({ verb, effect: 'fail-before', times: 3 });
    await calls[verb]();
    faulty.assertAllHit();
    expect(events.map(({ operation, attempt }) => [operation, attempt])).toEqual([[verb, 1], [verb, 2], [verb, 3]]);
    expect(events[0]!.error.code).toBe('UNAVAILABLE');
  });

  const finalCodes: SnapErrorCode[] = ['OBJECT_NOT_FOUND', 'DENIED', 'NO_SPACE', 'INVALID_RANGE', 'CANCELLED', 'INTERNAL'];
  test.each(verbs.flatMap(verb => finalCodes.map(code => [verb, code] as const)))('does not repeat %s after %s', async (verb, code) => {
    faulty.plan({ verb, effect: 'fail-before', code });
    expect(await codeOf(calls[verb]())).toBe(code);
    expect(events).toEqual([]);
  });

  test('pauses twice as long each time up to the maximum, the second half by chance', async () => {
    faulty.plan({ verb: 'read', effect: 'fail-before', times: 8 });
    await make({ firstDelayMs: 100, maxDelayMs: 2000 }).read('index/old');
    const full = [100, 200, 400, 800, 1600, 2000, 2000, 2000];
    expect(clock.sleeps).toHaveLength(8);
    for (const [i, pause] of clock.sleeps.entries()) {
      expect(pause).toBeGreaterThanOrEqual(full[i]! / 2);
      expect(pause).toBeLessThanOrEqual(full[i]!);
    }
    expect(new Set(clock.sleeps.slice(5)).size).toBeGreaterThan(1);
  });

  test('gives up with the last error when the time is over', async () => {
    faulty.plan({ verb: 'stat', effect: 'fail-before', times: 1_000_000 });
    expect(await codeOf(make({ giveUpAfterMs: 60_000 }).stat('index/old'))).toBe('UNAVAILABLE');
    expect(clock.monotonic()).toBeLessThanOrEqual(60_000);
    expect(clock.monotonic()).toBeGreaterThan(20_000);
  });

  test('an abort ends the pause at once', async () => {
    const still = new TestClock();
    faulty.plan({ verb: 'read', effect: 'fail-before' });
    const controller = new AbortController();
    const call = codeOf(make({ clock: still }).read('index/old', undefined, { signal: controller.signal }));
    await new Promise(resolve => { setImmediate(resolve); });
    expect(still.sleeps).toHaveLength(1);
    controller.abort();
    expect(await call).toBe('CANCELLED');
  });

  test('create that meets its own object after a lost answer succeeds', async () => {
    faulty.plan({ verb: 'create', effect: 'fail-after' });
    await backend.create('index/new', [utf8('ne'), utf8('w')]);
    faulty.assertAllHit();
    expect(await memory.read('index/new')).toEqual(utf8('new'));
  });

  test('create whose own object was removed by others before it could be compared succeeds', async () => {
    faulty.plan({ verb: 'create', effect: 'fail-after' });
    faulty.plan({ verb: 'stat', effect: 'fail-before', code: 'OBJECT_NOT_FOUND' });
    await backend.create('index/new', [utf8('new')]);
    faulty.assertAllHit();
  });

  test('create that meets an object of another size fails, also after a failed try', async () => {
    faulty.plan({ verb: 'create', effect: 'fail-before' });
    expect(await codeOf(backend.create('index/old', [utf8('longer')]))).toBe('DENIED');
    expect(events).toHaveLength(1);
  });

  test('create that meets an object at its first try fails, also when the size is the same', async () => {
    expect(await codeOf(backend.create('index/old', [utf8('new')]))).toBe('DENIED');
  });

  test('createIfAbsent that meets an object after a try of unknown effect is left to the caller', async () => {
    faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
    const error: unknown = await backend.createIfAbsent('gc/1', utf8('plan')).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', context: { effectUnknown: 1 } });
    expect(await memory.read('gc/1')).toEqual(utf8('plan'));
    expect(events).toHaveLength(1);
  });

  test('createIfAbsent that comes through after a try of unknown effect has created', async () => {
    let tries = 0;
    const losesFirst: Backend = Object.assign(Object.create(memory) as MemoryBackend, {
      createIfAbsent: async (name: string, bytes: Bytes) => {
        if (tries++ > 0) return memory.createIfAbsent(name, bytes);
        throw new SnapError('UNAVAILABLE', 'lost on the way', { context: { effectUnknown: 1 } });
      },
    });
    const patient = new RetryingBackend(losesFirst, { clock, random: new SeededRandom(7) });
    expect(await patient.createIfAbsent('gc/1', utf8('plan'))).toBe('created');
    expect(tries).toBe(2);
    expect(await memory.read('gc/1')).toEqual(utf8('plan'));
  });

  test('createIfAbsent that is refused after a try of unknown effect stays unknown', async () => {
    faulty.plan({ verb: 'createIfAbsent', effect: 'fail-after' });
    faulty.plan({ verb: 'createIfAbsent', effect: 'fail-before', code: 'DENIED', after: 1 });
    const error: unknown = await backend.createIfAbsent('gc/1', utf8('plan')).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'UNAVAILABLE', context: { effectUnknown: 1 } });
    faulty.assertAllHit();
  });

  test('remove with an unknown effect is repeated', async () => {
    faulty.plan({ verb: 'remove', effect: 'fail-after' });
    await backend.remove('index/old');
    expect(await listedNames(memory)).toEqual([]);
  });

  test('a list that breaks off goes on without giving a name twice', async () => {
    for (let i = 0; i < 5; i++) await memory.create(`index/${i}`, [utf8('x')]);
    faulty.plan({ verb: 'list', effect: 'fail-after', times: 2 });
    const names = await listedNames(backend, 'index/');
    expect(names).toEqual(['index/0', 'index/1', 'index/2', 'index/3', 'index/4', 'index/old']);
    expect(events.map(({ operation, name, attempt }) => [operation, name, attempt])).toEqual([['list', 'index/', 1], ['list', 'index/', 2]]);
  });
});
