/**
 * Descriptors of the directories of a restore, a bounded number of them: the least recently used one is closed and later
 * opened again by walking down from the nearest open ancestor, component by component, without following symlinks. A path
 * of any depth therefore needs no joined name and cannot lead out of the root.
 */
import { invariant } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import type { DirectoryTable } from './directory-table.ts';
import { ROOT_DIRECTORY, type TargetHandle } from './target.ts';

/** A chain of depth d is walked bottom-up with d² / (2 · this) opens: 6 million, half a minute, for d = 65,536. */
export const MAX_OPEN_DIRECTORIES = 384;

export class DirectoryChain {
  readonly #fs: NativeFileSystem;
  readonly #table: DirectoryTable;
  readonly #root: number | undefined;
  readonly #capacity: number;
  /** In order of use, the least recent first. */
  readonly #open = new Map<TargetHandle, number>();
  #newest: TargetHandle = ROOT_DIRECTORY;
  #newestDescriptor: number | undefined;
  #pinned: TargetHandle = ROOT_DIRECTORY;

  /** Takes over the descriptor of the root; undefined when a dry run found none, and then nothing may be asked for. */
  constructor(fs: NativeFileSystem, table: DirectoryTable, root: number | undefined, capacity: number = MAX_OPEN_DIRECTORIES) {
    this.#fs = fs;
    this.#table = table;
    this.#root = root;
    this.#newestDescriptor = root;
    this.#capacity = Math.max(2, capacity);
  }

  /** Valid until the next call. @throws NativeError when the directory is no longer there, or no longer a directory */
  descriptor(handle: TargetHandle): number {
    if (handle === this.#newest && this.#newestDescriptor !== undefined) return this.#newestDescriptor;
    if (handle === ROOT_DIRECTORY) return this.#rootDescriptor();
    const found = this.#open.get(handle);
    if (found === undefined) return this.#reopen(handle);
    this.#open.delete(handle);
    this.#open.set(handle, found);
    this.#newest = handle;
    this.#newestDescriptor = found;
    return found;
  }

  /** Two descriptors that are valid together. */
  descriptors(first: TargetHandle, second: TargetHandle): [first: number, second: number] {
    const one = this.descriptor(first);
    this.#pinned = first;
    try {
      return [one, this.descriptor(second)];
    } finally {
      this.#pinned = ROOT_DIRECTORY;
    }
  }

  /** Takes over a descriptor that the caller has just opened. */
  adopt(handle: TargetHandle, descriptor: number): void {
    this.#open.set(handle, descriptor);
    this.#newest = handle;
    this.#newestDescriptor = descriptor;
    if (this.#open.size > this.#capacity) this.#evict();
  }

  close(): void {
    for (const descriptor of this.#open.values()) this.#fs.close(descriptor);
    this.#open.clear();
    if (this.#root !== undefined) this.#fs.close(this.#root);
  }

  #rootDescriptor(): number {
    invariant(this.#root !== undefined, 'There is no target directory');
    return this.#root;
  }

  #reopen(handle: TargetHandle): number {
    const missing: TargetHandle[] = [];
    let at = handle;
    for (; at !== ROOT_DIRECTORY && !this.#open.has(at); at = this.#table.parent(at)) missing.push(at);
    let descriptor = at === ROOT_DIRECTORY ? this.#rootDescriptor() : this.#open.get(at)!;
    for (let i = missing.length - 1; i >= 0; i--) {
      // Opened before the next one is adopted: adopting may close the ancestor, which is then no longer needed.
      descriptor = this.#fs.openDirectoryAt(descriptor, this.#table.name(missing[i]!));
      this.adopt(missing[i]!, descriptor);
    }
    return descriptor;
  }

  #evict(): void {
    for (const [handle, descriptor] of this.#open) {
      if (handle === this.#pinned || handle === this.#newest) continue;
      this.#open.delete(handle);
      this.#fs.close(descriptor);
      return;
    }
  }
}
