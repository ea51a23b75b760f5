/**
 * Port: where a restore writes. A target never writes outside its root, whatever the names and whatever lies there already.
 *
 * Order of calls: `begin`, then for each directory parents first `directory`, files in any order, their ranges in any
 * order, `closeFile` once per open file, links after the files that they point to, `finish` last (it sets the metadata of
 * the directories, deepest first), and `close` in any case. Problems with single entries are returned, not thrown; those of
 * metadata go to `onProblem`, since the entry itself is there. Values of extended attributes are given as bytes.
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { SnapError } from '../base/errors.ts';
import type { Entry } from '../format/tree-node.ts';

export type OverwriteMode = 'always' | 'if-changed' | 'if-newer' | 'never';

/** Opaque number of a directory or an open file within one restore. */
export type TargetHandle = number;

/** The root, as a parent. */
export const ROOT_DIRECTORY: TargetHandle = 0;

/** What is already at the place of an entry. */
export type Existing =
  | { readonly kind: 'absent' }
  /** Left alone by the overwrite mode. */
  | { readonly kind: 'keep' }
  /**
   * A regular file of this size is there whose content may be used again. `matchesStat`: size and time are equal and the
   * overwrite mode takes that for the same content, so only `touch` is left to do.
   */
  | { readonly kind: 'file'; readonly sizeBytes: number; readonly matchesStat: boolean }
  /** Something else is there and will be replaced. */
  | { readonly kind: 'replace' }
  /** Nothing can be restored under this name. */
  | { readonly kind: 'problem'; readonly problem: TargetProblem };

export interface TargetProblem {
  /** Relative to the root, names joined with '/'. */
  readonly path: Bytes;
  readonly error: SnapError;
}

export interface TargetOptions extends CallOptions {
  readonly overwrite: OverwriteMode;
  /** Runs of zeros become holes; otherwise only in files that had holes in the source. */
  readonly sparse: boolean;
  readonly owner: boolean;
  readonly dryRun: boolean;
  /** The entry is there, but its owner, mode, times or an extended attribute could not be set. */
  readonly onProblem: (problem: TargetProblem) => void;
}

export interface OpenFileOptions {
  /** Keeps what `readExisting` gave; every other range is written or zeroed by the caller. */
  readonly reuse: boolean;
  /** The content has runs of zeros that may become holes. */
  readonly hasZeros: boolean;
}

export interface WholeFile {
  readonly parent: TargetHandle;
  readonly entry: Entry;
  /** In the content that is given with it. */
  readonly start: number;
  readonly length: number;
}

export interface Removed {
  /** Paths of what was removed, or would be, each with everything below it. */
  readonly removed: Bytes[];
  readonly problems: TargetProblem[];
}

export interface TreeTarget {
  /** @throws TARGET_NOT_USABLE, DENIED, NO_SPACE */
  begin(options: TargetOptions): Promise<void>;
  /** Free bytes for this user at the target. */
  freeBytes(): number;
  /** The root itself gets the metadata of this entry, whose name does not matter, at `finish`. */
  root(entry: Entry): void;
  /**
   * Enters or makes a directory below `parent`; metadata follows at `finish`. `isDescribed` false: the snapshot knows only that
   * it exists, so the metadata of the entry is for a new directory, and one that is there keeps its own.
   */
  directory(parent: TargetHandle, entry: Entry, isDescribed?: boolean): TargetHandle | TargetProblem;
  /** What is there now under this name; decides with the overwrite mode what is to be done. Not for directories. */
  inspect(parent: TargetHandle, entry: Entry): Existing;
  /** Reads an existing file for re-use by hash: the given range of it, or undefined when it is not fully there. */
  readExisting(parent: TargetHandle, entry: Entry, offset: number, length: number): Uint8Array | undefined;
  /** Creates the file, zeros everywhere and of its full size, or opens it for partial re-use. */
  openFile(parent: TargetHandle, entry: Entry, options: OpenFileOptions): TargetHandle | TargetProblem;
  write(file: TargetHandle, bytes: Bytes, position: number): TargetProblem | undefined;
  /** Makes a range zero: a hole where the options and the file allow it. */
  writeZeros(file: TargetHandle, position: number, length: number): TargetProblem | undefined;
  /** Whole small file in one call: create, write, metadata. After a problem nothing half written is left. */
  writeFile(parent: TargetHandle, entry: Entry, content: readonly Bytes[]): TargetProblem | undefined;
  /**
   * Several whole files, each of them one range of `content`, which must stay as it is meanwhile: what is simple is written beside
   * the calling thread. Resolves to the problems, in the order of the files.
   */
  writeFiles(files: readonly WholeFile[], content: Bytes): Promise<(TargetProblem | undefined)[]>;
  /**
   * Sets the metadata and closes. `isComplete` false: content is missing; a new file, and one that was re-used in place,
   * keeps a marker time of 0; a file that was to be replaced stays what it was.
   */
  closeFile(file: TargetHandle, isComplete: boolean): TargetProblem | undefined;
  /** Symlinks, fifos, sockets, devices. */
  special(parent: TargetHandle, entry: Entry): TargetProblem | undefined;
  /** Makes a hard link to an entry restored before. */
  hardLink(parent: TargetHandle, entry: Entry, originalParent: TargetHandle, originalName: Bytes): TargetProblem | undefined;
  /** Only metadata of an entry whose content is right already. */
  touch(parent: TargetHandle, entry: Entry): TargetProblem | undefined;
  /** Names in the target directory that are not to be kept are removed with all below them. */
  removeOthers(directory: TargetHandle, keep: (name: Bytes) => boolean): Removed;
  /** Metadata of directories, deepest first; then durable. @throws CANCELLED */
  finish(): Promise<TargetProblem[]>;
  /** Releases everything; without `finish` before it, directories stay accessible to their owner only. */
  close(): Promise<void>;
}

/** Tells a problem from a handle. */
export function isTargetProblem(result: TargetHandle | TargetProblem): result is TargetProblem {
  return typeof result !== 'number';
}
