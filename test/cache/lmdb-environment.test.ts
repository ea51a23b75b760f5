// When a cache is trusted, and when it is wiped and begun anew (repository design, section 18.4).
import { cpSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { removeCache } from '../../src/cache/cache-directory.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { metaKey } from '../../src/cache/lmdb-keys.ts';
import { LmdbStore } from '../../src/cache/lmdb-store.ts';
import { makePack, makeSegment, OTHER_REPOSITORY, randomPackId, REPOSITORY, temporaryFolder } from './cache-data.ts';

const open = (directory: string, repositoryId = REPOSITORY): Promise<Cache> => openLmdbCache({ directory, repositoryId, random: systemRandom });

/** A closed cache with one segment, one directory record and host memory. */
async function makeCache(): Promise<{ directory: string; folder: string }> {
  const directory = temporaryFolder();
  const cache = await open(directory);
  cache.chunks.reservePack(randomPackId());
  await cache.chunks.addSegment(makeSegment([makePack(2000)]));
  cache.files.put(new Uint8Array(32), new Uint8Array(10));
  await cache.remember({ highestGc: 7, highestKeyring: 2, lastSnapshot: 'ab' });
  await cache.close();
  return { directory, folder: join(directory, REPOSITORY) };
}

async function look(directory: string): Promise<{ isKept: boolean; highestGc: number }> {
  const cache = await open(directory);
  const isKept = cache.chunks.segments().size === 1 && cache.files.get(new Uint8Array(32)) !== undefined;
  const { highestGc } = cache.memory();
  if (!isKept) expect([cache.chunks.segments().size, [...cache.chunks.packs()].length, cache.chunks.chunkCount()]).toEqual([0, 0, 0]);
  await cache.chunks.addSegment(makeSegment([makePack(3)]));
  await cache.close();
  return { isKept, highestGc };
}

async function changeStore(folder: string, change: (store: LmdbStore) => void): Promise<void> {
  const store = await LmdbStore.open(folder, 'write');
  store.write(() => change(store));
  await store.close();
}

it('keeps a cache that was closed', async () => {
  const { directory } = await makeCache();
  expect(await look(directory)).toEqual({ isKept: true, highestGc: 7 });
});

it('keeps a cache that was never closed', async () => {
  const { directory } = await makeCache();
  const cache = await open(directory);
  cache.chunks.reservePack(randomPackId());
  expect(await look(directory)).toEqual({ isKept: true, highestGc: 7 });
  await cache.close();
});

it('keeps a cache whose state file is missing or was never written to its end', async () => {
  for (const spoil of [(path: string) => rmSync(path), (path: string) => writeFileSync(path, '')]) {
    const { directory, folder } = await makeCache();
    spoil(join(folder, 'state.json'));
    expect((await look(directory)).isKept).toBe(true);
  }
});

it('wipes a cache of another format and keeps what the host has seen', async () => {
  const { directory, folder } = await makeCache();
  await changeStore(folder, store => store.put(metaKey('format'), Uint8Array.of(0, 0, 0, 99)));
  expect(await look(directory)).toEqual({ isKept: false, highestGc: 7 });
});

it('wipes a cache with a dirty marker and keeps what the host has seen', async () => {
  const { directory, folder } = await makeCache();
  await changeStore(folder, store => store.put(metaKey('dirty'), new Uint8Array(1)));
  expect(await look(directory)).toEqual({ isKept: false, highestGc: 7 });
});

it('wipes the cache of another repository with all it has seen', async () => {
  const { directory, folder } = await makeCache();
  renameSync(folder, join(directory, OTHER_REPOSITORY));
  const cache = await open(directory, OTHER_REPOSITORY);
  expect([cache.chunks.segments().size, cache.memory().highestGc]).toEqual([0, 0]);
  await cache.close();
});

it('wipes a cache whose LMDB file came from elsewhere', async () => {
  const [{ directory, folder }, other] = [await makeCache(), await makeCache()];
  cpSync(join(other.folder, 'data.mdb'), join(folder, 'data.mdb'));
  expect((await look(directory)).isKept).toBe(false);
});

it('wipes a database of another program', async () => {
  const directory = temporaryFolder();
  await (await open(directory)).close();
  const folder = join(directory, REPOSITORY);
  for (const file of ['data.mdb', 'lock.mdb', 'state.json']) rmSync(join(folder, file));
  await changeStore(folder, store => store.put(Uint8Array.of(77), Uint8Array.of(1)));
  await (await open(directory)).close();
  const store = await LmdbStore.open(folder, 'write');
  expect(store.get(Uint8Array.of(77))).toBeUndefined();
  await store.close();
});

it('wipes a cache whose LMDB file was put back to an older state', async () => {
  const { directory, folder } = await makeCache();
  cpSync(join(folder, 'data.mdb'), join(folder, 'old'));
  const cache = await open(directory);
  for (let i = 0; i < 1500; i++) cache.chunks.reservePack(randomPackId());
  await cache.close();
  renameSync(join(folder, 'old'), join(folder, 'data.mdb'));
  expect((await look(directory)).isKept).toBe(false);
});

it.each([0.999, 0.5, 0.01])('wipes a cache whose LMDB file was cut off at %d of its length', async share => {
  const { directory, folder } = await makeCache();
  const path = join(folder, 'data.mdb');
  truncateSync(path, Math.floor(share * statSync(path).size));
  expect((await look(directory)).isKept).toBe(false);
});

it.each([
  ['begins with zeros', (bytes: Buffer) => bytes.fill(0, 0, 8192)],
  ['begins with noise', (bytes: Buffer) => bytes.set(systemRandom.bytes(8192), 0)],
  ['has a damaged second meta page', (bytes: Buffer) => bytes.fill(0, 4096, 8192)],
])('wipes a cache whose LMDB file %s', async (_what, spoil) => {
  const { directory, folder } = await makeCache();
  const path = join(folder, 'data.mdb');
  const bytes = readFileSync(path);
  spoil(bytes);
  writeFileSync(path, bytes);
  expect((await look(directory)).isKept).toBe(false);
});

it.each(['{', '[]', 'null', '{"generation":1}', '{"generation":"x","reservations":0,"sizeBytes":"9"}'])('wipes a cache with the state file %s', async text => {
  const { directory, folder } = await makeCache();
  writeFileSync(join(folder, 'state.json'), text);
  expect((await look(directory)).isKept).toBe(false);
});

it('begins anew after the folder was removed', async () => {
  const { directory } = await makeCache();
  removeCache(directory, REPOSITORY);
  expect(await look(directory)).toEqual({ isKept: false, highestGc: 0 });
});

it('goes on with its own copy when another process removes the folder, and refuses views of the new one', async () => {
  const { directory } = await makeCache();
  const cache = await open(directory);
  const access = cache.chunks.access();
  removeCache(directory, REPOSITORY);
  const successor = await open(directory);
  await expect(openKnownChunks(access)).rejects.toMatchObject({ code: 'CACHE_BUSY' });
  await cache.chunks.addSegment(makeSegment([makePack(3)]));
  expect([cache.chunks.segments().size, successor.chunks.segments().size]).toEqual([2, 0]);
  await successor.close();
  await cache.close();
});

it('reports a folder that cannot be made as denied', async () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  await expect(open(file)).rejects.toMatchObject({ code: 'DENIED' });
});

it('sets the dirty marker before segments are dropped and clears it with them', async () => {
  const { directory } = await makeCache();
  const cache = await open(directory);
  const writes: boolean[] = [];
  const original = LmdbStore.prototype.write;
  LmdbStore.prototype.write = function write<Result>(this: LmdbStore, change: () => Result): Result {
    const result = original.call(this, change) as Result;
    writes.push(this.peek(metaKey('dirty')) !== undefined);
    return result;
  };
  try {
    await cache.chunks.dropSegments([...cache.chunks.segments()]);
  } finally {
    LmdbStore.prototype.write = original;
  }
  expect(writes.slice(0, 2)).toEqual([true, false]);
  expect(writes.lastIndexOf(true)).toBe(0);
  await cache.close();
});
