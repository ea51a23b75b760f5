/** Files and directories of this machine as a source. */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { invariant, SnapError, throwIfAborted } from '../base/errors.ts';
import { nativeFileSystem, type NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_SYMLINK } from '../base/stat-record.ts';
import { nameOffsets } from './directory-names.ts';
import { readDescriptorDetails, readDetails } from './entry-details.ts';
import { compileExcludes, type ExcludeMatcher } from './exclude.ts';
import { openRoots } from './file-roots.ts';
import { childPath, splitPath } from './raw-path.ts';
import type { DirectorySlice, EntryDetails, SourceProblem, SourceRoot, TreeSource } from './source.ts';
import { TreeWalk } from './tree-walk.ts';
import { isNativeError, problemOf } from './unreadable.ts';

export interface FileTreeOptions {
  /** Absolute; relative paths start here. */
  readonly cwd: Bytes;
  readonly excludes?: ExcludeMatcher | undefined;
  /** Mount points below the roots are stored as empty directories. */
  readonly oneFileSystem?: boolean | undefined;
  /** Entries of a slice at most; 4,096 unless told otherwise. */
  readonly sliceEntries?: number | undefined;
  readonly native?: NativeFileSystem | undefined;
}

const SLICE_ENTRIES = 4_096;
/** About a millisecond of walking ahead before others get a turn. */
const SLICES_A_TURN = 16;

/**
 * A source with one root for each path, in their order. A path that is given twice, or that the walk from another root
 * reaches anyway, has no root of its own. A symlink is stored as a symlink, also when it is a root.
 *
 * Sockets are delivered as entries; entries that vanish during the walk are left out quietly.
 */
export function openFileTree(paths: readonly Bytes[], options: FileTreeOptions): TreeSource {
  return new FileTree(paths, options);
}

class FileTree implements TreeSource {
  readonly kind = 'tree';
  readonly #paths: readonly Bytes[];
  readonly #options: FileTreeOptions;
  readonly #native: NativeFileSystem;
  readonly #excludes: ExcludeMatcher;
  readonly #userNames = new Map<number, string | undefined>();
  readonly #groupNames = new Map<number, string | undefined>();
  #roots: readonly SourceRoot[] | undefined;
  #lastNumber = 0;
  #newest: { readonly slice: DirectorySlice; readonly walk: TreeWalk } | undefined;
  #isDelivered = false;
  #ahead: { readonly slices: DirectorySlice[]; readonly rest: Generator<DirectorySlice, void, undefined> } | undefined;
  #mayWalkAhead = true;
  #aheadFailure: { readonly error: unknown } | undefined;

  constructor(paths: readonly Bytes[], options: FileTreeOptions) {
    this.#paths = paths;
    this.#options = options;
    this.#native = options.native ?? nativeFileSystem();
    this.#excludes = options.excludes ?? compileExcludes({});
  }

