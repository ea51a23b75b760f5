/** Lists what a snapshot holds. */
import type { Bytes } from '../../base/bytes.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { withSession, type BrowseOptions, type SnapshotPart } from './browsing.ts';
import type { JobContext } from '../events.ts';
import { joinPath } from '../path-bytes.ts';
import { SnapshotTree } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export interface ListedEntry {
  /** Absolute. */
  readonly path: Bytes;
  readonly entry: Entry;
  /** False for a directory that only leads to what was backed up; its metadata is made up. */
  readonly isStored: boolean;
}

export interface ListTreeOptions extends BrowseOptions {
  /** With everything below; otherwise only the entries of the directory itself. */
  readonly recursive: boolean;
}

/**
 * Entries of a directory in name order, each before what is below it; anything else is listed itself.
 * @throws PATH_NOT_IN_SNAPSHOT; DAMAGE_FOUND at the end, when parts could not be read
 */
export function listTree(repository: OpenRepository, { snapshot, path }: SnapshotPart, options: ListTreeOptions, context: JobContext = {}): AsyncGenerator<ListedEntry> {
  return withSession(repository, options, [snapshot], context, async function* list(session, damage) {
    const tree = new SnapshotTree(session.trees, snapshot.snapshot);
    const place = await tree.get(path, damage.call);
    if (place.entry.type !== 'directory') {
      yield { path: place.path, entry: place.entry, isStored: true };
      return;
    }
    const walk: TreeWalk = new TreeWalk(tree, damage.readOptions(() => walk.current));
    for await (const step of walk.steps(place)) {
      if (step.kind === 'entry') yield { path: joinPath(step.directory.path, step.entry.name), entry: step.entry, isStored: true };
      if (step.kind !== 'enter') continue;
      yield { path: step.place.path, entry: step.place.entry, isStored: step.place.isStored };
      if (!options.recursive) walk.skip();
    }
  });
}
