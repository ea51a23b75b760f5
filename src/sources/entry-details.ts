/** Link targets and extended attributes of entries, read in batches. */
import { concatBytes, isAllZero, viewOf, type Bytes } from '../base/bytes.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import type { EntryDetails, SourceProblem } from './source.ts';
import { problemOf, unreadableErrno } from './unreadable.ts';

type Xattrs = EntryDetails['xattrs'];

export interface DetailsRequest {
  readonly native: NativeFileSystem;
  /** Open directory that holds the entries. */
  readonly directory: number;
  readonly names: readonly Bytes[];
  readonly isSymlink: (i: number) => boolean;
  readonly pathOf: (i: number) => Bytes;
  readonly onProblem: (problem: SourceProblem) => void;
}

/** One answer for each name, with what could be read. */
export function readDetails(request: DetailsRequest): EntryDetails[] {
  const { native, directory, names, pathOf, onProblem } = request;
  if (names.length === 0) return [];
  const packed = concatBytes(names.flatMap(name => [name, NUL]));
  const answer = native.xattrs(directory, packed);
  // No errno and no attribute anywhere: one look instead of an object for each name.
  if (isAllZero(answer)) return names.map((_, i) => request.isSymlink(i) ? withLink(NO_DETAILS, readLink(request, i)) : NO_DETAILS);
  const attributes = decodeXattrs(answer, names.length);
  return attributes.map(({ errno, xattrs }, i) => {
    if (errno !== 0) onProblem({ path: pathOf(i), during: 'metadata', error: unreadableErrno(pathOf(i), 'metadata', errno) });
    return request.isSymlink(i) ? withLink({ xattrs }, readLink(request, i)) : { xattrs };
  });
}

const NO_DETAILS: EntryDetails = { xattrs: [] };

function withLink(details: EntryDetails, linkTarget: Bytes | undefined): EntryDetails {
  return linkTarget === undefined ? details : { ...details, linkTarget };
}

/** The same for one open descriptor that is no symlink. */
export function readDescriptorDetails(native: NativeFileSystem, fd: number, path: Bytes, onProblem: (problem: SourceProblem) => void): EntryDetails {
  const [answer] = decodeXattrs(native.xattrsOfDescriptor(fd), 1);
  const { errno, xattrs } = answer!;
  if (errno !== 0) onProblem({ path, during: 'metadata', error: unreadableErrno(path, 'metadata', errno) });
  return { xattrs };
}

const NUL = Uint8Array.of(0);

function readLink({ native, directory, names, pathOf, onProblem }: DetailsRequest, i: number): Bytes | undefined {
  try {
    return native.readLinkAt(directory, names[i]!);
  } catch (error) {
    onProblem(problemOf(pathOf(i), 'metadata', error));
    return undefined;
  }
}

/** Reads the packing of `NativeFileSystem.xattrs`. */
function decodeXattrs(packed: Bytes, count: number): { errno: number; xattrs: Xattrs }[] {
  const view = viewOf(packed);
  let at = 0;
  const take = (): number => {
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const takeBytes = (): Bytes => {
    const length = take();
    at += length;
    return packed.subarray(at - length, at);
  };
  return Array.from({ length: count }, () => {
    const errno = take();
    const xattrs = Array.from({ length: take() }, () => ({ name: takeBytes(), value: takeBytes() }));
    return { errno, xattrs };
  });
}
