/** One name of a tree with its metadata (repository design, section 14.3). The codec is in `entry-codec.ts`. */
import type { Bytes } from '../base/bytes.ts';
import type { ChunkId } from './ids.ts';
import {
  MAX_FRAME_BYTES, MAX_INLINE_ITEMS, MAX_INLINE_XATTR_BYTES, MAX_LINK_TARGET_BYTES, MAX_NAME_BYTES,
} from './limits.ts';

/** In the order of their numbers on disk, from 1. */
export const ENTRY_TYPES = ['file', 'directory', 'symlink', 'fifo', 'socket', 'character-device', 'block-device'] as const;
export type EntryType = (typeof ENTRY_TYPES)[number];

/** Seconds since 1970 (negative before, magnitude below 2^53) and nanoseconds upwards from the second, 0 to 999,999,999. */
export type Time = readonly [seconds: number, nanoseconds: number];

/** The file changed while it was read. */
export const ENTRY_CHANGED = 1;
/** The file had holes in the source. */
export const ENTRY_SPARSE = 2;
/** Parts of the content, or of the names in a directory, could not be read. */
export const ENTRY_PARTLY_UNREADABLE = 4;
export const KNOWN_ENTRY_FLAGS = 7;

/** A chunk, or with `id` undefined a run of zero bytes that is not stored. */
export interface ContentItem {
  readonly id: ChunkId | undefined;
  /** At least 1; of a chunk at most 16 MiB. */
  readonly lengthBytes: number;
}

export interface Xattr {
  /** 1 to 4,095 bytes without NUL. */
  readonly name: Bytes;
  /** Up to 4 KiB inline, or the data chunks that hold the value. */
  readonly value: Bytes | readonly ContentItem[];
}

export interface ByteSpan {
  readonly offset: number;
  readonly length: number;
}

export interface Entry {
  /** 1 to 4,095 bytes, not `.` or `..`, without `/` and NUL. Empty in the root entry of a component, and only there. */
  readonly name: Bytes;
  readonly type: EntryType;
  /** Permission, set-id and sticky bits: 0 to 0o7777. */
  readonly mode: number;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly userName?: string | undefined;
  readonly groupName?: string | undefined;
  readonly mtime: Time;
  readonly ctime?: Time | undefined;
  /** Files: always present. */
  readonly sizeBytes?: number | undefined;
  /** Files with content: 1 to 128 items whose lengths add up to the size, unless `contentNode` is given. */
  readonly content?: readonly ContentItem[] | undefined;
  /** Files: root of the content nodes. */
  readonly contentNode?: ChunkId | undefined;
  /** Directories: root node. */
  readonly directoryNode?: ChunkId | undefined;
  /** Symlinks: 1 to 65,535 bytes without NUL. */
  readonly linkTarget?: Bytes | undefined;
  /** Devices: major and minor number, 32 bit each. */
  readonly device?: readonly [major: number, minor: number] | undefined;
  /** 8 bytes, equal for all names of one inode; see `hardLinkGroup`. Never on directories. */
  readonly hardLinkGroup?: Bytes | undefined;
  /** Strictly ascending names; absent when there are none. */
  readonly xattrs?: readonly Xattr[] | undefined;
  /** Sum of `ENTRY_…` bits. */
  readonly flags: number;
  /** Files: damaged or unreadable parts, ascending, apart from each other, inside the size. */
  readonly damagedSpans?: readonly ByteSpan[] | undefined;
  /** A number up to 2^53 − 1, a BigInt above; see `inodeFromBytes`. */
  readonly inode?: number | bigint | undefined;
}

/** The nearest time that an entry can hold: some file systems allow 64-bit seconds. */
export function storableTime(seconds: number, nanoseconds: number): Time {
  const bounded = Math.min(Number.MAX_SAFE_INTEGER, Math.max(-Number.MAX_SAFE_INTEGER, seconds));
  return [bounded, nanoseconds];
}

/** An inode number from its 8 little-endian bytes, without loss. */
export function inodeFromBytes(bytes: Bytes): number | bigint {
  const low = word(bytes, 0);
  const high = word(bytes, 4);
  return high <= 0x1f_ffff ? high * 2 ** 32 + low : (BigInt(high) << 32n) | BigInt(low);
}

