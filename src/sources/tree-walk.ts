/**
 * Walks one directory tree depth first and delivers it slice by slice (contract: `source.ts`).
 *
 * The stack is explicit, so depth costs heap only; of a directory only its names are held, never the stat records of more
 * than one slice.
 */
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { TYPE_DIRECTORY } from '../base/stat-record.ts';
import { dropExcludedNames, findMarker, nameOffsets, skipNames } from './directory-names.ts';
import type { ExcludeMatcher } from './exclude.ts';
import { nameText } from './glob.ts';
import { OpenDirectories } from './open-directories.ts';
import type { PatternCursor } from './path-patterns.ts';
import { childPath } from './raw-path.ts';
import { SliceEntries } from './slice-entries.ts';
import type { DirectorySlice, SourceProblem } from './source.ts';
import { isVanished, problemOf } from './unreadable.ts';

export interface WalkOptions {
  readonly native: NativeFileSystem;
  readonly excludes: ExcludeMatcher;
  readonly oneFileSystem: boolean;
  /** Entries of a slice at most. */
  readonly sliceEntries: number;
  /** Numbers for directories: never 0, never the same twice. */
  readonly nextNumber: () => number;
}

export interface WalkRoot {
  readonly path: Bytes;
  readonly number: number;
  readonly component: number;
  /** 8 bytes, see `StatRecords.deviceBytes`. */
  readonly device: Bytes;
}

/** A subdirectory that the newest slice of its parent has announced. */
interface Child {
  readonly name: Bytes;
  readonly number: number;
  readonly device: Bytes;
}

interface Frame {
  readonly number: number;
  readonly device: Bytes;
  readonly cursor: PatternCursor;
  /** Packed; cut up to `at`. */
  readonly names: Bytes;
  at: number;
  hasDelivered: boolean;
  /** False when something of the directory is missing beside single entries. */
  readonly isWhole: boolean;
  /** Told with the first slice. */
  readonly problems: readonly SourceProblem[];
  /** Of the newest slice, the next one last. */
  children: Child[];
}

const NO_NAMES = new Uint8Array(0);

export class TreeWalk {
  readonly #options: WalkOptions;
  readonly #root: WalkRoot;
  readonly #frames: Frame[] = [];
  #directories: OpenDirectories | undefined;

  constructor(root: WalkRoot, options: WalkOptions) {
    this.#root = root;
    this.#options = options;
  }

  /** The open directory of the newest slice. @throws NativeError */
  descriptor(): number {
    return this.#directories!.descriptor();
  }

  *slices(): Generator<DirectorySlice, void, undefined> {
    try {
      const failed = this.#enterRoot();
      if (failed !== undefined) yield failed;
      while (this.#frames.length > 0) {
        const frame = this.#frames.at(-1)!;
        const child = frame.children.pop();
        if (child !== undefined) {
          const unentered = this.#enterChild(frame, child);
          if (unentered !== undefined) yield unentered;
        } else if (frame.at < frame.names.length || !frame.hasDelivered) {
          yield this.#nextSlice(frame);
        } else {
          this.#frames.pop();
          this.#directories!.leave();
        }
      }
    } finally {
      this.#directories?.closeAll();
    }
  }

