/** The cache in memory: the plain twin of the one in LMDB, for tests and for runs that must leave nothing behind. */
import { concatBytes, equalBytes, toHex, viewOf, type Bytes } from '../base/bytes.ts';
import { chunkIdFromBytes, type ChunkId, type PackId, type SegmentId } from '../format/ids.ts';
import type {
  Cache, ChunkIndex, ChunkLocation, FileCache, HostMemory, IndexAccess, KnownChunks, ObjectCache, PackNumber, PackRecord, SegmentContent,
} from './cache.ts';
import { ID_BYTES, PACK_AT, readLocation, RECORD_BYTES } from './chunk-record.ts';
import { mergeMemory, NO_MEMORY } from './host-memory.ts';
import { readClaims } from './segment-reader.ts';

interface KnownPack {
  readonly record: PackRecord;
  /** Its chunk records as in the segment, without meaning in the pack ordinal. */
  readonly chunks: Bytes;
}

/** The access to it is the index itself: only the thread it lives in can open it. */
export class MemoryChunkIndex implements ChunkIndex {
  /** Numbers of the packs that each segment lists. */
  readonly #segments = new Map<SegmentId, readonly PackNumber[]>();
  readonly #numbers = new Map<PackId, PackNumber>();
  readonly #packs = new Map<PackNumber, KnownPack>();
  /** By chunk ID in hexadecimal digits. */
  readonly #places = new Map<string, ChunkLocation[]>();
  readonly #usable = new Set<PackNumber>();
  #highest: PackNumber = 0;

