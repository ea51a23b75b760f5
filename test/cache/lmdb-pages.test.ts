import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { hasWholeTrees } from '../../src/cache/lmdb-pages.ts';
import { makePack, makeSegment, REPOSITORY, temporaryFolder } from './cache-data.ts';

const PAGE = 4096;

interface Made {
  readonly folder: string;
  readonly data: string;
  readonly good: Buffer;
}

/** A closed cache with large and small values, free pages and trees of several levels; bytes to write over others. */
let bytes: Buffer;

async function fill(directory: string): Promise<string> {
  const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom, batchBytes: 20_000 });
  for (let i = 0; i < 12; i++) await cache.chunks.addSegment(makeSegment([makePack(400)]));
  for (let i = 0; i < 3000; i++) cache.files.put(systemRandom.bytes(32), systemRandom.bytes(i % 50 === 0 ? 9000 : 150));
  await cache.close();
  return join(directory, REPOSITORY, 'data.mdb');
}

async function makeCache(): Promise<Made & { directory: string }> {
  const directory = temporaryFolder();
  const folder = join(directory, REPOSITORY);
  const data = join(folder, 'data.mdb');
  bytes ??= readFileSync(await fill(directory));
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, 'state.json'), { force: true });
  writeFileSync(data, bytes);
  return { directory, folder, data, good: Buffer.from(bytes) };
}

/** Branches and leaves of both trees, some of an older state. */
function keyPages(good: Buffer): number[] {
  const pages: number[] = [];
  for (let page = 2; page < good.length / PAGE; page++) if ([1, 2].includes(good.readUInt16LE(page * PAGE + 18))) pages.push(page);
  return pages;
}

it('finds nothing wrong with a cache that LMDB wrote', async () => {
  const { folder } = await makeCache();
  expect(hasWholeTrees(folder)).toBe(true);
  const empty = temporaryFolder();
  await (await openLmdbCache({ directory: empty, repositoryId: REPOSITORY, random: systemRandom })).close();
  expect(hasWholeTrees(join(empty, REPOSITORY))).toBe(true);
  expect(hasWholeTrees(join(empty, 'nothing'))).toBe(false);
});

it.each<[string, (page: Buffer, others: Buffer[]) => void]>([
  ['zeros', page => page.fill(0)],
  ['noise', page => page.set(systemRandom.bytes(PAGE))],
  ['another page', (page, others) => page.set(others[systemRandom.below(others.length)]!)],
  ['places of nodes outside the page', page => page.writeUInt16LE(PAGE - 1, 24)],
  ['a free space that ends before it begins', page => page.writeUInt16LE(2, 22)],
  ['another kind of page', page => page.writeUInt16LE(4, 18)],
])('finds %s in place of a page with keys', async (_what, spoil) => {
  const { folder, data, good } = await makeCache();
  const pages = keyPages(good);
  expect(pages.length).toBeGreaterThan(100);
  const pageOf = (page: number): Buffer => good.subarray(page * PAGE, (page + 1) * PAGE);
  const file = openSync(data, 'r+');
  let found = 0;
  for (const page of pages) {
    const spoiled = Buffer.from(pageOf(page));
    spoil(spoiled, pages.filter(each => each !== page).map(pageOf));
    writeSync(file, spoiled, 0, PAGE, page * PAGE);
    if (!hasWholeTrees(folder)) found++;
    writeSync(file, pageOf(page), 0, PAGE, page * PAGE);
  }
  closeSync(file);
  // The others are free, or belong to the state before.
  expect(found).toBeGreaterThan(pages.length / 3);
});

it('finds a file that was cut off within what is used', async () => {
  const { folder, data, good } = await makeCache();
  for (const share of [0.2, 0.5, 0.8]) {
    writeFileSync(data, good.subarray(0, Math.floor(share * good.length)));
    expect(hasWholeTrees(folder)).toBe(false);
    writeFileSync(data, good);
  }
});

it('lets a cache begin anew whose pages are damaged, whatever the damage', async () => {
  for (const noise of [() => new Uint8Array(PAGE), () => systemRandom.bytes(PAGE)]) {
    const { directory, data, good } = await makeCache();
    for (const page of keyPages(good)) good.set(noise(), page * PAGE);
    writeFileSync(data, good);
    const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom });
    expect(cache.chunks.segments().size).toBe(0);
    await cache.chunks.addSegment(makeSegment([makePack(3)]));
    await cache.close();
  }
});

it('does not take a cache for damaged to which others are writing', async () => {
  const { directory } = await makeCache();
  const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom, batchBytes: 20_000 });
  for (let i = 0; i < 8; i++) {
    const other = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom, batchBytes: 20_000 });
    await Promise.all([other.chunks.addSegment(makeSegment([makePack(500)])), cache.chunks.addSegment(makeSegment([makePack(500)]))]);
    await other.close();
    expect(cache.chunks.segments().size).toBe(12 + 2 * (i + 1));
  }
  await cache.close();
});
