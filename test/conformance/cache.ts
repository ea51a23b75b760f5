/** The contract of the port `Cache`, sentence by sentence; every adapter calls it. */
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import type { Cache, PackNumber, SegmentContent } from '../../src/cache/cache.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { makePack, makeSegment, packOf, randomChunkId, randomPackId, type MadePack } from '../cache/cache-data.ts';

export interface CacheAdapter {
  /** A new, empty cache; the adapter closes it when the test ends. `maxObjectBytes`: bound of the object cache. */
  open(maxObjectBytes?: number): Promise<Cache>;
  /** Closes the cache and opens it again; absent: it forgets when it is closed. */
  reopen?(cache: Cache): Promise<Cache>;
}

export function describeCache(name: string, adapter: CacheAdapter): void {
  describe(`The contract of a cache, kept by ${name}`, () => {
    describe('chunk index: pack numbers', () => describeNumbers(adapter));
    describe('chunk index: finding', () => describeFinding(adapter));
    describe('chunk index: segments', () => describeSegments(adapter));
    describe('chunk index: statements about one pack', () => describeStatements(adapter));
    describe('chunk index: damaged segments', () => describeDamage(adapter));
    describe('view of the engine', () => describeKnownChunks(adapter));
    describe('file cache', () => describeFiles(adapter));
    describe('object cache', () => describeObjects(adapter));
    describe('host memory', () => describeMemory(adapter));
    if (adapter.reopen !== undefined) describe('after closing and opening', () => describeReopening(adapter, adapter.reopen!));
    it('can be closed twice', async () => {
      const cache = await adapter.open();
      await cache.close();
      await cache.close();
    });
  });
}

/** Adds a segment with the packs and makes all of them usable. */
async function store(cache: Cache, ...packs: MadePack[]): Promise<{ segment: SegmentContent; numbers: PackNumber[] }> {
  const segment = makeSegment(packs);
  await cache.chunks.addSegment(segment);
  const numbers = packs.map(pack => cache.chunks.packNumber(pack.id)!);
  for (const number of numbers) cache.chunks.addUsable(number);
  return { segment, numbers };
}

function describeNumbers(adapter: CacheAdapter): void {
  it('gives every pack a number of its own, from 1', async () => {
    const { chunks } = await adapter.open();
    const numbers = Array.from({ length: 3000 }, () => chunks.reservePack(randomPackId()));
    expect(Math.min(...numbers)).toBe(1);
    expect(new Set(numbers).size).toBe(3000);
    expect(chunks.highestPackNumber()).toBeGreaterThanOrEqual(Math.max(...numbers));
  });

  it('knows a reserved pack by its number from the reservation on, and has no record of it', async () => {
    const { chunks } = await adapter.open();
    const id = randomPackId();
    expect(chunks.packNumber(id)).toBeUndefined();
    const number = chunks.reservePack(id);
    expect(chunks.packNumber(id)).toBe(number);
    expect(chunks.reservePack(id)).toBe(number);
    expect(chunks.pack(number)).toBeUndefined();
    expect([...chunks.packs()]).toEqual([]);
  });

  it('keeps the number of a reserved pack when its segment arrives', async () => {
    const cache = await adapter.open();
    const pack = makePack(3);
    const number = cache.chunks.reservePack(pack.id);
    await store(cache, pack);
    expect(cache.chunks.packNumber(pack.id)).toBe(number);
    expect(cache.chunks.find(pack.chunks[0]!)?.pack).toBe(number);
  });

  it('gives a forgotten pack another number when it comes back', async () => {
    const cache = await adapter.open();
    const pack = makePack(2);
    const { segment, numbers: [before] } = await store(cache, pack);
    await cache.chunks.dropSegments([segment.id]);
    const { numbers: [after] } = await store(cache, pack);
    expect(after).not.toBe(before);
    expect(cache.chunks.findAll(pack.chunks[0]!).map(place => place.pack)).toEqual([after]);
  });
}

