/** What a directory tree holds, found out by python3 and so independent of snap's own code: source and restore are compared by it. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('describe-tree.py', import.meta.url));

export interface TreeEntry {
  /** Relative to the root, which is ''; bytes as latin-1 text, as in all texts here. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character device' | 'block device';
  /** Permission, set-id and sticky bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970, as decimal digits. */
  readonly mtime: string;
  /** Values as hexadecimal digits; an error text where one cannot be read. */
  readonly xattrs: Readonly<Record<string, string>>;
  /** All but directories. */
  readonly size?: number;
  /** First path, in byte order of the walk, that leads to the same inode; its own path for most. */
  readonly linkedTo?: string;
  readonly linkCount?: number;
  /** Files: a hash that does not tell holes from written zeros, and the bytes that the file takes on the disk. */
  readonly content?: string;
  readonly allocated?: number;
  readonly target?: string;
  readonly device?: readonly [major: number, minor: number];
  /** Why a directory could not be listed. */
  readonly unlisted?: string;
}

export type TreeDescription = ReadonlyMap<string, TreeEntry>;

/** By path, in the order of the walk. */
export async function describeTree(directory: string): Promise<TreeDescription> {
  const { stdout } = await run('python3', [SCRIPT, directory], { maxBuffer: 2 ** 30 });
  const entries = stdout.trimEnd().split('\n').map(line => JSON.parse(line) as TreeEntry);
  return new Map(entries.map(entry => [entry.path, entry]));
}

export interface Comparison {
  /** Attributes that may differ. */
  readonly ignore?: readonly (keyof TreeEntry)[];
  /** Fails files that take much more space than in the source, because holes were filled. */
  readonly holes?: boolean;
}

const COMPARED = ['type', 'mode', 'uid', 'gid', 'mtime', 'xattrs', 'size', 'linkedTo', 'content', 'target', 'device', 'unlisted'] as const;
/** File systems place some blocks more or fewer. */
const ALLOCATION_SLACK = 64 * 1024;

/** What differs, one line each; empty when the trees are the same. `linkCount` may differ: links can lie outside the tree. */
export function compareTrees(expected: TreeDescription, actual: TreeDescription, { ignore = [], holes = false }: Comparison = {}): string[] {
  const differences: string[] = [];
  for (const [path, entry] of expected) {
    const other = actual.get(path);
    if (other === undefined) {
      differences.push(`${JSON.stringify(path)}: missing`);
      continue;
    }
    for (const attribute of COMPARED) {
      const [left, right] = [JSON.stringify(entry[attribute]), JSON.stringify(other[attribute])];
      if (left !== right && !ignore.includes(attribute)) differences.push(`${JSON.stringify(path)}: ${attribute} is ${right}, not ${left}`);
    }
    if (holes && (other.allocated ?? 0) > (entry.allocated ?? 0) + ALLOCATION_SLACK) {
      differences.push(`${JSON.stringify(path)}: takes ${other.allocated} bytes, not ${entry.allocated}`);
    }
  }
  for (const path of actual.keys()) {
    if (!expected.has(path)) differences.push(`${JSON.stringify(path)}: was not there before`);
  }
  return differences;
}
