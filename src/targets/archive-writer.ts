/** What both archive formats share: the interface, the checks at its edge, and an output that joins small writes. */
import { isUtf8 } from 'node:buffer';
import { type Bytes, equalBytes } from '../base/bytes.ts';
import { invariant, SnapError } from '../base/errors.ts';
import { KiB } from '../base/units.ts';
import { type ContentItem, type Entry, nameFault } from '../format/tree-node.ts';

/** Takes the bytes of an archive, in order; the next call comes after it has resolved. It may keep the memory. */
export type ArchiveSink = (bytes: Bytes) => Promise<void>;

export interface ArchiveWriter {
  /**
   * Adds an entry under a path relative to the root of the archive, '' being the root itself. `content` is needed for files:
   * exactly `sizeBytes`, zeros included; it is not read when the entry becomes a hard link. Values of extended attributes
   * are given as bytes. Returns why the format cannot hold the entry, which is then left out, or undefined.
   * @throws OBJECT_CORRUPT for a path that leads elsewhere; INTERNAL when the content has another length
   */
  entry(path: Bytes, entry: Entry, content: AsyncIterable<Bytes> | undefined): Promise<string | undefined>;
  /** The end of the archive; nothing may follow. */
  finish(): Promise<void>;
}

const OUTPUT_BYTES: number = 128 * KiB;

/** Joins small pieces, so that an archive of small files is not written in pieces of 512 bytes. */
export class ArchiveOutput {
  readonly #sink: ArchiveSink;
  #buffer = new Uint8Array(OUTPUT_BYTES);
  #filled = 0;
  /** Bytes since the start of the archive. */
  position = 0;

  constructor(sink: ArchiveSink) {
    this.#sink = sink;
  }

  async write(bytes: Bytes): Promise<void> {
    this.position += bytes.length;
    const isLarge = bytes.length > OUTPUT_BYTES / 2;
    if (isLarge || this.#filled + bytes.length > OUTPUT_BYTES) await this.flush();
    if (isLarge) return this.#sink(bytes);
    this.#buffer.set(bytes, this.#filled);
    this.#filled += bytes.length;
  }

  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    const full = this.#buffer.subarray(0, this.#filled);
    this.#buffer = new Uint8Array(OUTPUT_BYTES);
    this.#filled = 0;
    await this.#sink(full);
  }
}

/** Programs that unpack archives are not all as careful as a restore. @throws OBJECT_CORRUPT */
export function checkArchivePath(path: Bytes): void {
  if (path.length === 0) return;
  for (let start = 0; start <= path.length;) {
    const slash = path.indexOf(0x2f, start);
    const end = slash === -1 ? path.length : slash;
    const fault = nameFault(path.subarray(start, end));
    if (fault !== undefined) throw new SnapError('OBJECT_CORRUPT', `The entry is refused: ${fault}`);
    start = end + 1;
  }
}

/** The content, counted. @throws INTERNAL when it has not exactly the size of the entry */
export async function* exactContent(entry: Entry, content: AsyncIterable<Bytes> | undefined): AsyncGenerator<Bytes, void, void> {
  const sizeBytes = entry.sizeBytes ?? 0;
  let total = 0;
  if (content !== undefined) {
    for await (const bytes of content) {
      total += bytes.length;
      invariant(total <= sizeBytes, 'The content of a file is longer than its size');
      if (bytes.length > 0) yield bytes;
    }
  }
  invariant(total === sizeBytes, 'The content of a file is shorter than its size');
}

export function isAsciiText(bytes: Bytes): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i]! >= 0x80) return false;
  return true;
}

export function isUtf8Text(bytes: Bytes): boolean {
  return isUtf8(bytes);
}

interface LinkedEntry {
  readonly path: Bytes;
  readonly entry: Entry;
}

/** First path of each hard-link group. Members are one file only if type, size, time and content agree (section 14.3). */
export class HardLinkPaths {
  readonly #first = new Map<string, LinkedEntry>();

  /** Path of an equal member that came before; else the entry is remembered. */
  original(path: Bytes, entry: Entry): Bytes | undefined {
    const group = entry.hardLinkGroup;
    if (group === undefined) return undefined;
    const key = Buffer.from(group).toString('hex');
    const first = this.#first.get(key);
    if (first === undefined) this.#first.set(key, { path: path.slice(), entry });
    return first !== undefined && isSameFile(first.entry, entry) ? first.path : undefined;
  }
}

function isSameFile(a: Entry, b: Entry): boolean {
  return a.type === b.type && a.sizeBytes === b.sizeBytes && a.mtime[0] === b.mtime[0] && a.mtime[1] === b.mtime[1]
    && isSame(a.linkTarget, b.linkTarget) && isSame(a.contentNode, b.contentNode) && isSameList(a.content ?? [], b.content ?? []);
}

function isSame(a: Bytes | undefined, b: Bytes | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}

function isSameList(a: readonly ContentItem[], b: readonly ContentItem[]): boolean {
  return a.length === b.length && a.every((item, i) => item.lengthBytes === b[i]!.lengthBytes && isSame(item.id, b[i]!.id));
}