function describeFinding(adapter: CacheAdapter): void {
  it('finds a chunk with frame, offset and length', async () => {
    const cache = await adapter.open();
    const pack = makePack(7);
    const { numbers: [number] } = await store(cache, pack);
    expect(cache.chunks.find(pack.chunks[6]!)).toEqual({ pack: number, frame: 1, offset: 2000, length: 506 });
  });

  it('finds a chunk of a tree pack with the frame number of the segment', async () => {
    const cache = await adapter.open();
    const pack = makePack(5, 'tree');
    const { numbers: [number] } = await store(cache, pack);
    expect(cache.chunks.find(pack.chunks[4]!)).toEqual({ pack: number, frame: 1, offset: 0, length: 504 });
  });

  it('does not find what nobody added', async () => {
    const cache = await adapter.open();
    expect(cache.chunks.find(randomChunkId())).toBeUndefined();
    await store(cache, makePack(100));
    expect(cache.chunks.find(randomChunkId())).toBeUndefined();
    expect(cache.chunks.findAll(randomChunkId())).toEqual([]);
  });

  it('finds nothing in a pack that is not usable', async () => {
    const cache = await adapter.open();
    const pack = makePack(1);
    await cache.chunks.addSegment(makeSegment([pack]));
    const number = cache.chunks.packNumber(pack.id)!;
    expect(cache.chunks.isUsable(number)).toBe(false);
    expect(cache.chunks.find(pack.chunks[0]!)).toBeUndefined();
    cache.chunks.setUsable([number]);
    expect(cache.chunks.isUsable(number)).toBe(true);
    expect(cache.chunks.find(pack.chunks[0]!)?.pack).toBe(number);
  });

  it('replaces the set of usable packs as a whole', async () => {
    const cache = await adapter.open();
    const [first, second] = [makePack(1), makePack(1)];
    const { numbers: [one, two] } = await store(cache, first, second);
    cache.chunks.setUsable([two!]);
    expect([cache.chunks.isUsable(one!), cache.chunks.isUsable(two!)]).toEqual([false, true]);
    expect(cache.chunks.find(first.chunks[0]!)).toBeUndefined();
    expect(cache.chunks.find(second.chunks[0]!)?.pack).toBe(two);
    cache.chunks.setUsable([]);
    expect(cache.chunks.find(second.chunks[0]!)).toBeUndefined();
  });

  it('adds a pack to the usable ones without touching the others', async () => {
    const cache = await adapter.open();
    const [first, second] = [makePack(1), makePack(1)];
    const { numbers: [one, two] } = await store(cache, first, second);
    cache.chunks.setUsable([one!]);
    cache.chunks.addUsable(two!);
    expect([cache.chunks.isUsable(one!), cache.chunks.isUsable(two!)]).toEqual([true, true]);
  });

  it('takes a pack number beyond all that were given as not usable until it is added', async () => {
    const { chunks } = await adapter.open();
    expect(chunks.isUsable(50_000_000)).toBe(false);
    chunks.addUsable(50_000_000);
    expect(chunks.isUsable(50_000_000)).toBe(true);
    chunks.setUsable([60_000_000]);
    expect([chunks.isUsable(50_000_000), chunks.isUsable(60_000_000)]).toEqual([false, true]);
  });

  it('finds a chunk in the usable one of several packs', async () => {
    const cache = await adapter.open();
    const id = randomChunkId();
    const { numbers } = await store(cache, makePack([id]), makePack([id]), makePack([randomChunkId(), id]));
    for (const number of numbers) {
      cache.chunks.setUsable([number]);
      expect(cache.chunks.find(id)?.pack).toBe(number);
    }
  });

  it('finds all usable places of a chunk, over all segments, each once', async () => {
    const cache = await adapter.open();
    const id = randomChunkId();
    const { numbers: [one, two] } = await store(cache, makePack([id]), makePack([randomChunkId(), id]));
    const { numbers: [three] } = await store(cache, makePack([id, randomChunkId()]));
    const packs = (): PackNumber[] => cache.chunks.findAll(id).map(place => place.pack).sort((a, b) => a - b);
    expect(packs()).toEqual([one, two, three]);
    cache.chunks.setUsable([one!, three!]);
    expect(packs()).toEqual([one, three]);
  });

  it('finds both places of a chunk that occurs twice in one pack', async () => {
    const cache = await adapter.open();
    const id = randomChunkId();
    await store(cache, makePack([id, randomChunkId(), randomChunkId(), randomChunkId(), id]));
    expect(cache.chunks.find(id)).toBeDefined();
    expect(cache.chunks.findAll(id).length).toBeGreaterThanOrEqual(1);
  });

  it('tells apart chunk IDs that differ in their last bit only', async () => {
    const cache = await adapter.open();
    const id = randomChunkId();
    const neighbour = id.slice();
    neighbour[31]! ^= 1;
    await store(cache, makePack([id]));
    expect(cache.chunks.find(id)).toBeDefined();
    expect(cache.chunks.find(neighbour)).toBeUndefined();
  });
}

