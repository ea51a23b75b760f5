/**
 * Walks the source, decides entry by entry what can be taken over from an earlier run, and hands the rest to be read
 * (architecture, "Backup"). Directories are finished by `DirectoryAssembly` as soon as nothing in them waits any more.
 */
import { throwIfAborted, type SnapError } from '../../base/errors.ts';
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import { TYPE_FILE } from '../../base/stat-record.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { Entry, Time } from '../../format/tree-node.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';
import type { DirectorySlice, TreeSource } from '../../sources/source.ts';
import type { BackupTally } from './backup-tally.ts';
import { isUnchanged, type ChangeRules } from './change-detection.ts';
import type { ClosureCheck } from './closure-check.ts';
import type { DirectoryAssembly } from './directory-assembly.ts';
import type { DirectoryRecords } from './directory-records.ts';
import { DirectoryState, SliceState, type ParentSlot } from './directory-state.ts';
import { EarlierEntries } from './earlier-entries.ts';
import { entryTypeOf } from './entry-factory.ts';

/** What waits for the content of one file. */
export interface PendingFile {
  readonly slice: SliceState;
  readonly index: number;
}

/** Where files go that must be read. */
export interface FileSink {
  addFile(directory: Bytes, name: Bytes, stat: Bytes, sizeBytes: number, slot: PendingFile): Promise<void> | undefined;
  /** Waits while the rest is slower than the walk. */
  backPressure(): Promise<void>;
}

export interface WalkParts {
  readonly source: TreeSource;
  readonly trees: TreeReader;
  readonly closure: ClosureCheck;
  readonly records: DirectoryRecords;
  readonly ingest: FileSink;
  readonly assembly: DirectoryAssembly;
  readonly tally: BackupTally;
  /** A node of an earlier run that cannot be read. */
  readonly onDamage: (error: SnapError) => void;
  /** False for full backups: everything is read again. */
  readonly takesOver: boolean;
  readonly ignoreInode: boolean;
  /** Start of the parent's run, for entries that come from the parent snapshot and not from a directory record. */
  readonly parentStart: Time | undefined;
  /** Earlier nodes of the component roots, from the parent snapshot. */
  readonly earlierRoots: readonly (ChunkId | undefined)[];
  readonly signal: AbortSignal | undefined;
}

export class BackupWalk {
  readonly #parts: WalkParts;
  readonly #open = new Map<number, DirectoryState>();
  /** Directories that are announced and not entered yet. */
  readonly #announced = new Map<number, { readonly slot: ParentSlot; readonly earlierNode: ChunkId | undefined }>();

  constructor(parts: WalkParts) {
    this.#parts = parts;
  }

  async run(): Promise<void> {
    const { source, ingest, signal } = this.#parts;
    for (const slice of source.slices({ signal })) {
      throwIfAborted(signal);
      for (const problem of slice.problems) this.#parts.tally.problem(problem);
      const directory = await this.#directoryOf(slice);
      const state = new SliceState(directory, slice);
      directory.slices.push(state);
      this.#parts.tally.visiting(slice.path);
      if (directory.unchanged === undefined) await this.#compareEntries(directory, slice, state);
      else this.#announceChildren(slice, state, i => directory.unchanged!.children[i]);
      if (slice.isLast) this.#open.delete(directory.number);
      state.remaining--;
      await this.#parts.assembly.advance(directory);
      await ingest.backPressure();
    }
  }

