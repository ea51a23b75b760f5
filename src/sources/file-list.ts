/** Lists of paths to back up, for the flags `--files-from`, `--files-from-verbatim` and `--files-from-raw`. */
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';

/**
 * - `lines`: one path a line; blanks around it, empty lines and lines that start with `#` are ignored.
 * - `verbatim`: one path a line, taken as it is; empty lines are ignored.
 * - `raw`: each path ends with NUL.
 */
export type FileListFormat = 'lines' | 'verbatim' | 'raw';

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const HASH = 0x23;

/** The paths in their order, as views of `content`. @throws USAGE when the list is damaged. */
export function parseFileList(content: Bytes, format: FileListFormat): Bytes[] {
  if (format === 'raw') return parseRaw(content);
  if (content.includes(0)) {
    throw new SnapError('USAGE', 'The list of files contains a NUL character', { hint: 'Use --files-from-raw for paths that end with NUL' });
  }
  const lines = splitAt(content, LINE_FEED);
  if (format === 'verbatim') return lines.filter(line => line.length > 0);
  return lines.map(trimBlanks).filter(line => line.length > 0 && line[0] !== HASH);
}

/** The last path must have its NUL too: without it the list was cut off, and half a path could name something else. */
function parseRaw(content: Bytes): Bytes[] {
  if (content.length === 0) return [];
  if (content.at(-1) !== 0) {
    throw new SnapError('USAGE', 'The list of files does not end with a NUL character', { hint: 'Each path ends with NUL, as find -print0 writes it' });
  }
  const paths = splitAt(content.subarray(0, -1), 0);
  if (paths.some(path => path.length === 0)) throw new SnapError('USAGE', 'The list of files contains an empty path');
  return paths;
}

function splitAt(content: Bytes, separator: number): Bytes[] {
  const parts: Bytes[] = [];
  let start = 0;
  for (;;) {
    const end = content.indexOf(separator, start);
    if (end < 0) break;
    parts.push(content.subarray(start, end));
    start = end + 1;
  }
  parts.push(content.subarray(start));
  return parts;
}

function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === CARRIAGE_RETURN;
}

function trimBlanks(line: Bytes): Bytes {
  let start = 0;
  let end = line.length;
  while (start < end && isBlank(line[start]!)) start++;
  while (end > start && isBlank(line[end - 1]!)) end--;
  return line.subarray(start, end);
}
