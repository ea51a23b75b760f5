/** What is known to be damaged, and which files and snapshots that hits. */
import type { Bytes } from '../base/bytes.ts';
import { toHex } from '../base/bytes.ts';
import type { ChunkIndex, ChunkLocation, PackNumber } from '../cache/cache.ts';
import { chunkIdKey, type ChunkId, type SnapshotId } from '../format/ids.ts';
import { packName } from '../format/object-names.ts';
import type { Finding } from './events.ts';
import type { FindingList } from './findings.ts';

/** Files that a finding names for each snapshot, and in all; its message counts the rest. */
const FILES_PER_SNAPSHOT = 20;
const FILES_PER_FINDING = 200;

interface Culprit {
  readonly object: Finding['object'];
  readonly name: string;
  readonly message: string;
  readonly files: { readonly snapshotId: SnapshotId; readonly path: Bytes }[];
  fileCount: number;
  lastSnapshot: SnapshotId | undefined;
  filesOfLast: number;
  snapshotCount: number;
  /** Chunks that share the finding. */
  chunks: number;
}

export class DamageMap {
  readonly #index: ChunkIndex;
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
    if (this.#index.pack(location.pack)?.type !== type) return false;
    return this.#culpritAt(location) === undefined;
  }

  #culpritAt(location: ChunkLocation): Culprit | undefined {
    if (this.isEmpty) return undefined;
    return this.#packs.get(location.pack) ?? this.#frames.get(location.pack * 2 ** 16 + location.frame)
      ?? (this.#places.size === 0 ? undefined : this.#places.get(placeKey(location)));
  }

  /** Names a file that needs a chunk for which `findGood` gave nothing. */
  hit(id: ChunkId, object: 'chunk' | 'tree', snapshotId: SnapshotId, path: Bytes): void {
    const key = chunkIdKey(id);
    let culprit = this.#ids.get(key);
    for (const location of culprit === undefined ? this.#index.findAll(id) : []) culprit ??= this.#culpritAt(location);
    if (culprit === undefined) this.#ids.set(key, culprit = this.#withoutPlace(id, object));
    addFile(culprit, snapshotId, path);
  }

  /** One finding for all of a kind: with a segment of the index, many chunks are lost at once. */
  #withoutPlace(id: ChunkId, object: 'chunk' | 'tree'): Culprit {
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
    const culprits = [this.#packs, this.#frames, this.#places, this.#ids].flatMap(each => [...each.values()]);
    for (const culprit of new Set(culprits)) findings.add(toFinding(culprit));
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
  return { object, name, message, files: [], fileCount: 0, lastSnapshot: undefined, filesOfLast: 0, snapshotCount: 0, chunks: 1 };
}

function addFile(culprit: Culprit, snapshotId: SnapshotId, path: Bytes): void {
  if (culprit.lastSnapshot !== snapshotId) {
    culprit.lastSnapshot = snapshotId;
    culprit.filesOfLast = 0;
    culprit.snapshotCount++;
  }
  culprit.fileCount++;
  if (culprit.filesOfLast >= FILES_PER_SNAPSHOT || culprit.files.length >= FILES_PER_FINDING) return;
  culprit.filesOfLast++;
  culprit.files.push({ snapshotId, path });
}

function toFinding({ object, name, message, files, fileCount, snapshotCount, chunks }: Culprit): Finding {
  const others = chunks === 1 ? '' : `, and the same of ${chunks - 1} more`;
  const hits = fileCount === 0 ? 'no snapshot needs it'
    : `${fileCount} ${fileCount === 1 ? 'entry' : 'entries'} in ${snapshotCount} ${snapshotCount === 1 ? 'snapshot is' : 'snapshots are'} hit`;
  return { object, name, message: `${message}${others} (${hits})`, severity: 'damage', files };
}
