/**
 * Compares a snapshot, or a part of it, with a live tree. Content counts as the same when size and time are; on request it is
 * read and compared with the chunks of the snapshot.
 */
import { equalBytes, type Bytes } from '../../base/bytes.ts';
import { SnapError, throwIfAborted } from '../../base/errors.ts';
import { StatRecords, unpackNames } from '../../base/stat-record.ts';
import { compareNames, storableTime, type Entry } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { DirectorySlice, EntryDetails, SourceProblem, SourceRoot, TreeSource } from '../../sources/source.ts';
import { withSession, type BrowseOptions, type SeenDamage, type SnapshotPart } from './browsing.ts';
import { salvageValue } from '../reading/chunk-salvage.ts';
import { ContentComparison, type ReadRange } from '../restore/content-comparison.ts';
import type { Difference } from './diff.ts';
import { DirectoryCursor } from './directory-cursor.ts';
import { entryTypeOf } from '../backup/entry-factory.ts';
import { hasSameMetadata, isSameXattrs } from './entry-comparison.ts';
import { isolated, type JobContext } from '../events.ts';
import { displayPath, joinPath, pathNames } from '../path-bytes.ts';
import { SnapshotTree, type Place } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export interface LiveFile {
  readonly read: ReadRange;
  close(): void;
}

/** Undefined when the file cannot be read. */
export type OpenLiveFile = (path: Bytes) => LiveFile | undefined;

export interface DiffLiveOptions extends BrowseOptions {
  /** Opens a live file for reading; with it the content of files of equal size is compared byte for byte, by hash. */
  readonly openFile?: OpenLiveFile | undefined;
  /** Compares extended attributes too, which costs a call for each entry. */
  readonly withXattrs: boolean;
}

/**
 * `path` of a difference is the live one, `before` is what the snapshot has. Each root of the source is compared with the part
 * of the snapshot when that has a path, else with what the snapshot holds at the path of the root. What cannot be read, on
 * either side, is neither added nor removed nor changed; on the live side it becomes an event. Of a directory that only leads
 * to what was backed up, only the way there is compared: the rest was never to be in the snapshot.
 * @throws PATH_NOT_IN_SNAPSHOT; DAMAGE_FOUND at the end, when parts could not be read
 */
export function diffLive(
  repository: OpenRepository, part: SnapshotPart, source: TreeSource, options: DiffLiveOptions, context: JobContext = {},
): AsyncGenerator<Difference> {
  return withSession(repository, options, [part.snapshot], context, async function* diff(session, damage) {
    const tree = new SnapshotTree(session.trees, part.snapshot.snapshot);
    yield* new LiveDiff(session, tree, source, options, damage, context).run(part.path);
    await source.finish();
  });
}

/** A live directory that exists in the snapshot as well. */
interface Known {
  readonly cursor: DirectoryCursor;
}

class LiveDiff {
  readonly #session: ReadingSession;
  readonly #tree: SnapshotTree;
  readonly #source: TreeSource;
  readonly #options: DiffLiveOptions;
  readonly #damage: SeenDamage;
  readonly #comparison: ContentComparison;
  readonly #report: (problem: SourceProblem) => void;
  /** Live directories under way, by their number in the walk; undefined when the snapshot does not have them. */
  readonly #directories = new Map<number, Known | undefined>();

