/** The names of one directory: what excludes leave of them, and cutting them into slices. */
import type { Bytes } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_FILE } from '../base/stat-record.ts';
import type { ExcludeMarker } from './exclude.ts';
import { nameText } from './glob.ts';
import type { PatternCursor } from './path-patterns.ts';
import { isNativeError } from './unreadable.ts';

const ONLY_ASCII = /^[\0-\x7f]*$/;

/** Position behind `count` packed names from `start` on, or the end. */
export function skipNames(packed: Bytes, start: number, count: number): number {
  // A name has at least one byte and its NUL: fewer bytes cannot hold more names.
  if (packed.length - start <= 2 * count) return packed.length;
  let at = start;
  for (let left = count; left > 0 && at < packed.length; left--) at = packed.indexOf(0, at) + 1;
  return at;
}

/** Starts of `count` packed names, and the end of the last one's NUL. */
export function nameOffsets(packed: Bytes, count: number): Uint32Array {
  const offsets = new Uint32Array(count + 1);
  let at = 0;
  for (let i = 0; i < count; i++) {
    while (packed[at] !== 0) at++;
    offsets[i + 1] = ++at;
  }
  return offsets;
}

/** The packed names as texts for matching. */
export function nameTexts(packed: Bytes): string[] {
  if (packed.length === 0) return [];
  const all = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength - 1).toString('latin1');
  if (ONLY_ASCII.test(all)) return all.split('\0');
  return all.split('\0').map(text => (ONLY_ASCII.test(text) ? text : nameText(Buffer.from(text, 'latin1'))));
}

/** The packed names for which `keep` holds, by number; the same bytes when it holds for all. */
export function filterNames(packed: Bytes, count: number, keep: (i: number) => boolean): Bytes {
  const offsets = nameOffsets(packed, count);
  let kept: Uint8Array | undefined;
  let length = 0;
  for (let i = 0; i < count; i++) {
    const isKept = keep(i);
    if (!isKept && kept === undefined) {
      kept = packed.slice();
      length = offsets[i]!;
    }
    if (!isKept || kept === undefined) continue;
    kept.set(packed.subarray(offsets[i], offsets[i + 1]), length);
    length += offsets[i + 1]! - offsets[i]!;
  }
  return kept === undefined ? packed : kept.slice(0, length);
}

/** Drops the names that are excluded whatever they turn out to be, so that nothing of them is touched. */
export function dropExcludedNames(packed: Bytes, cursor: PatternCursor, hasDirectoryPatterns: boolean): Bytes {
  const texts = nameTexts(packed);
  const isExcluded = (text: string): boolean => cursor.verdict(text, false) === 'matched'
    && (!hasDirectoryPatterns || cursor.verdict(text, true) === 'matched');
  return filterNames(packed, texts.length, i => !isExcluded(texts[i]!));
}

/**
 * Looks for a marker that excludes the content of a directory. A marker that cannot be opened excludes nothing; that it is
 * no regular file is no problem.
 * @param onProblem told about a marker that is there and cannot be read
 * @returns the packed name of the marker
 */
export function findMarker(
  native: NativeFileSystem, directory: number, packed: Bytes, markers: readonly ExcludeMarker[],
  onProblem: (marker: ExcludeMarker, error: unknown) => void,
): Bytes | undefined {
  for (const marker of markers) {
    const name = packedName(marker.name);
    if (!containsName(packed, name)) continue;
    try {
      if (hasMarker(native, directory, marker)) return name;
    } catch (error) {
      if (!isNativeError(error)) throw error;
      if (!NO_MARKER.has(error.code)) onProblem(marker, error);
    }
  }
  return undefined;
}

/** Vanished, or a symlink or a socket by now. */
const NO_MARKER: ReadonlySet<string> = new Set(['ENOENT', 'ELOOP', 'ENXIO']);

function packedName(name: Bytes): Bytes {
  const packed = new Uint8Array(name.length + 1);
  packed.set(name);
  return packed;
}

function containsName(packed: Bytes, name: Bytes): boolean {
  const buffer = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength);
  for (let at = buffer.indexOf(name); at >= 0; at = buffer.indexOf(name, at + 1)) {
    if (at === 0 || buffer[at - 1] === 0) return true;
  }
  return false;
}

/** Whether the directory has the marker. @throws NativeError when it is there and cannot be read */
export function hasMarker(native: NativeFileSystem, directory: number, { name, header }: ExcludeMarker): boolean {
  // Looked at first: opening a device can have effects.
  const stat = new StatRecords(native.stats(directory, packedName(name)));
  if (stat.errno(0) !== 0 || stat.type(0) !== TYPE_FILE) return false;
  if (header.length === 0) return true;
  const fd = native.openFileAt(directory, name, {});
  try {
    const start = new Uint8Array(header.length);
    return native.read(fd, start, 0, start.length, 0) === header.length && Buffer.compare(start, header) === 0;
  } finally {
    native.close(fd);
  }
}