  async #directoryOf(slice: DirectorySlice): Promise<DirectoryState> {
    const known = this.#open.get(slice.directory);
    if (known !== undefined) return known;
    const announced = this.#announced.get(slice.directory);
    this.#announced.delete(slice.directory);
    const earlierNode = announced === undefined ? this.#parts.earlierRoots[slice.component] : announced.earlierNode;
    const directory = new DirectoryState(slice.directory, slice.path, slice.component, announced?.slot, earlierNode);
    this.#open.set(slice.directory, directory);
    this.#recall(directory, slice);
    return directory;
  }

  /** Looks for the record of an earlier run; equal fingerprint and usable packs make the whole directory unchanged. */
  #recall(directory: DirectoryState, slice: DirectorySlice): void {
    const { records, takesOver, closure } = this.#parts;
    const isRecordable = slice.isFirst && slice.isLast && slice.isWhole;
    if (isRecordable) directory.fingerprint = records.fingerprint(slice.names, slice.stats);
    if (!takesOver) return;
    const record = records.get(slice.path);
    if (record === undefined || !closure.areUsable(record.packs)) return;
    // The record is at least as young as the parent snapshot of this series, and its entries are not racy.
    directory.earlierNode = record.node;
    directory.hasRecordedEntries = true;
    if (directory.fingerprint === undefined || !equalBytes(directory.fingerprint, record.fingerprint)) return;
    if (countEntered(slice) === record.children.length) directory.unchanged = record;
  }

  /** `earlierOf` gets the position among the entered subdirectories. */
  #announceChildren(slice: DirectorySlice, state: SliceState, earlierOf: (position: number) => ChunkId | undefined): void {
    let position = 0;
    for (let i = 0; i < slice.count; i++) {
      const child = slice.children[i]!;
      if (child === 0) continue;
      state.remaining++;
      this.#announced.set(child, { slot: { slice: state, index: i }, earlierNode: earlierOf(position++) });
    }
  }

  async #compareEntries(directory: DirectoryState, slice: DirectorySlice, state: SliceState): Promise<void> {
    const earlier = this.#earlierEntries(directory);
    const rules: ChangeRules = {
      ignoreInode: this.#parts.ignoreInode, earlierRunStart: directory.hasRecordedEntries ? undefined : this.#parts.parentStart,
    };
    const entered: (ChunkId | undefined)[] = [];
    const fresh: FreshEntry[] = [];
    for (let i = 0; i < slice.count; i++) {
      const before = earlier.isEmpty ? undefined : await earlier.find(state.names[i]!);
      if (slice.children[i] !== 0) entered.push(before?.directoryNode);
      if (entryTypeOf(state.stats.type(i)) === undefined) continue;
      if (before !== undefined && await this.#takeOver(directory, state, i, before, rules)) continue;
      fresh.push({ index: i, change: before === undefined ? 'new' : 'changed' });
    }
    this.#announceChildren(slice, state, position => entered[position]);
    await this.#readFresh(slice, state, fresh);
  }

  /** Directories and symlinks keep what costs a call of its own; files and the rest are taken over whole. */
  async #takeOver(directory: DirectoryState, state: SliceState, i: number, before: Entry, rules: ChangeRules): Promise<boolean> {
    if (!this.#parts.takesOver || !isUnchanged(before, state.stats, i, rules)) return false;
    if (!await this.#parts.closure.holds(before, directory.packs)) {
      if (before.type === 'file') this.#parts.tally.filesMissing++;
      return false;
    }
    if (before.type === 'directory') state.drafts[i] = { xattrs: before.xattrs };
    else state.entries[i] = before;
    if (before.type === 'file') this.#parts.tally.file(directory.path, before.name, 'unmodified', before.sizeBytes!);
    return true;
  }

  #earlierEntries(directory: DirectoryState): EarlierEntries {
    return directory.earlierEntries ??= new EarlierEntries(this.#parts.trees, directory.earlierNode, this.#parts.onDamage);
  }

  async #readFresh(slice: DirectorySlice, state: SliceState, fresh: readonly FreshEntry[]): Promise<void> {
    if (fresh.length === 0) return;
    const { source, ingest, assembly, tally } = this.#parts;
    const details = source.details(slice, fresh.map(entry => entry.index), problem => {
      tally.problem(problem);
      state.directory.fingerprint = undefined;
    });
    for (let n = 0; n < fresh.length; n++) {
      const { index, change } = fresh[n]!;
      const draft = assembly.startEntry(state, index, details[n]!);
      if (draft.xattrs !== undefined) await assembly.storeValues({ slice: state, index }, details[n]!);
      if (state.stats.type(index) !== TYPE_FILE) continue;
      draft.change = change;
      const sizeBytes = state.stats.size(index);
      if (sizeBytes === 0) {
        draft.sizeBytes = 0;
        tally.file(state.directory.path, state.names[index]!, change, 0);
      } else {
        state.remaining++;
        const waiting = ingest.addFile(slice.path, state.names[index]!, state.stats.at(index), sizeBytes, { slice: state, index });
        if (waiting !== undefined) await waiting;
      }
    }
  }
}

interface FreshEntry {
  readonly index: number;
  readonly change: 'new' | 'changed';
}

function countEntered(slice: DirectorySlice): number {
  let count = 0;
  for (const child of slice.children) if (child !== 0) count++;
  return count;
}
