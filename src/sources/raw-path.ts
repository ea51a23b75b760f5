/** Paths as raw bytes: made absolute by their text alone, never by asking the file system. */
import { concatBytes, utf8, type Bytes } from '../base/bytes.ts';

const SLASH = 0x2f;
const DOT = 0x2e;

/** The components of a path; empty ones and '.' are dropped. */
export function pathComponents(path: Bytes): Bytes[] {
  const components: Bytes[] = [];
  for (let start = 0; start <= path.length;) {
    const slash = path.indexOf(SLASH, start);
    const end = slash < 0 ? path.length : slash;
    const isDot = end - start === 1 && path[start] === DOT;
    if (end > start && !isDot) components.push(path.subarray(start, end));
    start = end + 1;
  }
  return components;
}

/** Absolute, without '.', '..' and double or trailing slashes; '..' takes away the component before it, as shells show paths. */
export function resolvePath(cwd: Bytes, path: Bytes): Bytes {
  const isAbsolute = path[0] === SLASH;
  const resolved: Bytes[] = [];
  for (const component of pathComponents(isAbsolute ? path : concatBytes([cwd, utf8('/'), path]))) {
    if (component.length === 2 && component[0] === DOT && component[1] === DOT) resolved.pop();
    else resolved.push(component);
  }
  return joinComponents(resolved);
}

export function joinComponents(components: readonly Bytes[]): Bytes {
  if (components.length === 0) return utf8('/');
  return concatBytes(components.flatMap(component => [utf8('/'), component]));
}

/** Path of an entry of a directory. */
export function childPath(directory: Bytes, name: Bytes): Bytes {
  const child = new Uint8Array(directory.length + 1 + name.length);
  child.set(directory);
  // '/' ends with its slash already.
  const at = directory[directory.length - 1] === SLASH ? directory.length : directory.length + 1;
  child[at - 1] = SLASH;
  child.set(name, at);
  return child.subarray(0, at + name.length);
}

/** Directory and name of a path without trailing slash; undefined for '/'. */
export function splitPath(path: Bytes): { readonly directory: Bytes; readonly name: Bytes } | undefined {
  const slash = path.lastIndexOf(SLASH);
  if (slash < 0 || path.length === 1) return undefined;
  return { directory: slash === 0 ? path.subarray(0, 1) : path.subarray(0, slash), name: path.subarray(slash + 1) };
}
