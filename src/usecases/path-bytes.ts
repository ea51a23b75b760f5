/** Absolute paths as raw bytes: the form in which snapshots name their entries. */
import { concatBytes, utf8, type Bytes } from '../base/bytes.ts';

const SLASH = 0x2f;
const SEPARATOR = Uint8Array.of(SLASH);

export const ROOT_PATH: Bytes = utf8('/');

export function joinPath(directory: Bytes, name: Bytes): Bytes {
  return directory.at(-1) === SLASH ? concatBytes([directory, name]) : concatBytes([directory, SEPARATOR, name]);
}

/** Components of a path; slashes that stand together, or at the end, count as one. */
export function pathNames(path: Bytes): Bytes[] {
  const names: Bytes[] = [];
  for (let start = 0; start < path.length;) {
    const slash = path.indexOf(SLASH, start);
    const end = slash < 0 ? path.length : slash;
    if (end > start) names.push(path.subarray(start, end));
    start = end + 1;
  }
  return names;
}

/** The reverse of `pathNames`, with a slash in front. */
export function pathOfNames(names: readonly Bytes[]): Bytes {
  return names.length === 0 ? ROOT_PATH : concatBytes(names.flatMap(name => [SEPARATOR, name]));
}

/** Key of a name in a `Map` or `Set`: its bytes as characters 0 to 255. Not for printing. */
export function nameKey(name: Bytes): string {
  return Buffer.from(name.buffer, name.byteOffset, name.byteLength).toString('latin1');
}

/** For messages: bytes that are not UTF-8 become U+FFFD; whoever prints it takes out control characters. */
export function displayPath(path: Bytes): string {
  return new TextDecoder().decode(path);
}
