/**
 * Nodes of trees: directories as leaves of entries with interior nodes above, long contents likewise (repository design,
 * section 14.4). A node is a chunk of a tree pack; its ID is the keyed hash of exactly the bytes that are made here.
 */
import { type Bytes, concatBytes, utf8 } from '../base/bytes.ts';
import { KiB } from '../base/units.ts';
import type { Hasher } from '../kernel/kernel.ts';
import { CborReader } from './cbor-reader.ts';
import { CborWriter } from './cbor-writer.ts';
import { corrupt, unsupported } from './decode-error.ts';
import { compareNames, contentLength, type ContentItem, type Entry, nameFault } from './entry.ts';
import { readChunkId, readContentItems, readEntry, writeChunkId, writeContentItem, writeEntry } from './entry-codec.ts';
import { CHUNK_ID_BYTES, type ChunkId } from './ids.ts';
import { MAX_CONTENT_NODE_ITEMS, MAX_ENTRY_BYTES, MAX_NAME_BYTES, MAX_NODE_BYTES, MAX_NODE_DEPTH } from './limits.ts';

export {
  type ByteSpan, compareNames, type ContentItem, contentLength, type Entry, ENTRY_CHANGED, ENTRY_PARTLY_UNREADABLE, ENTRY_SPARSE,
  ENTRY_TYPES, type EntryType, entryFault, inodeFromBytes, nameFault, storableTime, type Time, type Xattr,
} from './entry.ts';

/** A record of an interior node: the last name below the child. */
export interface DirectoryChild {
  readonly lastName: Bytes;
  readonly id: ChunkId;
}

/** A record of a content interior node: the bytes of content below the child. */
export interface ContentChild {
  readonly sizeBytes: number;
  readonly id: ChunkId;
}

export type TreeNode =
  | { readonly kind: 'leaf'; readonly entries: readonly Entry[] }
  | { readonly kind: 'interior'; readonly children: readonly DirectoryChild[] }
  | { readonly kind: 'content-leaf'; readonly items: readonly ContentItem[] }
  | { readonly kind: 'content-interior'; readonly children: readonly ContentChild[] };

const LEAF = 1;
const INTERIOR = 2;
const CONTENT_LEAF = 3;
const CONTENT_INTERIOR = 4;

/** Collects the records of one node after another. */
export interface NodeEncoder<Item> {
  /** Records added since the last `finish`, and their encoded bytes; these decide about the cut. */
  readonly count: number;
  readonly recordBytes: number;
  /** @throws RangeError for an illegal record, or one out of order */
  add(record: Item): void;
  /** The node; the encoder is empty afterwards. @throws RangeError for a node above 1 MiB, or an empty one that must not be */
  finish(): Uint8Array<ArrayBuffer>;
}

class RecordEncoder<Item> implements NodeEncoder<Item> {
  readonly #kind: number;
  readonly #write: (writer: CborWriter, record: Item, previous: Item | undefined) => void;
  readonly #writer = new CborWriter(64 * KiB);
  #previous: Item | undefined;
  count = 0;

  constructor(kind: number, write: (writer: CborWriter, record: Item, previous: Item | undefined) => void) {
    this.#kind = kind;
    this.#write = write;
  }

  get recordBytes(): number {
    return this.#writer.length;
  }

