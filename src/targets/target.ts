/**
 * Port: where a restore writes. Paths are relative to the target, given as a list of names; a target never writes outside
 * its root, whatever the names and whatever lies there already.
 *
 * Order of calls: `begin`, then for each directory parents first `directory`, files in any order, their ranges in any
 * order, `fileDone` once per file, links after the files that they point to, `finish` last (it sets the metadata of the
 * directories, deepest first). Problems with single entries are returned, not thrown.
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { SnapError } from '../base/errors.ts';
import type { Entry } from '../format/tree-node.ts';

export type OverwriteMode = 'always' | 'if-changed' | 'if-newer' | 'never';

/** Opaque number of a directory or an open file within one restore. */
export type TargetHandle = number;

/** What is already at the place of a file. */
export type Existing =
  | { readonly kind: 'absent' }
  /** Left alone by the overwrite mode, or already complete by size, time and content test of the caller. */
  | { readonly kind: 'keep' }
  /** A regular file of this size is there whose content may be used again. */
  | { readonly kind: 'file'; readonly sizeBytes: number; readonly matchesStat: boolean }
  /** Something else is there and will be replaced. */
  | { readonly kind: 'replace' };

export interface TargetProblem {
  readonly path: Bytes;
  readonly error: SnapError;
}

export interface TargetOptions extends CallOptions {
  readonly overwrite: OverwriteMode;
  readonly sparse: boolean;
  readonly owner: boolean;
  readonly dryRun: boolean;
}

export interface TreeTarget {
  begin(options: TargetOptions): Promise<void>;
  /** Free bytes for this user at the target. */
  freeBytes(): number;
  /** Enters or makes a directory below `parent` (0 = the root); metadata follows at `finish`. */
  directory(parent: TargetHandle, entry: Entry): TargetHandle | TargetProblem;
  /** What is there now under this name; decides with the overwrite mode what is to be done. */
  inspect(parent: TargetHandle, entry: Entry): Existing;
  /** Reads an existing file for re-use by hash: the given range of it, or undefined when it is not fully there. */
  readExisting(parent: TargetHandle, entry: Entry, offset: number, length: number): Uint8Array | undefined;
  /** Creates the file (or opens it for partial re-use when `reuse`), its size set; holes where nothing will be written. */
  openFile(parent: TargetHandle, entry: Entry, reuse: boolean): TargetHandle | TargetProblem;
  write(file: TargetHandle, bytes: Bytes, position: number): TargetProblem | undefined;
  /** Whole small file in one call: create, write, metadata. */
  writeFile(parent: TargetHandle, entry: Entry, content: readonly Bytes[]): TargetProblem | undefined;
  /** Sets the metadata and closes. `isComplete` false: content is missing, the file keeps a marker time of 0. */
  closeFile(file: TargetHandle, isComplete: boolean): TargetProblem | undefined;
  /** Symlinks, fifos, sockets, devices. */
  special(parent: TargetHandle, entry: Entry): TargetProblem | undefined;
  /** Makes a hard link to an entry restored before. */
  hardLink(parent: TargetHandle, entry: Entry, originalParent: TargetHandle, originalName: Bytes): TargetProblem | undefined;
  /** Only metadata of an entry whose content is right already. */
  touch(parent: TargetHandle, entry: Entry): TargetProblem | undefined;
  /** Names at the target directory that are not in `keep` are removed with all below; returns what was (or would be) removed. */
  removeOthers(directory: TargetHandle, keep: (name: Bytes) => boolean): { removed: Bytes[]; problems: TargetProblem[] };
  /** Metadata of directories, deepest first; then durable. */
  finish(): Promise<TargetProblem[]>;
}