function describeSegments(adapter: CacheAdapter): void {
  it('lists the segments whose content it has', async () => {
    const cache = await adapter.open();
    expect([...cache.chunks.segments()]).toEqual([]);
    const { segment: first } = await store(cache, makePack(2));
    const { segment: second } = await store(cache, makePack(2));
    expect([...cache.chunks.segments()].sort()).toEqual([first.id, second.id].sort());
  });

  it('keeps what a segment says of its packs', async () => {
    const cache = await adapter.open();
    const packs = [makePack(9), makePack(1, 'tree')];
    const { numbers } = await store(cache, ...packs);
    packs.forEach((pack, i) => {
      const { number, frames, ...rest } = cache.chunks.pack(numbers[i]!)!;
      const { frames: expectedFrames, ...expected } = packOf(pack);
      expect(number).toBe(numbers[i]);
      expect(rest).toEqual(expected);
      expect(Buffer.from(frames)).toEqual(Buffer.from(expectedFrames));
    });
    expect([...cache.chunks.packs()].map(pack => pack.id).sort()).toEqual(packs.map(pack => pack.id).sort());
    expect(cache.chunks.pack(numbers[0]! + 999)).toBeUndefined();
  });

  it('knows which packs a segment lists, in its order', async () => {
    const cache = await adapter.open();
    const shared = makePack(3);
    const { segment: first, numbers } = await store(cache, makePack(2), shared);
    const { segment: second, numbers: [other] } = await store(cache, shared);
    expect(cache.chunks.packsOf(first.id)).toEqual(numbers);
    expect(cache.chunks.packsOf(second.id)).toEqual([numbers[1]]);
    expect(other).toBe(numbers[1]);
    await cache.chunks.dropSegments([first.id]);
    expect(cache.chunks.packsOf(first.id)).toEqual([]);
    expect(cache.chunks.packsOf(second.id)).toEqual([numbers[1]]);
  });

  it('adds a segment a second time without effect', async () => {
    const cache = await adapter.open();
    const { segment } = await store(cache, makePack(5));
    await cache.chunks.addSegment(segment);
    expect([...cache.chunks.segments()]).toEqual([segment.id]);
    expect(cache.chunks.chunkCount()).toBe(5);
  });

  it('adds segments that are given at the same time', async () => {
    const cache = await adapter.open();
    const packs = Array.from({ length: 20 }, () => makePack(30));
    await Promise.all(packs.map(pack => cache.chunks.addSegment(makeSegment([pack]))));
    cache.chunks.setUsable(packs.map(pack => cache.chunks.packNumber(pack.id)!));
    for (const pack of packs) expect(cache.chunks.find(pack.chunks[29]!)?.pack).toBe(cache.chunks.packNumber(pack.id));
    expect(cache.chunks.chunkCount()).toBe(600);
  });

  it('adds a segment without chunks, and one without packs', async () => {
    const cache = await adapter.open();
    const { segment: one } = await store(cache, makePack(0));
    const { segment: two } = await store(cache);
    expect(cache.chunks.segments()).toEqual(new Set([one.id, two.id]));
    expect(cache.chunks.chunkCount()).toBe(0);
  });

  it('gives every record of every pack', async () => {
    const cache = await adapter.open();
    const packs = [makePack(40), makePack(40, 'tree'), makePack(3)];
    const { numbers } = await store(cache, packs[0]!, packs[1]!);
    numbers.push(...(await store(cache, packs[2]!)).numbers);
    const found = [...cache.chunks.entries()].map(({ id, location }) => `${Buffer.from(id).toString('hex')} ${JSON.stringify(location)}`);
    const expected = packs.flatMap((pack, p) => pack.chunks.map((id, i) =>
      `${Buffer.from(id).toString('hex')} ${JSON.stringify({ pack: numbers[p]!, frame: i >> 2, offset: 1000 * (i & 3), length: 500 + i })}`));
    expect(found.sort()).toEqual(expected.sort());
    expect(cache.chunks.chunkCount()).toBe(83);
  });

  it('forgets a segment with the packs that only it listed', async () => {
    const cache = await adapter.open();
    const [gone, kept] = [makePack(3), makePack(3)];
    const { segment, numbers: [number] } = await store(cache, gone);
    await store(cache, kept);
    await cache.chunks.dropSegments([segment.id]);
    expect(cache.chunks.segments().has(segment.id)).toBe(false);
    expect(cache.chunks.packNumber(gone.id)).toBeUndefined();
    expect(cache.chunks.pack(number!)).toBeUndefined();
    expect(cache.chunks.isUsable(number!)).toBe(false);
    expect(cache.chunks.find(gone.chunks[0]!)).toBeUndefined();
    expect(cache.chunks.find(kept.chunks[0]!)).toBeDefined();
    expect([...cache.chunks.entries()].length).toBe(3);
  });

  it('keeps the packs of a dropped segment that another one lists', async () => {
    const cache = await adapter.open();
    const [swept, kept] = [makePack(3), makePack(3)];
    const { segment: old, numbers: [, number] } = await store(cache, swept, kept);
    await cache.chunks.addSegment(makeSegment([kept], [old.id]));
    await cache.chunks.dropSegments([old.id]);
    expect(cache.chunks.packNumber(kept.id)).toBe(number);
    expect(cache.chunks.find(kept.chunks[2]!)?.pack).toBe(number);
    expect(cache.chunks.packNumber(swept.id)).toBeUndefined();
    expect(cache.chunks.find(swept.chunks[2]!)).toBeUndefined();
  });

  it('drops segments that it does not have without effect', async () => {
    const cache = await adapter.open();
    const { segment } = await store(cache, makePack(1));
    await cache.chunks.dropSegments([makeSegment([]).id]);
    await cache.chunks.dropSegments([]);
    expect([...cache.chunks.segments()]).toEqual([segment.id]);
  });
}

