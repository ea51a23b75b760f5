/**
 * Records of zip archives (PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5), always with the 64-bit forms where a number
 * needs them, and the extra fields of Info-ZIP for time ("UT") and owner ("ux").
 */
import { type Bytes, concatBytes } from '../base/bytes.ts';
import type { Entry } from '../format/tree-node.ts';
import { isAsciiText, isUtf8Text } from './archive-writer.ts';

export const STORED = 0;
export const DEFLATED = 8;
const MAX_16 = 0xffff;
const MAX_32 = 0xffff_ffff;

const VERSION_NEEDED = 20;
const VERSION_NEEDED_64 = 45;
/** Attributes are those of Unix. */
const MADE_BY = (3 << 8) | VERSION_NEEDED_64;
const FLAG_DESCRIPTOR = 1 << 3;
const FLAG_UTF8 = 1 << 11;
const DOS_DIRECTORY = 0x10;
const TYPE_BITS = { file: 0o100000, directory: 0o040000, symlink: 0o120000 } as const;

/** One entry as far as it is known; the lengths and the sum only after the content when `isStreamed`. */
export interface ZipEntry {
  readonly name: Bytes;
  readonly entry: Entry;
  readonly type: keyof typeof TYPE_BITS;
  readonly method: number;
  readonly isStreamed: boolean;
  /** The local header announces 64-bit lengths. */
  readonly isLarge: boolean;
  readonly offset: number;
  readonly crc: number;
  readonly storedBytes: number;
  readonly sizeBytes: number;
}

export function encodeLocalHeader(zip: ZipEntry): Bytes {
  const [crc, stored, size] = zip.isStreamed ? [0, 0, 0] : [zip.crc, zip.storedBytes, zip.sizeBytes];
  const extra = concatBytes([zip.isLarge ? extraField(0x0001, [0, 0].map(u64)) : new Uint8Array(0), ...commonExtra(zip.entry)]);
  const head = Buffer.alloc(30);
  head.writeUInt32LE(0x04034b50, 0);
  writeCommon(head, 4, zip);
  head.writeUInt32LE(crc, 14);
  head.writeUInt32LE(zip.isLarge ? MAX_32 : stored, 18);
  head.writeUInt32LE(zip.isLarge ? MAX_32 : size, 22);
  head.writeUInt16LE(zip.name.length, 26);
  head.writeUInt16LE(extra.length, 28);
  return concatBytes([head, zip.name, extra]);
}

/** Follows the content of a streamed entry. */
export function encodeDescriptor(zip: ZipEntry): Bytes {
  const head = Buffer.alloc(8);
  head.writeUInt32LE(0x08074b50, 0);
  head.writeUInt32LE(zip.crc, 4);
  const number = zip.isLarge ? u64 : u32;
  return concatBytes([head, number(zip.storedBytes), number(zip.sizeBytes)]);
}

export function encodeCentralHeader(zip: ZipEntry): Bytes {
  const large = [zip.sizeBytes, zip.storedBytes, zip.offset].filter(value => value >= MAX_32);
  const extra = concatBytes([large.length === 0 ? new Uint8Array(0) : extraField(0x0001, large.map(u64)), ...commonExtra(zip.entry)]);
  const head = Buffer.alloc(46);
  head.writeUInt32LE(0x02014b50, 0);
  head.writeUInt16LE(MADE_BY, 4);
  writeCommon(head, 6, zip);
  head.writeUInt32LE(zip.crc, 16);
  head.writeUInt32LE(Math.min(MAX_32, zip.storedBytes), 20);
  head.writeUInt32LE(Math.min(MAX_32, zip.sizeBytes), 24);
  head.writeUInt16LE(zip.name.length, 28);
  head.writeUInt16LE(extra.length, 30);
  const attributes = (TYPE_BITS[zip.type] | (zip.entry.mode & 0o7777)) * 2 ** 16 + (zip.type === 'directory' ? DOS_DIRECTORY : 0);
  head.writeUInt32LE(attributes, 38);
  head.writeUInt32LE(Math.min(MAX_32, zip.offset), 42);
  return concatBytes([head, zip.name, extra]);
}

/** `start` and `length` of the central directory, which holds `count` entries. */
export function encodeEnd(count: number, start: number, length: number): Bytes {
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(Math.min(MAX_16, count), 8);
  end.writeUInt16LE(Math.min(MAX_16, count), 10);
  end.writeUInt32LE(Math.min(MAX_32, length), 12);
  end.writeUInt32LE(Math.min(MAX_32, start), 16);
  if (count < MAX_16 && length < MAX_32 && start < MAX_32) return end;
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0x06064b50, 0);
  head.writeUInt32LE(44, 4); // bytes of this record that follow the length itself
  head.writeUInt16LE(MADE_BY, 12);
  head.writeUInt16LE(VERSION_NEEDED_64, 14);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.set(u64(start + length), 8);
  locator.writeUInt32LE(1, 16);
  return concatBytes([head, u64(count), u64(count), u64(length), u64(start), locator, end]);
}

/** Version, flags, method, time and date: the same ten bytes in both headers. */
function writeCommon(head: Buffer, at: number, zip: ZipEntry): void {
  const isUtf8Name = !isAsciiText(zip.name) && isUtf8Text(zip.name);
  const [time, date] = dosTime(zip.entry.mtime[0]);
  head.writeUInt16LE(zip.isLarge ? VERSION_NEEDED_64 : VERSION_NEEDED, at);
  head.writeUInt16LE((zip.isStreamed ? FLAG_DESCRIPTOR : 0) | (isUtf8Name ? FLAG_UTF8 : 0), at + 2);
  head.writeUInt16LE(zip.method, at + 4);
  head.writeUInt16LE(time, at + 6);
  head.writeUInt16LE(date, at + 8);
}

/** In UTC, of two seconds, from 1980 to 2107; the exact second is in the extra field. */
function dosTime(seconds: number): [time: number, date: number] {
  const bounded = Math.min(Date.UTC(2107, 11, 31, 23, 59, 58), Math.max(Date.UTC(1980, 0, 1), seconds * 1000));
  const at = new Date(bounded);
  const time = (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1);
  return [time, ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate()];
}

function commonExtra(entry: Entry): Bytes[] {
  const [seconds] = entry.mtime;
  const fields: Bytes[] = [];
  if (seconds >= -(2 ** 31) && seconds < 2 ** 31) fields.push(extraField(0x5455, [Uint8Array.of(1), u32(seconds < 0 ? seconds + 2 ** 32 : seconds)]));
  if (entry.uid !== undefined && entry.gid !== undefined) {
    fields.push(extraField(0x7875, [Uint8Array.of(1, 4), u32(entry.uid), Uint8Array.of(4), u32(entry.gid)]));
  }
  return fields;
}

function extraField(id: number, parts: readonly Bytes[]): Bytes {
  const body = concatBytes(parts);
  return concatBytes([u16(id), u16(body.length), body]);
}

function u16(value: number): Bytes {
  return Uint8Array.of(value, value >>> 8);
}

function u32(value: number): Bytes {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
}

function u64(value: number): Bytes {
  return concatBytes([u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32))]);
}
