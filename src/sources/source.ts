/**
 * Port: what is backed up. A source is either a tree of the file system, delivered slice by slice, or one stream of bytes.
 *
 * Contract: parents come before children; names are raw bytes in ascending order; content is read later and elsewhere;
 * problems with single entries are reported and never thrown; `finish()` resolves only if everything was delivered.
 */
import type { Bytes } from '../base/bytes.ts';
import type { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';

/** An absolute path as raw bytes. */
export type RawPath = Bytes;

export interface SourceProblem {
  readonly path: RawPath;
  readonly during: 'open' | 'list' | 'stat' | 'metadata' | 'read';
  readonly error: SnapError;
}

/** Part of one directory: consecutive entries in name order, already filtered by the exclude rules. */
export interface DirectorySlice {
  /** Number of the directory in this walk; the root of component c has `component` = c and no parent slice. */
  readonly directory: number;
  readonly component: number;
  readonly path: RawPath;
  /** First and last slice of this directory; a directory has at least one slice. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
  /** Packed names and stat records (`base/native-filesystem.ts`) of the entries of this slice. */
  readonly count: number;
  readonly names: Bytes;
  readonly stats: Bytes;
  /** For each entry the number of its directory if the walk will enter it, else 0. Its slices follow after this one. */
  readonly children: Uint32Array;
  /** False when an entry of the directory could not be read or was left out for a reason that may change without a trace. */
  readonly isWhole: boolean;
  readonly problems: readonly SourceProblem[];
}

/** What a walk starts at. The root may be any type of entry. */
export interface SourceRoot {
  readonly path: RawPath;
  /** One stat record; `directory` is 0 when the root is not a directory. */
  readonly stat: Bytes;
  readonly directory: number;
}

/** Metadata that costs a call of its own and is asked for only when an entry is new or changed. */
export interface EntryDetails {
  /** Target of a symlink. */
  readonly linkTarget?: Bytes;
  /** Sorted by name; empty when there are none. */
  readonly xattrs: readonly { readonly name: Bytes; readonly value: Bytes }[];
}

export interface TreeSource {
  readonly kind: 'tree';
  /** One root for each path asked for; a path that is missing fails here, before anything is stored. */
  open(options?: CallOptions): Promise<readonly SourceRoot[]>;
  /** Walks up to so many entries before `slices` is called, in turns, so that other work can go on; `slices` delivers them first. */
  walkAhead(maxEntries: number): Promise<void>;
  /** Depth first: after a slice come the slices of its subdirectories, in order, before the next slice of the same directory. */
  slices(options?: CallOptions): Iterable<DirectorySlice>;
  /** For entries of the newest slice, before the next one is asked for. Problems go to `onProblem`. */
  details(slice: DirectorySlice, indices: readonly number[], onProblem: (problem: SourceProblem) => void): EntryDetails[];
  /** The same for a root. */
  rootDetails(root: SourceRoot, onProblem: (problem: SourceProblem) => void): EntryDetails;
  userName(uid: number): string | undefined;
  groupName(gid: number): string | undefined;
  finish(): Promise<void>;
}

export interface StreamSource {
  readonly kind: 'stream';
  /** File name under which the stream is stored, one component. */
  readonly name: Bytes;
  /** May be iterated once. */
  content(options?: CallOptions): AsyncIterable<Bytes>;
  /** Fails when the producer failed, for example with a non-zero exit status: then no snapshot is made. */
  finish(): Promise<void>;
}

export type Source = TreeSource | StreamSource;