  constructor(session: ReadingSession, tree: SnapshotTree, source: TreeSource, options: DiffLiveOptions, damage: SeenDamage, context: JobContext) {
    this.#session = session;
    this.#tree = tree;
    this.#source = source;
    this.#options = options;
    this.#damage = damage;
    const { kernel, keys } = session.repository;
    this.#comparison = new ContentComparison(kernel.createHasher(keys.content.idKeyData));
    const emit = isolated(context.onEvent);
    this.#report = ({ path, during, error: { code, message } }) => {
      if (context.counters !== undefined) context.counters.problems++;
      emit({ type: 'problem-found', path, during, code, message });
    };
  }

  async *run(path: Bytes | undefined): AsyncGenerator<Difference> {
    for (const root of await this.#source.open(this.#damage.call)) {
      const place = await this.#tree.get(path ?? root.path, this.#damage.call);
      const details = this.#source.rootDetails(root, this.#report);
      const live = makeLive(new Uint8Array(0), new StatRecords(root.stat), 0, details);
      yield* this.#both(root.path, place, live, root.directory);
    }
    for (const slice of this.#source.slices(this.#damage.call)) yield* this.#slice(slice);
  }

  async *#slice(slice: DirectorySlice): AsyncGenerator<Difference> {
    throwIfAborted(this.#damage.call.signal);
    for (const problem of slice.problems) this.#report(problem);
    if (!this.#directories.has(slice.directory)) return; // beside what was backed up
    const known = this.#directories.get(slice.directory);
    const names = unpackNames(slice.names, slice.count);
    const stats = new StatRecords(slice.stats);
    const details = this.#detailsOf(slice, stats);
    for (const [i, name] of names.entries()) {
      if (stats.errno(i) !== 0 || entryTypeOf(stats.type(i)) === undefined) continue;
      const live = makeLive(name, stats, i, details(i));
      const child = slice.children[i]!;
      const path = joinPath(slice.path, name);
      if (known === undefined) {
        if (child !== 0) this.#directories.set(child, undefined);
        yield { path, change: 'added', after: live };
        continue;
      }
      const place = yield* this.#upTo(known.cursor, slice, name);
      if (place !== undefined) yield* this.#both(path, place, live, child);
      else if (known.cursor.place.isStored && known.cursor.isWhole) { // what damage hides was not added
        if (child !== 0) this.#directories.set(child, undefined);
        yield { path, change: 'added', after: live };
      }
    }
    if (!slice.isLast) return;
    if (known !== undefined) yield* this.#upTo(known.cursor, slice, undefined);
    this.#directories.delete(slice.directory);
  }

  /** Everything of the snapshot before a name is gone; returns what it has under the name. Without a name: up to the end. */
  async *#upTo(cursor: DirectoryCursor, { path, isWhole }: DirectorySlice, name: Bytes | undefined): AsyncGenerator<Difference, Place | undefined> {
    for (let entry = await cursor.peek(); entry !== undefined; entry = await cursor.peek()) {
      const order = name === undefined ? -1 : compareNames(entry.name, name);
      if (order > 0) return undefined;
      cursor.advance();
      const place = this.#tree.child(cursor.place, entry);
      if (order === 0) return place;
      if (isWhole) yield* this.#removed(joinPath(path, entry.name), place);
    }
    return undefined;
  }

  async *#removed(path: Bytes, place: Place): AsyncGenerator<Difference> {
    if (place.isStored) yield { path, change: 'removed', before: place.entry };
    if (place.entry.type === 'directory') yield* this.#removedBelow(path, place);
  }

  async *#removedBelow(path: Bytes, place: Place): AsyncGenerator<Difference> {
    const skipped = pathNames(place.path).length;
    const walk: TreeWalk = new TreeWalk(this.#tree, this.#damage.readOptions(() => walk.current));
    for await (const step of walk.steps(place)) {
      if (step.kind === 'leave' || (step.kind === 'enter' && !step.place.isStored)) continue;
      const entry = step.kind === 'enter' ? step.place.entry : step.entry;
      const directory = step.kind === 'enter' ? step.place.parent! : step.directory;
      yield { path: [...pathNames(directory.path).slice(skipped), entry.name].reduce(joinPath, path), change: 'removed', before: entry };
    }
  }

  /** `child` is the number of the live directory, 0 when the walk does not enter it. */
  async *#both(path: Bytes, place: Place, live: Entry, child: SourceRoot['directory']): AsyncGenerator<Difference> {
    const { entry } = place;
    this.#damage.note(path, entry);
    const areDirectories = entry.type === 'directory' && live.type === 'directory';
    if (child !== 0) this.#directories.set(child, areDirectories ? { cursor: new DirectoryCursor(this.#tree, place, this.#damage.readOptions(() => place)) } : undefined);
    if (entry.type !== live.type) {
      yield { path, change: 'type', before: entry, after: live };
      if (entry.type === 'directory') yield* this.#removedBelow(path, place);
      return;
    }
    if (!areDirectories && await this.#differs(path, entry, live)) yield { path, change: 'content', before: entry, after: live };
    else if (place.isStored && !await this.#hasSameMetadata(entry, live)) yield { path, change: 'metadata', before: entry, after: live };
  }

  async #differs(path: Bytes, entry: Entry, live: Entry): Promise<boolean> {
    if (entry.type === 'symlink') return live.linkTarget !== undefined && !equalBytes(entry.linkTarget!, live.linkTarget);
    if (entry.type === 'character-device' || entry.type === 'block-device') return entry.device![0] !== live.device![0] || entry.device![1] !== live.device![1];
    if (entry.type !== 'file') return false;
    if (entry.sizeBytes !== live.sizeBytes || entry.damagedSpans !== undefined) return true;
    if (this.#options.openFile !== undefined) return !await this.#hasSameBytes(path, this.#options.openFile(path), entry);
    return entry.mtime[0] !== live.mtime[0] || entry.mtime[1] !== live.mtime[1];
  }

  async #hasSameBytes(path: Bytes, file: LiveFile | undefined, entry: Entry): Promise<boolean> {
    if (file === undefined) {
      this.#report({ path, during: 'read', error: new SnapError('ENTRY_UNREADABLE', `Cannot read '${displayPath(path)}' to compare it`) });
      return true;
    }
    try {
      return await this.#comparison.holdsAll(file.read, this.#session.trees.content(entry, this.#damage.call));
    } finally {
      file.close();
    }
  }

  async #hasSameMetadata(entry: Entry, live: Entry): Promise<boolean> {
    if (!this.#options.withXattrs) return hasSameMetadata({ ...entry, xattrs: undefined }, { ...live, xattrs: undefined });
    const xattrs = [];
    for (const { name, value } of entry.xattrs ?? []) {
      const loaded = value instanceof Uint8Array ? value : await salvageValue(this.#session, value, this.#damage.call);
      if (!(loaded instanceof Uint8Array)) return false;
      xattrs.push({ name, value: loaded });
    }
    return hasSameMetadata({ ...entry, xattrs: undefined }, { ...live, xattrs: undefined }) && isSameXattrs(xattrs, live.xattrs);
  }

  /** Link targets always, other details only when they are compared. */
  #detailsOf(slice: DirectorySlice, stats: StatRecords): (i: number) => EntryDetails | undefined {
    const wanted: number[] = [];
    for (let i = 0; i < slice.count; i++) {
      if (stats.errno(i) === 0 && (this.#options.withXattrs || entryTypeOf(stats.type(i)) === 'symlink')) wanted.push(i);
    }
    const details = wanted.length === 0 ? [] : this.#source.details(slice, wanted, this.#report);
    const byIndex = new Map(wanted.map((index, k) => [index, details[k]]));
    return i => byIndex.get(i);
  }
}

/** Enough of an entry to compare it and to show it. */
function makeLive(name: Bytes, stats: StatRecords, i: number, details: EntryDetails | undefined): Entry {
  const type = entryTypeOf(stats.type(i))!;
  const [seconds, nanoseconds] = stats.mtime(i);
  return {
    name, type, mode: stats.mode(i) & 0o7777, uid: stats.uid(i), gid: stats.gid(i), mtime: storableTime(seconds, nanoseconds), flags: 0,
    ...(type === 'file' ? { sizeBytes: stats.size(i) } : {}),
    ...(type === 'symlink' ? { linkTarget: details?.linkTarget } : {}),
    ...(type === 'character-device' || type === 'block-device' ? { device: [stats.deviceMajor(i), stats.deviceMinor(i)] as const } : {}),
    ...(details === undefined || details.xattrs.length === 0 ? {} : { xattrs: details.xattrs }),
  };
}
