/**
 * Finishes directories: entries whose content is known are encoded in name order, a directory whose last slice is encoded
 * gets its node, and its parent one thing less to wait for. Works upwards with a loop, so depth costs no stack.
 */
import { SnapError, invariant } from '../../base/errors.ts';
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import { TYPE_DIRECTORY, TYPE_FILE } from '../../base/stat-record.ts';
import type { PackNumber } from '../../cache/cache.ts';
import { chunkIdFromBytes, type ChunkId } from '../../format/ids.ts';
import { MAX_INLINE_XATTR_BYTES } from '../../format/limits.ts';
import { ENTRY_CHANGED, ENTRY_PARTLY_UNREADABLE, type Entry, type Time, type Xattr } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import { DirectoryBuilder } from '../../repository/directory-builder.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';
import type { WritingSession } from '../../repository/writing-session.ts';
import type { EntryDetails } from '../../sources/source.ts';
import type { BackupTally } from './backup-tally.ts';
import { isRacy } from './change-detection.ts';
import type { ContentAnswer } from './content-ingest.ts';
import type { DirectoryRecords } from './directory-records.ts';
import type { DirectoryState, EntryDraft, ParentSlot, SliceState } from './directory-state.ts';
import type { EntryFactory } from './entry-factory.ts';
import { unreadableErrno } from '../../sources/unreadable.ts';
import { joinPath } from '../path-bytes.ts';

export interface AssemblyParts {
  readonly session: WritingSession;
  readonly trees: TreeReader;
  readonly records: DirectoryRecords;
  readonly factory: EntryFactory;
  readonly tally: BackupTally;
  readonly startedAt: Time;
  /** Stores the value of a large extended attribute. */
  readonly storeValue: (value: Bytes, slot: ParentSlot, attribute: number) => Promise<void>;
  /** An earlier node that cannot be read, with the packs of its directory. */
  readonly onDamage: (error: SnapError, packs: readonly PackNumber[]) => void;
  readonly onRoot: (component: number, node: ChunkId) => void;
}

/** Records that wait until the packs of chunks claimed by other threads are known; beyond this many the rest is not recorded. */
const MAX_UNRESOLVED = 10_000;

export class DirectoryAssembly {
  readonly #parts: AssemblyParts;
  readonly #builders: DirectoryBuilder[] = [];
  readonly #unresolved: { readonly directory: DirectoryState; readonly node: ChunkId; readonly children: readonly ChunkId[] }[] = [];

  constructor(parts: AssemblyParts) {
    this.#parts = parts;
  }

  /** Starts an entry that is new or changed. */
  startEntry(slice: SliceState, index: number, details: EntryDetails): EntryDraft {
    const draft: EntryDraft = { linkTarget: details.linkTarget };
    slice.drafts[index] = draft;
    if (details.xattrs.length > 0) draft.xattrs = details.xattrs.map(({ name, value }) => ({ name, value }));
    return draft;
  }

  /** Stores attribute values that are too large for the entry. */
  async storeValues(slot: ParentSlot, details: EntryDetails): Promise<void> {
    for (const [i, { value }] of details.xattrs.entries()) {
      if (value.length <= MAX_INLINE_XATTR_BYTES) continue;
      slot.slice.remaining++;
      await this.#parts.storeValue(value, slot, i);
    }
  }

  /** The content of a large extended attribute is stored. */
  async valueStored({ slice, index }: ParentSlot, attribute: number, answer: ContentAnswer): Promise<void> {
    const xattrs = slice.drafts[index]!.xattrs as Xattr[];
    xattrs[attribute] = { name: xattrs[attribute]!.name, value: answer.content.content! };
    this.#note(slice.directory, answer);
    slice.remaining--;
    await this.advance(slice.directory);
  }

  /** The content of a file is stored, or could not be read. */
  fileStored({ slice, index }: ParentSlot, answer: ContentAnswer): Promise<void> | undefined {
    const { directory } = slice;
    if (answer.errno === 0) this.#takeContent(slice, index, answer);
    else {
      const path = joinPath(directory.path, slice.names[index]!);
      slice.drafts[index] = undefined;
      directory.fingerprint = undefined;
      this.#parts.tally.problem({ path, during: 'read', error: unreadableErrno(path, 'read', answer.errno) });
    }
    slice.remaining--;
    return slice.remaining === 0 ? this.advance(directory) : undefined;
  }

