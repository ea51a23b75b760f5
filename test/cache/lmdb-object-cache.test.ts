import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { LmdbObjectCache } from '../../src/cache/lmdb-object-cache.ts';
import { LmdbStore } from '../../src/cache/lmdb-store.ts';
import { temporaryFolder, testClock, type TestClock } from './cache-data.ts';

const HOUR_MS = 3_600_000;

async function openNew(maxBytes: number): Promise<{ store: LmdbStore; clock: TestClock; objects: LmdbObjectCache }> {
  const store = await LmdbStore.open(join(temporaryFolder(), 'store'), 'write');
  onTestFinished(() => store.close());
  const clock = testClock();
  return { store, clock, objects: new LmdbObjectCache(store, clock, maxBytes) };
}

const namesIn = (objects: LmdbObjectCache, ...names: string[]): string[] => names.filter(name => objects.get(name) !== undefined);

function putAt(objects: LmdbObjectCache, clock: TestClock, hour: number, name: string, sizeBytes = 100): void {
  clock.nowMs = hour * HOUR_MS;
  objects.put(name, new Uint8Array(sizeBytes));
  objects.flush();
}

it('removes the longest unused copies when it is full, down to nine tenths', async () => {
  const { clock, objects } = await openNew(1000);
  for (let i = 0; i < 10; i++) putAt(objects, clock, 10 + i, `object ${i}`);
  putAt(objects, clock, 30, 'newest');
  expect(namesIn(objects, 'object 0', 'object 1', 'object 2', 'object 9', 'newest')).toEqual(['object 2', 'object 9', 'newest']);
});

it('counts reading as use', async () => {
  const { clock, objects } = await openNew(1000);
  for (let i = 0; i < 10; i++) putAt(objects, clock, 10 + i, `object ${i}`);
  clock.nowMs = 25 * HOUR_MS;
  objects.get('object 0');
  putAt(objects, clock, 30, 'newest');
  expect(namesIn(objects, 'object 0', 'object 1', 'object 2', 'object 3', 'newest')).toEqual(['object 0', 'object 3', 'newest']);
});

it('counts a replaced copy once', async () => {
  const { clock, objects } = await openNew(1000);
  putAt(objects, clock, 1, 'other');
  for (let i = 0; i < 20; i++) putAt(objects, clock, 2, 'same', 500);
  expect(namesIn(objects, 'other', 'same')).toEqual(['other', 'same']);
});

it('knows its size after it was opened again', async () => {
  const { store, clock, objects } = await openNew(1000);
  for (let i = 0; i < 10; i++) putAt(objects, clock, 10 + i, `object ${i}`);
  putAt(new LmdbObjectCache(store, clock, 1000), clock, 30, 'newest');
  expect(namesIn(objects, 'object 0', 'object 1', 'object 2')).toEqual(['object 2']);
});

it('forgets a deleted copy that was not stored yet', async () => {
  const { objects } = await openNew(1000);
  objects.put('a', new Uint8Array(1));
  objects.delete('a');
  objects.flush();
  expect(objects.get('a')).toBeUndefined();
});

it('refuses names that are empty or longer than 512 bytes', async () => {
  const { objects } = await openNew(1000);
  for (const name of ['', 'x'.repeat(513)]) {
    expect(() => objects.put(name, new Uint8Array(1))).toThrow(RangeError);
    expect(() => objects.get(name)).toThrow(RangeError);
  }
});