function describeStatements(adapter: CacheAdapter): void {
  it('does not store the chunks of a known pack again', async () => {
    const cache = await adapter.open();
    const packs = [makePack(10), makePack(10)];
    const { numbers } = await store(cache, packs[0]!);
    await store(cache, ...packs);
    expect(cache.chunks.packNumber(packs[0]!.id)).toBe(numbers[0]);
    expect(cache.chunks.chunkCount()).toBe(20);
  });

  it('believes the last segment when two differ about a pack', async () => {
    const cache = await adapter.open();
    const wrong = makePack(4);
    const right = { ...wrong, chunks: [wrong.chunks[0]!, randomChunkId(), randomChunkId(), wrong.chunks[3]!] };
    const { segment, numbers: [before] } = await store(cache, wrong);
    const { numbers: [after] } = await store(cache, right);
    expect(after).not.toBe(before);
    for (const id of right.chunks) expect(cache.chunks.find(id)?.pack).toBe(after);
    expect(cache.chunks.pack(before!)).toBeUndefined();
    cache.chunks.setUsable([after!]);
    expect(cache.chunks.find(wrong.chunks[1]!)).toBeUndefined();
    await cache.chunks.dropSegments([segment.id]);
    for (const id of right.chunks) expect(cache.chunks.find(id)?.pack).toBe(after);
  });
}

