/** Directories of a restore: entered or made at first, private to this user while it runs; described at the end. */
import type { Bytes } from '../base/bytes.ts';
import { throwIfAborted } from '../base/errors.ts';
import { StatRecords, TYPE_DIRECTORY } from '../base/stat-record.ts';
import type { Entry } from '../format/tree-node.ts';
import { DIRECTORY_DESCRIBED, DIRECTORY_MODE_ONLY, DIRECTORY_NEW, DIRECTORY_PHANTOM } from './directory-table.ts';
import { statAt } from './existing.ts';
import { setMetadata } from './metadata.ts';
import { DescriptorSpot } from './spot.ts';
import { failedWith, occupied, targetError } from './target-error.ts';
import { ROOT_DIRECTORY, type TargetHandle, type TargetProblem } from './target.ts';
import type { TargetTree } from './target-tree.ts';

const PRIVATE_MODE = 0o700;
/** Directories between two looks at the signal: some ten milliseconds. */
const DIRECTORIES_PER_TURN = 2_048;

export class Directories {
  readonly #tree: TargetTree;
  /** One descriptor for each file system that existing directories lie on, by device; the handle leads to it. */
  readonly #fileSystems = new Map<string, TargetHandle>();

  constructor(tree: TargetTree) {
    this.#tree = tree;
  }

  enter(parent: TargetHandle, entry: Entry, isDescribed: boolean): TargetHandle | TargetProblem {
    const { table, chain, options } = this.#tree;
    if (table.has(parent, DIRECTORY_PHANTOM)) return table.add(parent, entry.name, DIRECTORY_PHANTOM);
    try {
      const directory = chain.descriptor(parent);
      if (!options.dryRun && this.#make(directory, entry.name)) return this.#adopt(parent, directory, entry, DIRECTORY_NEW, isDescribed);
      if (table.has(parent, DIRECTORY_NEW)) return this.#tree.collision(parent, entry.name);
      return this.#enterExisting(parent, directory, entry, isDescribed);
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'make the directory', error);
    }
  }

