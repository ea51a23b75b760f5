/**
 * Groups files into batches that are worth a message to another thread: at least 4 MiB or 256 files, files of one directory
 * together and in name order (performance design, section 10). Pure: it only collects.
 */
import { concatBytes, type Bytes } from '../../base/bytes.ts';
import { MiB } from '../../base/units.ts';
import type { FileGroup, IngestBatch } from '../../engine/engine.ts';

export const BATCH_BYTES: number = 4 * MiB;
export const BATCH_FILES = 256;

const NUL: Uint8Array = new Uint8Array(1);

interface OpenGroup {
  readonly directory: Bytes;
  readonly names: Bytes[];
  readonly stats: Bytes[];
}

/** `T` is what the caller wants back for each file when the batch is answered. */
export interface FilledBatch<T> {
  readonly batch: IngestBatch;
  readonly items: readonly T[];
}

export class ContentBatches<T> {
  #groups: OpenGroup[] = [];
  #items: T[] = [];
  #sizeBytes = 0;

  /** Adds a file; returns a batch when it is full. `directory` is compared by identity. */
  add(directory: Bytes, name: Bytes, stat: Bytes, sizeBytes: number, item: T): FilledBatch<T> | undefined {
    let group = this.#groups.at(-1);
    if (group?.directory !== directory) {
      group = { directory, names: [], stats: [] };
      this.#groups.push(group);
    }
    group.names.push(name, NUL);
    group.stats.push(stat);
    this.#items.push(item);
    this.#sizeBytes += sizeBytes;
    return this.#sizeBytes >= BATCH_BYTES || this.#items.length >= BATCH_FILES ? this.take() : undefined;
  }

  /** What is left, if anything. */
  take(): FilledBatch<T> | undefined {
    if (this.#items.length === 0) return undefined;
    const groups: FileGroup[] = this.#groups.map(group => ({
      directory: group.directory, names: concatBytes(group.names), stats: concatBytes(group.stats), count: group.stats.length,
    }));
    const filled: FilledBatch<T> = { batch: { kind: 'files', groups, sizeBytes: this.#sizeBytes }, items: this.#items };
    this.#groups = [];
    this.#items = [];
    this.#sizeBytes = 0;
    return filled;
  }
}
