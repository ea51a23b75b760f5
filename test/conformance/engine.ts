/** The contract of `src/engine/engine.ts`, sentence by sentence, for the pool and for its inline twin. */
import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { toHex, utf8, viewOf } from '../../src/base/bytes.ts';
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import type { ChunkIndex } from '../../src/cache/cache.ts';
import {
  type Engine, type IngestBatch, type IngestResult, ITEM_CHANGED, ITEM_SPARSE, REFERENCE_CHUNK, REFERENCE_CLAIMED, REFERENCE_ZEROS,
} from '../../src/engine/engine.ts';
import { SegmentJoiner } from '../../src/engine/segment-join.ts';
import { PROFILES } from '../../src/format/chunking.ts';
import { parseSegmentId, parsePackId } from '../../src/format/ids.ts';
import { contentOfItem, filesBatch, groupOf, ID_KEY, idsOf, IngestHarness, itemsOf, KiB, referencesOf, TestFolder, TREE_KEY } from '../engine/ingest-harness.ts';
import { SeededRandom } from '../support/seeded-random.ts';

export interface EngineUnderTest {
  readonly engine: Engine;
  readonly index: ChunkIndex;
  dispose(): Promise<void>;
}

const random = (seed: number, length: number): Uint8Array<ArrayBuffer> => new SeededRandom(seed).bytes(length);

/** Compressible and all different. */
function text(seed: number, length: number): Uint8Array {
  const letters = random(seed, Math.ceil(length / 4));
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = 97 + (letters[i >> 2]! + i) % 16;
  return bytes;
}

