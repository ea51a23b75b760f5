/**
 * The directories on the way from the root of a walk down to where it is, of which only the deepest stay open.
 *
 * A directory that was closed to save descriptors is opened again by its path when the walk comes back to it, and with it
 * some of the directories above it, so that a tree of any depth costs few long paths. Device and inode must still be the
 * same: a directory moved away meanwhile is not mistaken for another.
 */
import { constants } from 'node:os';
import { equalBytes, type Bytes } from '../base/bytes.ts';
import type { NativeError, NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords } from '../base/stat-record.ts';

const MAX_OPEN = 128;
/** How many directories one reopening brings back; the walk then climbs as many levels without another. */
const REOPENED = 64;

interface Level {
  /** Bytes of the shared path that belong to this directory. */
  readonly pathLength: number;
  /** Start of its name in the shared path. */
  readonly nameStart: number;
  fd: number;
  /** Inode and device, known once the directory was closed in between. */
  identity: Bytes | undefined;
}

const CLOSED = -1;
const SLASH = 0x2f;

export class OpenDirectories {
  readonly #native: NativeFileSystem;
  readonly #levels: Level[] = [];
  #path: Uint8Array;
  #lowestOpen = 0;

  /** @param root absolute path. @throws NativeError */
  constructor(native: NativeFileSystem, root: Bytes) {
    this.#native = native;
    this.#path = new Uint8Array(Math.max(4096, root.length));
    this.#path.set(root);
    const fd = native.openDirectory(root, false);
    this.#levels.push({ pathLength: root.length, nameStart: 0, fd, identity: undefined });
  }

  get depth(): number {
    return this.#levels.length;
  }

  /** A copy of the path of the deepest directory. */
  path(): Bytes {
    return this.#path.slice(0, this.#levels.at(-1)!.pathLength);
  }

  /** The descriptor of the deepest directory. @throws NativeError when it cannot be opened again */
  descriptor(): number {
    const top = this.#levels.length - 1;
    if (this.#levels[top]!.fd === CLOSED) this.#reopen(top);
    return this.#levels[top]!.fd;
  }

  /** Enters a subdirectory of the deepest directory. @throws NativeError; then nothing has changed */
  enter(name: Bytes): void {
    const fd = this.#native.openDirectoryAt(this.descriptor(), name);
    const { pathLength } = this.#levels.at(-1)!;
    const nameStart = this.#path[pathLength - 1] === SLASH ? pathLength : pathLength + 1;
    this.#reserve(nameStart + name.length);
    this.#path[nameStart - 1] = SLASH;
    this.#path.set(name, nameStart);
    this.#levels.push({ pathLength: nameStart + name.length, nameStart, fd, identity: undefined });
    if (this.#levels.length - this.#lowestOpen > MAX_OPEN) this.#closeLowest();
  }

  /** Closes the deepest directory; its parent is the deepest then. */
  leave(): void {
    const level = this.#levels.pop()!;
    if (level.fd !== CLOSED) this.#native.close(level.fd);
    this.#lowestOpen = Math.min(this.#lowestOpen, this.#levels.length);
  }

  closeAll(): void {
    while (this.#levels.length > 0) this.leave();
  }

  #reserve(length: number): void {
    if (length <= this.#path.length) return;
    const larger = new Uint8Array(2 * length);
    larger.set(this.#path);
    this.#path = larger;
  }

  #closeLowest(): void {
    const level = this.#levels[this.#lowestOpen++]!;
    if (level.fd === CLOSED) return;
    level.identity ??= identityOf(this.#native, level.fd);
    this.#native.close(level.fd);
    level.fd = CLOSED;
  }

  /** Opens the levels up to `top` again, of which none is open. All or nothing. */
  #reopen(top: number): void {
    const first = Math.max(0, top - REOPENED + 1);
    try {
      for (let i = first; i <= top; i++) this.#reopenLevel(i, i === first);
      this.#lowestOpen = first;
    } catch (error) {
      for (const level of this.#levels.slice(first)) {
        if (level.fd !== CLOSED) this.#native.close(level.fd);
        level.fd = CLOSED;
      }
      throw error;
    }
  }

  #reopenLevel(i: number, isByPath: boolean): void {
    const level = this.#levels[i]!;
    level.fd = isByPath
      ? this.#native.openDirectory(this.#path.subarray(0, level.pathLength), false)
      : this.#native.openDirectoryAt(this.#levels[i - 1]!.fd, this.#path.subarray(level.nameStart, level.pathLength));
    if (!equalBytes(identityOf(this.#native, level.fd), level.identity!)) throw movedAway();
  }
}

function movedAway(): NativeError {
  const { ESTALE } = constants.errno;
  return Object.assign(new Error('ESTALE: another directory is there now, openat'), { code: 'ESTALE', errno: ESTALE, syscall: 'openat' });
}

function identityOf(native: NativeFileSystem, fd: number): Bytes {
  const stat = new StatRecords(native.statDescriptor(fd));
  const identity = new Uint8Array(16);
  identity.set(stat.inodeBytes(0));
  identity.set(stat.deviceBytes(0), 8);
  return identity;
}
