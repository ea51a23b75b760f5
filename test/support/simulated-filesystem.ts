import type { Bytes } from '../../src/base/bytes.ts';
import { concatBytes } from '../../src/base/bytes.ts';
import {
  type DirectoryEntry, errnoError, type FileStat, type FileSystem, type NewFile, type OpenFile,
} from '../../src/backend/local-filesystem.ts';
import type { SeededRandom } from './seeded-random.ts';

interface SimulatedFile {
  readonly kind: 'file';
  content: Uint8Array<ArrayBuffer>;
  durable: Uint8Array<ArrayBuffer>;
  links: number;
  modifiedAt: number;
}

interface NameChange {
  readonly name: string;
  readonly node: SimulatedNode | undefined;
}

interface SimulatedDirectory {
  readonly kind: 'directory';
  readonly entries: Map<string, SimulatedNode>;
  readonly durable: Map<string, SimulatedNode>;
  /** Changes of names since the last sync, in order. */
  pending: NameChange[];
}

type SimulatedNode = SimulatedFile | SimulatedDirectory;

export interface SimulatedFileSystemOptions {
  readonly now?: () => number;
  /** Without them `link` answers EPERM, as vfat does. */
  readonly hasHardLinks?: boolean;
  /** Draws how long each step takes, so that calls overtake each other; without it all steps are equally long. */
  readonly schedule?: SeededRandom | undefined;
}

/** Small, so that a short object already spans several. */
const PAGE_BYTES = 64;
/** Most turns of the event loop that a step takes. */
const MAX_TURNS = 5;

const newDirectory = (): SimulatedDirectory => ({ kind: 'directory', entries: new Map(), durable: new Map(), pending: [] });

/**
 * A file system in memory that promises what POSIX promises and nothing more: what was not synced survives a crash in any
 * selection, page by page and name by name. A name counts only if all directories above it are durable too.
 */
export class SimulatedFileSystem implements FileSystem {
  readonly #root: SimulatedDirectory;
  readonly #options: SimulatedFileSystemOptions;
  #steps = 0;
  #crashAtStep = Number.POSITIVE_INFINITY;
  #failingSyncs = 0;

  constructor(options: SimulatedFileSystemOptions = {}, root: SimulatedDirectory = newDirectory()) {
    this.#options = options;
    this.#root = root;
  }

  /** From now on, the power fails right before the given step, counted from 1; every call from then on throws. */
  crashBeforeStep(step: number): void {
    this.#steps = 0;
    this.#crashAtStep = step;
  }

  get hasCrashed(): boolean {
    return this.#steps >= this.#crashAtStep;
  }

  /** The next sync of a directory fails and, as Linux did for long, the changes before it are never written. */
  failNextDirectorySync(): void {
    this.#failingSyncs++;
  }

