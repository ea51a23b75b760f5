/** Where targets of files and patterns meet their adapters; part of the composition root in `compose.ts`. */
import { closeSync, openSync, readSync } from 'node:fs';
import { equalBytes, type Bytes } from '../base/bytes.ts';
import { nameText } from '../sources/glob.ts';
import { compilePatterns, type PatternCursor } from '../sources/path-patterns.ts';
import { createArchiveWriter } from '../targets/archive.ts';
import { FilesTarget } from '../targets/files.ts';
import { writeToStream } from '../targets/stream.ts';
import type { TreeTarget } from '../targets/target.ts';
import type { LiveFile } from '../usecases/browse/diff-live.ts';
import type { PathMatcher } from '../usecases/restore/selection.ts';
import { rawBytes } from './raw-arguments.ts';

const SLASH = 0x2f;

export function filesTarget(path: Bytes): TreeTarget {
  return new FilesTarget({ path });
}

/** Archive formats and the paced stream below a dump. */
export { createArchiveWriter, writeToStream };

/** Patterns of people on absolute paths; undefined when there are none. */
export function pathMatcher(patterns: readonly string[]): PathMatcher | undefined {
  return patterns.length === 0 ? undefined : compilePatterns(patterns.map(text => ({ text: rawBytes(text) })));
}

/** Whether patterns mean an entry itself, by its absolute path. Asked directory by directory it is cheap. @throws USAGE */
export function entryMatcher(patterns: readonly string[], ignoreCase: boolean): (path: Bytes, isDirectory: boolean) => boolean {
  const compiled = compilePatterns(patterns.map(text => ({ text: rawBytes(text), ignoreCase })));
  let directory: Bytes = new Uint8Array(0);
  let cursor: PatternCursor | undefined;
  return (path, isDirectory) => {
    const slash = path.lastIndexOf(SLASH);
    const parent = path.subarray(0, Math.max(1, slash));
    if (cursor === undefined || !equalBytes(parent, directory)) {
      directory = parent.slice();
      cursor = compiled.cursorAt(directory);
    }
    return cursor.verdict(nameText(path.subarray(slash + 1)), isDirectory) === 'matched';
  };
}

/** For comparing live files with a snapshot by content; undefined for one that cannot be read. */
export function openLiveFile(path: Bytes): LiveFile | undefined {
  const file = unlessUnreadable(() => openSync(Buffer.from(path), 'r'));
  if (file === undefined) return undefined;
  let buffer = Buffer.alloc(0);
  return {
    read: (offset, length) => {
      if (buffer.length < length) buffer = Buffer.allocUnsafe(length);
      const read = unlessUnreadable(() => readSync(file, buffer, 0, length, offset));
      return read === length ? buffer.subarray(0, length) : undefined;
    },
    close: () => closeSync(file),
  };
}

function unlessUnreadable<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return undefined;
    throw error;
  }
}

/** Selects exactly one path and what is below it. */
export function onlyPath(path: Bytes): PathMatcher {
  return compilePatterns([{ text: Buffer.from(Buffer.from(path).toString('latin1').replace(/[\\*?[\]]/g, '\\$&'), 'latin1') }]);
}
