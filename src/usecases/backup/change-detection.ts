/** Is an entry of the source still the one in the parent snapshot? (repository design, section 14.2; pure) */
import type { StatRecords, TimePair } from '../../base/stat-record.ts';
import { ENTRY_CHANGED, ENTRY_PARTLY_UNREADABLE, inodeFromBytes, storableTime, type Entry, type Time } from '../../format/tree-node.ts';
import { entryTypeOf } from './entry-factory.ts';

export interface ChangeRules {
  /** For network file systems that invent inode numbers. */
  readonly ignoreInode: boolean;
  /**
   * Start of the run that made the earlier entries; an entry that is not at least two seconds older may have changed within
   * one clock tick. Undefined: that was checked when they were recorded.
   */
  readonly earlierRunStart: Time | undefined;
}

/** Entries younger than this before the start of the run are not trusted later, in seconds. */
export const RACY_SECONDS = 2;

export function isUnchanged(earlier: Entry, stats: StatRecords, i: number, rules: ChangeRules): boolean {
  if (earlier.type !== entryTypeOf(stats.type(i))) return false;
  if ((earlier.flags & (ENTRY_CHANGED | ENTRY_PARTLY_UNREADABLE)) !== 0) return false;
  if (earlier.type === 'file' && earlier.sizeBytes !== stats.size(i)) return false;
  if (!sameTime(earlier.mtime, stats.mtime(i)) || earlier.ctime === undefined || !sameTime(earlier.ctime, stats.ctime(i))) return false;
  if (!rules.ignoreInode && earlier.inode !== inodeFromBytes(stats.inodeBytes(i))) return false;
  const start = rules.earlierRunStart;
  return start === undefined || !isRacy(stats, i, start);
}

/** True when the file may still have changed after it was read in a run that started then. */
export function isRacy(stats: StatRecords, i: number, runStart: Time): boolean {
  return isYoung(stats.mtime(i), runStart) || isYoung(stats.ctime(i), runStart);
}

function isYoung(time: TimePair, runStart: Time): boolean {
  const limit = runStart[0] - RACY_SECONDS;
  return time[0] > limit || (time[0] === limit && time[1] >= runStart[1]);
}

function sameTime(stored: Time, seen: TimePair): boolean {
  const storable = storableTime(seen[0], seen[1]);
  return stored[0] === storable[0] && stored[1] === storable[1];
}
