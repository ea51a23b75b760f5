/** Reads the content of one file by position, through unreadable ranges and past holes, and tells whether it changed meanwhile. */
import { constants } from 'node:os';
import type { Bytes } from '../base/bytes.ts';
import type { NativeError, NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_FILE } from '../base/stat-record.ts';
import { KiB } from '../base/units.ts';
import { ITEM_CHANGED, ITEM_SPARSE } from './engine.ts';

/** Errors that concern a range of the medium, not the file: the rest of the file may be readable. */
const RANGE_ERRORS: ReadonlySet<string> = new Set(['EIO', 'EBADMSG', 'EUCLEAN', 'EILSEQ', 'ENODATA', 'EREMOTEIO']);
/** What an entry gives that is not a regular file any more. */
const ESTALE = constants.errno.ESTALE;
/** After a failed read the range is read again in pieces that start small and double while they fail. */
const FIRST_STEP_BYTES = 4 * KiB;
const LARGEST_STEP_BYTES = 64 * KiB;

export interface UnreadableRange {
  readonly offset: number;
  length: number;
  readonly errno: number;
}

/** A file cannot be read: the one error that becomes the status of an item. Nothing but file-system calls makes it. */
export class ContentError extends Error {
  override readonly name = 'ContentError';
  readonly errno: number;
  /** True when only a range of the file is concerned. */
  readonly isRangeError: boolean;

  constructor(errno: number, options: { readonly isRangeError: boolean; readonly cause?: unknown }) {
    super(`Cannot read the content: errno ${errno}`, { cause: options.cause });
    this.errno = errno;
    this.isRangeError = options.isRangeError;
  }
}

/** Runs one call of the file system. @throws ContentError */
export function reading<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!isNativeError(error)) throw error;
    throw new ContentError(error.errno, { isRangeError: RANGE_ERRORS.has(error.code), cause: error });
  }
}

function isNativeError(error: unknown): error is NativeError {
  return error instanceof Error && 'errno' in error && typeof error.errno === 'number' && 'syscall' in error;
}

function isRangeError(error: unknown): error is ContentError {
  return error instanceof ContentError && error.isRangeError;
}

/** True when size, mtime, ctime and inode of both records are equal. */
export function isSameFile(a: StatRecords, i: number, b: StatRecords, j: number): boolean {
  const [mtimeA, mtimeB, ctimeA, ctimeB] = [a.mtime(i), b.mtime(j), a.ctime(i), b.ctime(j)];
  return a.size(i) === b.size(j) && a.inode(i) === b.inode(j)
    && mtimeA[0] === mtimeB[0] && mtimeA[1] === mtimeB[1] && ctimeA[0] === ctimeB[0] && ctimeA[1] === ctimeB[1];
}

/** True when the file has fewer blocks than its size needs, so that a look for holes may pay. */
export function mayHaveHoles(stats: StatRecords, i: number): boolean {
  return stats.allocatedBytes(i) < stats.size(i);
}

/** An open regular file. Every method may throw a `ContentError`. */
export class ContentReader {
  /** End of the content: the size when it was opened, less if the end was met earlier. */
  #size: number;
  readonly #native: NativeFileSystem;
  readonly #fd: number;
  readonly #expected: StatRecords;
  readonly #mayHaveHoles: boolean;
  #flags = 0;
  #goodBytes = 0;
  readonly #unreadable: UnreadableRange[] = [];
  /** What the last look for holes found: data from `#data` to `#hole`, a hole before it from `#lookedAt` on. */
  #lookedAt = 0;
  #data = 0;
  #hole = 0;

