/** Small files in one go: create, write, metadata, close. */
import type { Bytes } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import { type Entry, ENTRY_SPARSE } from '../format/tree-node.ts';
import { writeAll, writeSparsely } from './file-content.ts';
import { failedWith } from './target-error.ts';
import type { TargetHandle, TargetProblem } from './target.ts';
import { NEW_FILE, type TargetTree } from './target-tree.ts';

/** Pieces up to this size together are joined: a copy of 256 KiB costs less than a second write. */
const JOIN_BYTES: number = 256 * KiB;

export class WholeFileWriter {
  readonly #tree: TargetTree;
  readonly #joined = new Uint8Array(JOIN_BYTES);

  constructor(tree: TargetTree) {
    this.#tree = tree;
  }

  write(parent: TargetHandle, entry: Entry, content: readonly Bytes[]): TargetProblem | undefined {
    const { fs, chain } = this.#tree;
    try {
      const directory = chain.descriptor(parent);
      if (this.#writeAtOnce(parent, directory, entry, content)) return undefined;
      return this.#tree.place(
        parent, directory, entry,
        name => fs.openFileAt(directory, name, NEW_FILE),
        (descriptor, name) => this.#fill(parent, directory, entry, content, descriptor, name),
      );
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'write the file', error);
    }
  }

  /** Most files have one piece of content and nothing special: they take one call. False: made step by step, so that each step can fail by itself. */
  #writeAtOnce(parent: TargetHandle, directory: number, entry: Entry, content: readonly Bytes[]): boolean {
    if (content.length !== 1 || (entry.flags & ENTRY_SPARSE) !== 0 || !this.#tree.hasOnlyModeAndTime(parent, entry)) return false;
    try {
      this.#tree.fs.writeNewFile(directory, entry.name, content[0]!, entry.mode, entry.mtime[0], entry.mtime[1]);
      return true;
    } catch (error) {
      if (failedWith(error, 'ENOSPC', 'EDQUOT')) throw error;
      return false;
    }
  }

  #fill(parent: TargetHandle, directory: number, entry: Entry, content: readonly Bytes[], descriptor: number, name: Bytes): void {
    try {
      this.#writeContent(descriptor, entry, content);
      const found = this.#tree.foundOfNew(parent, descriptor);
      this.#tree.setMetadata({ parent, entry, name, found }, descriptor, directory, this.#tree.wanted(entry));
    } finally {
      this.#tree.fs.close(descriptor);
    }
  }

  #writeContent(descriptor: number, entry: Entry, content: readonly Bytes[]): void {
    const { fs } = this.#tree;
    const isSparse = (entry.flags & ENTRY_SPARSE) !== 0;
    const joined = isSparse ? undefined : this.#join(content);
    if (joined !== undefined) return writeAll(fs, descriptor, joined, 0);
    if (isSparse) fs.truncate(descriptor, entry.sizeBytes ?? 0);
    let position = 0;
    for (const bytes of content) {
      (isSparse ? writeSparsely : writeAll)(fs, descriptor, bytes, position);
      position += bytes.length;
    }
  }

  #join(content: readonly Bytes[]): Bytes | undefined {
    if (content.length === 1) return content[0];
    let length = 0;
    for (const bytes of content) {
      if (length + bytes.length > JOIN_BYTES) return undefined;
      this.#joined.set(bytes, length);
      length += bytes.length;
    }
    return this.#joined.subarray(0, length);
  }
}
