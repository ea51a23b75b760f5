/** Files that are being restored, and a bounded number of open descriptors for them. */
import { type Bytes, equalBytes } from '../base/bytes.ts';
import { StatRecords } from '../base/stat-record.ts';
import type { Entry } from '../format/tree-node.ts';
import type { FoundMetadata } from './metadata.ts';
import { changedMeanwhile } from './target-error.ts';
import type { TargetHandle } from './target.ts';
import type { TargetTree } from './target-tree.ts';

export const MAX_OPEN_FILES = 192;

export interface FileSlot {
  readonly parent: TargetHandle;
  readonly entry: Entry;
  /** Where the bytes go: the final name, or a temporary one. */
  readonly name: Bytes;
  readonly isTemporary: boolean;
  readonly found: FoundMetadata;
  /** What is not written reads as zeros; false when it has content of before. */
  readonly isFresh: boolean;
  readonly wantsHoles: boolean;
  /** Space for the whole file is reserved. */
  readonly isAllocated: boolean;
}

interface OpenSlot extends FileSlot {
  descriptor: number;
  /** Proof that the same file was opened again. */
  inode: Bytes | undefined;
}

const CLOSED = -1;

export class FileSlots {
  readonly #tree: TargetTree;
  readonly #capacity: number;
  readonly #slots = new Map<TargetHandle, OpenSlot>();
  /** Handles with an open descriptor, the least recently used first. */
  readonly #open = new Set<TargetHandle>();
  #newest = 0;
  #last = 0;

  constructor(tree: TargetTree, capacity: number) {
    this.#tree = tree;
    this.#capacity = Math.max(1, capacity);
  }

  /** Takes over the descriptor. */
  add(slot: FileSlot, descriptor: number): TargetHandle {
    const handle = ++this.#last;
    this.#slots.set(handle, { ...slot, descriptor, inode: undefined });
    this.#opened(handle);
    return handle;
  }

  get(handle: TargetHandle): FileSlot {
    return this.#slot(handle);
  }

  /** Valid until the next call. @throws NativeError, TARGET_FAILED when another file is there now */
  descriptor(handle: TargetHandle): number {
    const slot = this.#slot(handle);
    if (slot.descriptor === CLOSED) {
      slot.descriptor = this.#reopen(slot);
      this.#opened(handle);
    } else if (handle !== this.#newest) {
      this.#open.delete(handle);
      this.#open.add(handle);
      this.#newest = handle;
    }
    return slot.descriptor;
  }

  /** The slot ends; its descriptor is closed. @throws NativeError */
  remove(handle: TargetHandle): void {
    const slot = this.#slot(handle);
    this.#slots.delete(handle);
    if (this.#open.delete(handle)) this.#tree.fs.close(slot.descriptor);
  }

  handles(): TargetHandle[] {
    return [...this.#slots.keys()];
  }

  #slot(handle: TargetHandle): OpenSlot {
    const slot = this.#slots.get(handle);
    if (slot === undefined) throw new RangeError(`No open file ${handle} in this restore`);
    return slot;
  }

  #opened(handle: TargetHandle): void {
    this.#open.add(handle);
    this.#newest = handle;
    if (this.#open.size <= this.#capacity) return;
    const [oldest] = this.#open;
    this.#open.delete(oldest!);
    const slot = this.#slot(oldest!);
    const { fs } = this.#tree;
    slot.inode ??= identity(fs.statDescriptor(slot.descriptor));
    fs.close(slot.descriptor);
    slot.descriptor = CLOSED;
  }

  #reopen(slot: OpenSlot): number {
    const { fs, chain } = this.#tree;
    const descriptor = fs.openFileAt(chain.descriptor(slot.parent), slot.name, { write: true });
    if (equalBytes(identity(fs.statDescriptor(descriptor)), slot.inode!)) return descriptor;
    fs.close(descriptor);
    throw changedMeanwhile();
  }
}

/** Device and inode. */
function identity(record: Bytes): Bytes {
  const stat = new StatRecords(record);
  return Buffer.concat([stat.deviceBytes(0), stat.inodeBytes(0)]);
}
