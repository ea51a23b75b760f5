/**
 * Files in memory, so that a simulated host needs no disk and inodes and times are the same in every replay: a source tree
 * with the calls that a backup makes, and a restore target that keeps what it gets.
 */
import { constants } from 'node:os';
import { utf8, viewOf, type Bytes } from '../../src/base/bytes.ts';
import { READ_RESULT_FIELDS, STAT_RECORD_BYTES, type NativeFileSystem } from '../../src/base/native-filesystem.ts';
import { TYPE_DIRECTORY, TYPE_FILE, unpackNames } from '../../src/base/stat-record.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import { ROOT_DIRECTORY, type TargetHandle, type TreeTarget, type WholeFile } from '../../src/targets/target.ts';

interface Node {
  readonly inode: number;
  /** Of the last change, ms since 1970. */
  changedAt: number;
  /** A file has bytes, a directory names. */
  readonly bytes: Bytes | undefined;
  readonly names: Map<string, Node>;
}

/** Path of a file from the root, without a slash in front, to its bytes. */
export type FileContents = ReadonlyMap<string, Bytes>;

/** A tree below `/`, written by the simulation and read by a backup. */
export class MemoryTree {
  readonly #now: () => number;
  readonly #root: Node;
  readonly #open = new Map<number, Node>();
  #lastInode = 1;
  #lastDescriptor = 2;

  constructor(now: () => number) {
    this.#now = now;
    this.#root = this.#newNode(undefined);
  }

  /** Creates or replaces a file and the directories above it. */
  write(path: string, bytes: Bytes): void {
    const names = path.split('/');
    const name = names.pop()!;
    let directory = this.#root;
    for (const each of names) {
      const next = directory.names.get(each) ?? this.#newNode(undefined);
      if (!directory.names.has(each)) this.#link(directory, each, next);
      directory = next;
    }
    this.#link(directory, name, this.#newNode(bytes));
  }

  remove(path: string): void {
    const names = path.split('/');
    const name = names.pop()!;
    const directory = names.reduce<Node | undefined>((node, each) => node?.names.get(each), this.#root);
    if (directory?.names.delete(name) === true) directory.changedAt = this.#now();
  }

  contents(): FileContents {
    const found = new Map<string, Bytes>();
    const visit = (node: Node, path: string): void => {
      if (node.bytes !== undefined) found.set(path, node.bytes);
      for (const [name, child] of node.names) visit(child, path === '' ? name : `${path}/${name}`);
    };
    visit(this.#root, '');
    return found;
  }

  /** What a backup calls; everything else throws. */
  native(): NativeFileSystem {
    const calls: Partial<NativeFileSystem> = {
      openDirectory: path => this.#descriptor(this.#find(path)),
      openDirectoryAt: (directory, name) => this.#descriptor(this.#child(directory, name)),
      openFileAt: (directory, name) => this.#descriptor(this.#child(directory, name)),
      close: fd => { this.#open.delete(fd); },
      names: directory => packNames([...this.#node(directory).names.keys()]),
      stats: (directory, names) => this.#stats(directory, names),
      statDescriptor: fd => statRecord(this.#node(fd)),
      statPath: path => statRecord(this.#find(path)),
      read: (fd, target, start, length, position) => {
        const part = this.#node(fd).bytes!.subarray(position, position + length);
        target.set(part, start);
        return part.length;
      },
      readFiles: (directory, names, _expected, first, target, start, results) => this.#readFiles(directory, names, first, target, start, results),
      xattrs: (_directory, names) => new Uint8Array(8 * countNames(names)),
      xattrsOfDescriptor: () => new Uint8Array(8),
      userName: () => undefined,
      groupName: () => undefined,
    };
    return new Proxy(calls as NativeFileSystem, {
      get: (target, key) => {
        const call: unknown = Reflect.get(target, key);
        if (call === undefined) throw new Error(`The files in memory have no call '${String(key)}'`);
        return call;
      },
    });
  }

  #newNode(bytes: Bytes | undefined): Node {
    return { inode: this.#lastInode++, changedAt: this.#now(), bytes, names: new Map() };
  }

  #link(directory: Node, name: string, node: Node): void {
    directory.names.set(name, node);
    directory.changedAt = this.#now();
  }

  #find(path: Bytes): Node {
    const names = Buffer.from(path).toString().split('/').filter(name => name !== '');
    const found = names.reduce<Node | undefined>((node, name) => node?.names.get(name), this.#root);
    if (found === undefined) throw missing();
    return found;
  }

  #child(directory: number, name: Bytes): Node {
    const found = this.#node(directory).names.get(Buffer.from(name).toString());
    if (found === undefined) throw missing();
    return found;
  }

  #descriptor(node: Node): number {
    this.#open.set(++this.#lastDescriptor, node);
    return this.#lastDescriptor;
  }

  #node(fd: number): Node {
    return this.#open.get(fd)!;
  }

  #stats(directory: number, names: Bytes): Uint8Array {
    const records = new Uint8Array(countNames(names) * STAT_RECORD_BYTES);
    unpackNames(names, countNames(names)).forEach((name, i) => {
      const node = this.#node(directory).names.get(Buffer.from(name).toString());
      if (node === undefined) viewOf(records).setUint32(i * STAT_RECORD_BYTES, constants.errno.ENOENT, true);
      else records.set(statRecord(node), i * STAT_RECORD_BYTES);
    });
    return records;
  }

  /** Sources stand still while they are read, so that nothing is ever found changed. */
  #readFiles(directory: number, names: Bytes, first: number, target: Bytes, start: number, results: Float64Array): number {
    const all = unpackNames(names, countNames(names));
    let position = start;
    let i = first;
    for (; i < all.length; i++) {
      const { bytes } = this.#child(directory, all[i]!);
      if (position + bytes!.length > target.length) break;
      target.set(bytes!, position);
      results.set([0, bytes!.length, 0, position], i * READ_RESULT_FIELDS);
      position += bytes!.length;
    }
    return i - first;
  }
}

function packNames(names: readonly string[]): Uint8Array {
  return utf8([...names].sort().map(name => `${name}\0`).join(''));
}

const countNames = (packed: Bytes): number => packed.reduce((count, byte) => byte === 0 ? count + 1 : count, 0);

function missing(): Error {
  return Object.assign(new Error('ENOENT: no such file or directory'), { code: 'ENOENT', errno: constants.errno.ENOENT, syscall: 'open' });
}

function statRecord({ inode, changedAt, bytes }: Node): Uint8Array {
  const record = new Uint8Array(STAT_RECORD_BYTES);
  const view = viewOf(record);
  const size = bytes?.length ?? 4096;
  view.setUint32(4, bytes === undefined ? TYPE_DIRECTORY | 0o755 : TYPE_FILE | 0o644, true);
  view.setUint32(16, size, true);
  for (const at of [24, 48]) {
    view.setUint32(at, Math.floor(changedAt / 1000), true);
    view.setUint32(at + 8, (changedAt % 1000) * 1_000_000, true);
  }
  view.setUint32(60, 1, true);
  view.setUint32(64, inode, true);
  view.setUint32(80, Math.ceil(size / 512), true);
  view.setUint32(88, 1, true);
  return record;
}

/** Keeps the content of every file, and nothing else. */
export class MemoryTarget implements TreeTarget {
  readonly files = new Map<string, Uint8Array>();
  readonly #paths: string[] = [''];

