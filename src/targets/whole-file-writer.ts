/** Small files in one go: create, write, metadata, close. Those of one directory with nothing special go to another thread together. */
import type { Bytes } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import { type Entry, ENTRY_SPARSE } from '../format/tree-node.ts';
import { writeAll, writeSparsely } from './file-content.ts';
import { targetError } from './target-error.ts';
import type { TargetHandle, TargetProblem, WholeFile } from './target.ts';
import { NEW_FILE, type TargetTree } from './target-tree.ts';

/** Pieces up to this size together are joined: a copy of 256 KiB costs less than a second write. */
const JOIN_BYTES: number = 256 * KiB;
/** Fewer files are not worth the way to another thread. */
const LEAST_BESIDE = 4;
/** Each call keeps a descriptor. */
const MOST_BESIDE = 16;
const NEW_FILE_FIELDS = 5;

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
      return this.#tree.place(
        parent, directory, entry,
        name => fs.openFileAt(directory, name, NEW_FILE),
        (descriptor, name) => this.#fill(parent, directory, entry, content, descriptor, name),
      );
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'write the file', error);
    }
  }

  /** See `TreeTarget.writeFiles`. A file that cannot be made beside is written here, step by step, which tells what is wrong with it. */
  async writeAll(files: readonly WholeFile[], content: Bytes): Promise<(TargetProblem | undefined)[]> {
    const problems = new Array<TargetProblem | undefined>(files.length);
    const running: Promise<void>[] = [];
    const write = (i: number): void => {
      const { parent, entry, start, length } = files[i]!;
      problems[i] = this.#tree.refusal(parent, entry.name) ?? this.write(parent, entry, [content.subarray(start, start + length)]);
    };
    for (let from = 0, to = 0; from < files.length; from = to) {
      to = Math.max(from + 1, this.#endOfRun(files, from));
      if (running.length === MOST_BESIDE) await Promise.all(running.splice(0));
      const writing = to - from < LEAST_BESIDE ? undefined : this.#writeBeside(files.slice(from, to), content);
      if (writing === undefined) for (let i = from; i < to; i++) write(i);
      else running.push(writing.then(errnos => { errnos.forEach((errno, i) => { if (errno !== 0) write(from + i); }); }));
    }
    await Promise.all(running);
    return problems;
  }

  /** The files from there on that belong to one directory and need nothing but content, mode and time. */
  #endOfRun(files: readonly WholeFile[], from: number): number {
    let to = from;
    while (to < files.length && files[to]!.parent === files[from]!.parent && this.#isSimple(files[to]!)) to++;
    return to;
  }

  #isSimple({ parent, entry }: WholeFile): boolean {
    return (entry.flags & ENTRY_SPARSE) === 0 && this.#tree.hasOnlyModeAndTime(parent, entry) && this.#tree.refusal(parent, entry.name) === undefined;
  }

  /** Undefined when the directory is out of reach. */
  #writeBeside(files: readonly WholeFile[], content: Bytes): Promise<Float64Array> | undefined {
    const { fs, chain } = this.#tree;
    const fields = new Float64Array(NEW_FILE_FIELDS * files.length);
    const names = new Uint8Array(files.reduce((sum, { entry }) => sum + entry.name.length + 1, 0));
    let at = 0;
    let nameAt = 0;
    for (const { entry, start, length } of files) {
      fields[at++] = start;
      fields[at++] = length;
      fields[at++] = entry.mode;
      fields[at++] = entry.mtime[0];
      fields[at++] = entry.mtime[1];
      names.set(entry.name, nameAt);
      nameAt += entry.name.length + 1;
    }
    try {
      return fs.writeNewFiles(chain.descriptor(files[0]!.parent), names, content, fields);
    } catch (error) {
      targetError('write the files', error); // throws what is no fault of the file system
      return undefined;
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
