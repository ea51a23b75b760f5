/** Entries as CBOR maps (repository design, section 14.3; the keys are listed there and in docs/format.md). */
import type { Bytes } from '../base/bytes.ts';
import type { CborReader } from './cbor-reader.ts';
import type { CborWriter } from './cbor-writer.ts';
import { unsupported } from './decode-error.ts';
import {
  type ByteSpan, type ContentItem, type Entry, ENTRY_TYPES, entryFault, KNOWN_ENTRY_FLAGS, type Time, type Xattr,
} from './entry.ts';
import { CHUNK_ID_BYTES, type ChunkId } from './ids.ts';
import { MAX_FRAME_BYTES, MAX_INLINE_ITEMS, MAX_INLINE_XATTR_BYTES, MAX_LINK_TARGET_BYTES, MAX_NAME_BYTES } from './limits.ts';

const NO_NAME: Bytes = new Uint8Array(0);
const TYPE_NUMBERS: ReadonlyMap<string, number> = new Map(ENTRY_TYPES.map((type, index) => [type, index + 1]));

/** Appends one entry. @throws RangeError for an entry that `readEntry` would refuse */
export function writeEntry(writer: CborWriter, entry: Entry, isRoot = false): void {
  const fault = entryFault(entry, isRoot);
  if (fault !== undefined) throw new RangeError(`An entry cannot be encoded: ${fault}`);
  writer.map(countFields(entry, isRoot));
  if (!isRoot) {
    writer.uint(1);
    writer.bytes(entry.name);
  }
  writer.uint(2);
  writer.uint(TYPE_NUMBERS.get(entry.type)!);
  writer.uint(3);
  writer.uint(entry.mode);
  writeOwner(writer, entry);
  writer.uint(8);
  writeTime(writer, entry.mtime);
  if (entry.ctime !== undefined) {
    writer.uint(9);
    writeTime(writer, entry.ctime);
  }
  writeTypeFields(writer, entry);
  writeRareFields(writer, entry);
  if (entry.inode !== undefined) {
    writer.uint(19);
    writer.uint(entry.inode);
  }
}

function countFields(entry: Entry, isRoot: boolean): number {
  let count = isRoot ? 3 : 4;
  if (entry.uid !== undefined) count++;
  if (entry.gid !== undefined) count++;
  if (entry.userName !== undefined) count++;
  if (entry.groupName !== undefined) count++;
  if (entry.ctime !== undefined) count++;
  if (entry.sizeBytes !== undefined) count++;
  if (entry.content !== undefined || entry.contentNode !== undefined) count++;
  if (entry.directoryNode !== undefined) count++;
  if (entry.linkTarget !== undefined) count++;
  if (entry.device !== undefined) count++;
  if (entry.hardLinkGroup !== undefined) count++;
  if (entry.xattrs !== undefined) count++;
  if (entry.flags !== 0) count++;
  if (entry.damagedSpans !== undefined) count++;
  if (entry.inode !== undefined) count++;
  return count;
}

function writeOwner(writer: CborWriter, entry: Entry): void {
  if (entry.uid !== undefined) {
    writer.uint(4);
    writer.uint(entry.uid);
  }
  if (entry.gid !== undefined) {
    writer.uint(5);
    writer.uint(entry.gid);
  }
  if (entry.userName !== undefined) {
    writer.uint(6);
    writer.text(entry.userName);
  }
  if (entry.groupName !== undefined) {
    writer.uint(7);
    writer.text(entry.groupName);
  }
}

function writeTypeFields(writer: CborWriter, entry: Entry): void {
  if (entry.sizeBytes !== undefined) {
    writer.uint(10);
    writer.uint(entry.sizeBytes);
  }
  if (entry.content !== undefined) {
    writer.uint(11);
    writer.array(entry.content.length);
    for (const item of entry.content) writeContentItem(writer, item);
  } else if (entry.contentNode !== undefined) {
    writer.uint(11);
    writeChunkId(writer, entry.contentNode);
  }
  if (entry.directoryNode !== undefined) {
    writer.uint(12);
    writeChunkId(writer, entry.directoryNode);
  }
  if (entry.linkTarget !== undefined) {
    writer.uint(13);
    writer.bytes(entry.linkTarget);
  }
  if (entry.device !== undefined) {
    writer.uint(14);
    writer.array(2);
    writer.uint(entry.device[0]);
    writer.uint(entry.device[1]);
  }
}

function writeRareFields(writer: CborWriter, entry: Entry): void {
  if (entry.hardLinkGroup !== undefined) {
    writer.uint(15);
    writer.bytes(entry.hardLinkGroup);
  }
  if (entry.xattrs !== undefined) {
    writer.uint(16);
    writer.array(entry.xattrs.length);
    for (const xattr of entry.xattrs) writeXattr(writer, xattr);
  }
  if (entry.flags !== 0) {
    writer.uint(17);
    writer.uint(entry.flags);
  }
  if (entry.damagedSpans !== undefined) {
    writer.uint(18);
    writer.array(entry.damagedSpans.length);
    for (const span of entry.damagedSpans) {
      writer.array(2);
      writer.uint(span.offset);
      writer.uint(span.length);
    }
  }
}

export function writeTime(writer: CborWriter, time: Time): void {
  writer.array(2);
  writer.int(time[0]);
  writer.uint(time[1]);
}

export function writeChunkId(writer: CborWriter, id: ChunkId): void {
  if (id.length !== CHUNK_ID_BYTES) throw new RangeError(`A chunk ID has ${CHUNK_ID_BYTES} bytes, not ${id.length}`);
  writer.bytes(id);
}

