// The view of the chunk index in real worker threads.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import type { Cache, IndexAccess } from '../../src/cache/cache.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { builtModule } from './built.ts';
import { makePack, makeSegment, randomChunkId, REPOSITORY, temporaryFolder, type MadePack } from './cache-data.ts';

const WORKER = `
const { parentPort, workerData } = require('node:worker_threads');
import(workerData.module).then(async ({ openKnownChunks }) => {
  const known = await openKnownChunks(workerData.access, workerData.type);
  parentPort.on('message', ({ ids, refresh }) => {
    if (refresh) known.refresh();
    parentPort.postMessage(ids.map(id => known.find(id)));
  });
  parentPort.postMessage('ready');
}, error => parentPort.postMessage(String(error)));
`;

interface View {
  ask(ids: readonly Uint8Array[], refresh?: boolean): Promise<number[]>;
}

async function startWorker(access: IndexAccess, type: 'data' | 'tree' = 'data'): Promise<View> {
  const worker = new Worker(WORKER, { eval: true, workerData: { module: builtModule('known-chunks'), access, type } });
  onTestFinished(async () => { await worker.terminate(); });
  expect(await once(worker, 'message')).toEqual(['ready']);
  return {
    ask: async (ids, refresh = true) => {
      const answered = once(worker, 'message');
      worker.postMessage({ ids, refresh });
      return (await answered)[0] as number[];
    },
  };
}

async function openNew(directory: string = temporaryFolder()): Promise<Cache> {
  const cache = await openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom });
  onTestFinished(() => cache.close());
  return cache;
}

async function add(cache: Cache, pack: MadePack): Promise<number> {
  await cache.chunks.addSegment(makeSegment([pack]));
  const number = cache.chunks.packNumber(pack.id)!;
  cache.chunks.addUsable(number);
  return number;
}

it('sees in several workers what the main thread added before and after they began', async () => {
  const cache = await openNew();
  const [before, after, tree] = [makePack(20), makePack(20), makePack(20, 'tree')];
  const numberBefore = await add(cache, before);
  const views = [await startWorker(cache.chunks.access()), await startWorker(cache.chunks.access())];
  const trees = await startWorker(cache.chunks.access(), 'tree');
  const [numberAfter, numberTree] = [await add(cache, after), await add(cache, tree)];
  const ids = [before.chunks[3]!, after.chunks[19]!, tree.chunks[0]!, randomChunkId()];
  for (const view of views) expect(await view.ask(ids)).toEqual([numberBefore, numberAfter, 0, 0]);
  expect(await trees.ask(ids)).toEqual([0, 0, numberTree, 0]);
});

it('sees a change of the usable packs without a refresh', async () => {
  const cache = await openNew();
  const packs = [makePack(1), makePack(1)];
  const numbers = [await add(cache, packs[0]!), await add(cache, packs[1]!)];
  const view = await startWorker(cache.chunks.access());
  const ids = packs.map(pack => pack.chunks[0]!);
  expect(await view.ask(ids)).toEqual(numbers);
  cache.chunks.setUsable([numbers[1]!]);
  expect(await view.ask(ids, false)).toEqual([0, numbers[1]]);
  cache.chunks.addUsable(numbers[0]!);
  expect(await view.ask(ids, false)).toEqual(numbers);
});

it('loses nothing while the main thread adds segments and merges runs', async () => {
  const cache = await openNew();
  const view = await startWorker(cache.chunks.access());
  const ids: Uint8Array[] = [];
  const numbers: number[] = [];
  for (let i = 0; i < 60; i++) {
    const pack = makePack(50);
    const adding = add(cache, pack);
    // A view may forget for the moment of a change; a second look after it is right.
    const during = await view.ask(ids);
    if (during.some((number, k) => number !== numbers[k])) expect(await view.ask(ids)).toEqual(numbers);
    const number = await adding;
    ids.push(pack.chunks[0]!, pack.chunks[49]!);
    numbers.push(number, number);
    expect(await view.ask(ids)).toEqual(numbers);
  }
});

it('goes on when the set of usable packs outgrows its memory', async () => {
  const cache = await openNew();
  const pack = makePack(1);
  const number = await add(cache, pack);
  const view = await startWorker(cache.chunks.access());
  cache.chunks.addUsable(40_000_000);
  expect(await view.ask(pack.chunks)).toEqual([number]);
  const late = makePack(1);
  const lateNumber = await add(cache, late);
  expect(await view.ask(late.chunks)).toEqual([lateNumber]);
  cache.chunks.setUsable([]);
  expect(await view.ask([...pack.chunks, ...late.chunks])).toEqual([0, 0]);
});

it('still finds everything after another process merged the runs away', async () => {
  const directory = temporaryFolder();
  const [cache, other] = [await openNew(directory), await openNew(directory)];
  const packs = Array.from({ length: 8 }, () => makePack(200));
  const numbers: number[] = [];
  for (const pack of packs) numbers.push(await add(cache, pack));
  const view = await startWorker(cache.chunks.access());
  const ids = packs.map(pack => pack.chunks[7]!);
  expect(await view.ask(ids)).toEqual(numbers);
  for (let i = 0; i < 10; i++) await add(other, makePack(200));
  expect(await view.ask(ids)).toEqual(numbers);
  expect(ids.map(id => cache.chunks.find(id)?.pack)).toEqual(numbers);
  expect(await view.ask(ids)).toEqual(numbers);
});
