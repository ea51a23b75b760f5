/** Makes a directory with all that lead to it. Node's own recursion never ends where making one says that the path is not there, as in /proc. */
import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** Directories that are there already are left as they are. @throws the error of the system */
export function makeDirectories(path: string, mode: number): void {
  if (tryToMake(path, mode)) return;
  makeDirectories(dirname(path), mode);
  mkdirIfAbsent(path, mode);
}

/** False when the directory that it should lie in is missing. */
function tryToMake(path: string, mode: number): boolean {
  try {
    mkdirIfAbsent(path, mode);
    return true;
  } catch (error) {
    const parent = dirname(path);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === path || statSync(parent, { throwIfNoEntry: false }) !== undefined) throw error;
    return false;
  }
}

function mkdirIfAbsent(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || !statSync(path).isDirectory()) throw error;
  }
}
