/** Opens the directory that a restore writes to, and makes it when it is not there. */
import { type Bytes, equalBytes, utf8 } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { failedWith, targetError } from './target-error.ts';

const SLASH = 0x2f;
const HERE: Bytes = utf8('.');
/** Private, as everything that a restore makes; wider rights come with the metadata. */
const NEW_ROOT_MODE = 0o700;

/**
 * The path is the user's own word, so symlinks in it are followed. Undefined: it does not exist and `mayMake` is false.
 * @throws TARGET_NOT_USABLE, DENIED, NO_SPACE
 */
export function openTargetRoot(fs: NativeFileSystem, path: Bytes, mayMake: boolean): number | undefined {
  const clean = withoutTrailingSlashes(path);
  if (clean.length === 0 || clean.includes(0)) throw notUsable('The path of the restore target is empty or contains NUL');
  try {
    return openOrMake(fs, clean, mayMake);
  } catch (error) {
    if (failedWith(error, 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EEXIST', 'ENOENT')) {
      throw notUsable(`The restore target cannot be opened as a directory (${error.code})`, error);
    }
    throw targetError('open the restore target', error);
  }
}

function notUsable(message: string, cause?: unknown): SnapError {
  return new SnapError('TARGET_NOT_USABLE', message, { cause, hint: 'Name a directory, or a path where one can be made' });
}

/** From the end of the path upwards until something is there, then down again. */
function openOrMake(fs: NativeFileSystem, path: Bytes, mayMake: boolean): number | undefined {
  const missing: Bytes[] = [];
  let descriptor: number | undefined;
  for (let at = path; descriptor === undefined;) {
    try {
      descriptor = fs.openDirectory(at, true);
    } catch (error) {
      const { parent, name } = split(at);
      if (!failedWith(error, 'ENOENT') || name === undefined) throw error;
      if (!mayMake) return undefined;
      missing.push(name);
      at = parent;
    }
  }
  return missing.reduceRight((directory, name) => makeAndOpen(fs, directory, name), descriptor);
}

function makeAndOpen(fs: NativeFileSystem, directory: number, name: Bytes): number {
  try {
    fs.makeDirectoryAt(directory, name, NEW_ROOT_MODE);
    return fs.openDirectoryAt(directory, name);
  } finally {
    fs.close(directory);
  }
}

/** Free bytes of the file system that would hold the target. */
export function freeBytesAt(fs: NativeFileSystem, path: Bytes): number {
  let at = withoutTrailingSlashes(path);
  for (;;) {
    const descriptor = openOrMake(fs, at, false);
    if (descriptor !== undefined) {
      try {
        return fs.freeSpace(descriptor)[0];
      } finally {
        fs.close(descriptor);
      }
    }
    at = split(at).parent;
  }
}

/** `name` is undefined where nothing can be made: '/', '.', '..'. */
function split(path: Bytes): { parent: Bytes; name: Bytes | undefined } {
  const slash = path.lastIndexOf(SLASH);
  const name = path.subarray(slash + 1);
  const parent = slash === -1 ? HERE : slash === 0 ? path.subarray(0, 1) : withoutTrailingSlashes(path.subarray(0, slash));
  const isSpecial = name.length === 0 || equalBytes(name, HERE) || equalBytes(name, utf8('..'));
  return { parent, name: isSpecial ? undefined : name };
}

/** A path of slashes alone is '/'. */
function withoutTrailingSlashes(path: Bytes): Bytes {
  let end = path.length;
  while (end > 1 && path[end - 1] === SLASH) end--;
  return path.subarray(0, end);
}
