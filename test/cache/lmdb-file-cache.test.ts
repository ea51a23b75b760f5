import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { LmdbFileCache } from '../../src/cache/lmdb-file-cache.ts';
import { bytesKey, KEY_SPACE, numberKey } from '../../src/cache/lmdb-keys.ts';
import { LmdbStore } from '../../src/cache/lmdb-store.ts';
import { temporaryFolder, testClock, type TestClock } from './cache-data.ts';

const DAY_MS = 86_400_000;

interface Opened {
  readonly store: LmdbStore;
  readonly clock: TestClock;
  /** A session of its own on that day. */
  readonly at: (day: number, work: (files: LmdbFileCache) => void) => Promise<void>;
  /** First bytes of the keys of all records. */
  readonly stored: () => number[];
}

async function openNew(maxBytes?: number): Promise<Opened> {
  const store = await LmdbStore.open(join(temporaryFolder(), 'store'), 'write');
  onTestFinished(() => store.close());
  const clock = testClock();
  const at = async (day: number, work: (files: LmdbFileCache) => void): Promise<void> => {
    clock.nowMs = day * DAY_MS;
    const files = new LmdbFileCache(store, clock, maxBytes);
    work(files);
    await files.flush();
    files.tidy();
  };
  return { store, clock, at, stored: () => [...store.keys(numberKey(KEY_SPACE.file))].map(key => key[1]!) };
}

const key = (number: number): Uint8Array => new Uint8Array(32).fill(number);
const record = (sizeBytes = 10): Uint8Array => new Uint8Array(sizeBytes).fill(7);

it('forgets records that were not used for a hundred days', async () => {
  const { at, stored } = await openNew();
  await at(1000, files => { for (const i of [1, 2, 3]) files.put(key(i), record()); });
  await at(1050, files => {
    files.put(key(9), record());
    expect(files.get(key(2))).toEqual(record());
  });
  await at(1101, files => files.put(key(3), record()));
  expect(stored()).toEqual([2, 3, 9]);
});

it('forgets the longest unused records when there are too many, but none of today', async () => {
  const { at, stored } = await openNew(3000);
  for (let i = 0; i < 3; i++) await at(1000 + 10 * i, files => files.put(key(i), record(1000)));
  expect(stored()).toEqual([1, 2]);
  await at(1100, files => { for (let i = 10; i < 15; i++) files.put(key(i), record(1000)); });
  expect(stored()).toEqual([10, 11, 12, 13, 14]);
});

it('looks for such records once a week, and only in a session that stored something', async () => {
  const { at, stored } = await openNew();
  await at(1000, files => files.put(key(1), record()));
  await at(1099, files => files.put(key(2), record()));
  await at(1105, files => files.put(key(3), record()));
  await at(1200, files => { files.get(key(9)); });
  expect(stored()).toEqual([1, 2, 3]);
  await at(1201, files => files.put(key(4), record()));
  expect(stored()).toEqual([3, 4]);
});

it('removes any number of records', async () => {
  const { at, stored } = await openNew();
  const numbered = (i: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => (at < 2 ? (i >> (8 * (1 - at))) & 255 : 0));
  await at(1000, files => { for (let i = 0; i < 20_000; i++) files.put(numbered(i), record(1)); });
  await at(1150, files => { for (let i = 0; i < 20_000; i += 1000) files.get(numbered(i)); });
  expect(stored()).toHaveLength(20);
});

it('does not believe a record that was damaged or put in the place of another one', async () => {
  const { store, at } = await openNew();
  await at(1000, files => { for (const i of [1, 2, 3]) files.put(key(i), record(200)); });
  const bytes = store.get(bytesKey(KEY_SPACE.file, key(1)))!;
  store.write(() => store.put(bytesKey(KEY_SPACE.file, key(2)), bytes));
  bytes[100]! ^= 4;
  store.write(() => {
    store.put(bytesKey(KEY_SPACE.file, key(1)), bytes);
    store.put(bytesKey(KEY_SPACE.file, key(4)), new Uint8Array(3));
  });
  await at(1001, files => expect([1, 2, 3, 4].map(i => files.get(key(i)))).toEqual([undefined, undefined, record(200), undefined]));
});
