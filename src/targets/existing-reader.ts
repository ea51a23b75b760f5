/** Reads files of the target, for re-use by hash; one stays open, since its ranges are asked for one after the other. */
import { type Bytes, equalBytes } from '../base/bytes.ts';
import { StatRecords, TYPE_FILE } from '../base/stat-record.ts';
import { DIRECTORY_PHANTOM } from './directory-table.ts';
import { targetError } from './target-error.ts';
import type { TargetHandle } from './target.ts';
import type { TargetTree } from './target-tree.ts';

interface OpenExisting {
  readonly parent: TargetHandle;
  readonly name: Bytes;
  readonly descriptor: number;
  /** 0 for anything but a regular file. */
  readonly sizeBytes: number;
}

export class ExistingReader {
  readonly #tree: TargetTree;
  #open: OpenExisting | undefined;

  constructor(tree: TargetTree) {
    this.#tree = tree;
  }

  read(parent: TargetHandle, name: Bytes, offset: number, length: number): Uint8Array | undefined {
    if (this.#tree.table.has(parent, DIRECTORY_PHANTOM)) return undefined;
    try {
      const { descriptor, sizeBytes } = this.#opened(parent, name);
      if (!(offset >= 0 && offset + length <= sizeBytes)) return undefined;
      const bytes = new Uint8Array(length);
      return this.#tree.fs.read(descriptor, bytes, 0, length, offset) === length ? bytes : undefined;
    } catch (error) {
      // What cannot be read cannot be used again, whatever the reason; errors of other kinds are thrown on.
      targetError('read the file', error);
      return undefined;
    }
  }

  #opened(parent: TargetHandle, name: Bytes): OpenExisting {
    const { fs, chain } = this.#tree;
    if (this.#open?.parent === parent && equalBytes(this.#open.name, name)) return this.#open;
    this.close();
    const descriptor = fs.openFileAt(chain.descriptor(parent), name, {});
    const stat = new StatRecords(fs.statDescriptor(descriptor));
    this.#open = { parent, name: name.slice(), descriptor, sizeBytes: stat.type(0) === TYPE_FILE ? stat.size(0) : 0 };
    return this.#open;
  }

  /** Before the file may be replaced. */
  close(): void {
    if (this.#open === undefined) return;
    this.#tree.fs.close(this.#open.descriptor);
    this.#open = undefined;
  }
}
