// The chunk index in LMDB beyond its contract: merging, crashes in the middle of it, and agreement with its plain twin.
import fc from 'fast-check';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { systemRandom } from '../../src/base/ambient.ts';
import type { Cache, SegmentContent } from '../../src/cache/cache.ts';
import { openLmdbCache } from '../../src/cache/lmdb-cache.ts';
import { KEY_SPACE, numberKey } from '../../src/cache/lmdb-keys.ts';
import { LmdbStore } from '../../src/cache/lmdb-store.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { MAX_RUNS_KEPT } from '../../src/cache/merge-plan.ts';
import { readRuns } from '../../src/cache/run-table.ts';
import { chunkRecord, makePack, makeSegment, randomChunkId, randomPackId, REPOSITORY, temporaryFolder, testClock, type MadePack, type TestClock } from './cache-data.ts';

function open(directory: string, clock: TestClock = testClock()): Promise<Cache> {
  return openLmdbCache({ directory, repositoryId: REPOSITORY, random: systemRandom, clock, batchBytes: 192 * 1024 });
}

async function openNew(): Promise<{ cache: Cache; directory: string; clock: TestClock }> {
  const [directory, clock] = [temporaryFolder(), testClock()];
  const cache = await open(directory, clock);
  onTestFinished(() => cache.close());
  return { cache, directory, clock };
}

/** A segment of one pack with so many chunks, quickly made. */
function bigSegment(count: number): SegmentContent {
  const ids = systemRandom.bytes(32 * count);
  const order = Array.from({ length: count }, (_, i) => ids.subarray(32 * i, 32 * i + 32)).sort(Buffer.compare);
  const chunks = new Uint8Array(48 * count);
  order.forEach((id, i) => chunks.set(chunkRecord(id, 0, i & 1023), 48 * i));
  const [pack] = makeSegment([makePack(0)]).packs;
  return { id: makeSegment([]).id, supersedes: [], packs: [{ ...pack!, id: randomPackId(), chunkCount: count }], chunks };
}

const sampleOf = (segment: SegmentContent): Uint8Array[] =>
  Array.from({ length: 50 }, (_, i) => segment.chunks.slice(48 * i * Math.floor(segment.chunks.length / 48 / 50)).subarray(0, 32));

function expectFound(cache: Cache, segments: readonly SegmentContent[]): void {
  cache.chunks.setUsable(segments.flatMap(segment => segment.packs.map(pack => cache.chunks.packNumber(pack.id)!)));
  for (const segment of segments) {
    const number = cache.chunks.packNumber(segment.packs[0]!.id);
    for (const id of sampleOf(segment)) expect(cache.chunks.find(id)?.pack).toBe(number);
  }
}

/** Run numbers in the table, and those with buckets or filters. */
async function storedRuns(directory: string): Promise<{ listed: number[]; stored: number[]; unlisted: number }> {
  const store = await LmdbStore.open(join(directory, REPOSITORY), 'read');
  const numbersIn = (space: 7 | 240): number[] => [...store.keys(numberKey(space))].map(key => Buffer.from(key).readUInt32BE(1));
  const stored = [...new Set([...numbersIn(KEY_SPACE.bucket), ...numbersIn(KEY_SPACE.filter)])].sort((a, b) => a - b);
  const listed = readRuns(store).map(run => run.number).sort((a, b) => a - b);
  const unlisted = [...store.keys(numberKey(KEY_SPACE.unlistedRun))].length;
  await store.close();
  return { listed, stored, unlisted };
}

it('keeps few runs, finds everything after many merges, and leaves no waste', async () => {
  const { cache, directory } = await openNew();
  const packs: MadePack[] = [];
  for (let i = 0; i < 40; i++) {
    packs.push(makePack(1 + ((i * 37) % 90)));
    await cache.chunks.addSegment(makeSegment([packs.at(-1)!]));
  }
  cache.chunks.setUsable(packs.map(pack => cache.chunks.packNumber(pack.id)!));
  for (const pack of packs) for (const id of pack.chunks) expect(cache.chunks.find(id)?.pack).toBe(cache.chunks.packNumber(pack.id));
  const { listed, stored, unlisted } = await storedRuns(directory);
  expect(listed.length).toBeLessThanOrEqual(MAX_RUNS_KEPT);
  expect([stored, unlisted]).toEqual([listed, 0]);
});

it('drops the records of forgotten packs when it merges', async () => {
  const { cache } = await openNew();
  const gone = makeSegment([makePack(60)]);
  await cache.chunks.addSegment(makeSegment([makePack(60)]));
  await cache.chunks.addSegment(gone);
  await cache.chunks.dropSegments([gone.id]);
  expect(cache.chunks.chunkCount()).toBe(120);
  for (let i = 1; i < 20; i++) await cache.chunks.addSegment(makeSegment([makePack(60)]));
  expect(cache.chunks.chunkCount()).toBe(20 * 60);
});

