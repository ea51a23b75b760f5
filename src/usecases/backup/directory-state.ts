/** State of one directory while it is walked: what waits for content or for subdirectories, and what to do when nothing does. */
import type { Bytes } from '../../base/bytes.ts';
import { StatRecords, unpackNames } from '../../base/stat-record.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { DirectoryBuilder } from '../../repository/directory-builder.ts';
import type { DirectorySlice } from '../../sources/source.ts';
import type { EarlierEntries } from './earlier-entries.ts';
import type { DirectoryRecord } from './directory-records.ts';
import type { EntryParts } from './entry-factory.ts';

export type Change = 'new' | 'changed' | 'unmodified';

/** An entry that is being put together. */
export type EntryDraft = { -readonly [Part in keyof EntryParts]: EntryParts[Part] } & { change?: Change };

/**
 * One slice: `remaining` counts the entries that still wait for content or for a subdirectory, and one more while the walk
 * is looking at the slice, since answers for its first files may come before its last ones are asked for.
 */
export class SliceState {
  readonly directory: DirectoryState;
  readonly stats: StatRecords;
  readonly children: Uint32Array;
  readonly isLast: boolean;
  /** Taken over as they are. */
  readonly entries: (Entry | undefined)[];
  /** Parts of the other ones; entries without either are left out of the tree. */
  readonly drafts: (EntryDraft | undefined)[];
  readonly childNodes: (ChunkId | undefined)[];
  remaining = 1;
  readonly #packedNames: Bytes;
  #names: readonly Bytes[] | undefined;

  constructor(directory: DirectoryState, slice: DirectorySlice) {
    this.directory = directory;
    this.#packedNames = slice.names;
    this.stats = new StatRecords(slice.stats);
    this.children = slice.children;
    this.isLast = slice.isLast;
    this.entries = new Array<Entry | undefined>(slice.count);
    this.drafts = new Array<EntryDraft | undefined>(slice.count);
    this.childNodes = new Array<ChunkId | undefined>(slice.count);
  }

  /** Unpacked on first use: a directory that is taken over as a whole needs none. */
  get names(): readonly Bytes[] {
    return this.#names ??= unpackNames(this.#packedNames, this.stats.count);
  }
}

/** Where the node of a directory goes when it is done. */
export interface ParentSlot {
  readonly slice: SliceState;
  readonly index: number;
}

export class DirectoryState {
  readonly number: number;
  readonly path: Bytes;
  /** Undefined for the root of a component. */
  readonly parent: ParentSlot | undefined;
  readonly component: number;
  /** Node of this directory in an earlier run, whose entries may be taken over. */
  earlierNode: ChunkId | undefined;
  /** The earlier node comes from a directory record, so none of its entries was too young to be trusted. */
  hasRecordedEntries = false;
  earlierEntries: EarlierEntries | undefined;
  /** Set when the whole directory looks unchanged: then only its subdirectories are of interest. */
  unchanged: DirectoryRecord | undefined;
  /** Fingerprint of a directory of one slice, for its new record; undefined: no record will be written. */
  fingerprint: Bytes | undefined;
  /** Slices that are not encoded yet, in order. */
  readonly slices: SliceState[] = [];
  builder: DirectoryBuilder | undefined;
  readonly packs = new Set<PackNumber>();
  /** Chunks that another thread was storing when this directory referred to them; their pack is known later. */
  readonly unresolved: Bytes[] = [];
  /** Nodes of the subdirectories, in name order. */
  readonly childNodes: ChunkId[] = [];
  files = 0;
  bytes = 0;

  constructor(number: number, path: Bytes, component: number, parent: ParentSlot | undefined, earlierNode: ChunkId | undefined) {
    this.number = number;
    this.path = path;
    this.component = component;
    this.parent = parent;
    this.earlierNode = earlierNode;
  }
}