function describeDamage(adapter: CacheAdapter): void {
  const good = makeSegment([makePack(4), makePack(4)]);
  const changed = (change: (chunks: Uint8Array) => void): Uint8Array => {
    const chunks = good.chunks.slice();
    change(chunks);
    return chunks;
  };
  it.each([
    ['a record that is cut off', { chunks: good.chunks.subarray(0, 48 * 3 + 47) }],
    ['records out of order', { chunks: changed(chunks => chunks.set(good.chunks.subarray(48 * 7), 0)) }],
    ['a pack ordinal that is not there', { chunks: changed(chunks => new DataView(chunks.buffer).setUint32(32, 2, true)) }],
    ['a frame number of 2^31', { chunks: changed(chunks => new DataView(chunks.buffer).setUint32(36, 0x8000_0000, true)) }],
    ['a pack that is listed twice', { packs: [good.packs[0]!, good.packs[0]!] }],
  ])('refuses %s as corrupt and adds nothing', async (_what, damage) => {
    const { chunks } = await adapter.open();
    await expect(chunks.addSegment({ ...good, ...damage })).rejects.toMatchObject({ code: 'OBJECT_CORRUPT', kind: 'corrupt' });
    expect(chunks.segments().size).toBe(0);
    expect([...chunks.packs()]).toEqual([]);
    await chunks.addSegment(good);
    expect(chunks.segments().size).toBe(1);
  });
}

function describeKnownChunks(adapter: CacheAdapter): void {
  it('finds the pack of a chunk, or 0', async () => {
    const cache = await adapter.open();
    const pack = makePack(50);
    const { numbers: [number] } = await store(cache, pack);
    const known = await openKnownChunks(cache.chunks.access());
    expect(pack.chunks.map(id => known.find(id))).toEqual(pack.chunks.map(() => number));
    expect(known.find(randomChunkId())).toBe(0);
    await known.close();
  });

  it('keeps data and tree chunks apart', async () => {
    const cache = await adapter.open();
    const [data, tree] = [makePack(2), makePack(2, 'tree')];
    const { numbers: [dataNumber, treeNumber] } = await store(cache, data, tree);
    const [knownData, knownTrees] = [await openKnownChunks(cache.chunks.access()), await openKnownChunks(cache.chunks.access(), 'tree')];
    expect([knownData.find(data.chunks[0]!), knownData.find(tree.chunks[0]!)]).toEqual([dataNumber, 0]);
    expect([knownTrees.find(data.chunks[0]!), knownTrees.find(tree.chunks[0]!)]).toEqual([0, treeNumber]);
    await knownData.close();
    await knownTrees.close();
  });

  it('sees what was added, after a refresh', async () => {
    const cache = await adapter.open();
    const known = await openKnownChunks(cache.chunks.access());
    const packs = Array.from({ length: 12 }, () => makePack(20));
    for (const pack of packs) {
      const { numbers: [number] } = await store(cache, pack);
      known.refresh();
      expect(known.find(pack.chunks[19]!)).toBe(number);
    }
    for (const pack of packs) expect(known.find(pack.chunks[0]!)).toBe(cache.chunks.packNumber(pack.id));
    await known.close();
  });

  it('sees a change of the usable packs at once', async () => {
    const cache = await adapter.open();
    const pack = makePack(1);
    const { numbers: [number] } = await store(cache, pack);
    const known = await openKnownChunks(cache.chunks.access());
    expect(known.find(pack.chunks[0]!)).toBe(number);
    cache.chunks.setUsable([]);
    expect(known.find(pack.chunks[0]!)).toBe(0);
    cache.chunks.addUsable(number!);
    expect(known.find(pack.chunks[0]!)).toBe(number);
    cache.chunks.addUsable(90_000_000);
    cache.chunks.setUsable([]);
    expect(known.find(pack.chunks[0]!)).toBe(0);
    await known.close();
  });
}

