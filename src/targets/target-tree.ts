/**
 * What the parts of the file target share during one restore: directories, descriptors, owners, and the one way in which a
 * name is taken: made where nothing is, else made under a temporary name and renamed over what was there.
 */
import type { Random } from '../base/ambient.ts';
import { type Bytes, toHex, utf8 } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { NativeFileSystem, OpenFlags } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_DIRECTORY } from '../base/stat-record.ts';
import { type Entry, nameFault } from '../format/tree-node.ts';
import type { DirectoryChain } from './directory-chain.ts';
import { ANY_OWNER, DIRECTORY_BIRTH_KNOWN, DIRECTORY_INHERITED_ACL, DIRECTORY_NEW, DIRECTORY_PHANTOM, type DirectoryTable } from './directory-table.ts';
import { mayReplace, Spelling, statAt } from './existing.ts';
import { ACL_XATTR, type FoundMetadata, type FoundXattr, setMetadata, unpackXattrs, type WantedMetadata } from './metadata.ts';
import type { Owners } from './owners.ts';
import { DescriptorSpot } from './spot.ts';
import { failedWith, occupied, targetError } from './target-error.ts';
import type { TargetHandle, TargetOptions, TargetProblem } from './target.ts';

export interface TreeParts {
  readonly fs: NativeFileSystem;
  readonly random: Random;
  readonly table: DirectoryTable;
  readonly chain: DirectoryChain;
  readonly owners: Owners;
  readonly options: TargetOptions;
}

export type Place =
  | { readonly kind: 'absent' }
  | { readonly kind: 'keep' }
  | { readonly kind: 'there'; readonly stat: StatRecords }
  | { readonly kind: 'problem'; readonly problem: TargetProblem };

export type Claim<Made> =
  /** `name` is the final name, or a temporary one that `publish` gives its place. */
  | { readonly kind: 'made'; readonly made: Made; readonly name: Bytes; readonly isTemporary: boolean }
  | { readonly kind: 'keep' }
  | { readonly kind: 'problem'; readonly problem: TargetProblem };

/** Never an existing file, never through a symlink; nobody else reads it before its own mode is set. */
export const NEW_FILE: OpenFlags = { write: true, create: true, exclusive: true, mode: 0o600 };
export const TEMPORARY_PREFIX = '.snap-restore-';
const NO_XATTRS: readonly FoundXattr[] = [];
const INHERITED_XATTRS: readonly FoundXattr[] = [{ name: ACL_XATTR, value: new Uint8Array(0) }];

export class TargetTree {
  readonly fs: NativeFileSystem;
  readonly table: DirectoryTable;
  readonly chain: DirectoryChain;
  readonly owners: Owners;
  readonly options: TargetOptions;
  readonly #random: Random;
  readonly #spelling: Spelling;

  constructor(parts: TreeParts) {
    this.fs = parts.fs;
    this.table = parts.table;
    this.chain = parts.chain;
    this.owners = parts.owners;
    this.options = parts.options;
    this.#random = parts.random;
    this.#spelling = new Spelling(parts.fs, parts.table);
  }

  /** @throws `error` when it is not a fault of the file system */
  problem(parent: TargetHandle, name: Bytes, action: string, error: unknown): TargetProblem {
    return { path: this.table.path(parent, name), error: targetError(action, error) };
  }

  report(parent: TargetHandle, name: Bytes | undefined, failures: readonly SnapError[]): void {
    for (const error of failures) this.options.onProblem({ path: this.table.path(parent, name), error });
  }

  /** Decoders refuse such names already; this is the second gate, directly before the file system. */
  refusal(parent: TargetHandle, name: Bytes): TargetProblem | undefined {
    const fault = nameFault(name);
    if (fault === undefined) return undefined;
    return { path: this.table.path(parent, name), error: new SnapError('OBJECT_CORRUPT', `The entry is refused: ${fault}`) };
  }