it('rewrites its runs when most of their records are of forgotten packs', async () => {
  const { cache, directory } = await openNew();
  const segments = Array.from({ length: 4 }, () => makeSegment([makePack(100)]));
  for (const segment of segments) await cache.chunks.addSegment(segment);
  await cache.chunks.dropSegments([segments[0]!.id, segments[1]!.id]);
  expect(cache.chunks.chunkCount()).toBe(400);
  await cache.chunks.dropSegments([segments[2]!.id]);
  expect(cache.chunks.chunkCount()).toBe(100);
  expectFound(cache, [segments[3]!]);
  await cache.chunks.dropSegments([segments[3]!.id]);
  expect(cache.chunks.chunkCount()).toBe(0);
  expect(await storedRuns(directory)).toEqual({ listed: [], stored: [], unlisted: 0 });
});

it('splits a large segment over several transactions and finds all of it', async () => {
  const { cache, clock } = await openNew();
  let pauses = 0;
  clock.onSleep = () => { pauses++; };
  const segment = bigSegment(10_000);
  await cache.chunks.addSegment(segment);
  expect(pauses).toBeGreaterThanOrEqual(2);
  expect(cache.chunks.chunkCount()).toBe(10_000);
  expectFound(cache, [segment]);
});

it('keeps IDs that are anything but random', async () => {
  const { cache } = await openNew();
  const ids = Array.from({ length: 3000 }, (_, i) => {
    const id = randomChunkId();
    id.fill(0, 0, 30);
    id[30] = i >> 8;
    id[31] = i & 255;
    return id;
  });
  // Interleaved, so that merging has to compare whole IDs.
  const packs = Array.from({ length: 12 }, (_, k) => makePack(ids.filter((_id, i) => i % 12 === k)));
  for (const pack of packs) await cache.chunks.addSegment(makeSegment([pack]));
  const numbers = packs.map(pack => cache.chunks.packNumber(pack.id)!);
  cache.chunks.setUsable(numbers);
  ids.forEach((id, i) => expect(cache.chunks.find(id)?.pack).toBe(numbers[i % 12]));
});

it('forgets no segment and leaves no waste when it crashes at any step of adding and merging', async () => {
  const segments = Array.from({ length: 9 }, () => bigSegment(1200));
  for (let crashAt = 0; ; crashAt++) {
    const { cache: crashing, directory, clock } = await openNew();
    let steps = 0;
    clock.onSleep = () => {
      if (steps++ === crashAt) throw new Error('crash');
    };
    const added: SegmentContent[] = [];
    let hasCrashed = false;
    for (const segment of segments) {
      await crashing.chunks.addSegment(segment).then(() => added.push(segment), () => { hasCrashed = true; });
      if (hasCrashed) break;
    }
    const after = testClock();
    after.nowMs = clock.nowMs + 11 * 60_000;
    const cache = await open(directory, after);
    expectFound(cache, segments.filter(segment => cache.chunks.segments().has(segment.id)));
    expect(added.every(segment => cache.chunks.segments().has(segment.id))).toBe(true);
    const { listed, stored, unlisted } = await storedRuns(directory);
    expect([stored, unlisted]).toEqual([listed, 0]);
    for (const segment of segments) await cache.chunks.addSegment(segment);
    expectFound(cache, segments);
    expect(cache.chunks.chunkCount()).toBe(9 * 1200);
    await cache.close();
    if (!hasCrashed) break;
    expect(crashAt).toBeLessThan(20);
  }
}, 60_000);

it('does not disturb a run that another process is building', async () => {
  const { cache, directory, clock } = await openNew();
  const segment = bigSegment(10_000);
  let other: Promise<Cache> | undefined;
  clock.onSleep = () => { other ??= open(directory, testClock()); };
  await cache.chunks.addSegment(segment);
  const second = await other!;
  await second.close();
  expectFound(cache, [segment]);
});

it('builds a run again when another process took it for abandoned', async () => {
  const { cache, directory, clock } = await openNew();
  const segment = bigSegment(10_000);
  let other: Promise<void> | undefined;
  const late = testClock();
  late.nowMs += 11 * 60_000;
  const sleep = clock.sleep.bind(clock);
  clock.sleep = async () => {
    await sleep(0);
    other ??= open(directory, late).then(each => each.close());
    await other;
  };
  await cache.chunks.addSegment(segment);
  expectFound(cache, [segment]);
  expect(cache.chunks.chunkCount()).toBe(10_000);
  const { listed, stored } = await storedRuns(directory);
  expect(stored).toEqual(listed);
});

