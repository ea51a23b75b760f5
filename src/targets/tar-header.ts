/**
 * Headers of the pax interchange format (POSIX.1-2001, `pax` utility, "ustar Interchange Format" and "pax Header Block").
 * What fits stays in the plain ustar header; what does not, or would lose something, goes into an extended header before it.
 */
import { type Bytes, concatBytes, utf8 } from '../base/bytes.ts';
import type { Entry, EntryType, Time } from '../format/tree-node.ts';
import { isAsciiText, isUtf8Text } from './archive-writer.ts';

export const TAR_BLOCK_BYTES = 512;
const NAME_BYTES = 100;
const PREFIX_BYTES = 155;
const OWNER_NAME_BYTES = 31;
/** Largest numbers of 7 and 11 octal digits. */
const MAX_SHORT = 0o7777777;
const MAX_LONG = 0o77777777777;

const TYPE_FLAGS: Readonly<Record<Exclude<EntryType, 'socket'>, string>> = {
  'file': '0', 'symlink': '2', 'character-device': '3', 'block-device': '4', 'directory': '5', 'fifo': '6',
};
const HARD_LINK_FLAG = '1';
const EXTENDED_FLAG = 'x';
const EXTENDED_NAME = utf8('PaxHeaders/entry');
const SLASH = 0x2f;

interface Header {
  readonly name: Bytes;
  readonly prefix: Bytes;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly seconds: number;
  readonly typeFlag: string;
  readonly linkName: Bytes;
  readonly userName: Bytes;
  readonly groupName: Bytes;
  readonly device: readonly [major: number, minor: number];
}

const EMPTY = new Uint8Array(0);

/** Everything that comes before the content: whole blocks. `linkPath`: the entry is a hard link to that path. */
export function encodeTarHeaders(path: Bytes, entry: Entry & { readonly type: Exclude<EntryType, 'socket'> }, linkPath: Bytes | undefined): Bytes {
  const records = new PaxRecords();
  const [name, prefix] = placePath(entry.type === 'directory' ? withSlash(path) : path, records);
  const linkName = linkPath ?? entry.linkTarget ?? EMPTY;
  const header: Header = {
    name, prefix,
    mode: entry.mode & 0o7777,
    uid: records.number('uid', entry.uid ?? 0, MAX_SHORT),
    gid: records.number('gid', entry.gid ?? 0, MAX_SHORT),
    sizeBytes: linkPath === undefined ? records.number('size', entry.sizeBytes ?? 0, MAX_LONG) : 0,
    seconds: placeTime(entry.mtime, records),
    typeFlag: linkPath === undefined ? TYPE_FLAGS[entry.type] : HARD_LINK_FLAG,
    linkName: records.text('linkpath', linkName, NAME_BYTES),
    userName: records.text('uname', utf8(entry.userName ?? ''), OWNER_NAME_BYTES),
    groupName: records.text('gname', utf8(entry.groupName ?? ''), OWNER_NAME_BYTES),
    device: [
      records.number('SCHILY.devmajor', entry.device?.[0] ?? 0, MAX_SHORT), records.number('SCHILY.devminor', entry.device?.[1] ?? 0, MAX_SHORT),
    ],
  };
  for (const { name: attribute, value } of entry.xattrs ?? []) {
    if (!(value instanceof Uint8Array)) throw new RangeError('Values of extended attributes are given as bytes');
    records.addXattr(attribute, value);
  }
  return concatBytes([records.encode(), encodeHeader(header)]);
}