  /** `name` lies in the open directory; `expected` is one stat record. ESTALE if it is not a regular file. */
  constructor(native: NativeFileSystem, directory: number, name: Bytes, expected: StatRecords) {
    this.#native = native;
    this.#expected = expected;
    this.#fd = reading(() => native.openFileAt(directory, name, {}));
    try {
      const found = this.#stat();
      if (found.type(0) !== TYPE_FILE) throw new ContentError(ESTALE, { isRangeError: false });
      this.#size = found.size(0);
      this.#mayHaveHoles = mayHaveHoles(found, 0);
      if (!isSameFile(found, 0, expected, 0)) this.#flags |= ITEM_CHANGED;
    } catch (error) {
      native.close(this.#fd);
      throw error;
    }
  }

  /** See `CutInput`: a file is read to its end. */
  get isWhole(): true {
    return true;
  }

  get size(): number {
    return this.#size;
  }

  /** Ranges that could not be read and were given as zeros, ascending. */
  get unreadable(): readonly UnreadableRange[] {
    return this.#unreadable;
  }

  /** True when reading was tried and no byte could be read. */
  get isWhollyUnreadable(): boolean {
    return this.#goodBytes === 0 && this.#unreadable.length > 0;
  }

  /** Fills target[start, start + length) from `position`; returns fewer bytes only at the end of the content. */
  read(target: Bytes, start: number, length: number, position: number): number {
    const wanted = Math.min(length, this.#size - position);
    let done = 0;
    while (done < wanted) {
      const got = this.#readPiece(target, start + done, wanted - done, position + done);
      if (got === 0) {
        this.#size = position + done;
        this.#flags |= ITEM_CHANGED;
        break;
      }
      done += got;
    }
    return Math.max(0, done);
  }

  /** End of the hole that `position` lies in; `position` itself when there is data, or when holes are too small to matter. */
  holeEnd(position: number): number {
    if (!this.#mayHaveHoles || position >= this.#size) return position;
    if (position < this.#lookedAt || position >= this.#hole) {
      [this.#data, this.#hole] = reading(() => this.#native.nextData(this.#fd, position));
      this.#lookedAt = position;
      // At the end of the file there is no further data: the rest is one hole.
      if (this.#hole <= position) this.#hole = this.#data;
    }
    if (position >= this.#data) return position;
    this.#flags |= ITEM_SPARSE;
    return Math.min(this.#data, this.#size);
  }

  /** Compares the file with the expected record once more. Returns item flags. */
  finish(): number {
    if (this.#mayHaveHoles && this.#hasHole()) this.#flags |= ITEM_SPARSE;
    const found = this.#stat();
    if (!isSameFile(found, 0, this.#expected, 0)) this.#flags |= ITEM_CHANGED;
    return this.#flags;
  }

  /** Also holes that no cut came upon, since they lie inside of one chunk. */
  #hasHole(): boolean {
    if ((this.#flags & ITEM_SPARSE) !== 0) return true;
    const [data, hole] = reading(() => this.#native.nextData(this.#fd, 0));
    return data > 0 || hole < this.#size;
  }

  close(): void {
    this.#native.close(this.#fd);
  }

  /** Up to `length` bytes from the start, to tell what sort of content it is; fewer at the end or before an unreadable range. */
  peek(length: number): Bytes {
    const bytes = new Uint8Array(length);
    try {
      return bytes.subarray(0, reading(() => this.#native.read(this.#fd, bytes, 0, length, 0)));
    } catch (error) {
      if (isRangeError(error)) return bytes.subarray(0, 0);
      throw error;
    }
  }

  #stat(): StatRecords {
    return new StatRecords(reading(() => this.#native.statDescriptor(this.#fd)));
  }

  #readPiece(target: Bytes, start: number, length: number, position: number): number {
    try {
      const got = reading(() => this.#native.read(this.#fd, target, start, length, position));
      this.#goodBytes += got;
      return got;
    } catch (error) {
      if (!isRangeError(error)) throw error;
      return this.#readAround(target, start, length, position);
    }
  }

  /** Reads small pieces up to the first one that works, with zeros in place of those that do not. */
  #readAround(target: Bytes, start: number, length: number, position: number): number {
    let step = FIRST_STEP_BYTES;
    let done = 0;
    while (done < length) {
      // Pieces end at multiples of 4 KiB, so that one bad sector costs one step and not two.
      const piece = Math.min(length - done, step - (position + done) % FIRST_STEP_BYTES);
      try {
        const got = reading(() => this.#native.read(this.#fd, target, start + done, piece, position + done));
        this.#goodBytes += got;
        return done + got;
      } catch (error) {
        if (!isRangeError(error)) throw error;
        target.fill(0, start + done, start + done + piece);
        this.#markUnreadable(position + done, piece, error.errno);
      }
      done += piece;
      step = Math.min(2 * step, LARGEST_STEP_BYTES);
    }
    return done;
  }

  #markUnreadable(offset: number, length: number, errno: number): void {
    // A range is read twice when two chains of cuts pass over it.
    if (this.#unreadable.some(range => range.offset <= offset && offset + length <= range.offset + range.length)) return;
    const last = this.#unreadable.at(-1);
    if (last !== undefined && last.offset + last.length === offset) last.length += length;
    else this.#unreadable.push({ offset, length, errno });
  }
}
