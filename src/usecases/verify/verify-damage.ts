/** What is known to be damaged, and which files and snapshots that hits. */
import { equalBytes, toHex, type Bytes } from '../../base/bytes.ts';
import type { ChunkIndex, ChunkLocation, PackNumber, PackRecord } from '../../cache/cache.ts';
import { chunkIdKey, type ChunkId, type SnapshotId } from '../../format/ids.ts';
import { packName } from '../../format/object-names.ts';
import type { Finding } from '../events.ts';
import type { FindingList } from '../findings.ts';

/** Files that a finding names for each snapshot, and in all; its message counts the rest. */
const FILES_PER_SNAPSHOT = 20;
const FILES_PER_FINDING = 200;
const RANGES_PER_FILE = 1_000;
const CHUNKS_PER_FINDING = 100;

/** What needs a chunk that cannot be had. */
export interface Need {
  readonly id: ChunkId;
  readonly object: 'chunk' | 'tree';
  readonly snapshotId: SnapshotId;
  readonly path: Bytes;
  /** Of the content of a file; undefined for everything else. */
  readonly range?: readonly [offset: number, length: number] | undefined;
}

interface NamedFile {
  readonly snapshotId: SnapshotId;
  readonly path: Bytes;
  ranges?: [offset: number, length: number][];
}

interface Culprit {
  readonly object: Finding['object'];
  readonly name: string;
  readonly message: string;
  readonly files: NamedFile[];
  fileCount: number;
  /** The file that was hit last, whether it is named or not: all hits of one file come one after the other. */
  last: NamedFile | undefined;
  filesOfLast: number;
  snapshotCount: number;
  /** Chunks that share the finding. */
  chunks: number;
  readonly chunkIds: Set<string>;
}

export class DamageMap {
  readonly #index: ChunkIndex;
  readonly #types = new Map<PackNumber, PackRecord['type'] | undefined>();
  readonly #packs = new Map<PackNumber, Culprit>();
  /** By pack number × 2^16 + frame number. */
  readonly #frames = new Map<number, Culprit>();
  /** Single chunks by place, within frames that are right otherwise. */
  readonly #places = new Map<string, Culprit>();
  /** Chunks and tree nodes by ID: no place at all, or content that is not legal. */
  readonly #ids = new Map<string, Culprit>();
  /** Chunks that no usable place is known of, by reason. */
  readonly #lost = new Map<string, Culprit>();

  constructor(index: ChunkIndex) {
    this.#index = index;
  }

  get isEmpty(): boolean {
    return this.#packs.size + this.#frames.size + this.#places.size + this.#ids.size === 0;
  }

  badPacks(): IterableIterator<PackNumber> {
    return this.#packs.keys();
  }

  hasPack(number: PackNumber): boolean {
    return this.#packs.has(number);
  }