  async open({ signal }: CallOptions = {}): Promise<readonly SourceRoot[]> {
    throwIfAborted(signal);
    if (this.#roots !== undefined) return this.#roots;
    this.#roots = openRoots(this.#paths, {
      native: this.#native, cwd: this.#options.cwd, excludes: this.#excludes, oneFileSystem: this.#options.oneFileSystem === true,
    });
    this.#lastNumber = this.#roots.length;
    return this.#roots;
  }

  async walkAhead(maxEntries: number): Promise<void> {
    await this.open();
    const slices: DirectorySlice[] = [];
    const rest = this.#walkAll({});
    this.#ahead = { slices, rest };
    for (let entries = 0; this.#mayWalkAhead && entries < maxEntries;) {
      const next = this.#nextAhead(rest);
      if (next === undefined) return;
      slices.push(next);
      entries += next.count;
      // Others get their turn: this only fills the time in which the repository is being unlocked.
      if (slices.length % SLICES_A_TURN === 0) await new Promise(resolve => { setImmediate(resolve); });
    }
  }

  /** A failure is thrown where the slice would have been delivered. */
  #nextAhead(rest: Generator<DirectorySlice, void, undefined>): DirectorySlice | undefined {
    try {
      const next = rest.next();
      return next.done === true ? undefined : next.value;
    } catch (error) {
      this.#aheadFailure = { error };
      return undefined;
    }
  }

  *slices(options: CallOptions = {}): Generator<DirectorySlice, void, undefined> {
    this.#mayWalkAhead = false;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead === undefined) return yield* this.#walkAll(options);
    for (const slice of ahead.slices) {
      throwIfAborted(options.signal);
      yield slice;
    }
    const failure = this.#aheadFailure;
    this.#aheadFailure = undefined;
    if (failure !== undefined) throw failure.error;
    yield* ahead.rest;
  }

  *#walkAll({ signal }: CallOptions): Generator<DirectorySlice, void, undefined> {
    const roots = this.#roots;
    invariant(roots !== undefined, 'A source is walked before it is opened');
    this.#isDelivered = false;
    try {
      for (const [component, root] of roots.entries()) {
        if (root.directory === 0) continue;
        const walk = this.#walk(root, component);
        for (const slice of walk.slices()) {
          throwIfAborted(signal);
          this.#newest = { slice, walk };
          yield slice;
        }
      }
      throwIfAborted(signal);
      this.#isDelivered = true;
    } finally {
      this.#newest = undefined;
    }
  }

  #walk(root: SourceRoot, component: number): TreeWalk {
    return new TreeWalk({ path: root.path, number: root.directory, component, device: new StatRecords(root.stat).deviceBytes(0) }, {
      native: this.#native,
      excludes: this.#excludes,
      oneFileSystem: this.#options.oneFileSystem === true,
      sliceEntries: this.#options.sliceEntries ?? SLICE_ENTRIES,
      nextNumber: () => ++this.#lastNumber,
    });
  }

  details(slice: DirectorySlice, indices: readonly number[], onProblem: (problem: SourceProblem) => void): EntryDetails[] {
    if (indices.length === 0) return [];
    const newest = this.#newest?.slice === slice ? this.#newest.walk : undefined;
    let opened: number | undefined;
    const offsets = nameOffsets(slice.names, slice.count);
    const names = indices.map(i => slice.names.subarray(offsets[i], offsets[i + 1]! - 1));
    const records = new StatRecords(slice.stats);
    const pathOf = (i: number): Bytes => childPath(slice.path, names[i]!);
    try {
      // A slice from walking ahead: its directory was left meanwhile.
      const directory = newest?.descriptor() ?? (opened = this.#native.openDirectory(slice.path, false));
      return readDetails({ native: this.#native, directory, names, isSymlink: i => isSymlink(records, indices[i]!), pathOf, onProblem });
    } catch (error) {
      return names.map((_, i) => {
        onProblem(problemOf(pathOf(i), 'metadata', error));
        return { xattrs: [] };
      });
    } finally {
      if (opened !== undefined) this.#native.close(opened);
    }
  }

  rootDetails(root: SourceRoot, onProblem: (problem: SourceProblem) => void): EntryDetails {
    const place = splitPath(root.path);
    try {
      return place === undefined ? this.#ownDetails(root, onProblem) : this.#detailsInParent(root, place, onProblem);
    } catch (error) {
      onProblem(problemOf(root.path, 'metadata', error));
      return { xattrs: [] };
    }
  }

  #ownDetails(root: SourceRoot, onProblem: (problem: SourceProblem) => void): EntryDetails {
    const fd = this.#native.openDirectory(root.path, false);
    try {
      return readDescriptorDetails(this.#native, fd, root.path, onProblem);
    } finally {
      this.#native.close(fd);
    }
  }

  #detailsInParent(root: SourceRoot, place: { directory: Bytes; name: Bytes }, onProblem: (problem: SourceProblem) => void): EntryDetails {
    const directory = this.#native.openDirectory(place.directory, true);
    try {
      const records = new StatRecords(root.stat);
      const isLink = (): boolean => isSymlink(records, 0);
      return readDetails({ native: this.#native, directory, names: [place.name], isSymlink: isLink, pathOf: () => root.path, onProblem })[0]!;
    } finally {
      this.#native.close(directory);
    }
  }

  userName(uid: number): string | undefined {
    return remember(this.#userNames, uid, id => this.#native.userName(id));
  }

  groupName(gid: number): string | undefined {
    return remember(this.#groupNames, gid, id => this.#native.groupName(id));
  }

  async finish(): Promise<void> {
    if (!this.#isDelivered) throw new SnapError('SOURCE_FAILED', 'The walk through the source did not come to its end');
  }
}

function isSymlink(records: StatRecords, i: number): boolean {
  return records.type(i) === TYPE_SYMLINK;
}

/** A directory service that is out of order costs the name only: the number is stored anyway. */
function remember(names: Map<number, string | undefined>, id: number, look: (id: number) => string | undefined): string | undefined {
  if (!names.has(id)) {
    try {
      names.set(id, look(id));
    } catch (error) {
      if (!isNativeError(error)) throw error;
      names.set(id, undefined);
    }
  }
  return names.get(id);
}
