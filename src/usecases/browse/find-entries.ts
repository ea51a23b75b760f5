/** Finds entries by name or path, type, time and size in many snapshots. */
import { concatBytes, type Bytes } from '../../base/bytes.ts';
import type { SnapshotId } from '../../format/ids.ts';
import type { Entry, EntryType } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { withSession, type BrowseOptions } from './browsing.ts';
import type { JobContext } from '../events.ts';
import { joinPath, nameKey } from '../path-bytes.ts';
import { SnapshotTree, type Place } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export interface FindOptions extends BrowseOptions {
  /** Whether the entry itself is meant, by its absolute path. */
  readonly matches: (path: Bytes, isDirectory: boolean) => boolean;
  readonly types?: readonly EntryType[] | undefined;
  /** Modification time in ms since 1970: at or after, and before. */
  readonly modifiedSince?: number | undefined;
  readonly modifiedBefore?: number | undefined;
  /** Files only: at least, and less than. */
  readonly minBytes?: number | undefined;
  readonly belowBytes?: number | undefined;
}

export interface FoundEntry {
  readonly snapshotId: SnapshotId;
  readonly path: Bytes;
  readonly entry: Entry;
}

/** Directories without any match that are remembered, since the next snapshot mostly has them unchanged. */
const MAX_REMEMBERED = 200_000;

/** Snapshot by snapshot in the given order, in the order of the trees. @throws DAMAGE_FOUND at the end, when parts could not be read */
export function findEntries(repository: OpenRepository, records: readonly SnapshotRecord[], options: FindOptions, context: JobContext = {}): AsyncGenerator<FoundEntry> {
  return withSession(repository, options, records, context, async function* find(session, damage) {
    const barren = new BarrenDirectories(repository);
    for (const { id, snapshot } of records) {
      const tree = new SnapshotTree(session.trees, snapshot);
      const walk: TreeWalk = new TreeWalk(tree, damage.readOptions(() => walk.current));
      /** For each directory on the way, whether something below it matched. */
      const hasMatch: boolean[] = [];
      for await (const step of walk.steps(tree.root)) {
        if (step.kind === 'leave') {
          if (hasMatch.pop() === true) hasMatch[hasMatch.length - 1] = true;
          else if (step.isWhole) barren.add(step.place);
          continue;
        }
        const isDirectory = step.kind === 'enter';
        const path = isDirectory ? step.place.path : joinPath(step.directory.path, step.entry.name);
        const entry = isDirectory ? step.place.entry : step.entry;
        const isFound = fits(entry, options) && (!isDirectory || step.place.isStored) && options.matches(path, isDirectory);
        if (isFound && hasMatch.length > 0) hasMatch[hasMatch.length - 1] = true;
        if (isDirectory && barren.has(step.place)) walk.skip();
        else if (isDirectory) hasMatch.push(false);
        if (isFound) yield { snapshotId: id, path, entry };
      }
    }
  });
}

function fits({ type, mtime, sizeBytes }: Entry, { types, modifiedSince, modifiedBefore, minBytes, belowBytes }: FindOptions): boolean {
  if (types !== undefined && types.length > 0 && !types.includes(type)) return false;
  const modified = mtime[0] * 1000 + mtime[1] / 1e6;
  if (modifiedSince !== undefined && modified < modifiedSince) return false;
  if (modifiedBefore !== undefined && modified >= modifiedBefore) return false;
  if (minBytes === undefined && belowBytes === undefined) return true;
  return sizeBytes !== undefined && sizeBytes >= (minBytes ?? 0) && sizeBytes < (belowBytes ?? Number.POSITIVE_INFINITY);
}

/** A path counts as well as the content, since patterns may name directories above. */
class BarrenDirectories {
  readonly #repository: OpenRepository;
  readonly #keys = new Set<string>();

  constructor(repository: OpenRepository) {
    this.#repository = repository;
  }

  has(place: Place): boolean {
    return this.#keys.size > 0 && place.mount === undefined && this.#keys.has(this.#key(place));
  }

  add(place: Place): void {
    if (this.#keys.size < MAX_REMEMBERED && place.mount === undefined && place.entry.directoryNode !== undefined) this.#keys.add(this.#key(place));
  }

  #key({ entry, path }: Place): string {
    return nameKey(this.#repository.keys.auxiliaryHasher.hash(concatBytes([entry.directoryNode!, path])));
  }
}
