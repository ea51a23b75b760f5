/** Restores a directory of this system into a target, as a restore would restore its snapshot: by entries and ranges. */
import { nativeFileSystem } from '../../src/base/native-filesystem.ts';
import { StatRecords, unpackNames } from '../../src/base/stat-record.ts';
import { type Entry, ENTRY_SPARSE, type EntryType } from '../../src/format/tree-node.ts';
import { isTargetProblem, ROOT_DIRECTORY, type TargetHandle, type TargetProblem, type TreeTarget } from '../../src/targets/target.ts';
import { unpackXattrs } from '../../src/targets/metadata.ts';
import { NODE_ID } from './fixture.ts';

const fs = nativeFileSystem();
const SMALL_BYTES = 200 * 1024;
const RANGE_BYTES = 64 * 1024;
const TYPES: Readonly<Record<number, EntryType>> = {
  0o010000: 'fifo', 0o020000: 'character-device', 0o040000: 'directory', 0o060000: 'block-device', 0o100000: 'file', 0o120000: 'symlink',
  0o140000: 'socket',
};

export interface CopyResult {
  readonly problems: TargetProblem[];
  /** Files whose content was taken for right by size and time. */
  readonly trusted: number;
  /** Bytes that were found by reading the existing file. */
  readonly reusedBytes: number;
  readonly writtenBytes: number;
}

interface Place { readonly parent: TargetHandle; readonly name: Uint8Array }

/** Of the target it calls everything but `begin`, `finish` and `close`. */
export function copyTree(source: string, target: TreeTarget): CopyResult {
  const copy = new Copy(target);
  const root = fs.openDirectory(Buffer.from(source), true);
  const entry = copy.entryOf(root, undefined, new StatRecords(fs.statDescriptor(root)));
  target.root(entry);
  copy.directory(root, ROOT_DIRECTORY);
  fs.close(root);
  return copy.result();
}

class Copy {
  readonly #target: TreeTarget;
  readonly #problems: TargetProblem[] = [];
  readonly #links = new Map<string, Place>();
  #trusted = 0;
  #reusedBytes = 0;
  #writtenBytes = 0;

  constructor(target: TreeTarget) {
    this.#target = target;
  }

  result(): CopyResult {
    return { problems: this.#problems, trusted: this.#trusted, reusedBytes: this.#reusedBytes, writtenBytes: this.#writtenBytes };
  }

  directory(source: number, handle: TargetHandle): void {
    const packed = fs.names(source);
    const stats = new StatRecords(fs.stats(source, packed));
    unpackNames(packed, stats.count).forEach((name, i) => this.#entry(source, handle, this.entryOf(source, name, new StatRecords(stats.at(i))), stats, i));
  }

  entryOf(directory: number, name: Uint8Array | undefined, stat: StatRecords): Entry {
    const type = TYPES[stat.type(0)]!;
    const packed = name === undefined ? undefined : Buffer.concat([name, Buffer.of(0)]);
    const xattrs = unpackXattrs(packed === undefined ? fs.xattrsOfDescriptor(directory) : fs.xattrs(directory, packed));
    return {
      name: name ?? new Uint8Array(0), type, mode: stat.mode(0) & 0o7777, uid: stat.uid(0), gid: stat.gid(0), mtime: stat.mtime(0),
      flags: type === 'file' && stat.allocatedBytes(0) < stat.size(0) ? ENTRY_SPARSE : 0,
      ...(xattrs.length > 0 ? { xattrs } : {}),
      ...(type === 'file' ? { sizeBytes: stat.size(0) } : {}),
      ...(type === 'directory' ? { directoryNode: NODE_ID } : {}),
      ...(type === 'symlink' ? { linkTarget: fs.readLinkAt(directory, name!) } : {}),
      ...(type.endsWith('device') ? { device: [stat.deviceMajor(0), stat.deviceMinor(0)] as const } : {}),
      ...(stat.linkCount(0) > 1 && type !== 'directory' ? { hardLinkGroup: stat.inodeBytes(0) } : {}),
    };
  }

  #entry(source: number, parent: TargetHandle, entry: Entry, stats: StatRecords, i: number): void {
    if (entry.type === 'directory') return this.#enter(source, parent, entry);
    const group = entry.hardLinkGroup === undefined ? undefined : Buffer.from(stats.inodeBytes(i)).toString('hex');
    const original = group === undefined ? undefined : this.#links.get(group);
    if (original !== undefined) return this.#note(this.#target.hardLink(parent, entry, original.parent, original.name));
    if (group !== undefined) this.#links.set(group, { parent, name: entry.name });
    if (entry.type === 'file') this.#file(source, parent, entry);
    else this.#note(this.#target.special(parent, entry));
  }

  #enter(source: number, parent: TargetHandle, entry: Entry): void {
    const handle = this.#target.directory(parent, entry);
    if (isTargetProblem(handle)) return void this.#problems.push(handle);
    const inner = fs.openDirectoryAt(source, entry.name);
    this.directory(inner, handle);
    fs.close(inner);
  }

