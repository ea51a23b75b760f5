/** Where the walks start: the paths that were asked for, each of them once. */
import { equalBytes, toHex, type Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { NativeFileSystem } from '../base/native-filesystem.ts';
import { StatRecords, TYPE_DIRECTORY, TYPE_FILE } from '../base/stat-record.ts';
import { hasMarker } from './directory-names.ts';
import { displayPath } from './display-path.ts';
import type { ExcludeMatcher } from './exclude.ts';
import { nameText } from './glob.ts';
import { childPath, pathComponents, resolvePath } from './raw-path.ts';
import type { SourceRoot } from './source.ts';
import { isNativeError, isVanished, unreadable } from './unreadable.ts';

export interface RootOptions {
  readonly native: NativeFileSystem;
  /** Absolute. */
  readonly cwd: Bytes;
  readonly excludes: ExcludeMatcher;
  readonly oneFileSystem: boolean;
}

interface Candidate {
  readonly path: Bytes;
  readonly stat: StatRecords;
}

/**
 * One root for each path, in their order, numbered from 1. A path given before is dropped; so is one inside another root,
 * unless the walk from there does not reach it (an exclude, a mount point, a symlink on the way): what was asked for by name
 * is always stored.
 * @throws SOURCE_MISSING, ENTRY_UNREADABLE, USAGE
 */
export function openRoots(paths: readonly Bytes[], options: RootOptions): SourceRoot[] {
  const candidates = new Map<string, Candidate>();
  for (const path of paths) {
    if (path.length === 0 || path.includes(0)) throw new SnapError('USAGE', `'${displayPath(path)}' is not a path`);
    const resolved = resolvePath(options.cwd, path);
    const key = toHex(resolved);
    if (!candidates.has(key)) candidates.set(key, { path: resolved, stat: statRoot(options.native, resolved) });
  }
  const visible = new VisibleContent(options);
  return [...candidates.values()]
    .filter(candidate => !isReachedFromAbove(candidate, candidates, options, visible))
    .map(({ path, stat }, i) => ({ path, stat: stat.bytes, directory: stat.type(0) === TYPE_DIRECTORY ? i + 1 : 0 }));
}

function statRoot(native: NativeFileSystem, path: Bytes): StatRecords {
  try {
    return new StatRecords(native.statPath(path, false));
  } catch (error) {
    if (!isVanished(error)) throw unreadable(path, 'stat', error);
    throw new SnapError('SOURCE_MISSING', `The path '${displayPath(path)}' does not exist`, { cause: error, context: { path: displayPath(path) } });
  }
}

function isReachedFromAbove(
  candidate: Candidate, candidates: ReadonlyMap<string, Candidate>, options: RootOptions, visible: VisibleContent,
): boolean {
  const names = pathComponents(candidate.path);
  let above: Bytes = ROOT_PATH;
  for (let depth = 0; depth < names.length; depth++) {
    const outer = candidates.get(toHex(above));
    if (outer !== undefined && reaches(outer, names.slice(depth), candidate, options, visible)) return true;
    above = childPath(above, names[depth]!);
  }
  return false;
}

const ROOT_PATH = Uint8Array.of(0x2f);

/** Follows the walk from `outer` along `names` to `candidate`, by the rules of `TreeWalk`. */
function reaches(outer: Candidate, names: readonly Bytes[], candidate: Candidate, options: RootOptions, visible: VisibleContent): boolean {
  const { native, excludes, oneFileSystem } = options;
  let { path, stat } = outer;
  let cursor = excludes.patterns.cursorAt(path);
  for (const [i, name] of names.entries()) {
    if (stat.type(0) !== TYPE_DIRECTORY || !visible.shows(path, name)) return false;
    const childStat = i === names.length - 1 ? candidate.stat : statRoot(native, childPath(path, name));
    const isDirectory = childStat.type(0) === TYPE_DIRECTORY;
    if (cursor.verdict(nameText(name), isDirectory) === 'matched') return false;
    if (oneFileSystem && isDirectory && !equalBytes(childStat.deviceBytes(0), stat.deviceBytes(0))) return false;
    if (childStat.type(0) === TYPE_FILE && childStat.size(0) > excludes.largerThanBytes) return false;
    path = childPath(path, name);
    stat = childStat;
    cursor = cursor.enter(nameText(name));
  }
  return true;
}

/** What of a directory's content the walk sees: all, nothing (it cannot list it), or only the marker with this name. */
type Visible = 'all' | 'nothing' | Bytes;

/** Looks into each directory once. */
class VisibleContent {
  readonly #known = new Map<string, Visible>();
  readonly #options: RootOptions;

  constructor(options: RootOptions) {
    this.#options = options;
  }

  shows(directory: Bytes, name: Bytes): boolean {
    const key = toHex(directory);
    const visible = this.#known.get(key) ?? this.#look(directory);
    this.#known.set(key, visible);
    return visible === 'all' || (visible !== 'nothing' && equalBytes(visible, name));
  }

  #look(directory: Bytes): Visible {
    const { native, excludes: { markers } } = this.#options;
    try {
      const fd = native.openDirectory(directory, false);
      try {
        native.names(fd);
        return markers.find(marker => hasMarker(native, fd, marker))?.name ?? 'all';
      } finally {
        native.close(fd);
      }
    } catch (error) {
      // Then the root below it stays a root of its own, which is right whatever the reason was.
      if (!isNativeError(error)) throw error;
      return 'nothing';
    }
  }
}
