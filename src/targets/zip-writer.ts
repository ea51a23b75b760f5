/**
 * Zip archives in one pass: small files with their lengths in front, larger ones deflated as they come with the lengths
 * behind. Own code instead of a package, since none takes names that are not UTF-8 or waits for a slow reader by promise.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, createDeflateRaw, deflateRawSync } from 'node:zlib';
import { type Bytes, concatBytes } from '../base/bytes.ts';
import { GiB, KiB, MiB } from '../base/units.ts';
import type { Entry } from '../format/tree-node.ts';
import { ArchiveOutput, type ArchiveSink, type ArchiveWriter, checkArchivePath, exactContent } from './archive-writer.ts';
import {
  DEFLATED, encodeCentralHeader, encodeDescriptor, encodeEnd, encodeLocalHeader, STORED, type ZipEntry,
} from './zip-records.ts';

/** Up to this size a file is compressed in one piece, which spares the set-up of a stream. */
const WHOLE_BYTES: number = 256 * KiB;
/** Deflate adds 5 bytes to 16 KiB at worst, so below this both lengths fit into 32 bits. */
const LARGE_BYTES: number = 4 * GiB - 16 * MiB;
const MAX_NAME_BYTES = 0xffff;

export function createZipWriter(sink: ArchiveSink): ArchiveWriter {
  return new ZipWriter(sink);
}

class ZipWriter implements ArchiveWriter {
  readonly #output: ArchiveOutput;
  readonly #central: Bytes[] = [];

  constructor(sink: ArchiveSink) {
    this.#output = new ArchiveOutput(sink);
  }

  async entry(path: Bytes, entry: Entry, content: AsyncIterable<Bytes> | undefined): Promise<string | undefined> {
    checkArchivePath(path);
    const { type } = entry;
    if (type !== 'file' && type !== 'directory' && type !== 'symlink') return `A zip archive cannot hold a ${type}`;
    if (path.length === 0) {
      if (type !== 'directory') throw new RangeError('The root of an archive is a directory');
      return undefined;
    }
    const name = type === 'directory' ? concatBytes([path, Uint8Array.of(0x2f)]) : path;
    if (name.length > MAX_NAME_BYTES) return `A zip archive cannot hold a path of ${name.length} bytes`;
    const zip: ZipEntry = {
      name, entry, type, method: STORED, isStreamed: false, isLarge: false, offset: this.#output.position, crc: 0, storedBytes: 0, sizeBytes: 0,
    };
    this.#central.push(encodeCentralHeader(await this.#write(zip, content)));
    return undefined;
  }

  async #write(zip: ZipEntry, content: AsyncIterable<Bytes> | undefined): Promise<ZipEntry> {
    if (zip.type === 'file' && (zip.entry.sizeBytes ?? 0) > WHOLE_BYTES) return this.#writeStreamed(zip, content);
    if (zip.type !== 'file') return this.#writeWhole(zip, zip.entry.linkTarget ?? new Uint8Array(0));
    const pieces: Bytes[] = [];
    for await (const bytes of exactContent(zip.entry, content)) pieces.push(bytes);
    return this.#writeWhole(zip, concatBytes(pieces));
  }

  async #writeWhole(zip: ZipEntry, bytes: Bytes): Promise<ZipEntry> {
    const deflated = zip.type === 'file' && bytes.length > 0 ? deflateRawSync(bytes) : bytes;
    const isSmaller = deflated.length < bytes.length;
    const stored = isSmaller ? deflated : bytes;
    const known: ZipEntry = {
      ...zip, method: isSmaller ? DEFLATED : STORED, crc: crc32(bytes), storedBytes: stored.length, sizeBytes: bytes.length,
    };
    await this.#output.write(encodeLocalHeader(known));
    await this.#output.write(stored);
    return known;
  }

  async #writeStreamed(zip: ZipEntry, content: AsyncIterable<Bytes> | undefined): Promise<ZipEntry> {
    const sizeBytes = zip.entry.sizeBytes ?? 0;
    const begun: ZipEntry = { ...zip, method: DEFLATED, isStreamed: true, isLarge: sizeBytes >= LARGE_BYTES };
    await this.#output.write(encodeLocalHeader(begun));
    const start = this.#output.position;
    let crc = 0;
    async function* summed(): AsyncGenerator<Bytes, void, void> {
      for await (const bytes of exactContent(zip.entry, content)) {
        crc = crc32(bytes, crc);
        yield bytes;
      }
    }
    const output = this.#output;
    await pipeline(Readable.from(summed(), { objectMode: true, highWaterMark: 1 }), createDeflateRaw({ chunkSize: 64 * KiB }), async source => {
      for await (const bytes of source as AsyncIterable<Bytes>) await output.write(bytes);
    });
    const known: ZipEntry = { ...begun, crc, storedBytes: this.#output.position - start, sizeBytes };
    await this.#output.write(encodeDescriptor(known));
    return known;
  }

  async finish(): Promise<void> {
    const start = this.#output.position;
    for (const header of this.#central) await this.#output.write(header);
    await this.#output.write(encodeEnd(this.#central.length, start, this.#output.position - start));
    await this.#output.flush();
  }
}
