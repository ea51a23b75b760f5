/**
 * Files that are written range by range. A new file has its final name from the start: until it is closed its time is the
 * present, so a later run sees that it is not complete and finds by hash what can be used again. A file that existed is
 * replaced by a rename of the complete one, or changed in place when its content is to be used again.
 */
import type { Bytes } from '../base/bytes.ts';
import type { OpenFlags } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_FILE } from '../base/stat-record.ts';
import { MiB } from '../base/units.ts';
import { type Entry, ENTRY_SPARSE } from '../format/tree-node.ts';
import { copyData, writeAll, writeSparsely, writeZeros, zeroData } from './file-content.ts';
import { type FileSlot, FileSlots } from './file-slots.ts';
import type { FoundMetadata } from './metadata.ts';
import { changedMeanwhile, failedWith, targetError } from './target-error.ts';
import type { OpenFileOptions, TargetHandle, TargetProblem } from './target.ts';
import { NEW_FILE, type TargetTree } from './target-tree.ts';

const EXISTING_FILE: OpenFlags = { write: true };
/** Smaller files are not worth the call that reserves their space. */
const ALLOCATE_BYTES = MiB;
/** Time of a file whose content is not complete. */
const MARKER_TIME: readonly [number, number] = [0, 0];

interface Opened {
  readonly descriptor: number;
  readonly name: Bytes;
  readonly isTemporary: boolean;
  readonly found: FoundMetadata;
  readonly isFresh: boolean;
}

export class FileWriter {
  readonly #tree: TargetTree;
  readonly #slots: FileSlots;

  constructor(tree: TargetTree, maxOpenFiles: number) {
    this.#tree = tree;
    this.#slots = new FileSlots(tree, maxOpenFiles);
  }

