/** Makes the entry of a tree from what the source saw of it. */
import type { StatRecords } from '../../base/stat-record.ts';
import {
  TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SOCKET, TYPE_SYMLINK,
} from '../../base/stat-record.ts';
import type { Bytes } from '../../base/bytes.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import type { ChunkId } from '../../format/ids.ts';
import {
  hardLinkGroup, inodeFromBytes, storableTime, type ByteSpan, type ContentItem, type Entry, type EntryType, type Xattr,
} from '../../format/tree-node.ts';

export function entryTypeOf(typeBits: number): EntryType | undefined {
  switch (typeBits) {
    case TYPE_FILE: return 'file';
    case TYPE_DIRECTORY: return 'directory';
    case TYPE_SYMLINK: return 'symlink';
    case TYPE_FIFO: return 'fifo';
    case TYPE_SOCKET: return 'socket';
    case TYPE_CHARACTER_DEVICE: return 'character-device';
    case TYPE_BLOCK_DEVICE: return 'block-device';
    default: return undefined;
  }
}

/** What only reading or a call of its own can tell. */
export interface EntryParts {
  readonly sizeBytes?: number | undefined;
  readonly content?: readonly ContentItem[] | undefined;
  readonly contentNode?: ChunkId | undefined;
  readonly directoryNode?: ChunkId | undefined;
  readonly linkTarget?: Bytes | undefined;
  readonly xattrs?: readonly Xattr[] | undefined;
  readonly flags?: number;
  readonly damagedSpans?: readonly ByteSpan[] | undefined;
}

export class EntryFactory {
  readonly #auxiliaryHasher: Hasher;
  readonly #userName: (uid: number) => string | undefined;
  readonly #groupName: (gid: number) => string | undefined;

  constructor(auxiliaryHasher: Hasher, names: { userName(uid: number): string | undefined; groupName(gid: number): string | undefined }) {
    this.#auxiliaryHasher = auxiliaryHasher;
    this.#userName = uid => names.userName(uid);
    this.#groupName = gid => names.groupName(gid);
  }

  /** `name` is empty for the root of a component. The type must be one that `entryTypeOf` knows. */
  make(name: Bytes, stats: StatRecords, i: number, parts: EntryParts): Entry {
    const type = entryTypeOf(stats.type(i))!;
    const uid = stats.uid(i);
    const gid = stats.gid(i);
    const mtime = stats.mtime(i);
    const ctime = stats.ctime(i);
    const isDevice = type === 'character-device' || type === 'block-device';
    return {
      name, type, mode: stats.mode(i) & 0o7777, uid, gid, userName: this.#userName(uid), groupName: this.#groupName(gid),
      mtime: storableTime(mtime[0], mtime[1]), ctime: storableTime(ctime[0], ctime[1]),
      sizeBytes: parts.sizeBytes, content: parts.content, contentNode: parts.contentNode, directoryNode: parts.directoryNode,
      linkTarget: parts.linkTarget, device: isDevice ? [stats.deviceMajor(i), stats.deviceMinor(i)] : undefined,
      hardLinkGroup: type !== 'directory' && stats.linkCount(i) > 1
        ? hardLinkGroup(this.#auxiliaryHasher, stats.deviceBytes(i), stats.inodeBytes(i)) : undefined,
      xattrs: parts.xattrs, flags: parts.flags ?? 0, damagedSpans: parts.damagedSpans, inode: inodeFromBytes(stats.inodeBytes(i)),
    };
  }
}