  /** What is there after a power cut at this moment; may be called with many seeds. */
  afterCrash(random: SeededRandom): SimulatedFileSystem {
    const kept = new Map<SimulatedNode, SimulatedNode>();
    // All or nothing of the unsynced are states of their own that single draws would hardly ever show.
    const keepOneIn = [1, 2, 0][random.below(3)]!;
    const keeps = (): boolean => keepOneIn !== 0 && random.oneIn(keepOneIn);
    const keepFile = (file: SimulatedFile): SimulatedFile => {
      const content = survivingContent(file, keeps);
      return { kind: 'file', content, durable: content, links: 0, modifiedAt: file.modifiedAt };
    };
    const keepDirectory = (directory: SimulatedDirectory): SimulatedDirectory => {
      const names = new Map(directory.durable);
      for (const { name, node } of directory.pending) {
        if (!keeps()) continue;
        if (node === undefined) names.delete(name);
        else names.set(name, node);
      }
      const copy = newDirectory();
      for (const [name, node] of names) {
        const next = kept.get(node) ?? (node.kind === 'file' ? keepFile(node) : keepDirectory(node));
        kept.set(node, next);
        if (next.kind === 'file') next.links++;
        copy.entries.set(name, next);
        copy.durable.set(name, next);
      }
      return copy;
    };
    return new SimulatedFileSystem({ ...this.#options, schedule: undefined }, keepDirectory(this.#root));
  }

  async createFile(path: string): Promise<NewFile> {
    await this.#step();
    const { parent, name } = this.#locate(path);
    if (parent.entries.has(name)) throw errnoError('EEXIST', `file already exists, open '${path}'`);
    const empty = new Uint8Array(0);
    const file: SimulatedFile = { kind: 'file', content: empty, durable: empty, links: 1, modifiedAt: this.#now() };
    change(parent, name, file);
    return {
      write: async parts => {
        await this.#step();
        file.content = concatBytes([file.content, ...parts]);
        file.modifiedAt = this.#now();
      },
      sync: async () => {
        await this.#step();
        const content = file.content;
        await this.#step();
        file.durable = content;
      },
      close: () => this.#step(),
    };
  }

  async openFile(path: string): Promise<OpenFile> {
    await this.#step();
    const node = this.#get(path);
    const contentOf = (): Bytes => {
      if (node.kind === 'directory') throw errnoError('EISDIR', 'illegal operation on a directory, read');
      return node.content;
    };
    return {
      sizeBytes: async () => contentOf().length,
      read: async (target, position) => {
        await this.#step();
        const found = contentOf().subarray(position, position + target.length);
        target.set(found);
        return found.length;
      },
      close: () => this.#step(),
    };
  }

  async link(existing: string, path: string): Promise<void> {
    await this.#step();
    if (this.#options.hasHardLinks === false) throw errnoError('EPERM', `operation not permitted, link '${path}'`);
    const node = this.#get(existing);
    const { parent, name } = this.#locate(path);
    if (node.kind !== 'file') throw errnoError('EPERM', `operation not permitted, link '${path}'`);
    if (parent.entries.has(name)) throw errnoError('EEXIST', `file already exists, link '${path}'`);
    node.links++;
    change(parent, name, node);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#step();
    const node = this.#get(from);
    const source = this.#locate(from);
    const target = this.#locate(to);
    const replaced = target.parent.entries.get(target.name);
    if (replaced === node) return;
    if (replaced?.kind === 'directory') throw errnoError('EISDIR', `illegal operation on a directory, rename '${to}'`);
    if (replaced !== undefined) replaced.links--;
    change(target.parent, target.name, node);
    change(source.parent, source.name, undefined);
  }

  async unlink(path: string): Promise<void> {
    await this.#step();
    const node = this.#get(path);
    if (node.kind === 'directory') throw errnoError('EISDIR', `illegal operation on a directory, unlink '${path}'`);
    const { parent, name } = this.#locate(path);
    node.links--;
    change(parent, name, undefined);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#step();
    const { parent, name } = this.#locate(path);
    if (parent.entries.has(name)) throw errnoError('EEXIST', `file already exists, mkdir '${path}'`);
    change(parent, name, newDirectory());
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#step();
    if (this.#getDirectory(path).entries.size > 0) throw errnoError('ENOTEMPTY', `directory not empty, rmdir '${path}'`);
    const { parent, name } = this.#locate(path);
    change(parent, name, undefined);
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#step();
    const directory = this.#getDirectory(path);
    // What comes while the sync runs is not covered by it.
    const covered = directory.pending;
    await this.#step();
    directory.pending = directory.pending.slice(covered.length);
    if (this.#failingSyncs > 0) {
      this.#failingSyncs--;
      throw errnoError('EIO', 'i/o error, fsync');
    }
    for (const { name, node } of covered) {
      if (node === undefined) directory.durable.delete(name);
      else directory.durable.set(name, node);
    }
  }

  async readDirectory(path: string): Promise<readonly DirectoryEntry[]> {
    await this.#step();
    return [...this.#getDirectory(path).entries].map(([name, node]) => ({ name, kind: node.kind }));
  }

  async stat(path: string): Promise<FileStat> {
    await this.#step();
    return toStat(this.#get(path));
  }

  async statAll(directory: string, names: readonly string[]): Promise<readonly (FileStat | undefined)[]> {
    await this.#step();
    const { entries } = this.#getDirectory(directory);
    return names.map(name => {
      const node = entries.get(name);
      return node === undefined ? undefined : toStat(node);
    });
  }

  async space(): Promise<{ freeBytes: number; totalBytes: number }> {
    return { freeBytes: 2 ** 30, totalBytes: Number.MAX_SAFE_INTEGER };
  }

  async #step(): Promise<void> {
    const turns = 1 + (this.#options.schedule?.below(MAX_TURNS) ?? 0);
    for (let i = 0; i < turns; i++) await new Promise(resolve => { setImmediate(resolve); });
    this.#steps++;
    if (this.hasCrashed) throw errnoError('EPOWER', 'the power is off');
  }

  #now(): number {
    return this.#options.now?.() ?? 0;
  }

  #get(path: string): SimulatedNode {
    let node: SimulatedNode = this.#root;
    for (const part of partsOf(path)) {
      if (node.kind === 'file') throw errnoError('ENOTDIR', `not a directory, '${path}'`);
      const next: SimulatedNode | undefined = node.entries.get(part);
      if (next === undefined) throw errnoError('ENOENT', `no such file or directory, '${path}'`);
      node = next;
    }
    return node;
  }

  #getDirectory(path: string): SimulatedDirectory {
    const node = this.#get(path);
    if (node.kind === 'file') throw errnoError('ENOTDIR', `not a directory, '${path}'`);
    return node;
  }

  #locate(path: string): { parent: SimulatedDirectory; name: string } {
    const parts = partsOf(path);
    const name = parts.pop();
    if (name === undefined) throw errnoError('EEXIST', `file already exists, '${path}'`);
    return { parent: this.#getDirectory(parts.join('/')), name };
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter(part => part !== '' && part !== '.');
}

function change(directory: SimulatedDirectory, name: string, node: SimulatedNode | undefined): void {
  if (node === undefined) directory.entries.delete(name);
  else directory.entries.set(name, node);
  directory.pending = [...directory.pending, { name, node }];
}

function toStat(node: SimulatedNode): FileStat {
  if (node.kind === 'directory') return { kind: 'directory', sizeBytes: 0, modifiedAt: 0, links: 2, device: 1 };
  return { kind: 'file', sizeBytes: node.content.length, modifiedAt: node.modifiedAt, links: node.links, device: 1 };
}

/** Any selection of the unsynced pages; the others keep their synced bytes or read as zeros. Any of the two sizes. */
function survivingContent(file: SimulatedFile, keeps: () => boolean): Uint8Array<ArrayBuffer> {
  if (file.content === file.durable) return file.durable;
  const survived = new Uint8Array(keeps() ? file.content.length : file.durable.length);
  survived.set(file.durable.subarray(0, survived.length));
  for (let at = 0; at < survived.length; at += PAGE_BYTES) {
    if (keeps()) survived.set(file.content.subarray(at, Math.min(at + PAGE_BYTES, survived.length)), at);
  }
  return survived;
}