export function writeContentItem(writer: CborWriter, item: ContentItem): void {
  if (item.id !== undefined) {
    writer.array(2);
    writeChunkId(writer, item.id);
  }
  writer.uint(item.lengthBytes);
}

function writeXattr(writer: CborWriter, xattr: Xattr): void {
  writer.array(2);
  writer.bytes(xattr.name);
  if (xattr.value instanceof Uint8Array) return writer.bytes(xattr.value);
  writer.array(xattr.value.length);
  for (const item of xattr.value) writeContentItem(writer, item);
}

/** The next entry; names, IDs and other byte strings are views of the input. @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT */
export function readEntry(reader: CborReader, isRoot = false): Entry {
  let name = NO_NAME, type = 0, mode: number | undefined, mtime: Time | undefined, flags = 0;
  let uid: number | undefined, gid: number | undefined, userName: string | undefined, groupName: string | undefined;
  let ctime: Time | undefined, sizeBytes: number | undefined, content: ContentItem[] | undefined, contentNode: ChunkId | undefined;
  let directoryNode: ChunkId | undefined, linkTarget: Bytes | undefined, device: [number, number] | undefined;
  let hardLinkGroup: Bytes | undefined, xattrs: Xattr[] | undefined, damagedSpans: ByteSpan[] | undefined;
  let inode: number | bigint | undefined;
  let key = -1;
  for (let left = reader.map(); left > 0; left--) {
    key = reader.key(key);
    switch (key) {
      case 1: name = reader.bytes(MAX_NAME_BYTES); break;
      case 2: type = readType(reader); break;
      case 3: mode = reader.uint(0o7777); break;
      case 4: uid = reader.uint(0xffff_ffff); break;
      case 5: gid = reader.uint(0xffff_ffff); break;
      case 6: userName = reader.text(); break;
      case 7: groupName = reader.text(); break;
      case 8: mtime = readTime(reader); break;
      case 9: ctime = readTime(reader); break;
      case 10: sizeBytes = reader.uint(); break;
      case 11:
        if (reader.isArray()) content = readContentItems(reader, MAX_INLINE_ITEMS);
        else contentNode = readChunkId(reader);
        break;
      case 12: directoryNode = readChunkId(reader); break;
      case 13: linkTarget = reader.bytes(MAX_LINK_TARGET_BYTES); break;
      case 14: device = readDevice(reader); break;
      case 15: hardLinkGroup = reader.fixedBytes(8); break;
      case 16: xattrs = readXattrs(reader); break;
      case 17: flags = readFlags(reader); break;
      case 18: damagedSpans = readSpans(reader); break;
      case 19: inode = reader.bigUint(); break;
      default: reader.unknown(key);
    }
  }
  reader.close();
  if (type === 0 || mode === undefined || mtime === undefined) throw reader.fail('an entry lacks its type, mode or mtime');
  const entry: Entry = {
    name, type: ENTRY_TYPES[type - 1]!, mode, uid, gid, userName, groupName, mtime, ctime, sizeBytes, content, contentNode,
    directoryNode, linkTarget, device, hardLinkGroup, xattrs, flags, damagedSpans, inode,
  };
  const fault = entryFault(entry, isRoot);
  if (fault !== undefined) throw reader.fail(fault);
  return entry;
}

function readType(reader: CborReader): number {
  const type = reader.uint();
  if (type === 0) throw reader.fail('entry type 0');
  if (type > ENTRY_TYPES.length) throw unsupported(reader.what, `entry type ${type}`, { type });
  return type;
}

function readFlags(reader: CborReader): number {
  const flags = reader.uint();
  if (flags === 0) throw reader.fail('flags of 0 are not written');
  if (flags > KNOWN_ENTRY_FLAGS) throw unsupported(reader.what, `entry flags ${flags}`, { flags });
  return flags;
}

export function readTime(reader: CborReader): Time {
  reader.fixedArray(2);
  const time: Time = [reader.int(), reader.uint(999_999_999)];
  reader.close();
  return time;
}

export function readChunkId(reader: CborReader): ChunkId {
  return reader.fixedBytes(CHUNK_ID_BYTES) as ChunkId;
}

/** A list of at most `max` items. */
export function readContentItems(reader: CborReader, max: number): ContentItem[] {
  const count = reader.array(max);
  const items: ContentItem[] = [];
  for (let i = 0; i < count; i++) items.push(readContentItem(reader));
  reader.close();
  return items;
}

function readContentItem(reader: CborReader): ContentItem {
  if (reader.isUint()) return { id: undefined, lengthBytes: reader.uint() };
  reader.fixedArray(2);
  const item: ContentItem = { id: readChunkId(reader), lengthBytes: reader.uint(MAX_FRAME_BYTES) };
  reader.close();
  return item;
}

function readDevice(reader: CborReader): [number, number] {
  reader.fixedArray(2);
  const device: [number, number] = [reader.uint(0xffff_ffff), reader.uint(0xffff_ffff)];
  reader.close();
  return device;
}

function readXattrs(reader: CborReader): Xattr[] {
  const xattrs: Xattr[] = [];
  for (let left = reader.array(); left > 0; left--) {
    reader.fixedArray(2);
    const name = reader.bytes(MAX_NAME_BYTES);
    xattrs.push({ name, value: reader.isArray() ? readContentItems(reader, MAX_INLINE_ITEMS) : reader.bytes(MAX_INLINE_XATTR_BYTES) });
    reader.close();
  }
  reader.close();
  return xattrs;
}

function readSpans(reader: CborReader): ByteSpan[] {
  const spans: ByteSpan[] = [];
  for (let left = reader.array(); left > 0; left--) {
    reader.fixedArray(2);
    spans.push({ offset: reader.uint(), length: reader.uint() });
    reader.close();
  }
  reader.close();
  return spans;
}