function word(bytes: Bytes, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Why a name is not legal in a tree node; undefined when it is. */
export function nameFault(name: Bytes): string | undefined {
  const length = name.length;
  if (length === 0) return 'the name is empty';
  if (length > MAX_NAME_BYTES) return `the name has ${length} bytes`;
  for (let i = 0; i < length; i++) {
    const byte = name[i];
    if (byte === 0x2f || byte === 0) return 'the name contains a slash or NUL';
  }
  if (name[0] === 0x2e && (length === 1 || (length === 2 && name[1] === 0x2e))) return 'the name is "." or ".."';
  return undefined;
}

/**
 * Why an entry is not legal; undefined when it is. Encoder and decoder share it, so nothing can be written that would be
 * refused on restore. `isRoot`: the root entry of a component, which has no name.
 */
export function entryFault(entry: Entry, isRoot: boolean): string | undefined {
  if (isRoot) {
    if (entry.name.length !== 0) return 'a root entry has a name';
  } else {
    const fault = nameFault(entry.name);
    if (fault !== undefined) return fault;
  }
  if (!isWithin(entry.mode, 0o7777)) return 'the mode is out of range';
  if (!isWithin(entry.uid ?? 0, 0xffff_ffff) || !isWithin(entry.gid ?? 0, 0xffff_ffff)) return 'owner or group is out of range';
  if (!isTime(entry.mtime) || (entry.ctime !== undefined && !isTime(entry.ctime))) return 'a time is out of range';
  if (!isWithin(entry.flags, KNOWN_ENTRY_FLAGS)) return 'unknown flags';
  if (entry.hardLinkGroup !== undefined && (entry.hardLinkGroup.length !== 8 || entry.type === 'directory')) {
    return 'the hard-link group is not legal';
  }
  return fileFault(entry) ?? typeFault(entry) ?? (entry.xattrs === undefined ? undefined : xattrsFault(entry.xattrs));
}

function fileFault(entry: Entry): string | undefined {
  const { sizeBytes, content, contentNode, damagedSpans } = entry;
  if (entry.type !== 'file') {
    const isFileField = sizeBytes !== undefined || content !== undefined || contentNode !== undefined || damagedSpans !== undefined;
    return isFileField ? `a ${entry.type} has size, content or damaged spans` : undefined;
  }
  if (sizeBytes === undefined || !isWithin(sizeBytes, Number.MAX_SAFE_INTEGER)) return 'a file has no legal size';
  if (content !== undefined && contentNode !== undefined) return 'content is given twice';
  if (content === undefined) {
    if (contentNode === undefined && sizeBytes !== 0) return 'a file has a size but no content';
    if (contentNode !== undefined && sizeBytes === 0) return 'an empty file has content';
  } else {
    if (content.length === 0 || content.length > MAX_INLINE_ITEMS) return `${content.length} inline content items`;
    const total = contentLength(content);
    if (total !== sizeBytes) return `content of ${total ?? 'illegal'} bytes where the size is ${sizeBytes}`;
  }
  return damagedSpans === undefined ? undefined : spansFault(damagedSpans, sizeBytes);
}

function typeFault(entry: Entry): string | undefined {
  const { type, directoryNode, linkTarget, device } = entry;
  if ((directoryNode !== undefined) !== (type === 'directory')) return 'only directories, and all of them, have a directory node';
  if ((linkTarget !== undefined) !== (type === 'symlink')) return 'only symlinks, and all of them, have a target';
  if ((device !== undefined) !== (type === 'character-device' || type === 'block-device')) return 'only devices, and all of them, have a device number';
  if (linkTarget !== undefined && (linkTarget.length === 0 || linkTarget.length > MAX_LINK_TARGET_BYTES || linkTarget.includes(0))) {
    return 'the link target is not legal';
  }
  if (device !== undefined && !(isWithin(device[0], 0xffff_ffff) && isWithin(device[1], 0xffff_ffff))) return 'the device number is out of range';
  return undefined;
}

function spansFault(spans: readonly ByteSpan[], sizeBytes: number): string | undefined {
  if (spans.length === 0) return 'an empty list of damaged spans';
  let end = -1;
  for (const span of spans) {
    if (!isWithin(span.offset, sizeBytes) || !isWithin(span.length, sizeBytes) || span.length === 0) return 'a damaged span is out of range';
    if (span.offset <= end) return 'damaged spans overlap, touch or are out of order';
    end = span.offset + span.length;
    if (end > sizeBytes) return 'a damaged span reaches beyond the file';
  }
  return undefined;
}

function xattrsFault(xattrs: readonly Xattr[]): string | undefined {
  if (xattrs.length === 0) return 'an empty list of extended attributes';
  let previous: Bytes | undefined;
  for (const { name, value } of xattrs) {
    if (name.length === 0 || name.length > MAX_NAME_BYTES || name.includes(0)) return 'the name of an extended attribute is not legal';
    if (previous !== undefined && compareNames(previous, name) >= 0) return 'extended attributes are not in order';
    previous = name;
    if (value instanceof Uint8Array) {
      if (value.length > MAX_INLINE_XATTR_BYTES) return 'the inline value of an extended attribute is too long';
    } else if (value.length === 0 || value.length > MAX_INLINE_ITEMS || contentLength(value) === undefined) {
      return 'the content of an extended attribute is not legal';
    }
  }
  return undefined;
}

/** Sum of the lengths; undefined when an item is not legal or the sum passes 2^53. */
export function contentLength(items: readonly ContentItem[]): number | undefined {
  let total = 0;
  for (let i = 0; i < items.length; i++) {
    const { id, lengthBytes } = items[i]!;
    if (!isWithin(lengthBytes, id === undefined ? Number.MAX_SAFE_INTEGER : MAX_FRAME_BYTES) || lengthBytes === 0) return undefined;
    total += lengthBytes;
  }
  return total <= Number.MAX_SAFE_INTEGER ? total : undefined;
}

/** Order of names: unsigned bytes, a prefix first. A loop, since most names differ within a few bytes. */
export function compareNames(a: Bytes, b: Bytes): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function isTime(time: Time): boolean {
  return Number.isSafeInteger(time[0]) && isWithin(time[1], 999_999_999);
}

function isWithin(value: number, max: number): boolean {
  return value >= 0 && value <= max && Number.isInteger(value);
}