  /** Returns the slice of a root that cannot be entered. */
  #enterRoot(): DirectorySlice | undefined {
    const { path, number, device } = this.#root;
    try {
      this.#directories = new OpenDirectories(this.#options.native, path);
    } catch (error) {
      return this.#emptySlice(path, number, false, [problemOf(path, 'open', error)]);
    }
    this.#pushFrame(number, device, this.#options.excludes.patterns.cursorAt(path));
    return undefined;
  }

  /** Returns the slice of a child that is not entered. */
  #enterChild(frame: Frame, child: Child): DirectorySlice | undefined {
    const path = (): Bytes => childPath(this.#directories!.path(), child.name);
    // A mount point is stored as an empty directory.
    if (this.#options.oneFileSystem && !equalBytes(child.device, frame.device)) return this.#emptySlice(path(), child.number, true, []);
    try {
      this.#directories!.enter(child.name);
    } catch (error) {
      const problems = isVanished(error) ? [] : [problemOf(path(), 'open', error)];
      return this.#emptySlice(path(), child.number, false, problems);
    }
    const { patterns } = this.#options.excludes;
    this.#pushFrame(child.number, child.device, patterns.isEmpty ? frame.cursor : frame.cursor.enter(nameText(child.name)));
    return undefined;
  }

  #emptySlice(path: Bytes, directory: number, isWhole: boolean, problems: readonly SourceProblem[]): DirectorySlice {
    return {
      directory, component: this.#root.component, path, isFirst: true, isLast: true, count: 0, names: NO_NAMES, stats: NO_NAMES,
      children: new Uint32Array(0), isWhole, problems,
    };
  }

  /** Lists the deepest directory. */
  #pushFrame(number: number, device: Bytes, cursor: PatternCursor): void {
    const problems: SourceProblem[] = [];
    let names: Bytes = NO_NAMES;
    let isWhole = true;
    try {
      const directory = this.#directories!.descriptor();
      const all = this.#options.native.names(directory);
      const marker = this.#findMarker(directory, all, problems);
      // The content of the marker, or the file system it is read from, may change without a trace in the directory.
      isWhole = marker === undefined && problems.length === 0;
      names = this.#withoutExcluded(marker ?? all, cursor);
    } catch (error) {
      problems.push(problemOf(this.#directories!.path(), 'list', error));
      isWhole = false;
    }
    this.#frames.push({ number, device, cursor, names, at: 0, hasDelivered: false, isWhole, problems, children: [] });
  }

  #findMarker(directory: number, names: Bytes, problems: SourceProblem[]): Bytes | undefined {
    const { native, excludes: { markers } } = this.#options;
    if (markers.length === 0) return undefined;
    return findMarker(native, directory, names, markers, (marker, error) => {
      problems.push(problemOf(childPath(this.#directories!.path(), marker.name), 'open', error));
    });
  }

  #withoutExcluded(names: Bytes, cursor: PatternCursor): Bytes {
    const { patterns } = this.#options.excludes;
    return cursor.mayMatchBelow ? dropExcludedNames(names, cursor, patterns.hasDirectoryPatterns) : names;
  }

  #nextSlice(frame: Frame): DirectorySlice {
    const isFirst = !frame.hasDelivered;
    const path = this.#directories!.path();
    const entries = new SliceEntries(this.#options.native, this.#options.excludes, path);
    const end = skipNames(frame.names, frame.at, this.#options.sliceEntries);
    try {
      entries.read(() => this.#directories!.descriptor(), frame.names.subarray(frame.at, end));
      frame.at = end;
    } catch (error) {
      // The directory itself is out of reach: what is left of it cannot be read either.
      entries.fail(problemOf(path, 'list', error));
      frame.at = frame.names.length;
    }
    if (frame.cursor.mayMatchBelow) entries.dropExcluded(frame.cursor);
    frame.hasDelivered = true;
    const children = this.#announceChildren(frame, entries);
    return {
      directory: frame.number, component: this.#root.component, path, isFirst, isLast: frame.at === frame.names.length,
      count: entries.count, names: entries.names, stats: entries.records.bytes, children, isWhole: frame.isWhole && entries.isWhole,
      problems: isFirst ? [...frame.problems, ...entries.problems] : entries.problems,
    };
  }

  #announceChildren(frame: Frame, { names, records, count }: SliceEntries): Uint32Array {
    const numbers = new Uint32Array(count);
    let offsets: Uint32Array | undefined;
    for (let i = 0; i < count; i++) {
      if (records.type(i) !== TYPE_DIRECTORY) continue;
      offsets ??= nameOffsets(names, count);
      const number = this.#options.nextNumber();
      numbers[i] = number;
      // Copies: the slice belongs to the consumer.
      frame.children.push({ name: names.slice(offsets[i], offsets[i + 1]! - 1), number, device: records.deviceBytes(i).slice() });
    }
    frame.children.reverse();
    return numbers;
  }
}