  segments(): ReadonlySet<SegmentId> {
    return new Set(this.#segments.keys());
  }

  packsOf(segment: SegmentId): readonly PackNumber[] {
    return this.#segments.get(segment) ?? [];
  }

  async addSegment(content: SegmentContent): Promise<void> {
    readClaims(content);
    if (this.#segments.has(content.id)) return;
    this.#segments.set(content.id, content.packs.map((pack, ordinal) => this.#addPack(pack, chunksOf(content, ordinal))));
  }

  async dropSegments(ids: readonly SegmentId[]): Promise<void> {
    const said = new Set(ids.flatMap(id => this.#segments.get(id) ?? []));
    for (const id of ids) this.#segments.delete(id);
    for (const number of [...this.#segments.values()].flat()) said.delete(number);
    for (const number of said) this.#forgetPack(number);
  }

  reservePack(id: PackId): PackNumber {
    const number = this.#numbers.get(id) ?? ++this.#highest;
    this.#numbers.set(id, number);
    return number;
  }

  packNumber(id: PackId): PackNumber | undefined {
    return this.#numbers.get(id);
  }

  pack(number: PackNumber): PackRecord | undefined {
    return this.#packs.get(number)?.record;
  }

  packs(): Iterable<PackRecord> {
    return [...this.#packs.values()].map(pack => pack.record);
  }

  highestPackNumber(): PackNumber {
    return this.#highest;
  }

  setUsable(numbers: Iterable<PackNumber>): void {
    const usable = [...numbers];
    this.#usable.clear();
    for (const number of usable) this.#usable.add(number);
  }

  addUsable(number: PackNumber): void {
    this.#usable.add(number);
  }

  isUsable(number: PackNumber): boolean {
    return this.#usable.has(number);
  }

  find(id: Bytes): ChunkLocation | undefined {
    return this.findAll(id)[0];
  }

  findAll(id: Bytes): ChunkLocation[] {
    return (this.#places.get(toHex(id)) ?? []).filter(place => this.#usable.has(place.pack));
  }

  access(): IndexAccess {
    return this;
  }

  known(type: 'data' | 'tree'): KnownChunks & { close(): Promise<void> } {
    return {
      find: id => this.findAll(id).find(place => this.pack(place.pack)?.type === type)?.pack ?? 0,
      refresh: () => undefined,
      close: async () => undefined,
    };
  }

  chunkCount(): number {
    return [...this.#places.values()].reduce((sum, places) => sum + places.length, 0);
  }

  *entries(): Generator<{ readonly id: ChunkId; readonly location: ChunkLocation }> {
    for (const [id, places] of this.#places) {
      for (const location of places) yield { id: chunkIdFromBytes(Buffer.from(id, 'hex')), location };
    }
  }

  #addPack(pack: Omit<PackRecord, 'number'>, chunks: Bytes): PackNumber {
    const former = this.#numbers.get(pack.id);
    const known = former === undefined ? undefined : this.#packs.get(former);
    if (former !== undefined && known !== undefined) {
      if (isSamePack(known, pack, chunks)) return former;
      this.#forgetPack(former);
    }
    const number = this.reservePack(pack.id);
    this.#packs.set(number, { record: { ...pack, number, frames: pack.frames.slice() }, chunks });
    for (let at = 0; at < chunks.length; at += RECORD_BYTES) {
      const id = toHex(chunks.subarray(at, at + ID_BYTES));
      const place = { ...readLocation(viewOf(chunks), at), pack: number };
      this.#places.set(id, [...(this.#places.get(id) ?? []), place]);
    }
    return number;
  }

  #forgetPack(number: PackNumber): void {
    const known = this.#packs.get(number);
    if (known === undefined) return;
    this.#packs.delete(number);
    this.#numbers.delete(known.record.id);
    this.#usable.delete(number);
    for (let at = 0; at < known.chunks.length; at += RECORD_BYTES) {
      const id = toHex(known.chunks.subarray(at, at + ID_BYTES));
      const places = (this.#places.get(id) ?? []).filter(place => place.pack !== number);
      if (places.length > 0) this.#places.set(id, places);
      else this.#places.delete(id);
    }
  }
}

function chunksOf({ chunks }: SegmentContent, ordinal: number): Bytes {
  const view = viewOf(chunks);
  const records: Bytes[] = [];
  for (let at = 0; at < chunks.length; at += RECORD_BYTES) {
    if (view.getUint32(at + PACK_AT, true) !== ordinal) continue;
    const record = chunks.slice(at, at + RECORD_BYTES);
    viewOf(record).setUint32(PACK_AT, 0);
    records.push(record);
  }
  return concatBytes(records);
}

function isSamePack({ record, chunks }: KnownPack, pack: Omit<PackRecord, 'number'>, packChunks: Bytes): boolean {
  return record.sessionId === pack.sessionId && record.type === pack.type && record.suite === pack.suite && record.epoch === pack.epoch
    && record.sizeBytes === pack.sizeBytes && record.chunkCount === pack.chunkCount
    && equalBytes(record.frames, pack.frames) && equalBytes(chunks, packChunks);
}

class MemoryFileCache implements FileCache {
  readonly #records = new Map<string, Uint8Array>();

  get(key: Bytes): Uint8Array | undefined {
    return this.#records.get(keyText(key))?.slice();
  }

  put(key: Bytes, record: Bytes): void {
    this.#records.set(keyText(key), record.slice());
  }

  async flush(): Promise<void> {}
}

/** @throws RangeError for a key that has not 32 bytes */
function keyText(key: Bytes): string {
  if (key.length !== 32) throw new RangeError(`The key of a directory record has 32 bytes, not ${key.length}`);
  return toHex(key);
}

class MemoryObjectCache implements ObjectCache {
  /** Least recently used first. */
  readonly #objects = new Map<string, Uint8Array>();
  readonly #maxBytes: number;
  #totalBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(name: string): Uint8Array | undefined {
    const bytes = this.#objects.get(name);
    if (bytes === undefined) return undefined;
    this.#objects.delete(name);
    this.#objects.set(name, bytes);
    return bytes.slice();
  }

  put(name: string, bytes: Bytes): void {
    this.delete(name);
    if (bytes.length > this.#maxBytes) return;
    this.#objects.set(name, bytes.slice());
    this.#totalBytes += bytes.length;
    for (const oldest of this.#objects.keys()) {
      if (this.#totalBytes <= this.#maxBytes) break;
      this.delete(oldest);
    }
  }

  delete(name: string): void {
    this.#totalBytes -= this.#objects.get(name)?.length ?? 0;
    this.#objects.delete(name);
  }
}

class MemoryCache implements Cache {
  readonly chunks: ChunkIndex = new MemoryChunkIndex();
  readonly files: FileCache = new MemoryFileCache();
  readonly objects: ObjectCache;
  #memory: HostMemory = NO_MEMORY;

  constructor(maxObjectBytes: number) {
    this.objects = new MemoryObjectCache(maxObjectBytes);
  }

  memory(): HostMemory {
    return this.#memory;
  }

  async remember(memory: Partial<HostMemory>): Promise<void> {
    this.#memory = mergeMemory(this.#memory, memory);
  }

  async replaceMemory(memory: HostMemory): Promise<void> {
    this.#memory = memory;
  }

  describe(): { location: string; sizeBytes: number } {
    return { location: 'memory', sizeBytes: 0 };
  }

  async close(): Promise<void> {}
}

/** `maxObjectBytes`: bound of the object cache. */
export function openMemoryCache(options: { readonly maxObjectBytes?: number } = {}): Cache {
  return new MemoryCache(options.maxObjectBytes ?? 64 * 1024 * 1024);
}