  add(record: Item): void {
    const before = this.#writer.length;
    try {
      this.#write(this.#writer, record, this.#previous);
      if (this.#writer.length - before > MAX_ENTRY_BYTES) throw new RangeError('A record of a tree node is too large');
    } catch (error) {
      this.#writer.truncate(before);
      throw error;
    }
    this.#previous = record;
    this.count++;
  }

  finish(): Uint8Array<ArrayBuffer> {
    if (this.count === 0 && this.#kind !== LEAF) throw new RangeError('Only a directory leaf may be empty');
    const head = new CborWriter(16);
    head.array(2);
    head.uint(this.#kind);
    head.array(this.count);
    const node = concatBytes([head.view(), this.#writer.view()]);
    if (node.length > MAX_NODE_BYTES) throw new RangeError(`A tree node of ${node.length} bytes`);
    this.#writer.reset();
    this.#previous = undefined;
    this.count = 0;
    return node;
  }
}

export function createLeafEncoder(): NodeEncoder<Entry> {
  return new RecordEncoder<Entry>(LEAF, (writer, entry, previous) => {
    if (previous !== undefined && compareNames(previous.name, entry.name) >= 0) throw new RangeError('Entries are not in order');
    writeEntry(writer, entry);
  });
}

export function createInteriorEncoder(): NodeEncoder<DirectoryChild> {
  return new RecordEncoder<DirectoryChild>(INTERIOR, (writer, { lastName, id }, previous) => {
    const fault = nameFault(lastName);
    if (fault !== undefined) throw new RangeError(`A child cannot be encoded: ${fault}`);
    if (previous !== undefined && compareNames(previous.lastName, lastName) >= 0) throw new RangeError('Children are not in order');
    writer.array(2);
    writer.bytes(lastName);
    writeChunkId(writer, id);
  });
}

export function createContentLeafEncoder(): NodeEncoder<ContentItem> {
  return new RecordEncoder<ContentItem>(CONTENT_LEAF, (writer, item) => {
    if (contentLength([item]) === undefined) throw new RangeError('A content item is not legal');
    writeContentItem(writer, item);
  });
}

export function createContentInteriorEncoder(): NodeEncoder<ContentChild> {
  return new RecordEncoder<ContentChild>(CONTENT_INTERIOR, (writer, { sizeBytes, id }) => {
    if (!(sizeBytes >= 1)) throw new RangeError('A content child covers no bytes');
    writer.array(2);
    writer.uint(sizeBytes);
    writeChunkId(writer, id);
  });
}

function encodeAll<Item>(encoder: NodeEncoder<Item>, records: Iterable<Item>): Uint8Array<ArrayBuffer> {
  for (const record of records) encoder.add(record);
  return encoder.finish();
}

/** One node of each kind from all its records; for long runs reuse an encoder. */
export function encodeLeaf(entries: Iterable<Entry>): Uint8Array<ArrayBuffer> {
  return encodeAll(createLeafEncoder(), entries);
}

export function encodeInterior(children: Iterable<DirectoryChild>): Uint8Array<ArrayBuffer> {
  return encodeAll(createInteriorEncoder(), children);
}

export function encodeContentLeaf(items: Iterable<ContentItem>): Uint8Array<ArrayBuffer> {
  return encodeAll(createContentLeafEncoder(), items);
}

export function encodeContentInterior(children: Iterable<ContentChild>): Uint8Array<ArrayBuffer> {
  return encodeAll(createContentInteriorEncoder(), children);
}

/**
 * A node from its bytes; names and IDs are views of them. What lies in one node is checked completely; a walker checks that
 * depths stay within their limits, that last names and covered bytes match the children, and that no cycle exists.
 * @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT
 */
export function decodeNode(bytes: Bytes): TreeNode {
  if (bytes.length > MAX_NODE_BYTES) throw corrupt('tree node', `${bytes.length} bytes`);
  const reader = new CborReader(bytes, 'tree node');
  reader.fixedArray(2);
  const kind = reader.uint();
  const node = readNode(reader, kind);
  reader.close();
  reader.end();
  return node;
}

function readNode(reader: CborReader, kind: number): TreeNode {
  switch (kind) {
    case LEAF: return { kind: 'leaf', entries: readEntries(reader) };
    case INTERIOR: return { kind: 'interior', children: readDirectoryChildren(reader) };
    case CONTENT_LEAF: return { kind: 'content-leaf', items: readLeafItems(reader) };
    case CONTENT_INTERIOR: return { kind: 'content-interior', children: readContentChildren(reader) };
    default: throw unsupported('tree node', `node kind ${kind}`, { kind });
  }
}

function readEntries(reader: CborReader): Entry[] {
  const entries: Entry[] = [];
  let previous: Entry | undefined;
  for (let left = reader.array(); left > 0; left--) {
    const entry = readEntry(reader);
    if (previous !== undefined && compareNames(previous.name, entry.name) >= 0) throw reader.fail('entries are not in order');
    entries.push(entry);
    previous = entry;
  }
  reader.close();
  return entries;
}

function readDirectoryChildren(reader: CborReader): DirectoryChild[] {
  const children: DirectoryChild[] = [];
  let previous: Bytes | undefined;
  for (let left = readChildCount(reader); left > 0; left--) {
    reader.fixedArray(2);
    const lastName = reader.bytes(MAX_NAME_BYTES);
    const fault = nameFault(lastName);
    if (fault !== undefined) throw reader.fail(fault);
    if (previous !== undefined && compareNames(previous, lastName) >= 0) throw reader.fail('children are not in order');
    previous = lastName;
    children.push({ lastName, id: readChunkId(reader) });
    reader.close();
  }
  reader.close();
  return children;
}

function readLeafItems(reader: CborReader): ContentItem[] {
  const items = readContentItems(reader, MAX_CONTENT_NODE_ITEMS);
  if (items.length === 0) throw reader.fail('a node without records');
  if (contentLength(items) === undefined) throw reader.fail('the length of a content item is not legal');
  return items;
}

function readContentChildren(reader: CborReader): ContentChild[] {
  const children: ContentChild[] = [];
  let total = 0;
  for (let left = readChildCount(reader); left > 0; left--) {
    reader.fixedArray(2);
    const sizeBytes = reader.uint();
    total += sizeBytes;
    if (sizeBytes === 0 || total > Number.MAX_SAFE_INTEGER) throw reader.fail('the covered bytes of a child are not legal');
    children.push({ sizeBytes, id: readChunkId(reader) });
    reader.close();
  }
  reader.close();
  return children;
}

function readChildCount(reader: CborReader): number {
  const count = reader.array();
  if (count === 0) throw reader.fail('a node without records');
  return count;
}

/** From here on a name may end a node, ... */
export const NODE_MIN_BYTES: number = 64 * KiB;
/** ... and at this many bytes of records every name does. */
export const NODE_MAX_BYTES: number = 256 * KiB;

/**
 * Does the node end after the record of `name`, which was the last one added? `level` is 0 for leaves, 1 for the interior
 * nodes above them, and so on. Each level tests its own four bytes of the name hash: the names that reach a level are those
 * that ended a node below, so the same bytes would end every node at once. `hasher` is keyed with the auxiliary key.
 */
export function isNodeCut(recordBytes: number, level: number, hasher: Hasher, name: Bytes): boolean {
  if (recordBytes < NODE_MIN_BYTES) return false;
  return recordBytes >= NODE_MAX_BYTES || isNameHashCut(nameHash(hasher, name), level);
}

const NAME_PREFIX = utf8('name\0');
const HARD_LINK_PREFIX = utf8('hardlink\0');

/** Keyed BLAKE3 of a name, 32 bytes. */
export function nameHash(hasher: Hasher, name: Bytes): Uint8Array<ArrayBuffer> {
  return hasher.hash(concatBytes([NAME_PREFIX, name]));
}

/** The four bytes of the level, read as a little-endian number, are 0 mod 512. */
export function isNameHashCut(hash: Bytes, level: number): boolean {
  if (level >= MAX_NODE_DEPTH) throw new RangeError(`A directory of more than ${MAX_NODE_DEPTH} levels`);
  return hash[4 * level] === 0 && (hash[4 * level + 1]! & 1) === 0;
}

/** Does a content leaf end after this item, the `count`-th one? Interior content nodes end after a child in the same way. */
export function isContentCut(count: number, id: ChunkId | undefined): boolean {
  return count >= MAX_CONTENT_NODE_ITEMS || (id !== undefined && id[CHUNK_ID_BYTES - 1] === 0);
}

/** 8 bytes shared by all names of one inode. `device` and `inode` are 8 bytes each, little-endian. */
export function hardLinkGroup(hasher: Hasher, device: Bytes, inode: Bytes): Uint8Array<ArrayBuffer> {
  if (device.length !== 8 || inode.length !== 8) throw new RangeError('Device and inode have 8 bytes each');
  return hasher.hash(concatBytes([HARD_LINK_PREFIX, device, inode])).slice(0, 8);
}
