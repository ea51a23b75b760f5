/**
 * Sets owner, extended attributes, mode and times, in this order: a new owner clears the set-id bits and file capabilities,
 * attributes need the right to write that a final mode may not give, and everything before it may change the times. What
 * cannot be set is a problem each; the entry stays and the rest is set.
 */
import { type Bytes, equalBytes, utf8, viewOf } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { EntryType, Time, Xattr } from '../format/tree-node.ts';
import { ANY_OWNER } from './directory-table.ts';
import type { Owners } from './owners.ts';
import type { Spot } from './spot.ts';
import { failedWith, targetError } from './target-error.ts';

/** What the entry is to have; an ID of -1 stays as it is. */
export interface WantedMetadata {
  readonly type: EntryType;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: Time;
  readonly xattrs?: readonly Xattr[] | undefined;
}

/** What it has. Mode and time are undefined for an entry just made, where they are always set. */
export interface FoundMetadata {
  readonly uid: number;
  readonly gid: number;
  readonly mode?: number;
  readonly mtime?: Time;
  /** Names of attributes that may be there; undefined asks the system. */
  readonly xattrs?: readonly FoundXattr[];
}

export interface FoundXattr {
  readonly name: Bytes;
  readonly value: Bytes;
}

export const ACL_XATTR: Bytes = utf8('system.posix_acl_access');
const SET_ID_BITS = 0o6000;
/** Attributes of other kinds are the system's own, such as security labels, and are never removed. */
const REMOVABLE = ['user.', 'system.posix_acl_'].map(utf8);

/** Returns what could not be set; empty when all is well. */
export function setMetadata(spot: Spot, wanted: WantedMetadata, found: FoundMetadata, owners: Owners): SnapError[] {
  const failures: SnapError[] = [];
  const owner = setOwner(spot, wanted, found, owners, failures);
  const hasNewXattrs = setXattrs(spot, wanted.xattrs, found.xattrs, failures);
  if (wanted.type !== 'symlink') {
    const mode = owner.isAsWanted || wanted.type === 'directory' ? wanted.mode : wanted.mode & ~SET_ID_BITS;
    if (mode !== found.mode || owner.isChanged || hasNewXattrs) attempt(failures, 'set the mode', () => spot.setMode(mode));
  }
  const [seconds, nanoseconds] = wanted.mtime;
  if (found.mtime === undefined || found.mtime[0] !== seconds || found.mtime[1] !== nanoseconds) {
    attempt(failures, 'set the modification time', () => spot.setTimes(seconds, nanoseconds));
  }
  return failures;
}

function attempt(failures: SnapError[], action: string, change: () => void): boolean {
  try {
    change();
    return true;
  } catch (error) {
    failures.push(targetError(action, error));
    return false;
  }
}

interface OwnerResult {
  /** False: the set-id bits would give the rights of somebody else than in the source. */
  readonly isAsWanted: boolean;
  readonly isChanged: boolean;
}

function setOwner(spot: Spot, wanted: WantedMetadata, found: FoundMetadata, owners: Owners, failures: SnapError[]): OwnerResult {
  const hasUser = wanted.uid === ANY_OWNER || wanted.uid === found.uid;
  const hasGroup = wanted.gid === ANY_OWNER || wanted.gid === found.gid;
  if (hasUser && hasGroup) return { isAsWanted: true, isChanged: false };
  if (!owners.isWanted) return { isAsWanted: false, isChanged: false };
  if (owners.isPrivileged) {
    const isSet = attempt(failures, 'set the owner', () => spot.setOwner(wanted.uid, wanted.gid));
    return { isAsWanted: isSet, isChanged: isSet };
  }
  return setOwnerAsUser(spot, wanted, { hasUser, hasGroup }, owners, failures);
}

/** Users may mostly not give files away, and only to groups that they belong to. */
function setOwnerAsUser(
  spot: Spot, wanted: WantedMetadata, { hasUser, hasGroup }: { hasUser: boolean; hasGroup: boolean }, owners: Owners, failures: SnapError[],
): OwnerResult {
  if (!hasUser && !owners.isUserRefused) {
    if (isAllowed('set the owner', () => spot.setOwner(wanted.uid, wanted.gid), failures)) return { isAsWanted: true, isChanged: true };
    owners.isUserRefused = true;
  }
  if (hasGroup || owners.refusedGroups.has(wanted.gid)) return { isAsWanted: false, isChanged: false };
  if (isAllowed('set the group', () => spot.setOwner(ANY_OWNER, wanted.gid), failures)) return { isAsWanted: hasUser, isChanged: true };
  owners.refusedGroups.add(wanted.gid);
  return { isAsWanted: false, isChanged: false };
}

/** A refusal is no problem here; any other failure is one. */
function isAllowed(action: string, change: () => void, failures: SnapError[]): boolean {
  try {
    change();
    return true;
  } catch (error) {
    if (!failedWith(error, 'EPERM')) failures.push(targetError(action, error));
    return false;
  }
}

/** Both lists are sorted by name; what equals stays untouched. Returns whether anything was changed. */
function setXattrs(
  spot: Spot, wanted: readonly Xattr[] | undefined, found: readonly FoundXattr[] | undefined, failures: SnapError[],
): boolean {
  if (wanted === undefined && found?.length === 0) return false;
  const there = found ?? readFound(spot, failures);
  let isChanged = false;
  for (const { name } of there) {
    if (wanted?.some(xattr => equalBytes(xattr.name, name)) === true || !isRemovable(name)) continue;
    isChanged = attempt(failures, `remove the extended attribute '${printable(name)}'`, () => spot.removeXattr(name)) || isChanged;
  }
  for (const { name, value } of wanted ?? []) {
    const action = `set the extended attribute '${printable(name)}'`;
    if (!(value instanceof Uint8Array)) {
      failures.push(new SnapError('TARGET_FAILED', `Cannot ${action}: its value could not be read`));
      continue;
    }
    if (there.some(xattr => equalBytes(xattr.name, name) && equalBytes(xattr.value, value))) continue;
    isChanged = attempt(failures, action, () => spot.setXattr(name, value)) || isChanged;
  }
  return isChanged;
}

function readFound(spot: Spot, failures: SnapError[]): FoundXattr[] {
  let found: FoundXattr[] = [];
  attempt(failures, 'read the extended attributes', () => { found = unpackXattrs(spot.xattrs()); });
  return found;
}

function isRemovable(name: Bytes): boolean {
  return REMOVABLE.some(prefix => equalBytes(name.subarray(0, prefix.length), prefix));
}

/** Attributes of one file, packed as in `NativeFileSystem.xattrs`; none when they cannot be read. */
export function unpackXattrs(packed: Bytes): FoundXattr[] {
  const view = viewOf(packed);
  let at = 8;
  const take = (): Bytes => {
    const start = at + 4;
    at = start + view.getUint32(at, true);
    return packed.subarray(start, at);
  };
  const found: FoundXattr[] = [];
  for (let left = view.getUint32(4, true); left > 0; left--) found.push({ name: take(), value: take() });
  return found;
}

/** For messages: names of attributes may hold any byte but NUL. */
function printable(name: Bytes): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1').replace(/[^\x20-\x7e]/g, '?');
}
