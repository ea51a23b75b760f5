import { appendFileSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import { nativeFileSystem, type NativeFileSystem } from '../../src/base/native-filesystem.ts';
import { StatRecords } from '../../src/base/stat-record.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { MemoryChunkIndex } from '../../src/cache/memory-cache.ts';
import { ContentError, ContentReader } from '../../src/engine/content-reader.ts';
import { ITEM_CHANGED, ITEM_PARTLY_UNREADABLE, ITEM_SPARSE } from '../../src/engine/engine.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import { createFastKernel } from '../../src/kernel/fast.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { contentOfItem, filesBatch, groupOf, IngestHarness, itemsOf, TestFolder } from './ingest-harness.ts';

const native = nativeFileSystem();
const KiB = 1024;
type Range = readonly [start: number, end: number];

const failure = (code: string, errno: number, syscall: string): Error => Object.assign(new Error(code), { code, errno, syscall });

/** A file system on which some ranges of every file cannot be read. */
function damagedFileSystem(ranges: readonly Range[], code = 'EIO', errno = 5): NativeFileSystem {
  return {
    ...native,
    read(fd, bytes, start, length, position) {
      if (ranges.some(([from, to]) => position < to && position + length > from)) throw failure(code, errno, 'pread');
      return native.read(fd, bytes, start, length, position);
    },
    readFiles(...call) {
      const [first, results] = [call[3], call[6]];
      const handled = native.readFiles(...call);
      for (let i = first; i < first + handled; i++) if (ranges.some(([from]) => from < results[4 * i + 1]!)) results[4 * i] = errno;
      return handled;
    },
  };
}

describe('A content reader', () => {
  let folder: TestFolder;
  let directory: number;

  beforeEach(() => {
    folder = new TestFolder();
    directory = native.openDirectory(utf8(folder.path), false);
  });
  afterEach(() => {
    native.close(directory);
    folder.remove();
  });

  const open = (system: NativeFileSystem, before: () => void = () => undefined): ContentReader => {
    const stats = new StatRecords(groupOf(folder.path).stats);
    before();
    return new ContentReader(system, directory, utf8('f'), stats);
  };
  const readAll = (reader: ContentReader, step: number): Uint8Array => {
    const bytes = new Uint8Array(reader.size);
    let at = 0;
    while (at < reader.size) at += reader.read(bytes, at, Math.min(step, bytes.length - at), at);
    return bytes.subarray(0, reader.size);
  };

  test('gives the bytes and no flags when nothing happened', () => {
    const bytes = new SeededRandom(1).bytes(100_000);
    writeFileSync(folder.at('f'), bytes);
    const reader = open(native);
    expect(Buffer.compare(readAll(reader, 7000), bytes)).toBe(0);
    expect(reader.read(new Uint8Array(10), 0, 10, 100_000), 'nothing at the end').toBe(0);
    expect(reader.finish()).toBe(0);
    expect(reader.unreadable).toEqual([]);
    reader.close();
  });

  test('notices a change before opening, while reading, and after reading', () => {
    writeFileSync(folder.at('f'), new Uint8Array(50_000));
    const early = open(native, () => appendFileSync(folder.at('f'), 'x'));
    expect([early.size, early.finish()]).toEqual([50_001, ITEM_CHANGED]);
    early.close();
    const late = open(native);
    expect(readAll(late, 10_000).length).toBe(50_001);
    appendFileSync(folder.at('f'), 'y');
    expect([late.size, late.finish()]).toEqual([50_001, ITEM_CHANGED]);
    late.close();
  });

  test('ends where a file that shrinks while it is read ends', () => {
    writeFileSync(folder.at('f'), new Uint8Array(50_000).fill(1));
    const reader = open(native);
    reader.read(new Uint8Array(20_000), 0, 20_000, 0);
    truncateSync(folder.at('f'), 30_000);
    expect(reader.read(new Uint8Array(20_000), 0, 20_000, 20_000)).toBe(10_000);
    expect([reader.size, reader.finish()]).toEqual([30_000, ITEM_CHANGED]);
    reader.close();
  });

  test('gives zeros for ranges that cannot be read and names them, to 4 KiB', () => {
    const bytes = new SeededRandom(2).bytes(300_000).map(byte => byte | 1);
    writeFileSync(folder.at('f'), bytes);
    fc.assert(fc.property(
      fc.uniqueArray(fc.nat(70), { maxLength: 6 }), fc.integer({ min: 1000, max: 200_000 }), fc.integer({ min: 1, max: 40 }), (blocks, step, width) => {
        const ranges = blocks.map((block): Range => [block * 4096, Math.min(block * 4096 + width * 512, 300_000)]);
        const reader = open(damagedFileSystem(ranges));
        const read = readAll(reader, step);
        const isDamaged = (i: number): boolean => reader.unreadable.some(({ offset, length }) => offset <= i && i < offset + length);
        const positions = Array.from({ length: Math.ceil(bytes.length / 97) }, (_, i) => 97 * i);
        expect(positions.find(i => read[i] !== (isDamaged(i) ? 0 : bytes[i]))).toBeUndefined();
        expect(positions.find(i => !isDamaged(i) && ranges.some(([from, to]) => from <= i && i < to)), 'damage that is not named').toBeUndefined();
        // Nothing is given up beyond the largest step around damage.
        expect(positions.find(i => isDamaged(i) && !ranges.some(([from, to]) => from - 64 * KiB < i && i < to + 64 * KiB))).toBeUndefined();
        reader.close();
      },
    ), { numRuns: 60 });
  });

  test('needs few calls for a large range that cannot be read', () => {
    writeFileSync(folder.at('f'), '');
    truncateSync(folder.at('f'), 40 * 1024 * KiB);
    let calls = 0;
    const system = damagedFileSystem([[0, 40 * 1024 * KiB]]);
    const reader = open({ ...system, read: (...call) => (calls++, system.read(...call)) });
    const buffer = new Uint8Array(1024 * KiB);
    for (let at = 0; at < reader.size; at += buffer.length) reader.read(buffer, 0, buffer.length, at);
    expect(reader.unreadable).toEqual([{ offset: 0, length: 40 * 1024 * KiB, errno: 5 }]);
    expect(reader.isWhollyUnreadable).toBe(true);
    expect(calls).toBeLessThan(40 * 24);
    reader.close();
  });

  test('passes on an error that concerns the whole file', () => {
    writeFileSync(folder.at('f'), new Uint8Array(5000));
    const reader = open(damagedFileSystem([[0, 1]], 'EACCES', 13));
    expect(() => reader.read(new Uint8Array(100), 0, 100, 0)).toThrow(ContentError);
    reader.close();
  });

  test('finds holes and flags them', () => {
    writeFileSync(folder.at('f'), new SeededRandom(3).bytes(10_000));
    truncateSync(folder.at('f'), 2 ** 30);
    const reader = open(native);
    expect(reader.holeEnd(5)).toBe(5);
    expect(reader.holeEnd(2 ** 20)).toBe(2 ** 30);
    expect(reader.holeEnd(2 ** 30)).toBe(2 ** 30);
    expect(reader.holeEnd(17)).toBe(17);
    expect(reader.finish()).toBe(ITEM_SPARSE);
    reader.close();
  });
});

describe('Ingest from a damaged medium', () => {
  const ingest = async (files: Record<string, Uint8Array>, ranges: readonly Range[]) => {
    const folder = new TestFolder();
    for (const [name, bytes] of Object.entries(files)) writeFileSync(folder.at(name), bytes);
    const engine = createInlineEngine({ kernel: createFastKernel(), native: damagedFileSystem(ranges), openKnownChunks, random: new SeededRandom(1) });
    const harness = new IngestHarness(engine, new MemoryChunkIndex());
    await harness.begin();
    const result = await engine.ingest(filesBatch(groupOf(folder.path)));
    const chunks = await harness.readBack();
    await engine.close();
    folder.remove();
    return { result, content: (item: number) => contentOfItem(result, item, chunks) };
  };

  test('keeps what can be read of a large file, with zeros and the exact ranges for the rest', async () => {
    const bytes = new SeededRandom(4).bytes(200_000);
    const { result, content } = await ingest({ a: bytes, b: bytes }, [[40_960, 45_000]]);
    expect(itemsOf(result).map(({ errno, flags, sizeBytes }) => [errno, flags, sizeBytes])).toEqual([[0, ITEM_PARTLY_UNREADABLE, 200_000], [0, ITEM_PARTLY_UNREADABLE, 200_000]]);
    expect(result.damage.map(({ item, errno }) => [item, errno])).toEqual([[0, 5], [1, 5]]);
    const { offset, length } = result.damage[0]!;
    expect([offset, length]).toEqual([40_960, 4096]);
    const expected = bytes.slice();
    expected.fill(0, offset, offset + length);
    expect(Buffer.compare(content(0), expected)).toBe(0);
  });

  test('reads a small file piece by piece when its medium is damaged', async () => {
    const bytes = new SeededRandom(5).bytes(900);
    const large = new SeededRandom(6).bytes(9000);
    const { result, content } = await ingest({ a: bytes, b: large }, [[8192, 8193]]);
    expect(itemsOf(result).map(({ errno, flags }) => [errno, flags])).toEqual([[0, 0], [0, ITEM_PARTLY_UNREADABLE]]);
    expect(Buffer.compare(content(1).subarray(0, 8192), large.subarray(0, 8192))).toBe(0);
    expect(result.damage).toEqual([{ item: 1, offset: 8192, length: 808, errno: 5 }]);
  });

  test('fails a file of which nothing can be read', async () => {
    const { result } = await ingest({ a: new SeededRandom(7).bytes(900), b: new SeededRandom(8).bytes(90_000) }, [[0, 100_000]]);
    expect(itemsOf(result)).toMatchObject([{ errno: 5, flags: 0, referenceCount: 0 }, { errno: 5, flags: 0, referenceCount: 0 }]);
    expect(result.damage).toEqual([]);
  });
});
