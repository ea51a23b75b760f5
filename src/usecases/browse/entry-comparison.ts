/** How two entries of one path differ (pure). */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import type { ContentItem, Entry, Xattr } from '../../format/tree-node.ts';

/** 'content' of a directory: something below it. The first that applies. */
export type EntryDifference = 'type' | 'content' | 'metadata' | 'same';

export function compareEntries(a: Entry, b: Entry): EntryDifference {
  if (a.type !== b.type) return 'type';
  if (!hasSameContent(a, b)) return 'content';
  return hasSameMetadata(a, b) ? 'same' : 'metadata';
}

function hasSameContent(a: Entry, b: Entry): boolean {
  return a.sizeBytes === b.sizeBytes && isSame(a.contentNode, b.contentNode) && isSame(a.directoryNode, b.directoryNode)
    && isSame(a.linkTarget, b.linkTarget) && a.device?.[0] === b.device?.[0] && a.device?.[1] === b.device?.[1]
    && isSameList(a.content, b.content);
}

/** Owner by number, mode, time of the last change of the content, extended attributes. */
export function hasSameMetadata(a: Entry, b: Entry): boolean {
  return a.mode === b.mode && a.uid === b.uid && a.gid === b.gid && a.mtime[0] === b.mtime[0] && a.mtime[1] === b.mtime[1] && isSameXattrs(a.xattrs, b.xattrs);
}

function isSame(a: Bytes | undefined, b: Bytes | undefined): boolean {
  return a === undefined || b === undefined ? a === b : equalBytes(a, b);
}

function isSameList(a: readonly ContentItem[] = [], b: readonly ContentItem[] = []): boolean {
  return a.length === b.length && a.every(({ id, lengthBytes }, i) => lengthBytes === b[i]!.lengthBytes && isSame(id, b[i]!.id));
}

export function isSameXattrs(a: readonly Xattr[] = [], b: readonly Xattr[] = []): boolean {
  return a.length === b.length && a.every(({ name, value }, i) => {
    const other = b[i]!;
    if (!equalBytes(name, other.name)) return false;
    if (value instanceof Uint8Array || other.value instanceof Uint8Array) {
      return value instanceof Uint8Array && other.value instanceof Uint8Array && equalBytes(value, other.value);
    }
    return isSameList(value, other.value);
  });
}