  async begin(): Promise<void> {}
  freeBytes(): number { return Number.MAX_SAFE_INTEGER; }
  root(): void {}

  directory(parent: TargetHandle, entry: Entry): TargetHandle {
    return this.#paths.push(this.#path(parent, entry.name)) - 1;
  }

  inspect(): { kind: 'absent' } { return { kind: 'absent' }; }

  readExisting(parent: TargetHandle, entry: Entry, offset: number, length: number): Uint8Array | undefined {
    return this.files.get(this.#path(parent, entry.name))?.subarray(offset, offset + length);
  }

  openFile(parent: TargetHandle, entry: Entry): TargetHandle {
    const path = this.#path(parent, entry.name);
    this.files.set(path, new Uint8Array(entry.sizeBytes ?? 0));
    return this.#paths.push(path) - 1;
  }

  write(file: TargetHandle, bytes: Bytes, position: number): undefined {
    this.files.get(this.#paths[file]!)!.set(bytes, position);
  }

  writeZeros(): undefined {}

  writeFile(parent: TargetHandle, entry: Entry, content: readonly Bytes[]): undefined {
    this.files.set(this.#path(parent, entry.name), new Uint8Array(Buffer.concat(content)));
  }

  async writeFiles(files: readonly WholeFile[], content: Bytes): Promise<undefined[]> {
    return files.map(({ parent, entry, start, length }) => this.writeFile(parent, entry, [content.slice(start, start + length)]));
  }

  closeFile(): undefined {}
  special(): undefined {}
  hardLink(): undefined {}
  touch(): undefined {}
  removeOthers(): { removed: Bytes[]; problems: [] } { return { removed: [], problems: [] }; }
  async finish(): Promise<[]> { return []; }
  async close(): Promise<void> {}

  #path(parent: TargetHandle, name: Bytes): string {
    const above = this.#paths[parent]!;
    const own = Buffer.from(name).toString();
    return parent === ROOT_DIRECTORY || above === '' ? own : `${above}/${own}`;
  }
}
