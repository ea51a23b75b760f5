/** A tree of everything that file systems hold, made by python3 and so independent of snap's own code. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SCRIPT = fileURLToPath(new URL('oddities.py', import.meta.url));

export interface SkippedOddity {
  readonly what: string;
  readonly why: string;
}

export interface OdditiesOptions {
  /** Entries of the large directory; 10,000 unless told otherwise. */
  readonly largeDirectoryEntries?: number;
}

/**
 * Creates `directory` and fills it. Returns what this file system or user cannot make (devices without root, large
 * attributes on ext4, ...). Some paths are longer than PATH_MAX: remove the tree with `removeTree`.
 */
export async function makeOddities(directory: string, options: OdditiesOptions = {}): Promise<SkippedOddity[]> {
  await mkdir(directory);
  const { stdout } = await run('python3', [SCRIPT, directory, String(options.largeDirectoryEntries ?? 10_000)], { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout) as SkippedOddity[];
}

/** Removes a tree of any depth and any names; also directories that their owner may not enter. */
export async function removeTree(directory: string): Promise<void> {
  // Without root, directories have to be made accessible first; a tree that is not there is fine.
  await run('sh', ['-c', '[ "$(id -u)" = 0 ] || chmod -R u+rwX -- "$1" 2>/dev/null; rm -rf -- "$1"', 'sh', directory], { maxBuffer: 2 ** 24 });
}