  /** Nothing is looked up in a directory that this restore has made: there, making the entry tells. */
  examine(parent: TargetHandle, entry: Entry): Place {
    if (this.table.has(parent, DIRECTORY_NEW | DIRECTORY_PHANTOM)) return { kind: 'absent' };
    try {
      const directory = this.chain.descriptor(parent);
      const stat = statAt(this.fs, directory, entry.name);
      if (stat === undefined) return { kind: 'absent' };
      if (this.#spelling.differs(parent, directory, entry.name)) return { kind: 'problem', problem: this.collision(parent, entry.name) };
      return mayReplace(this.options.overwrite, entry.mtime, stat.mtime(0)) ? { kind: 'there', stat } : { kind: 'keep' };
    } catch (error) {
      return { kind: 'problem', problem: this.problem(parent, entry.name, 'look at the place of the entry', error) };
    }
  }

  collision(parent: TargetHandle, name: Bytes): TargetProblem {
    return { path: this.table.path(parent, name), error: occupied(
      'The target takes the name for that of another entry, so nothing was overwritten',
      'Restore to a file system that tells upper from lower case and keeps names as they are',
    ) };
  }

  /** Takes the name for an entry that is made and completed in one go; what fails half-way is removed. @throws NativeError */
  place<Made>(
    parent: TargetHandle, directory: number, entry: Entry, make: (name: Bytes) => Made, complete: (made: Made, name: Bytes) => void,
  ): TargetProblem | undefined {
    const claim = this.claim(parent, directory, entry, make);
    if (claim.kind === 'problem') return claim.problem;
    if (claim.kind === 'keep') return undefined;
    try {
      complete(claim.made, claim.name);
      this.publish(directory, claim, entry.name);
    } catch (error) {
      this.discard(directory, claim.name);
      throw error;
    }
    return undefined;
  }

  /** `make` is given a name in the directory and fails with EEXIST when it is not free. @throws NativeError */
  claim<Made>(parent: TargetHandle, directory: number, entry: Entry, make: (name: Bytes) => Made): Claim<Made> {
    if (this.table.has(parent, DIRECTORY_NEW)) return this.#claimInNew(parent, entry, make);
    const place = this.examine(parent, entry);
    if (place.kind === 'keep' || place.kind === 'problem') return place;
    if (place.kind === 'there' && place.stat.type(0) !== TYPE_DIRECTORY) {
      const name = this.temporaryName();
      return { kind: 'made', made: make(name), name, isTemporary: true };
    }
    const problem = place.kind === 'there' ? this.#removeEmptyDirectory(parent, directory, entry.name) : undefined;
    if (problem !== undefined) return { kind: 'problem', problem };
    return { kind: 'made', made: make(entry.name), name: entry.name, isTemporary: false };
  }

  /** Whatever has the name already is of this restore. */
  #claimInNew<Made>(parent: TargetHandle, entry: Entry, make: (name: Bytes) => Made): Claim<Made> {
    try {
      return { kind: 'made', made: make(entry.name), name: entry.name, isTemporary: false };
    } catch (error) {
      if (!failedWith(error, 'EEXIST')) throw error;
      return { kind: 'problem', problem: this.collision(parent, entry.name) };
    }
  }

  #removeEmptyDirectory(parent: TargetHandle, directory: number, name: Bytes): TargetProblem | undefined {
    try {
      this.fs.unlinkAt(directory, name, true);
      return undefined;
    } catch (error) {
      if (!failedWith(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      return { path: this.table.path(parent, name), error: occupied(
        'A directory that is not empty is at the place of the entry', 'Remove it, or restore to another target',
      ) };
    }
  }

  /** Gives what was made under a temporary name its final one. @throws NativeError */
  publish(directory: number, claim: { readonly name: Bytes; readonly isTemporary: boolean }, name: Bytes): void {
    if (claim.isTemporary) this.fs.renameAt(directory, claim.name, directory, name);
  }

  /** Removes what could not be finished. A second failure changes nothing about the first, which is reported. */
  discard(directory: number, name: Bytes): void {
    try {
      this.fs.unlinkAt(directory, name, false);
    } catch (error) {
      targetError('remove the unfinished entry', error);
    }
  }

  temporaryName(): Bytes {
    return utf8(TEMPORARY_PREFIX + toHex(this.#random.bytes(8)));
  }

  wanted(entry: Entry): WantedMetadata {
    return {
      type: entry.type, mode: entry.mode, uid: this.owners.uid(entry), gid: this.owners.gid(entry), mtime: entry.mtime, xattrs: entry.xattrs,
    };
  }

  /** What new files of a directory get by themselves: asked once, since set-gid bits, mount options and ACLs decide it. */
  foundOfNew(parent: TargetHandle, descriptor: number): FoundMetadata {
    if (!this.table.has(parent, DIRECTORY_BIRTH_KNOWN)) {
      const stat = new StatRecords(this.fs.statDescriptor(descriptor));
      this.table.setBirth(parent, { uid: stat.uid(0), gid: stat.gid(0) });
      const xattrs = unpackXattrs(this.fs.xattrsOfDescriptor(descriptor));
      if (xattrs.some(({ name }) => Buffer.compare(name, ACL_XATTR) === 0)) this.table.mark(parent, DIRECTORY_INHERITED_ACL);
    }
    const xattrs = this.table.has(parent, DIRECTORY_INHERITED_ACL) ? INHERITED_XATTRS : NO_XATTRS;
    return { uid: this.table.birthUid(parent), gid: this.table.birthGid(parent), xattrs };
  }

  /** A new file there gets its owner by itself and has no extended attributes; known once there was a file in the directory. */
  hasOnlyModeAndTime(parent: TargetHandle, entry: Entry): boolean {
    if (!this.table.has(parent, DIRECTORY_NEW) || !this.table.has(parent, DIRECTORY_BIRTH_KNOWN)) return false;
    if (this.table.has(parent, DIRECTORY_INHERITED_ACL) || entry.xattrs !== undefined) return false;
    const [uid, gid] = [this.owners.uid(entry), this.owners.gid(entry)];
    return (uid === ANY_OWNER || uid === this.table.birthUid(parent)) && (gid === ANY_OWNER || gid === this.table.birthGid(parent));
  }

  /** Of an open file that lies under `file.name`, final or temporary. */
  setMetadata(
    file: { readonly parent: TargetHandle; readonly entry: Entry; readonly name: Bytes; readonly found: FoundMetadata },
    descriptor: number, directory: number, wanted: WantedMetadata,
  ): void {
    const failures = setMetadata(new DescriptorSpot(this.fs, descriptor, directory, file.name), wanted, file.found, this.owners);
    if (failures.length > 0) this.report(file.parent, file.entry.name, failures);
  }
}