export function engineConformance(name: string, make: () => Promise<EngineUnderTest>): void {
  describe(`${name} keeps the contract of Engine`, () => {
    let subject: EngineUnderTest;
    let harness: IngestHarness;
    let engine: Engine;
    let folder: TestFolder;

    beforeEach(async () => {
      folder = new TestFolder();
      subject = await make();
      engine = subject.engine;
      harness = new IngestHarness(engine, subject.index);
    });
    afterEach(async () => {
      await subject.dispose();
      folder.remove();
    });

    const write = (file: string, bytes: Uint8Array): void => writeFileSync(folder.at(file), bytes);
    const ingestFolder = (): Promise<IngestResult> => engine.ingest(filesBatch(groupOf(folder.path)));
    const codeOf = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', (error: { code: string }) => error.code);

    describe('items', () => {
      test('are answered once and in order, with the size that was read', async () => {
        for (let i = 0; i < 40; i++) write(`f${String(i).padStart(2, '0')}`, text(i, i * 97));
        await harness.begin();
        const result = await ingestFolder();
        expect(itemsOf(result).map(({ errno, flags, sizeBytes }) => [errno, flags, sizeBytes])).toEqual(Array.from({ length: 40 }, (_, i) => [0, 0, i * 97]));
        const chunks = await harness.readBack();
        for (let i = 0; i < 40; i++) expect(contentOfItem(result, i, chunks)).toEqual(text(i, i * 97));
      });

      test('come back as the bytes they were, at every boundary of sizes', async () => {
        const { minBytes, maxBytes } = PROFILES.default;
        const sizes = [0, 1, minBytes - 1, minBytes, minBytes + 1, 256 * KiB - 1, 256 * KiB, 256 * KiB + 1, maxBytes - 1, maxBytes, maxBytes + 1];
        sizes.forEach((size, i) => write(`f${String(i).padStart(2, '0')}`, text(i, size)));
        await harness.begin({ profiles: PROFILES });
        const result = await ingestFolder();
        const chunks = await harness.readBack();
        sizes.forEach((size, i) => expect(Buffer.compare(contentOfItem(result, i, chunks), text(i, size)), `size ${size}`).toBe(0));
        expect(itemsOf(result).map(({ referenceCount }) => Math.min(referenceCount, 1))).toEqual(sizes.map(size => Math.min(size, 1)));
        expect(itemsOf(result).slice(1, 4).map(({ referenceCount }) => referenceCount), 'files up to the minimum are one chunk').toEqual([1, 1, 1]);
      });

      test('come back as the bytes they were, whatever they are', async () => {
        await harness.begin();
        const results: { readonly result: IngestResult; readonly files: readonly Uint8Array[] }[] = [];
        const piece = fc.tuple(fc.constantFrom('random', 'text', 'zeros'), fc.integer({ min: 0, max: 40 * KiB }), fc.nat(50));
        await fc.assert(fc.asyncProperty(fc.array(fc.array(piece, { maxLength: 4 }), { minLength: 1, maxLength: 6 }), async contents => {
          const files = contents.map(pieces => new Uint8Array(Buffer.concat(pieces.map(([kind, length, seed]) =>
            kind === 'zeros' ? new Uint8Array(length) : kind === 'text' ? text(seed, length) : random(seed, length)))));
          const directory = folder.at(`run${results.length}`);
          mkdirSync(directory);
          files.forEach((bytes, i) => writeFileSync(`${directory}/${i}`, bytes));
          results.push({ files, result: await engine.ingest(filesBatch(groupOf(directory))) });
        }), { numRuns: 30 });
        const chunks = await harness.readBack();
        for (const { result, files } of results) {
          files.forEach((bytes, i) => expect(Buffer.compare(contentOfItem(result, i, chunks), bytes)).toBe(0));
        }
      });

      test('of batches under way at the same time are answered in their own batch', async () => {
        await harness.begin();
        const groups = Array.from({ length: 12 }, (_, i) => {
          mkdirSync(folder.at(`d${i}`));
          for (let j = 0; j <= i; j++) write(`d${i}/${j}`, random(100 * i + j, 3000 + i));
          return groupOf(folder.at(`d${i}`));
        });
        const results = await Promise.all(groups.map(group => engine.ingest(filesBatch(group))));
        expect(results.map(result => itemsOf(result).map(({ sizeBytes }) => sizeBytes))).toEqual(groups.map((_, i) => new Array<number>(i + 1).fill(3000 + i)));
      });

      test('that cannot be read are a status and no error of the batch', async () => {
        for (const file of ['gone', 'good', 'link', 'other', 'pipe']) write(file, text(1, 500));
        const large = random(9, 30 * KiB);
        write('zlarge', large);
        await harness.begin();
        const batch = filesBatch(groupOf(folder.path));
        for (const file of ['gone', 'link', 'pipe', 'zlarge']) rmSync(folder.at(file));
        symlinkSync('good', folder.at('link'));
        mkdirSync(folder.at('pipe'));
        const result = await engine.ingest(batch);
        const status = itemsOf(result).map(({ errno, referenceCount }) => [errno === 0, referenceCount]);
        expect(status).toEqual([[false, 0], [true, 1], [false, 0], [true, 1], [false, 0], [false, 0]]);
        expect(itemsOf(result)[0]!.errno).toBe(2);
      });

      test('of a directory that is gone have its errno', async () => {
        mkdirSync(folder.at('d'));
        write('d/a', text(1, 100));
        write('d/b', text(2, 100));
        await harness.begin();
        const batch = filesBatch(groupOf(folder.at('d')));
        rmSync(folder.at('d'), { recursive: true });
        expect(itemsOf(await engine.ingest(batch)).map(({ errno }) => errno)).toEqual([2, 2]);
      });

      test('that changed since the walk are recorded as what was read, and flagged', async () => {
        const names = ['grown', 'grown-large', 'replaced', 'same', 'shrunk', 'shrunk-large', 'to-nothing'];
        for (const file of names) write(file, text(3, file.endsWith('large') ? 50 * KiB : 900));
        await harness.begin();
        const batch = filesBatch(groupOf(folder.path));
        const now: Record<string, Uint8Array> = {
          grown: text(4, 60 * KiB), 'grown-large': text(5, 90 * KiB), replaced: text(6, 900), same: text(3, 900),
          shrunk: text(7, 10), 'shrunk-large': text(8, 500), 'to-nothing': new Uint8Array(0),
        };
        for (const file of names) if (file !== 'same') write(file, now[file]!);
        write('new', now.replaced!);
        renameSync(folder.at('new'), folder.at('replaced'));
        const result = await engine.ingest(batch);
        expect(itemsOf(result).map(({ flags }) => flags)).toEqual(names.map(file => file === 'same' ? 0 : ITEM_CHANGED));
        const chunks = await harness.readBack();
        names.forEach((file, i) => {
          expect(Buffer.compare(contentOfItem(result, i, chunks), now[file]!), file).toBe(0);
          expect(itemsOf(result)[i]!.sizeBytes, file).toBe(now[file]!.length);
        });
      });
    });

    describe('zeros', () => {
      test('become runs and are not stored', async () => {
        write('a', new Uint8Array(700));
        write('b', new Uint8Array(200 * KiB));
        const mixed = new Uint8Array(100 * KiB);
        mixed.set(random(1, 5000), 50 * KiB);
        write('c', mixed);
        await harness.begin();
        const result = await ingestFolder();
        expect(referencesOf(result, 0)).toMatchObject([{ what: 'zeros', length: 700 }]);
        expect(referencesOf(result, 1)).toMatchObject([{ what: 'zeros', length: 200 * KiB }]);
        const kinds = referencesOf(result, 2).map(({ kind }) => kind);
        expect(kinds[0]).toBe(REFERENCE_ZEROS);
        expect(kinds.filter((kind, i) => kind === REFERENCE_ZEROS && kinds[i - 1] === REFERENCE_ZEROS), 'neighbours are one run').toEqual([]);
        expect(contentOfItem(result, 2, await harness.readBack())).toEqual(mixed);
      });

      test('of holes are not even read: a sparse file of 1 TiB is quick', async () => {
        const data = random(2, 10_000);
        write('sparse', new Uint8Array(0));
        truncateSync(folder.at('sparse'), 2 ** 40);
        const native = nativeFileSystem();
        const directory = native.openDirectory(utf8(folder.path), false);
        const fd = native.openFileAt(directory, utf8('sparse'), { write: true });
        native.write(fd, data, 0, data.length, 2 ** 39);
        native.close(fd);
        native.close(directory);
        write('tiny', new Uint8Array(0));
        truncateSync(folder.at('tiny'), 900);
        await harness.begin();
        const result = await ingestFolder();
        expect(itemsOf(result).map(({ flags, sizeBytes }) => [flags, sizeBytes])).toEqual([[ITEM_SPARSE, 2 ** 40], [ITEM_SPARSE, 900]]);
        const references = referencesOf(result, 0);
        expect(references.length).toBeLessThan(40);
        expect(references.filter(({ kind }) => kind !== REFERENCE_ZEROS).reduce((sum, { length }) => sum + length, 0)).toBeLessThan(100_000);
      });
    });

    describe('chunks', () => {
      test('that the index knows are referred to and not stored again', async () => {
        write('a', text(1, 900));
        write('b', text(2, 900));
        await harness.begin();
        const [id] = idsOf(await ingestFolder());
        await subject.dispose();

        subject = await make();
        engine = subject.engine;
        harness = new IngestHarness(engine, subject.index);
        const pack = await addKnown(subject.index, id!, 900);
        await harness.begin();
        const result = await ingestFolder();
        expect(referencesOf(result, 0)).toMatchObject([{ what: id, pack, kind: REFERENCE_CHUNK }]);
        await engine.endIngest();
        expect(harness.chunkIds()).toEqual(idsOf(result, 1));
      });

      test('are stored once, however often they occur', async () => {
        const count = 12;
        for (let i = 0; i < count; i++) {
          mkdirSync(folder.at(`d${i}`));
          for (const file of ['x', 'y']) write(`d${i}/${file}`, random(i % 3, 20 * KiB));
        }
        await harness.begin();
        const results = await Promise.all(Array.from({ length: count }, (_, i) => engine.ingest(filesBatch(groupOf(folder.at(`d${i}`))))));
        const chunks = await harness.readBack();
        const ids = harness.chunkIds();
        expect(new Set(ids).size, 'no chunk twice').toBe(ids.length);
        results.forEach((result, i) => {
          expect(Buffer.compare(contentOfItem(result, 1, chunks), random(i % 3, 20 * KiB))).toBe(0);
          for (const { kind, pack } of referencesOf(result, 1)) if (kind === REFERENCE_CLAIMED) expect(pack).toBe(0);
        });
      });

      test('have the same IDs with and without grouping', async () => {
        for (let i = 0; i < 20; i++) write(`f${i}`, text(i, 300 * i));
        await harness.begin();
        const grouped = idsOf(await ingestFolder(), 7);
        const all = harness;
        await all.engine.endIngest();
        await subject.dispose();

        subject = await make();
        engine = subject.engine;
        harness = new IngestHarness(engine, subject.index);
        await harness.begin({ grouping: false });
        expect(idsOf(await ingestFolder(), 7)).toEqual(grouped);
        await engine.endIngest();
        expect(harness.chunkIds().sort()).toEqual(all.chunkIds().sort());
        expect(harness.frames.length).toBe(harness.chunkIds().length);
        expect(all.frames.length).toBeLessThan(harness.frames.length);
      });
    });

    describe('frames', () => {
      test('hold one chunk of at least 128 KiB, or smaller ones up to 256 KiB and 4,096 chunks', async () => {
        mkdirSync(folder.at('tiny'));
        for (let i = 0; i < 300; i++) write(`tiny/${i}`, utf8(String(i)));
        for (let i = 0; i < 60; i++) write(`f${i}`, random(i, 3000 * i));
        await harness.begin({ profiles: PROFILES });
        await engine.ingest(filesBatch(groupOf(folder.at('tiny')), groupOf(folder.path)));
        await engine.endIngest();
        const shapes = harness.frames.map(({ chunks, rawLength }) => ({ count: chunks.length / 36, rawLength }));
        for (const { count, rawLength } of shapes) {
          expect(count).toBeLessThanOrEqual(4096);
          if (count > 1) expect(rawLength).toBeLessThanOrEqual(256 * KiB);
          else expect(rawLength).toBeLessThanOrEqual(PROFILES.default.maxBytes);
        }
        expect(Math.max(...shapes.map(({ count }) => count))).toBeGreaterThan(200);
        for (const { chunks } of harness.frames.filter(frame => frame.chunks.length > 36)) {
          for (let at = 32; at < chunks.length; at += 36) expect(viewOf(chunks).getUint32(at, true)).toBeLessThan(128 * KiB);
        }
      });

      test('are compressed when that saves something and raw when it does not', async () => {
        write('a', text(1, 60 * KiB));
        mkdirSync(folder.at('b'));
        write('b/b', random(1, 200 * KiB));
        await harness.begin({ profiles: PROFILES });
        await engine.ingest(filesBatch(groupOf(folder.path)));
        await engine.ingest(filesBatch(groupOf(folder.at('b'))));
        await engine.endIngest();
        expect(harness.frames.some(({ codec }) => codec === 1)).toBe(true);
        for (const { codec, rawLength, stored } of harness.frames) {
          if (codec === 0) expect(stored.length).toBe(rawLength + 16);
          else expect(stored.length).toBeLessThanOrEqual(rawLength - rawLength / 32 + 16);
          expect(codec).toBe(rawLength >= 128 * KiB ? 0 : 1);
        }
      });

      test('fill a pack up to its target, each pack under one grant that is never used twice', async () => {
        for (let i = 0; i < 40; i++) write(`f${i}`, random(i, 30 * KiB));
        await harness.begin({ packTargetBytes: 100 * KiB, grouping: false });
        await ingestFolder();
        await engine.endIngest();
        expect(harness.full.length).toBeGreaterThan(8);
        for (const pack of harness.full) {
          const stored = harness.framesOf(pack).map(({ stored }) => stored.length);
          expect(stored.slice(0, -1).reduce((sum, length) => sum + length, 0), 'nothing after the target').toBeLessThan(100 * KiB);
          expect(new Set(harness.chunkIds(harness.framesOf(pack))).size).toBe(harness.chunkIds(harness.framesOf(pack)).length);
        }
      });

      test('of a batch larger than all its grants get more grants', async () => {
        write('grown', random(1, 2 * KiB));
        await harness.begin({ packTargetBytes: 64 * KiB, grouping: false });
        const batch = filesBatch(groupOf(folder.path));
        write('grown', random(2, 2000 * KiB));
        const result = await engine.ingest(batch);
        expect(Buffer.compare(contentOfItem(result, 0, await harness.readBack()), random(2, 2000 * KiB))).toBe(0);
        expect(harness.full.length).toBeGreaterThan(20);
      });
    });

    test('keys of grants are wiped when the ingest has ended', async () => {
      write('a', random(1, 400 * KiB));
      await harness.begin({ packTargetBytes: 64 * KiB });
      await ingestFolder();
      await engine.endIngest();
      await engine.close();
      expect(harness.grants.length).toBeGreaterThan(1);
      for (const { frameKey } of harness.grants) expect(frameKey).toEqual(new Uint8Array(32));
    });

    describe('streams', () => {
      const pieces = (bytes: Uint8Array, length: number): Uint8Array<ArrayBuffer>[] =>
        Array.from({ length: Math.ceil(bytes.length / length) }, (_, i) => new Uint8Array(bytes.slice(i * length, (i + 1) * length)));

      test('have the chunks of a file with the same bytes, whatever the pieces', async () => {
        const bytes = new Uint8Array(Buffer.concat([text(1, 50 * KiB), new Uint8Array(70 * KiB), random(2, 41_234)]));
        write('file', bytes);
        await harness.begin();
        const file = idsOf(await ingestFolder());
        for (const [stream, length] of [[1, 1000], [2, 7], [3, 40_000], [4, 10 ** 6]] as const) {
          const parts = pieces(bytes, length === 7 ? 4099 : length);
          const ids: string[] = [];
          let sizeBytes = 0;
          for (const [i, piece] of parts.entries()) {
            const result = await engine.ingest({ kind: 'stream', sizeBytes: piece.length, piece: { stream, bytes: piece, isLast: i === parts.length - 1 } });
            ids.push(...idsOf(result).filter((id, j) => !(j === 0 && id === 'zeros' && ids.at(-1) === 'zeros')));
            sizeBytes += itemsOf(result)[0]!.sizeBytes;
          }
          expect(ids, `pieces of ${length}`).toEqual(file);
          expect(sizeBytes).toBe(bytes.length);
        }
      });

      test('do not mix, and come back as the bytes they were', async () => {
        await harness.begin();
        const contents = [1, 2, 3].map(seed => random(seed, 90_000));
        const results: IngestResult[][] = [[], [], []];
        const parts = contents.map(bytes => pieces(bytes, 7000));
        for (let i = 0; i < parts[0]!.length; i++) {
          const batches = parts.map((list, stream): IngestBatch =>
            ({ kind: 'stream', sizeBytes: 7000, piece: { stream, bytes: list[i]!, isLast: i === list.length - 1 } }));
          (await Promise.all(batches.map(batch => engine.ingest(batch)))).forEach((result, stream) => results[stream]!.push(result));
        }
        const chunks = await harness.readBack();
        contents.forEach((bytes, stream) =>
          expect(Buffer.compare(Buffer.concat(results[stream]!.map(result => contentOfItem(result, 0, chunks))), bytes)).toBe(0));
      });

      test('may be empty', async () => {
        await harness.begin();
        const result = await engine.ingest({ kind: 'stream', sizeBytes: 0, piece: { stream: 1, bytes: new Uint8Array(0), isLast: true } });
        expect(itemsOf(result)).toMatchObject([{ errno: 0, referenceCount: 0, sizeBytes: 0 }]);
      });
    });

    describe('segments', () => {
      test('of a large file have, when joined, the chunks of the whole file', async () => {
        const bytes = new Uint8Array(Buffer.concat([random(1, 300_000), new Uint8Array(200_000), text(2, 250_001)]));
        write('large', bytes);
        await harness.begin();
        const whole = await ingestFolder();
        const group = groupOf(folder.path);
        const segments = Array.from({ length: 8 }, (_, i) => ({ start: i * 100_000, end: Math.min((i + 1) * 100_000, bytes.length) }));
        const joiner = new SegmentJoiner(segments);
        const run = ({ start, end, stopAt }: { start: number; end: number; stopAt?: Float64Array }): Promise<IngestResult> => engine.ingest({
          kind: 'segment', sizeBytes: end - start,
          segment: { directory: group.directory, name: utf8('large'), stat: group.stats, start, end, ...(stopAt === undefined ? {} : { stopAt }) },
        });
        (await Promise.all(segments.map(run))).forEach((result, i) => joiner.addSegment(i, result));
        let step = joiner.next();
        for (; step.kind === 'bridge'; step = joiner.next()) joiner.addBridge(await run(step));
        expect(step.kind === 'done' && idsOf(step.result)).toEqual(idsOf(whole));
        expect(step.kind === 'done' && Buffer.compare(contentOfItem(step.result, 0, await harness.readBack()), bytes)).toBe(0);
      });

      test('of a file that is gone are a status', async () => {
        write('large', random(1, 50_000));
        const group = groupOf(folder.path);
        rmSync(folder.at('large'));
        await harness.begin();
        const segment = { directory: group.directory, name: utf8('large'), stat: group.stats, start: 10_000, end: 20_000 };
        const result = await engine.ingest({ kind: 'segment', sizeBytes: 10_000, segment });
        expect(itemsOf(result)).toMatchObject([{ errno: 2, referenceCount: 0, sizeBytes: 0 }]);
        expect([result.from, result.to]).toEqual([10_000, 10_000]);
      });
    });

    describe('an abort signal', () => {
      test('that is aborted already stops a batch with CANCELLED, and no other', async () => {
        write('a', text(1, 100));
        await harness.begin();
        expect(await codeOf(engine.ingest(filesBatch(groupOf(folder.path)), { signal: AbortSignal.abort() }))).toBe('CANCELLED');
        expect(itemsOf(await ingestFolder())).toMatchObject([{ errno: 0 }]);
      });

      test('stops a batch between chunks, and what was sealed by then still belongs to its packs', async () => {
        write('a', random(1, 24_000 * KiB));
        const abort = new AbortController();
        harness.onFrames = () => abort.abort();
        await harness.begin({ packTargetBytes: 256 * KiB });
        expect(await codeOf(engine.ingest(filesBatch(groupOf(folder.path)), { signal: abort.signal }))).toBe('CANCELLED');
        harness.onFrames = () => undefined;
        const stored = harness.frames.length;
        expect(stored).toBeGreaterThan(0);
        write('a', text(2, 100));
        const result = await ingestFolder();
        const chunks = await harness.readBack();
        expect(contentOfItem(result, 0, chunks)).toEqual(text(2, 100));
        expect(chunks.size).toBeGreaterThan(stored / 2);
        expect([...chunks.values()].reduce((sum, bytes) => sum + bytes.length, 0), 'the rest was not read').toBeLessThan(24_000 * KiB);
      });
    });

    describe('after an error', () => {
      test('the engine is of no further use: every call fails with that error', async () => {
        write('a', text(1, 100));
        const error = new Error('no more packs');
        await harness.begin({ grant: () => { throw error; } });
        await expect(ingestFolder()).rejects.toBe(error);
        await expect(ingestFolder()).rejects.toBe(error);
        await expect(engine.endIngest()).rejects.toBe(error);
      });

      test('of the sink, the batch and all that follow fail', async () => {
        write('a', random(1, 1000 * KiB));
        const error = new Error('disk full');
        harness.onFrames = () => { throw error; };
        await harness.begin({ packTargetBytes: 16 * KiB });
        await Promise.allSettled([ingestFolder()]);
        await expect(ingestFolder()).rejects.toBe(error);
      });
    });

    test('no ingest may follow the end', async () => {
      await harness.begin();
      await engine.endIngest();
      expect(harness.full, 'a grant without frames ends without packFull').toEqual([]);
      expect(await codeOf(engine.ingest(filesBatch()))).toBe('INTERNAL');
      expect(await codeOf(engine.endIngest())).toBe('INTERNAL');
    });

    test('close may be called twice, and everything fails with CANCELLED after it', async () => {
      await harness.begin();
      await engine.close();
      await engine.close();
      expect(await codeOf(engine.ingest(filesBatch()))).toBe('CANCELLED');
    });

    test('packIndexed is accepted for any pack', async () => {
      write('a', random(1, 100 * KiB));
      await harness.begin({ packTargetBytes: 16 * KiB });
      await ingestFolder();
      for (const pack of [...harness.full, 4711]) engine.packIndexed(pack);
      await engine.endIngest();
    });

    describe('extract', () => {
      const prepare = async (): Promise<number> => {
        write('a', text(1, 900));
        write('b', text(2, 900));
        write('c', random(3, 900));
        mkdirSync(folder.at('z'));
        await harness.begin({ packTargetBytes: 2 ** 20 });
        await ingestFolder();
        await engine.endIngest();
        await engine.beginExtract({ data: ID_KEY.slice(), tree: TREE_KEY.slice() });
        return harness.full[0]!;
      };

      test('gives the content in memory of its own, or only the verdict', async () => {
        const batch = harness.extractBatch(await prepare());
        const [first] = await engine.extract(batch);
        const [again] = await engine.extract(harness.extractBatch(harness.full[0]!));
        expect(first).toEqual(again);
        expect(first!.verdict).toBe('ok');
        expect(first!.content!.byteLength).toBe(first!.content!.buffer.byteLength);
        expect(await engine.extract({ ...harness.extractBatch(harness.full[0]!), wantsContent: false })).toEqual([{ content: undefined, verdict: 'ok' }]);
      });

      test('says that the seal does not match, for each thing that it covers', async () => {
        const { frames: [frame], ...batch } = harness.extractBatch(await prepare());
        const flipped = frame!.stored.slice();
        flipped[10]! ^= 1;
        const prefix = batch.framePrefix.slice();
        prefix[0]! ^= 1;
        const wrongs = [
          { ...frame!, stored: flipped }, { ...frame!, frame: 1 }, { ...frame!, rawLength: frame!.rawLength + 1 },
          { ...frame!, codec: 1 - frame!.codec }, { ...frame!, flags: 1 }, { ...frame!, stored: frame!.stored.subarray(0, 12) },
        ];
        const verdicts = await engine.extract({ ...batch, frameKey: harness.extractBatch(harness.full[0]!).frameKey, frames: [...wrongs, frame!] });
        expect(verdicts.map(({ verdict }) => verdict)).toEqual([...wrongs.map(() => 'sealed'), 'ok']);
        const other = await engine.extract({ ...harness.extractBatch(harness.full[0]!), framePrefix: prefix });
        expect(other).toEqual([{ content: undefined, verdict: 'sealed' }]);
      });

      test('names the chunks that do not match their ID', async () => {
        const batch = harness.extractBatch(await prepare());
        const chunks = batch.frames[0]!.chunks.slice();
        expect(chunks.length).toBe(3 * 36);
        chunks[36]! ^= 1;
        const check = async (changed: Uint8Array): Promise<unknown> =>
          (await engine.extract({ ...harness.extractBatch(harness.full[0]!), frames: [{ ...batch.frames[0]!, chunks: changed }] }))[0];
        expect(await check(chunks)).toEqual({ content: undefined, verdict: [1] });
        const long = batch.frames[0]!.chunks.slice();
        viewOf(long).setUint32(2 * 36 + 32, 2 ** 31, true);
        expect(await check(long), 'a chunk beyond the content').toEqual({ content: undefined, verdict: [2] });
        expect(await check(batch.frames[0]!.chunks.slice(0, 72)), 'content beyond the chunks').toEqual({ content: undefined, verdict: [1] });
      });

      test('checks tree chunks under the tree key', async () => {
        const pack = await prepare();
        expect(await engine.extract({ ...harness.extractBatch(pack), type: 'tree' })).toEqual([{ content: undefined, verdict: [0, 1, 2] }]);
      });

      test('stops on its signal', async () => {
        const pack = await prepare();
        expect(await codeOf(engine.extract(harness.extractBatch(pack), { signal: AbortSignal.abort() }))).toBe('CANCELLED');
        expect(await engine.extract(harness.extractBatch(pack))).toHaveLength(1);
      });
    });
  });
}

/** Makes the index know a chunk in a usable pack. */
async function addKnown(index: ChunkIndex, id: string, length: number): Promise<number> {
  const packId = parsePackId(toHex(random(77, 16)));
  const frames = new Uint8Array(16);
  const view = viewOf(frames);
  view.setUint32(0, 5000, true);
  view.setUint32(4, length + 16, true);
  view.setUint32(8, length, true);
  view.setUint16(12, 1, true);
  const chunks = new Uint8Array(48);
  chunks.set(Buffer.from(id, 'hex'));
  viewOf(chunks).setUint32(44, length, true);
  const pack = { id: packId, sessionId: toHex(random(78, 16)), type: 'data', suite: 1, epoch: 1, sizeBytes: 20_000, chunkCount: 1, frames } as const;
  await index.addSegment({ id: parseSegmentId(toHex(random(79, 16))), supersedes: [], packs: [pack], chunks });
  const number = index.packNumber(packId)!;
  index.setUsable([number]);
  return number;
}
