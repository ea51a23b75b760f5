import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { cacheDirectory, cacheFolderFor, listCaches, removeCache } from '../../src/cache/cache-directory.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { OTHER_REPOSITORY, REPOSITORY, temporaryFolder } from './cache-data.ts';

it.each([
  [{ explicit: '/x/caches', xdgCacheHome: '/y' }, 'linux', '/x/caches'],
  [{ explicit: '', xdgCacheHome: '/y' }, 'linux', '/y/snap'],
  [{ xdgCacheHome: 'relative' }, 'linux', '/home/me/.cache/snap'],
  [{}, 'linux', '/home/me/.cache/snap'],
  [{}, 'darwin', '/home/me/Library/Caches/snap'],
  [{ localAppData: '/local' }, 'win32', '/local/snap/cache'],
])('with %j on %s the caches lie in %s', (values, platform, expected) => {
  expect(cacheDirectory({ ...values, home: '/home/me', platform })).toBe(expected);
});

it('lists caches by repository, with size and time, and nothing else', async () => {
  const directory = temporaryFolder();
  expect(listCaches(join(directory, 'absent'))).toEqual([]);
  for (const repositoryId of [OTHER_REPOSITORY, REPOSITORY]) await (await openLmdbCache({ directory, repositoryId, random: systemRandom })).close();
  mkdirSync(join(directory, 'something else'));
  const caches = listCaches(directory);
  expect(caches.map(cache => cache.repositoryId)).toEqual([REPOSITORY, OTHER_REPOSITORY]);
  expect(caches[0]!.location).toBe(join(directory, REPOSITORY));
  expect(caches[0]!.sizeBytes).toBeGreaterThan(4096);
  expect(Math.abs(caches[0]!.changedAt - Date.now())).toBeLessThan(60_000);
});

it('removes the cache of one repository and leaves the others', async () => {
  const directory = temporaryFolder();
  for (const repositoryId of [OTHER_REPOSITORY, REPOSITORY]) await (await openLmdbCache({ directory, repositoryId, random: systemRandom })).close();
  removeCache(directory, REPOSITORY);
  removeCache(directory, REPOSITORY);
  expect(listCaches(directory).map(cache => cache.repositoryId)).toEqual([OTHER_REPOSITORY]);
});

it('reports a directory that cannot be read as denied', () => {
  const file = join(temporaryFolder(), 'file');
  writeFileSync(file, '');
  expect(() => listCaches(file)).toThrow(expect.objectContaining({ code: 'DENIED' }));
});

it('tags the directory as a cache and lets nobody else look into it', async () => {
  const directory = join(temporaryFolder(), 'new', 'caches');
  const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom });
  const { location } = cache.describe();
  cache.chunks.reservePack('12'.repeat(16) as never);
  const modeOf = (...names: string[]): number => statSync(join(...names)).mode & 0o777;
  expect(readFileSync(join(directory, 'CACHEDIR.TAG'), 'utf8')).toMatch(/^Signature: 8a477f597d28d172789f06886806bc55\n/);
  expect([modeOf(directory), modeOf(location)]).toEqual([0o700, 0o700]);
  for (const file of ['data.mdb', 'lock.mdb', 'state.json']) expect([file, modeOf(location, file)]).toEqual([file, 0o600]);
  expect(existsSync(join(location, 'CACHEDIR.TAG'))).toBe(false);
  await cache.close();
});

it('copies of a repository that share its ID have caches of their own; the first one that is met has the plain name', () => {
  const directory = temporaryFolder();
  const [source, copy] = [new Uint8Array([1]), new Uint8Array([2])];
  const name = (config: Uint8Array): string => cacheFolderFor(directory, REPOSITORY, config).folderName;
  expect(name(source)).toBe(REPOSITORY);
  expect(name(copy)).toMatch(new RegExp(`^${REPOSITORY}\\.[0-9a-f]{16}$`));
  expect([name(source), name(copy)]).toEqual([name(source), name(copy)]);
  mkdirSync(join(directory, name(copy)));
  expect(listCaches(directory).map(({ repositoryId }) => repositoryId)).toEqual([REPOSITORY, REPOSITORY]);
  removeCache(directory, REPOSITORY, copy);
  expect(listCaches(directory)).toHaveLength(1);
});