  #make(directory: number, name: Bytes): boolean {
    try {
      this.#tree.fs.makeDirectoryAt(directory, name, PRIVATE_MODE);
      return true;
    } catch (error) {
      if (failedWith(error, 'EEXIST')) return false;
      throw error;
    }
  }

  #enterExisting(parent: TargetHandle, directory: number, entry: Entry, isDescribed: boolean): TargetHandle | TargetProblem {
    const { fs, table, options } = this.#tree;
    const place = this.#tree.examine(parent, entry);
    if (place.kind === 'problem') return place.problem;
    if (place.kind === 'absent') return table.add(parent, entry.name, DIRECTORY_PHANTOM);
    const stat = place.kind === 'there' ? place.stat : statAt(fs, directory, entry.name);
    if (stat?.type(0) === TYPE_DIRECTORY) return this.#adopt(parent, directory, entry, 0, isDescribed);
    if (place.kind === 'keep' || !isDescribed) {
      // A directory that only leads to what was backed up may well be a symlink here, such as /home.
      const reason = isDescribed ? `The overwrite mode '${options.overwrite}' keeps it` : 'Restore to another folder, or the part below it';
      return { path: table.path(parent, entry.name), error: occupied('Something else is at the place of a directory', reason) };
    }
    if (options.dryRun) return table.add(parent, entry.name, DIRECTORY_PHANTOM);
    fs.unlinkAt(directory, entry.name, false);
    fs.makeDirectoryAt(directory, entry.name, PRIVATE_MODE);
    return this.#adopt(parent, directory, entry, DIRECTORY_NEW, isDescribed);
  }

  #adopt(parent: TargetHandle, directory: number, entry: Entry, flags: number, isDescribed: boolean): TargetHandle {
    const { table, chain, fs } = this.#tree;
    const descriptor = flags === DIRECTORY_NEW ? fs.openDirectoryAt(directory, entry.name) : this.#openExisting(directory, entry.name);
    const handle = table.add(parent, entry.name, flags);
    chain.adopt(handle, descriptor);
    if (flags === DIRECTORY_NEW) this.#describe(handle, entry);
    else this.#describeExisting(handle, entry, new StatRecords(fs.statDescriptor(descriptor)), descriptor, isDescribed);
    return handle;
  }

  /** An earlier restore, or its owner, may have left the directory without the right to list it. */
  #openExisting(directory: number, name: Bytes): number {
    const { fs, options } = this.#tree;
    try {
      return fs.openDirectoryAt(directory, name);
    } catch (error) {
      if (options.dryRun || !failedWith(error, 'EACCES')) throw error;
    }
    fs.setModeAt(directory, name, PRIVATE_MODE);
    return fs.openDirectoryAt(directory, name);
  }

  #describe(handle: TargetHandle, entry: Entry): void {
    const { mode, uid, gid, mtime, xattrs } = this.#tree.wanted(entry);
    this.#tree.table.describe(handle, { mode, uid, gid, mtime: [mtime[0], mtime[1]], xattrs });
  }

  #describeExisting(handle: TargetHandle, entry: Entry, stat: StatRecords, descriptor: number, isDescribed: boolean): void {
    const { table, options } = this.#tree;
    this.#rememberFileSystem(handle, stat);
    const isOpened = !options.dryRun && this.#openForOwner(stat, descriptor);
    if (isDescribed && options.overwrite !== 'never') return this.#describe(handle, entry);
    if (!isOpened) return;
    table.describe(handle, { mode: stat.mode(0) & 0o7777, uid: stat.uid(0), gid: stat.gid(0), mtime: stat.mtime(0) });
    table.mark(handle, DIRECTORY_MODE_ONLY);
  }

  /** Without write and search permission nothing could be restored into it; the mode is set again at the end. */
  #openForOwner(stat: StatRecords, descriptor: number): boolean {
    const mode = stat.mode(0) & 0o7777;
    if (this.#tree.owners.isPrivileged || (mode & PRIVATE_MODE) === PRIVATE_MODE) return false;
    try {
      this.#tree.fs.setMode(descriptor, mode | PRIVATE_MODE);
      return true;
    } catch (error) {
      // Somebody else's directory: what cannot be written there becomes a problem of its own.
      if (!failedWith(error, 'EPERM', 'EROFS')) throw error;
      return false;
    }
  }

  /** The root: existing, or made by `begin` a moment ago. */
  enterRoot(stat: StatRecords): void {
    this.#rememberFileSystem(ROOT_DIRECTORY, stat);
  }

  describeRoot(entry: Entry): void {
    this.#describe(ROOT_DIRECTORY, entry);
  }

  #rememberFileSystem(handle: TargetHandle, stat: StatRecords): void {
    const device = Buffer.from(stat.deviceBytes(0)).toString('hex');
    if (!this.#fileSystems.has(device)) this.#fileSystems.set(device, handle);
  }

  /** Later handles lie below or beside earlier ones, so the reverse order is deepest first. */
  async finish(): Promise<TargetProblem[]> {
    const { table, options } = this.#tree;
    const problems: TargetProblem[] = [];
    for (let handle = table.count - 1; handle >= ROOT_DIRECTORY; handle--) {
      if (handle % DIRECTORIES_PER_TURN === 0) {
        await new Promise(resolve => setImmediate(resolve));
        throwIfAborted(options.signal);
      }
      if (table.has(handle, DIRECTORY_DESCRIBED) && !table.has(handle, DIRECTORY_PHANTOM)) this.#finishOne(handle, problems);
    }
    return problems;
  }

  #finishOne(handle: TargetHandle, problems: TargetProblem[]): void {
    const { table, chain, fs, owners } = this.#tree;
    const metadata = table.metadata(handle);
    try {
      const [directory, descriptor] = chain.descriptors(table.parent(handle), handle);
      if (table.has(handle, DIRECTORY_MODE_ONLY)) return fs.setMode(descriptor, metadata.mode);
      const stat = new StatRecords(fs.statDescriptor(descriptor));
      const found = {
        uid: stat.uid(0), gid: stat.gid(0), mode: stat.mode(0) & 0o7777, mtime: stat.mtime(0),
        // Removing needs a name, which the root does not have: what it has too many stays.
        ...(handle === ROOT_DIRECTORY ? { xattrs: [] } : {}),
      };
      const spot = new DescriptorSpot(fs, descriptor, directory, table.name(handle));
      const failures = setMetadata(spot, { type: 'directory', ...metadata }, found, owners);
      for (const error of failures) problems.push({ path: table.path(handle), error });
    } catch (error) {
      problems.push({ path: table.path(handle), error: targetError('complete the directory', error) });
    }
  }

  /** Everything that was restored survives a power cut from here on. */
  flush(problems: TargetProblem[]): void {
    const { table, chain, fs } = this.#tree;
    for (const handle of this.#fileSystems.values()) {
      try {
        fs.syncFileSystem(chain.descriptor(handle));
      } catch (error) {
        problems.push({ path: table.path(handle), error: targetError('write the file system to the disk', error) });
      }
    }
  }
}