function describeFiles(adapter: CacheAdapter): void {
  const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);

  it('returns the record of a key, at once and after a flush, and nothing for another key', async () => {
    const { files } = await adapter.open();
    files.put(key(1), utf8('one'));
    expect(Buffer.from(files.get(key(1))!)).toEqual(Buffer.from('one'));
    await files.flush();
    expect(Buffer.from(files.get(key(1))!)).toEqual(Buffer.from('one'));
    expect(files.get(key(2))).toBeUndefined();
  });

  it('replaces the record of a key', async () => {
    const { files } = await adapter.open();
    files.put(key(1), utf8('one'));
    await files.flush();
    files.put(key(1), utf8('two'));
    expect(Buffer.from(files.get(key(1))!)).toEqual(Buffer.from('two'));
    await files.flush();
    expect(Buffer.from(files.get(key(1))!)).toEqual(Buffer.from('two'));
  });

  it('takes and gives copies', async () => {
    const { files } = await adapter.open();
    const record = utf8('one');
    files.put(key(1), record);
    record.fill(0);
    files.get(key(1))!.fill(0);
    await files.flush();
    files.get(key(1))!.fill(0);
    expect(Buffer.from(files.get(key(1))!)).toEqual(Buffer.from('one'));
  });

  it('keeps many and large records', async () => {
    const { files } = await adapter.open();
    const keys = Array.from({ length: 2000 }, (_, i) => Buffer.alloc(32, `key ${i} `));
    keys.forEach((each, i) => files.put(each, new Uint8Array(4000).fill(i)));
    files.put(key(0), new Uint8Array(3_000_000).fill(9));
    await files.flush();
    keys.forEach((each, i) => expect(files.get(each)?.[3999]).toBe(i & 255));
    expect(files.get(key(0))?.length).toBe(3_000_000);
  });

  it('refuses a key that has not 32 bytes', async () => {
    const { files } = await adapter.open();
    expect(() => files.put(new Uint8Array(31), utf8('x'))).toThrow(RangeError);
    expect(() => files.get(new Uint8Array(33))).toThrow(RangeError);
  });
}

function describeObjects(adapter: CacheAdapter): void {
  it('returns an object by name until it is deleted', async () => {
    const { objects } = await adapter.open();
    objects.put('snapshots/a', utf8('A'));
    objects.put('snapshots/b', utf8('B'));
    expect(Buffer.from(objects.get('snapshots/a')!)).toEqual(Buffer.from('A'));
    objects.delete('snapshots/a');
    objects.delete('snapshots/never');
    expect(objects.get('snapshots/a')).toBeUndefined();
    expect(Buffer.from(objects.get('snapshots/b')!)).toEqual(Buffer.from('B'));
  });

  it('takes and gives copies', async () => {
    const { objects } = await adapter.open();
    const bytes = utf8('A');
    objects.put('a', bytes);
    bytes.fill(0);
    objects.get('a')!.fill(0);
    expect(Buffer.from(objects.get('a')!)).toEqual(Buffer.from('A'));
  });

  it('stays within its size', async () => {
    const { objects } = await adapter.open(20_000_000);
    for (let i = 0; i < 60; i++) objects.put(`object ${i}`, new Uint8Array(1_000_000).fill(i));
    const sizes = Array.from({ length: 60 }, (_, i) => objects.get(`object ${i}`)?.length ?? 0);
    const kept = sizes.reduce((sum, size) => sum + size, 0);
    // The adapter may collect what was put before it counts.
    expect(kept).toBeLessThanOrEqual(25_000_000);
    expect(kept).toBeGreaterThanOrEqual(10_000_000);
    expect(objects.get('object 59')?.[0]).toBe(59);
  });

  it('does not keep an object that is larger than its size', async () => {
    const { objects } = await adapter.open(1000);
    objects.put('a', new Uint8Array(10));
    objects.put('a', new Uint8Array(1001));
    expect(objects.get('a')).toBeUndefined();
  });
}

