/** Everything but regular files and directories: symlinks, fifos, sockets, devices, further names of one file, bare metadata. */
import { type Bytes, equalBytes } from '../base/bytes.ts';
import { TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_SOCKET } from '../base/stat-record.ts';
import type { Entry, EntryType } from '../format/tree-node.ts';
import { DIRECTORY_BIRTH_KNOWN, DIRECTORY_NEW } from './directory-table.ts';
import { statAt } from './existing.ts';
import { type FoundMetadata, setMetadata } from './metadata.ts';
import { NameSpot } from './spot.ts';
import { changedMeanwhile } from './target-error.ts';
import type { TargetHandle, TargetProblem } from './target.ts';
import type { TargetTree } from './target-tree.ts';

const NODE_TYPES: Partial<Record<EntryType, number>> = {
  fifo: TYPE_FIFO, socket: TYPE_SOCKET, 'character-device': TYPE_CHARACTER_DEVICE, 'block-device': TYPE_BLOCK_DEVICE,
};
const PRIVATE_MODE = 0o600;

export class Links {
  readonly #tree: TargetTree;

  constructor(tree: TargetTree) {
    this.#tree = tree;
  }

  special(parent: TargetHandle, entry: Entry): TargetProblem | undefined {
    try {
      const directory = this.#tree.chain.descriptor(parent);
      return this.#tree.place(
        parent, directory, entry,
        name => this.#make(directory, name, entry),
        (_made, name) => this.#describe(parent, directory, entry, name, this.#foundOfNew(parent, directory, entry, name)),
      );
    } catch (error) {
      return this.#tree.problem(parent, entry.name, `make the ${entry.type}`, error);
    }
  }

  #make(directory: number, name: Bytes, entry: Entry): void {
    const { fs } = this.#tree;
    if (entry.type === 'symlink') return fs.makeSymlinkAt(entry.linkTarget ?? new Uint8Array(0), directory, name);
    const type = NODE_TYPES[entry.type];
    if (type === undefined) throw new RangeError(`A ${entry.type} is not made like this`);
    const [major, minor] = entry.device ?? [0, 0];
    fs.makeNodeAt(directory, name, type | PRIVATE_MODE, major, minor);
  }

  #foundOfNew(parent: TargetHandle, directory: number, entry: Entry, name: Bytes): FoundMetadata {
    const { fs, table } = this.#tree;
    // Symlinks inherit no access control list, which is the only attribute of a new entry that would have to go.
    const xattrs = entry.type === 'symlink' ? { xattrs: [] } : {};
    if (table.has(parent, DIRECTORY_BIRTH_KNOWN)) return { uid: table.birthUid(parent), gid: table.birthGid(parent), ...xattrs };
    const stat = statAt(fs, directory, name);
    if (stat === undefined) throw changedMeanwhile();
    return { uid: stat.uid(0), gid: stat.gid(0), ...xattrs };
  }

  hardLink(parent: TargetHandle, entry: Entry, originalParent: TargetHandle, originalName: Bytes): TargetProblem | undefined {
    const { fs, chain, table } = this.#tree;
    try {
      const [from, directory] = chain.descriptors(originalParent, parent);
      if (!table.has(parent, DIRECTORY_NEW) && this.#isSame(from, originalName, directory, entry.name)) return undefined;
      return this.#tree.place(parent, directory, entry, name => fs.makeLinkAt(from, originalName, directory, name), () => undefined);
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'make the hard link', error);
    }
  }

  /** Renaming one name of a file over another one does nothing, so the temporary name would stay. */
  #isSame(from: number, originalName: Bytes, directory: number, name: Bytes): boolean {
    const there = statAt(this.#tree.fs, directory, name);
    if (there === undefined || there.linkCount(0) < 2) return false;
    const original = statAt(this.#tree.fs, from, originalName);
    return original !== undefined && equalBytes(original.inodeBytes(0), there.inodeBytes(0))
      && equalBytes(original.deviceBytes(0), there.deviceBytes(0));
  }

  /** Owner, mode, times and attributes of what is there; nothing that equals is written again. */
  touch(parent: TargetHandle, entry: Entry): TargetProblem | undefined {
    const { fs, table, chain } = this.#tree;
    try {
      const directory = chain.descriptor(parent);
      const stat = statAt(fs, directory, entry.name);
      const isDirectory = stat?.type(0) === TYPE_DIRECTORY;
      if (stat === undefined || isDirectory) return { path: table.path(parent, entry.name), error: changedMeanwhile() };
      this.#describe(parent, directory, entry, entry.name, {
        uid: stat.uid(0), gid: stat.gid(0), mode: stat.mode(0) & 0o7777, mtime: stat.mtime(0),
      });
      return undefined;
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'set the metadata', error);
    }
  }

  #describe(parent: TargetHandle, directory: number, entry: Entry, name: Bytes, found: FoundMetadata): void {
    const { fs, owners } = this.#tree;
    const failures = setMetadata(new NameSpot(fs, directory, name), this.#tree.wanted(entry), found, owners);
    if (failures.length > 0) this.#tree.report(parent, entry.name, failures);
  }
}
