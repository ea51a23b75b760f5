/**
 * What the file cache remembers of one directory (decision 0001): enough to take over the whole directory when nothing in it
 * changed, and the way to its old entries when something did. A record is a hint: its packs are checked in every session.
 */
import { concatBytes, utf8, viewOf, type Bytes } from '../../base/bytes.ts';
import type { FileCache, PackNumber } from '../../cache/cache.ts';
import { chunkIdFromBytes, type ChunkId } from '../../format/ids.ts';
import type { Kernel } from '../../kernel/kernel.ts';

export interface DirectoryRecord {
  /** BLAKE3 of the packed names and stat records of all entries, 32 bytes. */
  readonly fingerprint: Bytes;
  readonly node: ChunkId;
  /** Direct files, and the sum of their sizes. */
  readonly files: number;
  readonly bytes: number;
  /** Nodes of the subdirectories that are entered, in name order. */
  readonly children: readonly ChunkId[];
  /** Every pack that holds a node of this directory or content of its direct files. */
  readonly packs: readonly PackNumber[];
}

const VERSION = 1;
const HEAD_BYTES = 1 + 32 + 32 + 4 + 8 + 4 + 4;

export class DirectoryRecords {
  readonly #files: FileCache;
  readonly #kernel: Kernel;
  readonly #scope: Bytes;

  /** `scope`: records of other series do not disturb each other, since their excludes may differ. */
  constructor(files: FileCache, kernel: Kernel, scope: string) {
    this.#files = files;
    this.#kernel = kernel;
    this.#scope = utf8(`${scope}\0`);
  }

  fingerprint(names: Bytes, stats: Bytes): Bytes {
    return this.#kernel.blake3(concatBytes([names, stats]));
  }

  get(path: Bytes): DirectoryRecord | undefined {
    const bytes = this.#files.get(this.#key(path));
    return bytes === undefined ? undefined : decodeRecord(bytes);
  }

  put(path: Bytes, record: DirectoryRecord): void {
    this.#files.put(this.#key(path), encodeRecord(record));
  }

  flush(): Promise<void> {
    return this.#files.flush();
  }

  #key(path: Bytes): Bytes {
    return this.#kernel.blake3(concatBytes([this.#scope, path]));
  }
}

export function encodeRecord(record: DirectoryRecord): Uint8Array<ArrayBuffer> {
  const { children, packs } = record;
  const bytes = new Uint8Array(HEAD_BYTES + 32 * children.length + 4 * packs.length);
  const view = viewOf(bytes);
  bytes[0] = VERSION;
  bytes.set(record.fingerprint, 1);
  bytes.set(record.node, 33);
  view.setUint32(65, record.files, true);
  view.setFloat64(69, record.bytes, true);
  view.setUint32(77, children.length, true);
  view.setUint32(81, packs.length, true);
  children.forEach((child, i) => bytes.set(child, HEAD_BYTES + 32 * i));
  const packsAt = HEAD_BYTES + 32 * children.length;
  packs.forEach((pack, i) => view.setUint32(packsAt + 4 * i, pack, true));
  return bytes;
}

/** Views of `bytes`. Undefined for anything that this version did not write: the directory is then simply read again. */
export function decodeRecord(bytes: Bytes): DirectoryRecord | undefined {
  if (bytes.length < HEAD_BYTES || bytes[0] !== VERSION) return undefined;
  const view = viewOf(bytes);
  const childCount = view.getUint32(77, true);
  const packCount = view.getUint32(81, true);
  if (bytes.length !== HEAD_BYTES + 32 * childCount + 4 * packCount) return undefined;
  const children: ChunkId[] = [];
  for (let i = 0; i < childCount; i++) children.push(chunkIdFromBytes(bytes.subarray(HEAD_BYTES + 32 * i, HEAD_BYTES + 32 * (i + 1))));
  const packsAt = HEAD_BYTES + 32 * childCount;
  const packs: PackNumber[] = [];
  for (let i = 0; i < packCount; i++) packs.push(view.getUint32(packsAt + 4 * i, true));
  return {
    fingerprint: bytes.subarray(1, 33), node: chunkIdFromBytes(bytes.subarray(33, 65)), files: view.getUint32(65, true), bytes: view.getFloat64(69, true),
    children, packs,
  };
}
