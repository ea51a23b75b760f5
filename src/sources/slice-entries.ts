/** The entries of one slice while it is put together: their stat records, without those that cannot be used or are excluded. */
import { constants } from 'node:os';
import type { Bytes } from '../base/bytes.ts';
import { STAT_RECORD_BYTES, type NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_DIRECTORY, TYPE_FILE } from '../base/stat-record.ts';
import { filterNames, nameOffsets } from './directory-names.ts';
import type { ExcludeMatcher } from './exclude.ts';
import { nameText } from './glob.ts';
import type { PatternCursor } from './path-patterns.ts';
import { childPath } from './raw-path.ts';
import type { SourceProblem } from './source.ts';
import { unreadableErrno } from './unreadable.ts';

const NO_NAMES = new Uint8Array(0);
const { ENOENT } = constants.errno;

export class SliceEntries {
  names: Bytes = NO_NAMES;
  records = new StatRecords(NO_NAMES);
  isWhole = true;
  readonly problems: SourceProblem[] = [];
  readonly #native: NativeFileSystem;
  readonly #excludes: ExcludeMatcher;
  readonly #path: Bytes;

  /** @param path of the directory */
  constructor(native: NativeFileSystem, excludes: ExcludeMatcher, path: Bytes) {
    this.#native = native;
    this.#excludes = excludes;
    this.#path = path;
  }

  get count(): number {
    return this.records.count;
  }

  /** @throws NativeError when the directory cannot be reached */
  read(directory: () => number, names: Bytes): void {
    if (names.length === 0) return;
    this.records = new StatRecords(this.#native.stats(directory(), names));
    this.names = names;
    const { largerThanBytes } = this.#excludes;
    let isClean = true;
    for (let i = 0; isClean && i < this.count; i++) isClean = this.#isTaken(i, largerThanBytes);
    if (!isClean) this.#dropUnusable(largerThanBytes);
  }

  fail(problem: SourceProblem): void {
    this.isWhole = false;
    this.problems.push(problem);
  }

  #isTaken(i: number, largerThanBytes: number): boolean {
    return this.records.errno(i) === 0 && !(this.records.size(i) > largerThanBytes && this.records.type(i) === TYPE_FILE);
  }

  #dropUnusable(largerThanBytes: number): void {
    const offsets = nameOffsets(this.names, this.count);
    for (let i = 0; i < this.count; i++) {
      const errno = this.records.errno(i);
      // ENOENT: it vanished after it was listed, which is nobody's fault.
      if (errno !== 0 && errno !== ENOENT) {
        const path = childPath(this.#path, this.names.subarray(offsets[i], offsets[i + 1]! - 1));
        this.problems.push({ path, during: 'stat', error: unreadableErrno(path, 'stat', errno) });
      }
    }
    this.isWhole = false;
    this.#keep(i => this.#isTaken(i, largerThanBytes));
  }

  /** Decides what the type was needed for. */
  dropExcluded(cursor: PatternCursor): void {
    if (!this.#excludes.patterns.hasDirectoryPatterns) return;
    const { names, records } = this;
    const offsets = nameOffsets(names, this.count);
    const isKept = (i: number): boolean => {
      const text = nameText(names.subarray(offsets[i], offsets[i + 1]! - 1));
      return cursor.verdict(text, records.type(i) === TYPE_DIRECTORY) !== 'matched';
    };
    this.#keep(isKept);
  }

  #keep(isKept: (i: number) => boolean): void {
    const kept = Array.from({ length: this.count }, (_, i) => isKept(i));
    if (!kept.includes(false)) return;
    this.names = filterNames(this.names, this.count, i => kept[i]!);
    const bytes = new Uint8Array(kept.filter(Boolean).length * STAT_RECORD_BYTES);
    let at = 0;
    for (const [i, isIn] of kept.entries()) {
      if (!isIn) continue;
      bytes.set(this.records.at(i), at);
      at += STAT_RECORD_BYTES;
    }
    this.records = new StatRecords(bytes);
  }
}

