/** Which user and group an entry gets here: by name where the name exists on this system, else by number. */
import { userInfo } from 'node:os';
import { utf8 } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords } from '../base/stat-record.ts';
import type { Entry } from '../format/tree-node.ts';
import { ANY_OWNER } from './directory-table.ts';
import { failedWith } from './target-error.ts';

export class Owners {
  readonly #fs: NativeFileSystem;
  readonly #users = new Map<string, number | undefined>();
  readonly #groups = new Map<string, number | undefined>();
  /** False: nobody asked for owners, entries belong to whoever restores. */
  readonly isWanted: boolean;
  /** Only then is a refused change of an owner a problem; for everybody else it is the rule. */
  readonly isPrivileged: boolean;
  /** What an ordinary user was refused once is not tried for every file: a failed call costs as much as a written file. */
  isUserRefused = false;
  readonly refusedGroups = new Set<number>();

  constructor(fs: NativeFileSystem, isWanted: boolean) {
    this.#fs = fs;
    this.isWanted = isWanted;
    this.isPrivileged = effectiveUser(fs) === 0;
  }

  uid(entry: Entry): number {
    return this.#find(this.#users, entry.userName, name => this.#fs.userId(name)) ?? entry.uid ?? ANY_OWNER;
  }

  gid(entry: Entry): number {
    return this.#find(this.#groups, entry.groupName, name => this.#fs.groupId(name)) ?? entry.gid ?? ANY_OWNER;
  }

  #find(known: Map<string, number | undefined>, name: string | undefined, ask: (name: string) => number | undefined): number | undefined {
    if (name === undefined || name === '') return undefined;
    const found = known.get(name);
    if (found !== undefined || known.has(name)) return found;
    // A name with NUL is no name of this system, and the system's functions would cut it short.
    const id = name.includes('\0') ? undefined : ask(name);
    known.set(name, id);
    return id;
  }
}

/** The user whom the system checks; `os.userInfo` alone fails for users that have no line in passwd, as in containers. */
function effectiveUser(fs: NativeFileSystem): number {
  try {
    return new StatRecords(fs.statPath(utf8('/proc/self'), true)).uid(0);
  } catch (error) {
    if (!failedWith(error, 'ENOENT', 'ENOTDIR', 'EACCES')) throw error;
    return userInfo().uid;
  }
}
