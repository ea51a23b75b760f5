/** What surrounds an engine in a test: files, grants, a sink that checks the order of frames, and a reader for its packs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { concatBytes, toHex, utf8, viewOf } from '../../src/base/bytes.ts';
import { nativeFileSystem, STAT_RECORD_BYTES } from '../../src/base/native-filesystem.ts';
import { StatRecords, unpackNames } from '../../src/base/stat-record.ts';
import type { ChunkIndex } from '../../src/cache/cache.ts';
import { type ItemAnswer, readItem, ReferenceList } from '../../src/engine/answer-writer.ts';
import {
  type Engine, type ExtractBatch, type FileGroup, type FrameToOpen, type IngestBatch, type IngestResult, type IngestSetup, ITEM_BYTES,
  type OpenedFrame, type PackGrant, REFERENCE_CHUNK, REFERENCE_ZEROS, type SealedFrame,
} from '../../src/engine/engine.ts';
import { FRAME_PREFIX_BYTES } from '../../src/format/frame.ts';
import { SeededRandom } from '../support/seeded-random.ts';

export const KiB = 1024;
export const ID_KEY = new Uint8Array(32).fill(11);
export const TREE_KEY = new Uint8Array(32).fill(12);
const GEAR_SEED = 13;

/** Small chunks, so that small files already have several. */
export const SMALL_PROFILES: IngestSetup['profiles'] = {
  default: { minBytes: 1 * KiB, averageBytes: 4 * KiB, maxBytes: 16 * KiB },
  pages: { minBytes: 2 * KiB, averageBytes: 2 * KiB, maxBytes: 2 * KiB },
  media: { minBytes: 4 * KiB, averageBytes: 16 * KiB, maxBytes: 64 * KiB },
};

export class TestFolder {
  readonly path: string = mkdtempSync(join(tmpdir(), 'snap-engine-'));

