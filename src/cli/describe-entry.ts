/** A file, folder or other entry of a snapshot as a line for people or as JSON fields. */
import type { Bytes } from '../base/bytes.ts';
import { formatSize } from '../base/units.ts';
import { ENTRY_PARTLY_UNREADABLE, type Entry, type EntryType } from '../format/entry.ts';
import { jsonMoment, localTime, printable, printableName } from './printable.ts';
import { pathFields } from './render-json.ts';

const TYPE_LETTERS: Readonly<Record<EntryType, string>> = {
  'file': '-', 'directory': 'd', 'symlink': 'l', 'fifo': 'p', 'socket': 's', 'character-device': 'c', 'block-device': 'b',
};
/** restic's words, which scripts compare with. */
const TYPE_WORDS: Readonly<Record<EntryType, string>> = {
  'file': 'file', 'directory': 'dir', 'symlink': 'symlink', 'fifo': 'fifo', 'socket': 'socket', 'character-device': 'chardev', 'block-device': 'dev',
};

/** `drwxr-sr-x`, as ls shows it. */
export function modeText(type: EntryType, mode: number): string {
  const three = (shift: number, special: number, letter: string): string => {
    const execute = (mode >> shift & 1) !== 0;
    const last = (mode & special) === 0 ? (execute ? 'x' : '-') : execute ? letter : letter.toUpperCase();
    return `${(mode >> shift & 4) !== 0 ? 'r' : '-'}${(mode >> shift & 2) !== 0 ? 'w' : '-'}${last}`;
  };
  return TYPE_LETTERS[type] + three(6, 0o4000, 's') + three(3, 0o2000, 's') + three(0, 0o1000, 't');
}

/** `-rw-r--r--  me  users  1234  2026-05-31 14:00:00  /home/me/file -> target`. Sizes are exact, for scripts. */
export function longLine(path: Bytes, entry: Entry): string {
  const owner = entry.userName === undefined ? String(entry.uid ?? '-') : printable(entry.userName);
  const group = entry.groupName === undefined ? String(entry.gid ?? '-') : printable(entry.groupName);
  const size = entry.device === undefined ? String(entry.sizeBytes ?? 0) : entry.device.join(', ');
  return [
    modeText(entry.type, entry.mode), owner.padEnd(8), group.padEnd(8), size.padStart(12), localTime(entry.mtime), entryName(path, entry),
  ].join('  ');
}

/** The path, where a symlink points, and whether parts of the entry are missing in the snapshot. */
export function entryName(path: Bytes, entry: Entry): string {
  return printableName(path) + (entry.linkTarget === undefined ? '' : ` -> ${printableName(entry.linkTarget)}`) + lossText(entry);
}

function lossText({ flags, damagedSpans }: Entry): string {
  if ((flags & ENTRY_PARTLY_UNREADABLE) === 0) return '';
  const bytes = (damagedSpans ?? []).reduce((sum, { length }) => sum + length, 0);
  return bytes === 0 ? '  (partly missing)' : `  (${formatSize(bytes)} of it are missing)`;
}

/** Fields of restic's `node` lines, and ours. */
export function entryFields(path: Bytes, entry: Entry): Record<string, unknown> {
  return {
    ...pathFields(entry.name.length > 0 ? entry.name : path, 'name'), type: TYPE_WORDS[entry.type], ...pathFields(path),
    uid: entry.uid, gid: entry.gid, user: entry.userName, group: entry.groupName, size: entry.sizeBytes, mode: entry.mode,
    permissions: modeText(entry.type, entry.mode), mtime: jsonMoment(entry.mtime),
    ctime: entry.ctime === undefined ? undefined : jsonMoment(entry.ctime), ...pathFields(entry.linkTarget, 'linktarget'),
    ...(entry.flags & ENTRY_PARTLY_UNREADABLE) === 0 ? {} : { damaged: true, damaged_ranges: entry.damagedSpans?.map(({ offset, length }) => [offset, length]) },
    device: entry.device, inode: typeof entry.inode === 'bigint' ? String(entry.inode) : entry.inode,
  };
}
