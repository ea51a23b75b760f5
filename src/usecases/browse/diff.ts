/**
 * Compares two snapshots, or parts of them, in one walk over both that leaves out directories, and parts of large ones, which
 * are the same.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import { throwIfAborted } from '../../base/errors.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { withSession, type BrowseOptions, type SeenDamage, type SnapshotPart } from './browsing.ts';
import { DirectoryCursor, nextPair } from './directory-cursor.ts';
import { compareEntries, hasSameMetadata } from './entry-comparison.ts';
import type { JobContext } from '../events.ts';
import { joinPath } from '../path-bytes.ts';
import { SnapshotTree, type Place } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export type Change = 'added' | 'removed' | 'content' | 'metadata' | 'type';

export interface Difference {
  /** In the second of the two, also for what is only in the first. */
  readonly path: Bytes;
  readonly change: Change;
  readonly before?: Entry | undefined;
  readonly after?: Entry | undefined;
}

/**
 * Directories that only lead to what was backed up are neither added nor removed; nor is what the other side may hold in a
 * part that could not be read.
 * @throws PATH_NOT_IN_SNAPSHOT; DAMAGE_FOUND at the end, when parts could not be read
 */
export function diffSnapshots(
  repository: OpenRepository, first: SnapshotPart, second: SnapshotPart, options: BrowseOptions, context: JobContext = {},
): AsyncGenerator<Difference> {
  const records = first.snapshot.id === second.snapshot.id ? [first.snapshot] : [first.snapshot, second.snapshot];
  return withSession(repository, options, records, context, async function* diff(session, damage) {
    const trees = [first, second].map(({ snapshot }) => new SnapshotTree(session.trees, snapshot.snapshot)) as [SnapshotTree, SnapshotTree];
    const before = await trees[0].get(first.path, damage.call);
    const after = await trees[1].get(second.path, damage.call);
    yield* new TreeDiff(trees[0], trees[1], damage).run(before, after);
  });
}

/** Two directories of the same path, while they are compared. */
interface Pair {
  readonly before: DirectoryCursor;
  readonly after: DirectoryCursor;
}

class TreeDiff {
  readonly #before: SnapshotTree;
  readonly #after: SnapshotTree;
  readonly #damage: SeenDamage;
  readonly #pairs: Pair[] = [];

  constructor(before: SnapshotTree, after: SnapshotTree, damage: SeenDamage) {
    this.#before = before;
    this.#after = after;
    this.#damage = damage;
  }

  async *run(first: Place, second: Place): AsyncGenerator<Difference> {
    yield* this.#compare(second.path, first, second);
    for (let pair = this.#pairs.at(-1); pair !== undefined; pair = this.#pairs.at(-1)) {
      throwIfAborted(this.#damage.call.signal);
      const next = await nextPair(pair.before, pair.after);
      if (next === undefined) {
        this.#pairs.pop();
        continue;
      }
      const before = next.before === undefined ? undefined : this.#before.child(pair.before.place, next.before);
      const after = next.after === undefined ? undefined : this.#after.child(pair.after.place, next.after);
      const { name } = (before ?? after)!.entry;
      yield* this.#compare(joinPath(pair.after.place.path, name), before, after);
    }
  }

  /** Whatever is only on one side is named with everything below it. */
  async *#compare(path: Bytes, before: Place | undefined, after: Place | undefined): AsyncGenerator<Difference> {
    if (before === undefined || after === undefined) {
      yield* before === undefined ? this.#all('added', this.#after, after!, path) : this.#all('removed', this.#before, before, path);
      return;
    }
    for (const { entry } of [before, after]) this.#damage.note(path, entry);
    const areDirectories = before.entry.type === 'directory' && after.entry.type === 'directory';
    const change = areDirectories ? metadataOnly(before, after) : compareEntries(before.entry, after.entry);
    if (change !== 'same') yield { path, change, before: before.entry, after: after.entry };
    if (areDirectories) {
      if (!isSameTree(before, after)) this.#pairs.push({ before: this.#cursor(this.#before, before), after: this.#cursor(this.#after, after) });
    } else if (change === 'type') {
      if (before.entry.type === 'directory') yield* this.#below('removed', this.#before, before, path);
      if (after.entry.type === 'directory') yield* this.#below('added', this.#after, after, path);
    }
  }

  #cursor(tree: SnapshotTree, place: Place): DirectoryCursor {
    return new DirectoryCursor(tree, place, this.#damage.readOptions(() => place));
  }

  async *#all(change: 'added' | 'removed', tree: SnapshotTree, place: Place, path: Bytes): AsyncGenerator<Difference> {
    this.#damage.note(path, place.entry);
    if (place.isStored) yield one(change, path, place.entry);
    if (place.entry.type === 'directory') yield* this.#below(change, tree, place, path);
  }

  async *#below(change: 'added' | 'removed', tree: SnapshotTree, place: Place, path: Bytes): AsyncGenerator<Difference> {
    const walk: TreeWalk = new TreeWalk(tree, this.#damage.readOptions(() => walk.current));
    const paths: Bytes[] = [path];
    for await (const step of walk.steps(place)) {
      if (step.kind === 'leave') {
        paths.pop();
        continue;
      }
      const entry = step.kind === 'enter' ? step.place.entry : step.entry;
      const entryPath = joinPath(paths.at(-1)!, entry.name);
      if (step.kind === 'enter') paths.push(entryPath);
      this.#damage.note(entryPath, entry);
      if (step.kind === 'entry' || step.place.isStored) yield one(change, entryPath, entry);
    }
  }
}

function one(change: 'added' | 'removed', path: Bytes, entry: Entry): Difference {
  return change === 'added' ? { path, change, after: entry } : { path, change, before: entry };
}

/** What is below a directory is shown below it; metadata that is made up cannot differ. */
function metadataOnly(before: Place, after: Place): 'metadata' | 'same' {
  return !before.isStored || !after.isStored || hasSameMetadata(before.entry, after.entry) ? 'same' : 'metadata';
}

function isSameTree(before: Place, after: Place): boolean {
  const [a, b] = [before.entry.directoryNode, after.entry.directoryNode];
  return a !== undefined && b !== undefined && equalBytes(a, b) && before.isPlain && after.isPlain;
}
