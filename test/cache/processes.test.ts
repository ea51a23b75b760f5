// Several processes on one cache, and processes that are killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { expect, it, onTestFinished } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import type { Cache } from '../../src/cache/cache.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import type { PackId, SegmentId } from '../../src/format/ids.ts';
import { builtModule } from './built.ts';
import { makePack, makeSegment, randomPackId, REPOSITORY, temporaryFolder } from './cache-data.ts';

/** Adds segments of one pack each; a line for each that is durable: segment, pack, its number, first and last chunk ID. */
const WRITER = `
import { randomBytes } from 'node:crypto';
const [module, directory, repositoryId, segments, chunks] = process.argv.slice(1);
const { openLmdbCache } = await import(module);
const cache = await openLmdbCache({ directory, repositoryId, random: { bytes: n => new Uint8Array(randomBytes(n)) }, batchBytes: 65536 });
const hex = n => randomBytes(n).toString('hex');
for (let i = 0; i < Number(segments); i++) {
  const ids = Array.from({ length: Number(chunks) }, () => randomBytes(32)).sort(Buffer.compare);
  const records = Buffer.alloc(48 * ids.length);
  ids.forEach((id, k) => records.set(id, 48 * k));
  const pack = { id: hex(16), sessionId: hex(16), type: 'data', suite: 1, epoch: 1, sizeBytes: 1, chunkCount: ids.length, frames: new Uint8Array(16) };
  const segment = { id: hex(16), supersedes: [], packs: [pack], chunks: records };
  cache.chunks.reservePack(hex(16));
  await cache.chunks.addSegment(segment);
  console.log(segment.id, pack.id, cache.chunks.packNumber(pack.id), ids[0].toString('hex'), ids.at(-1).toString('hex'));
}
await cache.close();
`;

interface Added {
  readonly segment: SegmentId;
  readonly pack: PackId;
  readonly number: number;
  readonly ids: readonly Uint8Array[];
}

function startWriter(directory: string, segments: number, chunks: number): { child: ChildProcess; added: Added[]; ended: Promise<unknown> } {
  const child = spawn(process.execPath, ['--input-type=module', '-e', WRITER, builtModule('lmdb-cache'), directory, REPOSITORY, String(segments), String(chunks)],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  onTestFinished(() => { child.kill('SIGKILL'); });
  const added: Added[] = [];
  createInterface({ input: child.stdout }).on('line', line => {
    const [segment, pack, number, ...ids] = line.split(' ');
    if (ids.length === 2) added.push({ segment: segment as SegmentId, pack: pack as PackId, number: Number(number), ids: ids.map(id => Buffer.from(id, 'hex')) });
  });
  return { child, added, ended: once(child, 'close') };
}

async function open(directory: string): Promise<Cache> {
  const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom, batchBytes: 65_536 });
  onTestFinished(() => cache.close());
  return cache;
}

function expectAll(cache: Cache, added: readonly Added[]): void {
  for (const { segment, pack, number, ids } of added) {
    expect(cache.chunks.segments().has(segment)).toBe(true);
    expect(cache.chunks.packNumber(pack)).toBe(number);
    cache.chunks.addUsable(number);
    for (const id of ids) expect(cache.chunks.find(id)?.pack).toBe(number);
  }
}

it('lets three processes add and merge at the same time', async () => {
  const directory = temporaryFolder();
  const cache = await open(directory);
  const writers = [startWriter(directory, 15, 2000), startWriter(directory, 15, 2000)];
  const own: Added[] = [];
  for (let i = 0; i < 15; i++) {
    const pack = makePack(100);
    const segment = makeSegment([pack]);
    await cache.chunks.addSegment(segment);
    own.push({ segment: segment.id, pack: pack.id, number: cache.chunks.packNumber(pack.id)!, ids: pack.chunks });
  }
  await Promise.all(writers.map(writer => writer.ended));
  const added = [...own, ...writers.flatMap(writer => writer.added)];
  expect(added.length).toBe(45);
  expect(new Set(added.map(each => each.number)).size).toBe(45);
  expectAll(cache, added);
  expectAll(await open(directory), added);
});

it('sees what another process added since it was opened', async () => {
  const directory = temporaryFolder();
  const cache = await open(directory);
  await cache.chunks.addSegment(makeSegment([makePack(10)]));
  expect(cache.chunks.segments().size).toBe(1);
  const { added, ended } = startWriter(directory, 12, 50);
  await ended;
  expect(cache.chunks.segments().size).toBe(13);
  expectAll(cache, added);
});

it('loses nothing that was durable, and gives no number twice, when processes are killed', async () => {
  const directory = temporaryFolder();
  const all: Added[] = [];
  for (let round = 0; round < 4; round++) {
    const { child, added, ended } = startWriter(directory, 1000, 3000);
    while (added.length < 5 + round) await once(child.stdout!, 'data');
    child.kill('SIGKILL');
    await ended;
    all.push(...added);
  }
  const cache = await open(directory);
  expectAll(cache, all);
  const reserved = Array.from({ length: 20 }, () => cache.chunks.reservePack(randomPackId()));
  const numbers = [...reserved, ...[...cache.chunks.packs()].map(pack => pack.number)];
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(cache.chunks.chunkCount()).toBe([...cache.chunks.packs()].reduce((sum, pack) => sum + pack.chunkCount, 0));
});