  open(parent: TargetHandle, entry: Entry, options: OpenFileOptions): TargetHandle | TargetProblem {
    try {
      const directory = this.#tree.chain.descriptor(parent);
      const opened = options.reuse ? this.#openExisting(parent, directory, entry) : this.#create(parent, directory, entry);
      if (!('descriptor' in opened)) return opened;
      return this.#prepare(parent, directory, entry, opened, options);
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'open the file', error);
    }
  }

  #create(parent: TargetHandle, directory: number, entry: Entry): Opened | TargetProblem {
    const { fs } = this.#tree;
    const claim = this.#tree.claim(parent, directory, entry, name => fs.openFileAt(directory, name, NEW_FILE));
    if (claim.kind === 'keep') return this.#changed(parent, entry);
    if (claim.kind === 'problem') return claim.problem;
    const { made: descriptor, name, isTemporary } = claim;
    return { descriptor, name, isTemporary, found: this.#tree.foundOfNew(parent, descriptor), isFresh: true };
  }

  #changed(parent: TargetHandle, entry: Entry): TargetProblem {
    return { path: this.#tree.table.path(parent, entry.name), error: changedMeanwhile() };
  }

  /** In place, unless other names share the file, perhaps outside the target, or it may not be written: then as a copy. */
  #openExisting(parent: TargetHandle, directory: number, entry: Entry): Opened | TargetProblem {
    const place = this.#tree.examine(parent, entry);
    if (place.kind === 'problem') return place.problem;
    if (place.kind !== 'there' || place.stat.type(0) !== TYPE_FILE) return this.#changed(parent, entry);
    const descriptor = this.#openInPlace(directory, entry);
    if (descriptor === undefined) return this.#copy(parent, directory, entry);
    const stat = new StatRecords(this.#tree.fs.statDescriptor(descriptor));
    return { descriptor, name: entry.name, isTemporary: false, found: { uid: stat.uid(0), gid: stat.gid(0) }, isFresh: false };
  }

  #openInPlace(directory: number, entry: Entry): number | undefined {
    const { fs } = this.#tree;
    let descriptor: number;
    try {
      descriptor = fs.openFileAt(directory, entry.name, EXISTING_FILE);
    } catch (error) {
      if (failedWith(error, 'EACCES', 'EPERM', 'ETXTBSY')) return undefined;
      throw error;
    }
    try {
      const stat = new StatRecords(fs.statDescriptor(descriptor));
      if (stat.type(0) === TYPE_FILE && stat.linkCount(0) === 1) {
        // New content may be meant for fewer eyes than the old one.
        fs.setMode(descriptor, 0o600);
        return descriptor;
      }
    } catch (error) {
      if (!failedWith(error, 'EPERM')) {
        fs.close(descriptor);
        throw error;
      }
    }
    fs.close(descriptor);
    return undefined;
  }

  #copy(parent: TargetHandle, directory: number, entry: Entry): Opened {
    const { fs } = this.#tree;
    const name = this.#tree.temporaryName();
    const original = fs.openFileAt(directory, entry.name, {});
    try {
      const descriptor = fs.openFileAt(directory, name, NEW_FILE);
      try {
        const size = new StatRecords(fs.statDescriptor(original)).size(0);
        copyData(fs, original, descriptor, Math.min(size, entry.sizeBytes ?? 0));
        return { descriptor, name, isTemporary: true, found: this.#tree.foundOfNew(parent, descriptor), isFresh: false };
      } catch (error) {
        fs.close(descriptor);
        this.#tree.discard(directory, name);
        throw error;
      }
    } finally {
      fs.close(original);
    }
  }

  #prepare(
    parent: TargetHandle, directory: number, entry: Entry, opened: Opened, options: OpenFileOptions,
  ): TargetHandle {
    const { fs } = this.#tree;
    const { descriptor, name, isTemporary, found, isFresh } = opened;
    const sizeBytes = entry.sizeBytes ?? 0;
    const wasSparse = (entry.flags & ENTRY_SPARSE) !== 0;
    const wantsHoles = wasSparse || this.#tree.options.sparse;
    try {
      fs.truncate(descriptor, sizeBytes);
      const canAllocate = isFresh && sizeBytes >= ALLOCATE_BYTES && !(wasSparse || (wantsHoles && options.hasZeros));
      if (canAllocate) fs.allocate(descriptor, sizeBytes);
      const isAllocated = canAllocate && new StatRecords(fs.statDescriptor(descriptor)).allocatedBytes(0) >= sizeBytes;
      return this.#slots.add({ parent, entry, name, isTemporary, found, isFresh, wantsHoles, isAllocated }, descriptor);
    } catch (error) {
      fs.close(descriptor);
      if (isFresh || isTemporary) this.#tree.discard(directory, name);
      throw error;
    }
  }

  write(file: TargetHandle, bytes: Bytes, position: number): TargetProblem | undefined {
    return this.#change(file, position, bytes.length, (slot, descriptor) => {
      const isSparse = slot.isFresh && (slot.entry.flags & ENTRY_SPARSE) !== 0;
      (isSparse ? writeSparsely : writeAll)(this.#tree.fs, descriptor, bytes, position);
    });
  }

  writeZeros(file: TargetHandle, position: number, length: number): TargetProblem | undefined {
    return this.#change(file, position, length, (slot, descriptor) => {
      if (slot.isFresh && (slot.wantsHoles || slot.isAllocated)) return;
      (slot.wantsHoles ? zeroData : writeZeros)(this.#tree.fs, descriptor, position, position + length);
    });
  }

  #change(
    file: TargetHandle, position: number, length: number, change: (slot: FileSlot, descriptor: number) => void,
  ): TargetProblem | undefined {
    const slot = this.#slots.get(file);
    if (!(position >= 0 && position + length <= (slot.entry.sizeBytes ?? 0))) {
      throw new RangeError(`${length} bytes at ${position} do not fit into a file of ${slot.entry.sizeBytes} bytes`);
    }
    try {
      change(slot, this.#slots.descriptor(file));
      return undefined;
    } catch (error) {
      return this.#tree.problem(slot.parent, slot.entry.name, 'write the file', error);
    }
  }

  close(file: TargetHandle, isComplete: boolean): TargetProblem | undefined {
    const slot = this.#slots.get(file);
    const { parent, entry, name, isTemporary } = slot;
    try {
      const directory = this.#tree.chain.descriptor(parent);
      if (!isComplete && isTemporary) {
        this.#slots.remove(file);
        this.#tree.discard(directory, name);
        return undefined;
      }
      this.#complete(file, slot, directory, isComplete);
      this.#tree.publish(directory, slot, entry.name);
      return undefined;
    } catch (error) {
      return this.#tree.problem(parent, entry.name, 'complete the file', error);
    }
  }

  #complete(file: TargetHandle, slot: FileSlot, directory: number, isComplete: boolean): void {
    try {
      const wanted = this.#tree.wanted(slot.entry);
      this.#tree.setMetadata(slot, this.#slots.descriptor(file), directory, isComplete ? wanted : { ...wanted, mtime: MARKER_TIME });
    } finally {
      this.#slots.remove(file);
    }
  }

  /** Files that nobody closed: a replacement is dropped, a new file stays without its time. */
  release(): void {
    for (const file of this.#slots.handles()) {
      const { parent, name, isTemporary } = this.#slots.get(file);
      this.#slots.remove(file);
      if (!isTemporary) continue;
      try {
        this.#tree.discard(this.#tree.chain.descriptor(parent), name);
      } catch (error) {
        // The directory is gone, and with it the replacement; anything but a fault of the file system is thrown on.
        targetError('remove the unfinished file', error);
      }
    }
  }
}
