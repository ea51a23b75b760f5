/**
 * The target that is a directory of this system. Everything happens relative to open directories and without following
 * symlinks, so neither a name from a repository nor a link that was planted at the target leads outside (repository design,
 * section 14.3 and faults 36 and 37).
 */
import { type Random, systemRandom } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { invariant, throwIfAborted } from '../base/errors.ts';
import { type NativeFileSystem, nativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_FILE } from '../base/stat-record.ts';
import type { Entry } from '../format/tree-node.ts';
import { Directories } from './directories.ts';
import { DirectoryChain, MAX_OPEN_DIRECTORIES } from './directory-chain.ts';
import { DIRECTORY_PHANTOM, DirectoryTable } from './directory-table.ts';
import { ExistingReader } from './existing-reader.ts';
import { MAX_OPEN_FILES } from './file-slots.ts';
import { FileWriter } from './file-writer.ts';
import { Links } from './links.ts';
import { Owners } from './owners.ts';
import { removeOthers } from './removal.ts';
import {
  type Existing, type OpenFileOptions, type Removed, ROOT_DIRECTORY, type TargetHandle, type TargetOptions, type TargetProblem,
  type TreeTarget, type WholeFile,
} from './target.ts';
import { freeBytesAt, openTargetRoot } from './target-root.ts';
import { TargetTree } from './target-tree.ts';
import { WholeFileWriter } from './whole-file-writer.ts';

export interface FilesTargetOptions {
  /** Path of the directory; made when it is not there. */
  readonly path: Bytes;
  readonly fileSystem?: NativeFileSystem;
  readonly random?: Random;
  /** Bounds of open descriptors; the defaults together stay below the usual limit of 1,024. */
  readonly maxOpenDirectories?: number;
  readonly maxOpenFiles?: number;
}

/** What exists between `begin` and `close`. */
interface Restore {
  readonly tree: TargetTree;
  readonly directories: Directories;
  readonly files: FileWriter;
  readonly wholeFiles: WholeFileWriter;
  readonly links: Links;
  readonly reader: ExistingReader;
}

export class FilesTarget implements TreeTarget {
  readonly #options: FilesTargetOptions;
  readonly #fs: NativeFileSystem;
  #restore: Restore | undefined;
  #lastPhantomFile = 0;

  constructor(options: FilesTargetOptions) {
    this.#options = options;
    this.#fs = options.fileSystem ?? nativeFileSystem();
  }