  at(...names: string[]): string {
    return join(this.path, ...names);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The regular files of a directory in name order, as a walk gives them. */
export function groupOf(path: string, accept: (name: string) => boolean = () => true): FileGroup & { readonly fileNames: string[] } {
  const native = nativeFileSystem();
  const directory = utf8(path);
  const fd = native.openDirectory(directory, false);
  const names = native.names(fd);
  const all = native.stats(fd, names);
  native.close(fd);
  const stats = new StatRecords(all);
  const isWanted = (name: Uint8Array, i: number): boolean => stats.type(i) === 0o100000 && accept(Buffer.from(name).toString());
  const wanted = unpackNames(names, stats.count).map((name, i) => ({ name, i })).filter(({ name, i }) => isWanted(name, i));
  return {
    directory,
    names: concatBytes(wanted.flatMap(({ name }) => [name, Uint8Array.of(0)])),
    stats: concatBytes(wanted.map(({ i }) => all.subarray(i * STAT_RECORD_BYTES, (i + 1) * STAT_RECORD_BYTES))),
    count: wanted.length,
    fileNames: wanted.map(({ name }) => Buffer.from(name).toString()),
  };
}

export function filesBatch(...groups: FileGroup[]): IngestBatch {
  const sizeBytes = groups.reduce((sum, { stats, count }) => {
    const records = new StatRecords(stats);
    for (let i = 0; i < count; i++) sum += records.size(i);
    return sum;
  }, 0);
  return { kind: 'files', groups, sizeBytes };
}

export function itemsOf(result: IngestResult): ItemAnswer[] {
  return Array.from({ length: result.items.length / ITEM_BYTES }, (_, i) => readItem(result.items, i));
}

/** References of one item in words: hex id or 'zeros', and length. */
export function referencesOf(result: IngestResult, item: number): { readonly what: string; readonly length: number; readonly pack: number; readonly kind: number }[] {
  const references = new ReferenceList(result.references);
  const first = itemsOf(result).slice(0, item).reduce((sum, { referenceCount }) => sum + referenceCount, 0);
  return Array.from({ length: itemsOf(result)[item]!.referenceCount }, (_, i) => ({
    what: references.kind(first + i) === REFERENCE_ZEROS ? 'zeros' : toHex(references.id(first + i)),
    length: references.length(first + i),
    pack: references.pack(first + i),
    kind: references.kind(first + i),
  }));
}

/** Names of the chunks of an item, in order. */
export const idsOf = (result: IngestResult, item = 0): string[] => referencesOf(result, item).map(({ what }) => what);

export class IngestHarness {
  readonly engine: Engine;
  readonly index: ChunkIndex;
  readonly frames: SealedFrame[] = [];
  readonly full: number[] = [];
  /** As the engine got them. */
  readonly grants: PackGrant[] = [];
  readonly #copies = new Map<number, PackGrant>();
  /** Called for each hand-over of frames. */
  onFrames: () => void = () => undefined;

  constructor(engine: Engine, index: ChunkIndex) {
    this.engine = engine;
    this.index = index;
  }

  async begin(changes: Partial<IngestSetup> = {}): Promise<void> {
    await this.engine.beginIngest({
      idKey: ID_KEY.slice(),
      gear: new BigUint64Array(new SeededRandom(GEAR_SEED).bytes(2048).buffer),
      profiles: SMALL_PROFILES,
      compressionLevel: 1,
      packTargetBytes: 1024 * KiB,
      index: this.index.access(),
      grouping: true,
      grant: () => this.grant(),
      ...changes,
    }, {
      frames: frames => {
        for (const frame of frames) this.#take(frame);
        this.onFrames();
      },
      packFull: pack => {
        expect(this.full, 'a pack becomes full once').not.toContain(pack);
        expect(this.framesOf(pack).length, 'a full pack has frames').toBeGreaterThan(0);
        this.full.push(pack);
      },
    });
  }

  grant(): PackGrant {
    const random = new SeededRandom(1000 + this.grants.length);
    const pack = this.index.reservePack(toHex(random.bytes(16)) as Parameters<ChunkIndex['reservePack']>[0]);
    const grant: PackGrant = { pack, suite: pack % 2 === 0 ? 1 : 2, frameKey: random.bytes(32), framePrefix: random.bytes(FRAME_PREFIX_BYTES) };
    this.grants.push(grant);
    this.#copies.set(pack, { ...grant, frameKey: grant.frameKey.slice() });
    return grant;
  }

  framesOf(pack: number): SealedFrame[] {
    return this.frames.filter(frame => frame.pack === pack);
  }

  chunkIds(frames: readonly SealedFrame[] = this.frames): string[] {
    return frames.flatMap(({ chunks }) => Array.from({ length: chunks.length / 36 }, (_, i) => toHex(chunks.subarray(36 * i, 36 * i + 32))));
  }

  extractBatch(pack: number, frames: readonly SealedFrame[] = this.framesOf(pack)): ExtractBatch {
    const { suite, frameKey, framePrefix } = this.#copies.get(pack)!;
    const toOpen = frames.map(({ frame, stored, rawLength, codec, chunks }): FrameToOpen => ({ frame, stored, rawLength, codec, flags: 0, chunks }));
    return { suite, frameKey: frameKey.slice(), framePrefix, type: 'data', frames: toOpen, wantsContent: true };
  }

  /** Ends the ingest and reads everything back: chunk ID to bytes. */
  async readBack(): Promise<Map<string, Uint8Array>> {
    await this.engine.endIngest();
    expect([...this.full].sort(), 'every pack with frames became full').toEqual([...new Set(this.frames.map(({ pack }) => pack))].sort());
    await this.engine.beginExtract({ data: ID_KEY.slice(), tree: TREE_KEY.slice() });
    const contents = new Map<string, Uint8Array>();
    for (const pack of this.full) {
      const frames = this.framesOf(pack);
      const opened = await this.engine.extract(this.extractBatch(pack));
      opened.forEach((each, i) => addChunks(contents, frames[i]!, each));
    }
    return contents;
  }

  #take(frame: SealedFrame): void {
    expect(this.full, 'no frame for a full pack').not.toContain(frame.pack);
    expect(frame.frame, 'frame numbers count from 0 without a gap').toBe(this.framesOf(frame.pack).length);
    expect(frame.stored.byteLength, 'stored bytes own their memory').toBe(frame.stored.buffer.byteLength);
    expect(frame.chunks.byteLength, 'chunks own their memory').toBe(frame.chunks.buffer.byteLength);
    this.frames.push(frame);
  }
}

function addChunks(contents: Map<string, Uint8Array>, frame: SealedFrame, opened: OpenedFrame): void {
  expect(opened.verdict).toBe('ok');
  let at = 0;
  for (let i = 0; i < frame.chunks.length / 36; i++) {
    const length = viewOf(frame.chunks).getUint32(36 * i + 32, true);
    contents.set(toHex(frame.chunks.subarray(36 * i, 36 * i + 32)), opened.content!.subarray(at, at + length));
    at += length;
  }
  expect(at, 'chunks tile the frame').toBe(frame.rawLength);
}

/** The bytes of an item, put together from its references. */
export function contentOfItem(result: IngestResult, item: number, chunks: ReadonlyMap<string, Uint8Array>): Uint8Array {
  return concatBytes(referencesOf(result, item).map(({ what, length, pack, kind }) => {
    if (kind === REFERENCE_ZEROS) return new Uint8Array(length);
    const bytes = chunks.get(what);
    expect(bytes?.length, `chunk ${what} of pack ${pack}`).toBe(length);
    if (kind === REFERENCE_CHUNK) expect(pack).toBeGreaterThan(0);
    return bytes!;
  }));
}