it.each([['the same', true], ['something else', false]])('keeps one record of a pack of which another process says %s meanwhile', async (_what, isSame) => {
  const { cache, directory, clock } = await openNew();
  const other = await open(directory);
  onTestFinished(() => other.close());
  const pack = makePack(5000);
  const said = isSame ? pack : { ...pack, chunks: [...pack.chunks.slice(1), randomChunkId()] };
  const sleep = clock.sleep.bind(clock);
  let meanwhile: Promise<void> | undefined;
  clock.sleep = async () => {
    await sleep(0);
    meanwhile ??= other.chunks.addSegment(makeSegment([said]));
    await meanwhile;
  };
  await cache.chunks.addSegment(makeSegment([pack]));
  const records = [...cache.chunks.packs()];
  expect(records.map(record => record.id)).toEqual([pack.id]);
  expect(cache.chunks.packNumber(pack.id)).toBe(records[0]!.number);
  cache.chunks.setUsable([records[0]!.number]);
  for (const id of pack.chunks) expect(cache.chunks.find(id)?.pack).toBe(records[0]!.number);
  expect([...cache.chunks.entries()].length).toBe(5000);
});

it('gives no number twice when it is never closed', async () => {
  const directory = temporaryFolder();
  const numbers = new Set<number>();
  let given = 0;
  for (let i = 0; i < 5; i++) {
    const cache = await open(directory);
    onTestFinished(() => cache.close());
    for (let k = 0; k < 3; k++, given++) numbers.add(cache.chunks.reservePack(randomPackId()));
    await cache.chunks.addSegment(makeSegment([makePack(1)]));
    numbers.add(cache.chunks.highestPackNumber());
    numbers.delete(cache.chunks.highestPackNumber());
  }
  expect(numbers.size).toBe(given);
});

it('stores a reserved number before the directory record that names it', async () => {
  const directory = temporaryFolder();
  const cache = await open(directory);
  onTestFinished(() => cache.close());
  const id = randomPackId();
  const number = cache.chunks.reservePack(id);
  cache.files.put(new Uint8Array(32), Uint8Array.of(number));
  await cache.files.flush();
  const later = await open(directory);
  expect(later.files.get(new Uint8Array(32))?.[0]).toBe(number);
  expect(later.chunks.packNumber(id)).toBe(number);
  await later.close();
});

it('gives back the numbers that a session did not use', async () => {
  const directory = temporaryFolder();
  for (let expected = 1; expected < 4; expected++) {
    const cache = await open(directory);
    expect(cache.chunks.reservePack(randomPackId())).toBe(expected);
    await cache.close();
  }
});

/** What two indexes must agree on, without pack numbers. */
function contentOf(cache: Cache, ids: readonly Uint8Array[]): unknown {
  cache.chunks.setUsable([...cache.chunks.packs()].map(pack => pack.number));
  return {
    segments: [...cache.chunks.segments()].sort(),
    packs: [...cache.chunks.packs()].map(({ number: _number, frames, ...rest }) => ({ ...rest, frames: Buffer.from(frames).toString('hex') }))
      .sort((a, b) => (a.id < b.id ? -1 : 1)),
    places: ids.map(id => cache.chunks.findAll(id).map(({ pack, ...place }) => ({ ...place, pack: cache.chunks.pack(pack)!.id }))
      .sort((a, b) => (a.pack < b.pack ? -1 : 1))),
    entries: [...cache.chunks.entries()].map(({ id, location: { pack, ...place } }) => `${Buffer.from(id).toString('hex')} ${JSON.stringify(place)}`
      + ` ${cache.chunks.pack(pack)?.id}`).sort(),
  };
}

it('agrees with the plain twin after any sequence of additions and drops; the order and repetitions of segments do not matter', async () => {
  const ids = Array.from({ length: 40 }, randomChunkId);
  const chunksOf = fc.uniqueArray(fc.nat(39), { maxLength: 12 }).map(indexes => indexes.map(index => ids[index]!));
  const packs = fc.array(fc.tuple(chunksOf, fc.constantFrom('data' as const, 'tree' as const)).map(([chunks, type]) => makePack(chunks, type)), { minLength: 1, maxLength: 8 });
  const scenario = packs.chain(made => fc.record({
    segments: fc.array(fc.subarray(made).map(chosen => makeSegment(chosen)), { maxLength: 14 }),
    drops: fc.array(fc.nat(13), { maxLength: 4 }),
    seed: fc.integer(),
  }));
  await fc.assert(fc.asyncProperty(scenario, async ({ segments, drops, seed }) => {
    const directory = temporaryFolder();
    const [cache, twin] = [await open(directory), openMemoryCache()];
    const shuffled = [...segments, ...segments.slice(0, 3)].map((segment, i) => ({ segment, key: Math.imul(i + 1, seed | 1) })).sort((a, b) => a.key - b.key);
    for (const { segment } of shuffled) await cache.chunks.addSegment(segment);
    for (const segment of segments) await twin.chunks.addSegment(segment);
    expect(contentOf(cache, ids)).toEqual(contentOf(twin, ids));
    const dropped = drops.flatMap(index => segments[index]?.id ?? []);
    for (const each of [cache, twin]) await each.chunks.dropSegments(dropped);
    expect(contentOf(cache, ids)).toEqual(contentOf(twin, ids));
    await cache.close();
  }), { numRuns: 15 });
}, 60_000);