  async begin(options: TargetOptions): Promise<void> {
    invariant(this.#restore === undefined, 'The restore target is in use already');
    throwIfAborted(options.signal);
    const root = openTargetRoot(this.#fs, this.#options.path, !options.dryRun);
    const table = new DirectoryTable();
    if (root === undefined) table.mark(ROOT_DIRECTORY, DIRECTORY_PHANTOM);
    const tree = new TargetTree({
      fs: this.#fs, random: this.#options.random ?? systemRandom, table, options, owners: new Owners(this.#fs, options.owner),
      chain: new DirectoryChain(this.#fs, table, root, this.#options.maxOpenDirectories ?? MAX_OPEN_DIRECTORIES),
    });
    this.#restore = {
      tree, directories: new Directories(tree), files: new FileWriter(tree, this.#options.maxOpenFiles ?? MAX_OPEN_FILES),
      wholeFiles: new WholeFileWriter(tree), links: new Links(tree), reader: new ExistingReader(tree),
    };
    if (root !== undefined) this.#restore.directories.enterRoot(new StatRecords(this.#fs.statDescriptor(root)));
  }

  get #now(): Restore {
    invariant(this.#restore !== undefined, 'The restore target was not begun');
    return this.#restore;
  }

  freeBytes(): number {
    const { table, chain } = this.#now.tree;
    if (table.has(ROOT_DIRECTORY, DIRECTORY_PHANTOM)) return freeBytesAt(this.#fs, this.#options.path);
    return this.#fs.freeSpace(chain.descriptor(ROOT_DIRECTORY))[0];
  }

  root(entry: Entry): void {
    this.#now.directories.describeRoot(entry);
  }

  directory(parent: TargetHandle, entry: Entry, isDescribed = true): TargetHandle | TargetProblem {
    const { tree, directories } = this.#now;
    return tree.refusal(parent, entry.name) ?? directories.enter(parent, entry, isDescribed);
  }

  inspect(parent: TargetHandle, entry: Entry): Existing {
    const { tree } = this.#now;
    const refused = tree.refusal(parent, entry.name);
    if (refused !== undefined) return { kind: 'problem', problem: refused };
    const place = tree.examine(parent, entry);
    if (place.kind !== 'there') return place;
    const { stat } = place;
    // Names outside the target may share the file; only those that belong together in the snapshot may be changed in place.
    const isOwn = stat.linkCount(0) === 1 || entry.hardLinkGroup !== undefined;
    if (entry.type !== 'file' || stat.type(0) !== TYPE_FILE || !isOwn) return { kind: 'replace' };
    const [seconds, nanoseconds] = stat.mtime(0);
    const isSame = stat.size(0) === entry.sizeBytes && seconds === entry.mtime[0] && nanoseconds === entry.mtime[1];
    return { kind: 'file', sizeBytes: stat.size(0), matchesStat: isSame && tree.options.overwrite === 'if-changed' };
  }

  readExisting(parent: TargetHandle, entry: Entry, offset: number, length: number): Uint8Array | undefined {
    const { tree, reader } = this.#now;
    return tree.refusal(parent, entry.name) === undefined ? reader.read(parent, entry.name, offset, length) : undefined;
  }

  openFile(parent: TargetHandle, entry: Entry, options: OpenFileOptions): TargetHandle | TargetProblem {
    const { tree, files, reader } = this.#now;
    const refused = tree.refusal(parent, entry.name);
    if (refused !== undefined) return refused;
    if (tree.options.dryRun) return ++this.#lastPhantomFile;
    reader.close();
    return files.open(parent, entry, options);
  }

  write(file: TargetHandle, bytes: Bytes, position: number): TargetProblem | undefined {
    const { tree, files } = this.#now;
    return tree.options.dryRun ? undefined : files.write(file, bytes, position);
  }

  writeZeros(file: TargetHandle, position: number, length: number): TargetProblem | undefined {
    const { tree, files } = this.#now;
    return tree.options.dryRun ? undefined : files.writeZeros(file, position, length);
  }

  closeFile(file: TargetHandle, isComplete: boolean): TargetProblem | undefined {
    const { tree, files, reader } = this.#now;
    if (tree.options.dryRun) return undefined;
    reader.close();
    return files.close(file, isComplete);
  }

  writeFile(parent: TargetHandle, entry: Entry, content: readonly Bytes[]): TargetProblem | undefined {
    return this.#change(parent, entry, ({ wholeFiles }) => wholeFiles.write(parent, entry, content));
  }

  async writeFiles(files: readonly WholeFile[], content: Bytes): Promise<(TargetProblem | undefined)[]> {
    const { tree, reader, wholeFiles } = this.#now;
    if (tree.options.dryRun) return files.map(({ parent, entry }) => tree.refusal(parent, entry.name));
    reader.close();
    return wholeFiles.writeAll(files, content);
  }

  special(parent: TargetHandle, entry: Entry): TargetProblem | undefined {
    return this.#change(parent, entry, ({ links }) => links.special(parent, entry));
  }

  hardLink(parent: TargetHandle, entry: Entry, originalParent: TargetHandle, originalName: Bytes): TargetProblem | undefined {
    return this.#now.tree.refusal(originalParent, originalName)
      ?? this.#change(parent, entry, ({ links }) => links.hardLink(parent, entry, originalParent, originalName));
  }

  touch(parent: TargetHandle, entry: Entry): TargetProblem | undefined {
    return this.#change(parent, entry, ({ links }) => links.touch(parent, entry));
  }

  #change(parent: TargetHandle, entry: Entry, change: (restore: Restore) => TargetProblem | undefined): TargetProblem | undefined {
    const restore = this.#now;
    const refused = restore.tree.refusal(parent, entry.name);
    if (refused !== undefined || restore.tree.options.dryRun) return refused;
    restore.reader.close();
    return change(restore);
  }

  removeOthers(directory: TargetHandle, keep: (name: Bytes) => boolean): Removed {
    return removeOthers(this.#now.tree, directory, keep);
  }

  async finish(): Promise<TargetProblem[]> {
    const { tree, directories, files, reader } = this.#now;
    if (tree.options.dryRun) return [];
    reader.close();
    files.release();
    const problems = await directories.finish();
    directories.flush(problems);
    return problems;
  }

  async close(): Promise<void> {
    if (this.#restore === undefined) return;
    const { tree, files, reader } = this.#restore;
    this.#restore = undefined;
    reader.close();
    files.release();
    tree.chain.close();
  }
}
