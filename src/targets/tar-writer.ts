/** Archives in the pax format; written in one pass, readable by every tar of this century. Holes are written as zeros. */
import type { Bytes } from '../base/bytes.ts';
import type { Entry } from '../format/tree-node.ts';
import { ArchiveOutput, type ArchiveSink, type ArchiveWriter, checkArchivePath, exactContent, HardLinkPaths } from './archive-writer.ts';
import { encodeTarHeaders, TAR_BLOCK_BYTES, tarPadding } from './tar-header.ts';

export function createTarWriter(sink: ArchiveSink): ArchiveWriter {
  return new TarWriter(sink);
}

class TarWriter implements ArchiveWriter {
  readonly #output: ArchiveOutput;
  readonly #links = new HardLinkPaths();

  constructor(sink: ArchiveSink) {
    this.#output = new ArchiveOutput(sink);
  }

  async entry(path: Bytes, entry: Entry, content: AsyncIterable<Bytes> | undefined): Promise<string | undefined> {
    checkArchivePath(path);
    const { type } = entry;
    if (type === 'socket') return 'A tar archive cannot hold a socket';
    if (path.length === 0 && type !== 'directory') throw new RangeError('The root of an archive is a directory');
    const original = this.#links.original(path, entry);
    await this.#output.write(encodeTarHeaders(path, { ...entry, type }, original));
    if (type !== 'file' || original !== undefined) return undefined;
    for await (const bytes of exactContent(entry, content)) await this.#output.write(bytes);
    await this.#output.write(tarPadding(entry.sizeBytes ?? 0));
    return undefined;
  }

  /** Two blocks of zeros. */
  async finish(): Promise<void> {
    await this.#output.write(new Uint8Array(2 * TAR_BLOCK_BYTES));
    await this.#output.flush();
  }
}