  #takeContent(slice: SliceState, index: number, answer: ContentAnswer): void {
    const { directory } = slice;
    const draft = slice.drafts[index]!;
    const { sizeBytes, content, contentNode } = answer.content;
    draft.sizeBytes = sizeBytes;
    draft.content = content;
    draft.contentNode = contentNode;
    draft.flags = answer.flags;
    if (answer.damagedSpans.length > 0) draft.damagedSpans = answer.damagedSpans;
    this.#note(directory, answer);
    this.#parts.tally.file(directory.path, slice.names[index]!, draft.change!, sizeBytes);
    if (answer.flags !== 0) this.#reportFlags(directory, answer, joinPath(directory.path, slice.names[index]!));
  }

  /** Encodes what is complete, and finishes this directory and its ancestors as far as possible. */
  async advance(start: DirectoryState): Promise<void> {
    for (let directory: DirectoryState | undefined = start; directory !== undefined; directory = directory.parent?.slice.directory) {
      if (!await this.#encodeReady(directory)) return;
    }
  }

  /** After everything is durable: records whose chunks were stored by another thread. */
  resolveClaims(): void {
    const { chunks } = this.#parts.session.repository.cache;
    for (const { directory, node, children } of this.#unresolved) {
      const locations = directory.unresolved.map(id => chunks.find(id));
      if (locations.includes(undefined)) continue;
      for (const location of locations) directory.packs.add(location!.pack);
      this.#putRecord(directory, node, children);
    }
  }

  #note(directory: DirectoryState, { packs, claimed }: ContentAnswer): void {
    for (const pack of packs) directory.packs.add(pack); // referenced by the session when the directory is finished
    if (claimed.length === 0) return;
    for (const id of claimed) directory.unresolved.push(id.slice());
    this.#parts.session.referenceClaimed(claimed);
  }

  #reportFlags(directory: DirectoryState, { flags, damagedSpans }: ContentAnswer, path: Bytes): void {
    if ((flags & ENTRY_CHANGED) !== 0) {
      directory.fingerprint = undefined;
      const error = new SnapError('ENTRY_CHANGED', 'The file changed while it was read', { hint: 'The next backup reads it again' });
      this.#parts.tally.problem({ path, during: 'read', error });
    }
    if ((flags & ENTRY_PARTLY_UNREADABLE) !== 0) {
      directory.fingerprint = undefined;
      const bytes = damagedSpans.reduce((sum, span) => sum + span.length, 0);
      this.#parts.tally.problem({ path, during: 'read', error: new SnapError('ENTRY_UNREADABLE', `${bytes} bytes of the file could not be read`) });
    }
  }

  /** True when the directory is finished. */
  async #encodeReady(directory: DirectoryState): Promise<boolean> {
    for (;;) {
      const slice = directory.slices[0];
      if (slice === undefined || slice.remaining > 0) return false;
      directory.slices.shift();
      if (directory.unchanged !== undefined) {
        await this.#finishUnchanged(directory, slice);
        return true;
      }
      this.#encode(directory, slice);
      if (!slice.isLast) continue;
      const builder = directory.builder!;
      const node = builder.finish();
      this.#builders.push(builder);
      this.#finish(directory, node);
      return true;
    }
  }

  #encode(directory: DirectoryState, slice: SliceState): void {
    const builder = this.#builderOf(directory);
    for (let i = 0; i < slice.names.length; i++) {
      const entry = slice.entries[i] ?? this.#makeEntry(slice, i);
      if (entry === undefined) continue;
      builder.add(entry);
      if (entry.type !== 'file') continue;
      directory.files++;
      directory.bytes += entry.sizeBytes!;
      if (directory.fingerprint !== undefined && isRacy(slice.stats, i, this.#parts.startedAt)) directory.fingerprint = undefined;
    }
    for (const node of slice.childNodes) if (node !== undefined) directory.childNodes.push(node);
  }

  #makeEntry(slice: SliceState, i: number): Entry | undefined {
    const draft = slice.drafts[i];
    if (draft === undefined) return undefined;
    const type = slice.stats.type(i);
    if (type === TYPE_DIRECTORY) draft.directoryNode = slice.childNodes[i] ?? this.#emptyDirectory(slice.directory);
    if (type === TYPE_FILE) invariant(draft.sizeBytes !== undefined, 'A file was encoded before its content was known');
    return this.#parts.factory.make(slice.names[i]!, slice.stats, i, draft);
  }

  /** A directory that is not entered, such as a mount point when staying on one file system. */
  #emptyDirectory(directory: DirectoryState): ChunkId {
    const builder = this.#builders.pop() ?? new DirectoryBuilder(this.#parts.session.repository.keys.auxiliaryHasher);
    builder.begin(this.#parts.session.trees.sink(directory.packs));
    const node = builder.finish();
    this.#builders.push(builder);
    return node;
  }

  #builderOf(directory: DirectoryState): DirectoryBuilder {
    if (directory.builder !== undefined) return directory.builder;
    const builder = this.#builders.pop() ?? new DirectoryBuilder(this.#parts.session.repository.keys.auxiliaryHasher);
    builder.begin(this.#parts.session.trees.sink(directory.packs));
    return directory.builder = builder;
  }

  /** All entries are as they were; only nodes of subdirectories may differ. */
  async #finishUnchanged(directory: DirectoryState, slice: SliceState): Promise<void> {
    const record = directory.unchanged!;
    const { tally, session } = this.#parts;
    tally.manyFiles('unmodified', record.files, record.bytes);
    directory.files = record.files;
    directory.bytes = record.bytes;
    for (const pack of record.packs) directory.packs.add(pack);
    const children = slice.childNodes.filter(node => node !== undefined);
    directory.childNodes.push(...children);
    if (children.every((node, i) => equalBytes(node, record.children[i]!))) {
      session.reference(directory.packs);
      this.#leave(directory, record.node);
      return;
    }
    const changed = new Map(slice.names.map((name, i) => [Buffer.from(name).toString('latin1'), slice.childNodes[i]]));
    const builder = this.#builderOf(directory);
    try {
      for await (const entry of this.#parts.trees.entries(record.node)) {
        const node = changed.get(Buffer.from(entry.name).toString('latin1'));
        builder.add(node === undefined ? entry : { ...entry, directoryNode: node });
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
      // Without its old entries nothing right can be made of the directory in this round; in the next one it is read.
      this.#parts.onDamage(error, record.packs);
      directory.fingerprint = undefined;
    }
    const node = builder.finish();
    this.#builders.push(builder);
    this.#finish(directory, node);
  }

  #finish(directory: DirectoryState, node: ChunkId): void {
    const { session } = this.#parts;
    session.reference(directory.packs);
    const children = directory.childNodes;
    if (directory.fingerprint !== undefined) {
      if (directory.unresolved.length === 0) this.#putRecord(directory, node, children);
      else if (this.#unresolved.length < MAX_UNRESOLVED) this.#unresolved.push({ directory, node, children });
    }
    this.#leave(directory, node);
  }

  #putRecord(directory: DirectoryState, node: ChunkId, children: readonly ChunkId[]): void {
    this.#parts.records.put(directory.path, {
      fingerprint: directory.fingerprint!, node, files: directory.files, bytes: directory.bytes, children, packs: [...directory.packs],
    });
  }

  #leave(directory: DirectoryState, node: ChunkId): void {
    const { earlierNode, parent } = directory;
    this.#parts.tally.directory(earlierNode === undefined ? 'new' : equalBytes(earlierNode, node) ? 'unmodified' : 'changed');
    if (parent === undefined) return this.#parts.onRoot(directory.component, node);
    // A copy: the ID may be a view of a whole node.
    parent.slice.childNodes[parent.index] = chunkIdFromBytes(node.slice());
    parent.slice.remaining--;
  }
}