  #file(source: number, parent: TargetHandle, entry: Entry): void {
    const existing = this.#target.inspect(parent, entry);
    if (existing.kind === 'keep') return;
    if (existing.kind === 'problem') return void this.#problems.push(existing.problem);
    if (existing.kind === 'file' && existing.matchesStat) {
      this.#trusted++;
      return this.#note(this.#target.touch(parent, entry));
    }
    const descriptor = fs.openFileAt(source, entry.name, {});
    if (existing.kind === 'absent' && entry.sizeBytes! <= SMALL_BYTES) this.#small(descriptor, parent, entry);
    else this.#ranges(descriptor, parent, entry, existing.kind === 'file');
    fs.close(descriptor);
  }

  #small(descriptor: number, parent: TargetHandle, entry: Entry): void {
    const content = new Uint8Array(entry.sizeBytes!);
    fs.read(descriptor, content, 0, content.length, 0);
    this.#writtenBytes += content.length;
    const half = content.length >> 1;
    this.#note(this.#target.writeFile(parent, entry, [content.subarray(0, half), content.subarray(half)]));
  }

  #ranges(descriptor: number, parent: TargetHandle, entry: Entry, reuse: boolean): void {
    const wanted = [...this.#dataRanges(descriptor, entry.sizeBytes!)];
    const missing = wanted.filter(({ position, bytes }) => {
      const found = reuse ? this.#target.readExisting(parent, entry, position, bytes.length) : undefined;
      if (found === undefined || !bytes.equals(found)) return true;
      this.#reusedBytes += bytes.length;
      return false;
    });
    const file = this.#target.openFile(parent, entry, { reuse, hasZeros: true });
    if (isTargetProblem(file)) return void this.#problems.push(file);
    let end = 0;
    for (const { position, bytes } of wanted) {
      if (position > end) this.#note(this.#target.writeZeros(file, end, position - end));
      end = position + bytes.length;
    }
    if (end < entry.sizeBytes!) this.#note(this.#target.writeZeros(file, end, entry.sizeBytes! - end));
    for (const { position, bytes } of missing.reverse()) {
      this.#writtenBytes += bytes.length;
      this.#note(this.#target.write(file, bytes, position));
    }
    this.#note(this.#target.closeFile(file, true));
  }

  *#dataRanges(descriptor: number, size: number): Generator<{ position: number; bytes: Buffer }> {
    for (let at = 0; at < size;) {
      const [data, hole] = fs.nextData(descriptor, at);
      for (at = Math.max(at, data); at < hole; at += RANGE_BYTES) {
        const bytes = Buffer.alloc(Math.min(RANGE_BYTES, hole - at));
        fs.read(descriptor, bytes, 0, bytes.length, at);
        yield { position: at, bytes };
      }
      at = hole;
    }
  }

  #note(problem: TargetProblem | undefined): void {
    if (problem !== undefined) this.#problems.push(problem);
  }
}