  packIsBad(number: PackNumber, name: string, message: string): void {
    if (!this.#packs.has(number)) this.#packs.set(number, newCulprit('pack', name, message));
  }

  /** After another look: nothing is wrong with the pack, or nobody needs it any more. */
  packIsRight(number: PackNumber): void {
    this.#packs.delete(number);
  }

  frameIsBad(number: PackNumber, frame: number, name: string, message: string): void {
    const key = number * 2 ** 16 + frame;
    if (!this.#frames.has(key)) this.#frames.set(key, newCulprit('frame', name, `Frame ${frame}: ${message}`));
  }

  placeIsBad(number: PackNumber, frame: number, offset: number, id: Bytes): void {
    const key = placeKey({ pack: number, frame, offset });
    if (!this.#places.has(key)) this.#places.set(key, newCulprit('chunk', toHex(id), `The chunk in frame ${frame} of pack '${this.#nameOf(number)}' does not match its ID`));
  }

  idIsBad(id: ChunkId, object: 'chunk' | 'tree', message: string): void {
    const key = chunkIdKey(id);
    if (!this.#ids.has(key)) this.#ids.set(key, newCulprit(object, toHex(id), message));
  }

  /** A place from which the chunk can be read, as far as is known; all packs of the index may be looked at. */
  findGood(id: ChunkId, type: 'data' | 'tree', length?: number): ChunkLocation | undefined {
    if (this.#ids.size > 0 && this.#ids.has(chunkIdKey(id))) return undefined;
    const first = this.#index.find(id);
    if (first === undefined || this.#isGood(first, type, length)) return first;
    return this.#index.findAll(id).find(location => this.#isGood(location, type, length));
  }

  #isGood(location: ChunkLocation, type: 'data' | 'tree', length: number | undefined): boolean {
    if (length !== undefined && location.length !== length) return false;
    if (this.#typeOf(location.pack) !== type) return false;
    return this.#culpritAt(location) === undefined;
  }

  /** The record of a pack is large, and is asked for with every chunk. */
  #typeOf(number: PackNumber): PackRecord['type'] | undefined {
    let type = this.#types.get(number);
    if (type === undefined) this.#types.set(number, type = this.#index.pack(number)?.type);
    return type;
  }

  #culpritAt(location: ChunkLocation): Culprit | undefined {
    if (this.isEmpty) return undefined;
    return this.#packs.get(location.pack) ?? this.#frames.get(location.pack * 2 ** 16 + location.frame)
      ?? (this.#places.size === 0 ? undefined : this.#places.get(placeKey(location)));
  }

  /** Names what needs a chunk for which `findGood` gave nothing. */
  hit(need: Need): void {
    const key = chunkIdKey(need.id);
    let culprit = this.#ids.get(key);
    for (const location of culprit === undefined ? this.#index.findAll(need.id) : []) culprit ??= this.#culpritAt(location);
    if (culprit === undefined) this.#ids.set(key, culprit = this.#withoutPlace(need));
    if (culprit.chunkIds.size < CHUNKS_PER_FINDING) culprit.chunkIds.add(toHex(need.id));
    addFile(culprit, need);
  }

  /** One finding for all of a kind: with a segment of the index, many chunks are lost at once. */
  #withoutPlace({ id, object }: Need): Culprit {
    const message = this.#index.find(id) === undefined ? 'No index segment says where the chunk is' : 'The index has the chunk with another length or type';
    const key = `${object} ${message}`;
    const known = this.#lost.get(key);
    if (known !== undefined) {
      known.chunks++;
      return known;
    }
    const culprit = newCulprit(object, toHex(id), message);
    this.#lost.set(key, culprit);
    return culprit;
  }

  /** To be called when every file that is hit has been named. */
  report(findings: FindingList): void {
    // What is wrong in a pack that is bad as a whole needs no finding of its own, in whatever order it was found.
    const frames = [...this.#frames].filter(([key]) => !this.#packs.has(Math.floor(key / 2 ** 16))).map(([, culprit]) => culprit);
    const places = [...this.#places].filter(([key]) => !this.#packs.has(Number(key.slice(0, key.indexOf('/'))))).map(([, culprit]) => culprit);
    for (const culprit of new Set([...this.#packs.values(), ...frames, ...places, ...this.#ids.values()])) findings.add(toFinding(culprit));
  }

  #nameOf(number: PackNumber): string {
    const pack = this.#index.pack(number);
    return pack === undefined ? String(number) : packName(pack.type, pack.id);
  }
}

function placeKey({ pack, frame, offset }: Pick<ChunkLocation, 'pack' | 'frame' | 'offset'>): string {
  return `${pack}/${frame}/${offset}`;
}

function newCulprit(object: string, name: string, message: string): Culprit {
  return { object, name, message, files: [], fileCount: 0, last: undefined, filesOfLast: 0, snapshotCount: 0, chunks: 1, chunkIds: new Set() };
}

function addFile(culprit: Culprit, { snapshotId, path, range }: Need): void {
  const { last } = culprit;
  if (last?.snapshotId === snapshotId && equalBytes(last.path, path)) return addRange(last, range);
  if (last?.snapshotId !== snapshotId) {
    culprit.filesOfLast = 0;
    culprit.snapshotCount++;
  }
  const file: NamedFile = { snapshotId, path };
  addRange(file, range);
  culprit.last = file;
  culprit.fileCount++;
  if (culprit.filesOfLast >= FILES_PER_SNAPSHOT || culprit.files.length >= FILES_PER_FINDING) return;
  culprit.filesOfLast++;
  culprit.files.push(file);
}

/** Ranges of one file come in order; those that touch each other are one. */
function addRange(file: NamedFile, range: Need['range']): void {
  if (range === undefined) return;
  const last = file.ranges?.at(-1);
  if (last !== undefined && last[0] + last[1] === range[0]) last[1] += range[1];
  else if (file.ranges === undefined) file.ranges = [[...range]];
  else if (file.ranges.length < RANGES_PER_FILE) file.ranges.push([...range]);
}

function toFinding({ object, name, message, files, fileCount, snapshotCount, chunks, chunkIds }: Culprit): Finding {
  const others = chunks === 1 ? '' : `, and the same of ${chunks - 1} more`;
  const hits = fileCount === 0 ? 'no snapshot needs it'
    : `${fileCount} ${fileCount === 1 ? 'entry' : 'entries'} in ${snapshotCount} ${snapshotCount === 1 ? 'snapshot is' : 'snapshots are'} hit`;
  return { object, name, message: `${message}${others} (${hits})`, severity: 'damage', files, ...(chunkIds.size === 0 ? {} : { chunks: [...chunkIds] }) };
}