/** Zeros after a content of this length, up to a whole block. */
export function tarPadding(sizeBytes: number): Bytes {
  return new Uint8Array((TAR_BLOCK_BYTES - sizeBytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES);
}

function withSlash(path: Bytes): Bytes {
  return path.length === 0 ? utf8('./') : concatBytes([path, Uint8Array.of(SLASH)]);
}

/** Name and prefix of the ustar header: the path is cut at a slash so that both parts fit, else it goes into a record. */
function placePath(path: Bytes, records: PaxRecords): [name: Bytes, prefix: Bytes] {
  if (isAsciiText(path)) {
    if (path.length <= NAME_BYTES) return [path, EMPTY];
    const cut = path.indexOf(SLASH, path.length - NAME_BYTES - 1);
    if (cut > 0 && cut <= PREFIX_BYTES && cut < path.length - 1) return [path.subarray(cut + 1), path.subarray(0, cut)];
  }
  records.add('path', path);
  return [path.subarray(0, NAME_BYTES), EMPTY];
}

function placeTime([seconds, nanoseconds]: Time, records: PaxRecords): number {
  const isPlain = nanoseconds === 0 && seconds >= 0 && seconds <= MAX_LONG;
  if (!isPlain) records.add('mtime', utf8(formatTime(seconds, nanoseconds)));
  return Math.min(MAX_LONG, Math.max(0, seconds));
}

/** Decimal seconds; before 1970 the fraction counts away from zero: [-2, 500000000] is -1.5. */
function formatTime(seconds: number, nanoseconds: number): string {
  const isNegative = seconds < 0;
  const whole = isNegative && nanoseconds > 0 ? -seconds - 1 : Math.abs(seconds);
  const fraction = isNegative && nanoseconds > 0 ? 1e9 - nanoseconds : nanoseconds;
  const digits = fraction === 0 ? '' : `.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
  return `${isNegative ? '-' : ''}${whole}${digits}`;
}

/** In keys '=' ends the key, so it is written as GNU tar and star do. */
function escapeKey(name: Bytes): string {
  return Buffer.from(name).toString('latin1').replaceAll('%', '%25').replaceAll('=', '%3D');
}

class PaxRecords {
  readonly #records: { readonly key: Bytes; readonly value: Bytes }[] = [];
  #isText = true;

  add(key: string, value: Bytes): void {
    this.#records.push({ key: utf8(key), value });
    this.#isText &&= isUtf8Text(value);
  }

  /** The convention of star, which GNU tar and libarchive follow; values are bytes whatever the character set. */
  addXattr(name: Bytes, value: Bytes): void {
    this.#records.push({ key: Buffer.from(`SCHILY.xattr.${escapeKey(name)}`, 'latin1'), value });
  }

  /** What goes into the plain header; 0 when a record holds the number. */
  number(key: string, value: number, largest: number): number {
    if (value <= largest) return value;
    this.add(key, utf8(String(value)));
    return 0;
  }

  text(key: string, value: Bytes, largest: number): Bytes {
    if (value.length <= largest && isAsciiText(value)) return value;
    this.add(key, value);
    return value.subarray(0, largest);
  }

  /** The extended header with its own ustar header; empty without records. */
  encode(): Bytes {
    if (this.#records.length === 0) return EMPTY;
    const charset = this.#isText ? [] : [{ key: utf8('hdrcharset'), value: utf8('BINARY') }];
    const body = concatBytes([...charset, ...this.#records].map(({ key, value }) => encodeRecord(key, value)));
    const header = encodeHeader({
      name: EXTENDED_NAME, prefix: EMPTY, mode: 0o644, uid: 0, gid: 0, sizeBytes: body.length, seconds: 0, typeFlag: EXTENDED_FLAG,
      linkName: EMPTY, userName: EMPTY, groupName: EMPTY, device: [0, 0],
    });
    return concatBytes([header, body, tarPadding(body.length)]);
  }
}

/** "length key=value\n", where the length counts its own digits. */
function encodeRecord(key: Bytes, value: Bytes): Bytes {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return concatBytes([utf8(`${length} `), key, utf8('='), value, utf8('\n')]);
}

/** Field offsets of the ustar header; numbers are octal digits with leading zeros and a final NUL. */
function encodeHeader(header: Header): Bytes {
  const block = Buffer.alloc(TAR_BLOCK_BYTES);
  const octal = (value: number, at: number, digits: number): void => void block.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  block.set(header.name, 0);
  octal(header.mode, 100, 7);
  octal(header.uid, 108, 7);
  octal(header.gid, 116, 7);
  octal(header.sizeBytes, 124, 11);
  octal(header.seconds, 136, 11);
  block.write(header.typeFlag, 156, 'latin1');
  block.set(header.linkName, 157);
  block.write('ustar\0' + '00', 257, 'latin1');
  block.set(header.userName, 265);
  block.set(header.groupName, 297);
  octal(header.device[0], 329, 7);
  octal(header.device[1], 337, 7);
  block.set(header.prefix, 345);
  // The checksum counts its own field as eight spaces.
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