function describeMemory(adapter: CacheAdapter): void {
  it('has seen nothing at first', async () => {
    const cache = await adapter.open();
    expect(cache.memory()).toEqual({ highestGc: 0, highestKeyring: 0, lastSnapshot: undefined, seen: [] });
  });

  it('remembers part by part, and never a lower number', async () => {
    const cache = await adapter.open();
    await cache.remember({ highestGc: 5, lastSnapshot: 'ab' });
    await cache.remember({ highestKeyring: 2 });
    await cache.remember({ highestGc: 4 });
    expect(cache.memory()).toEqual({ highestGc: 5, highestKeyring: 2, lastSnapshot: 'ab', seen: [] });
    await cache.remember({ seen: ['12'.repeat(16)] });
    await cache.remember({ highestGc: 6 });
    expect(cache.memory()).toEqual({ highestGc: 6, highestKeyring: 2, lastSnapshot: 'ab', seen: ['12'.repeat(16)] });
    await cache.replaceMemory({ highestGc: 1, highestKeyring: 1, lastSnapshot: undefined, seen: [] });
    expect(cache.memory()).toEqual({ highestGc: 1, highestKeyring: 1, lastSnapshot: undefined, seen: [] });
    await cache.remember({ lastSnapshot: undefined, seen: [] });
    expect(cache.memory().lastSnapshot).toBeUndefined();
  });
}

function describeReopening(adapter: CacheAdapter, reopen: (cache: Cache) => Promise<Cache>): void {
  it('has segments, packs, numbers and chunks as before, and no usable pack', async () => {
    let cache = await adapter.open();
    const packs = [makePack(300), makePack(3, 'tree')];
    const { segment, numbers } = await store(cache, ...packs);
    const reserved = randomPackId();
    const reservedNumber = cache.chunks.reservePack(reserved);
    cache = await reopen(cache);
    expect([...cache.chunks.segments()]).toEqual([segment.id]);
    expect(packs.map(pack => cache.chunks.packNumber(pack.id))).toEqual(numbers);
    expect(cache.chunks.packNumber(reserved)).toBe(reservedNumber);
    expect(cache.chunks.find(packs[0]!.chunks[0]!)).toBeUndefined();
    cache.chunks.setUsable(numbers);
    for (const id of packs[0]!.chunks) expect(cache.chunks.find(id)?.pack).toBe(numbers[0]);
    expect(cache.chunks.chunkCount()).toBe(303);
  });

  it('gives no pack number again', async () => {
    let cache = await adapter.open();
    const before = new Set(Array.from({ length: 10 }, () => cache.chunks.reservePack(randomPackId())));
    cache = await reopen(cache);
    for (let i = 0; i < 10; i++) expect(before.has(cache.chunks.reservePack(randomPackId()))).toBe(false);
  });

  it('has directory records, objects and host memory as before', async () => {
    let cache = await adapter.open();
    cache.files.put(new Uint8Array(32), utf8('record'));
    cache.objects.put('name', utf8('object'));
    await cache.remember({ highestGc: 3 });
    cache = await reopen(cache);
    expect(Buffer.from(cache.files.get(new Uint8Array(32))!)).toEqual(Buffer.from('record'));
    expect(Buffer.from(cache.objects.get('name')!)).toEqual(Buffer.from('object'));
    expect(cache.memory().highestGc).toBe(3);
  });
}
