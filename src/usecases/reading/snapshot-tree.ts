/**
 * A snapshot as one tree of absolute paths: the components hang at their source paths, and directories that only lead to them
 * are made up. A component inside another one takes the place of what that one holds there.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { corrupt } from '../../format/decode-error.ts';
import { MAX_DIRECTORY_DEPTH } from '../../format/limits.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { compareNames, nameFault, type Entry } from '../../format/tree-node.ts';
import type { TreeReader, TreeReadOptions } from '../../repository/tree-reader.ts';
import { displayPath, joinPath, nameKey, pathNames, ROOT_PATH } from '../path-bytes.ts';

const NO_NAME: Bytes = new Uint8Array(0);
/** Deeper places make their path when it is asked for: kept ones would take memory with the square of the depth. */
const KEPT_PATH_DEPTH = 256;
const MADE_UP_MODE = 0o755;

/** A path at which components hang, or that leads to some. */
interface Mount {
  readonly name: Bytes;
  /** With its name. */
  root: Entry | undefined;
  readonly children: Map<string, Mount>;
}

/** An entry with its position in the snapshot. */
export class Place {
  readonly parent: Place | undefined;
  readonly entry: Entry;
  readonly depth: number;
  /** @internal what hangs here and below, for `SnapshotTree` */
  readonly mount: Mount | undefined;
  #path: Bytes | undefined;

  constructor(parent: Place | undefined, entry: Entry, mount: Mount | undefined) {
    this.parent = parent;
    this.entry = entry;
    this.depth = parent === undefined ? 0 : parent.depth + 1;
    this.mount = mount;
    if (this.depth > MAX_DIRECTORY_DEPTH) throw corrupt('tree', `directories are nested ${this.depth} deep`);
  }

  /** Absolute. */
  get path(): Bytes {
    if (this.#path !== undefined) return this.#path;
    const names: Bytes[] = [];
    let place: Place = this;
    for (; place.parent !== undefined && place.#path === undefined; place = place.parent) names.push(place.entry.name);
    const path = names.reduceRight(joinPath, place.#path ?? ROOT_PATH);
    if (this.depth <= KEPT_PATH_DEPTH) this.#path = path;
    return path;
  }

  /** False for a directory that only leads to components: its metadata is made up. */
  get isStored(): boolean {
    return this.entry.type !== 'directory' || this.entry.directoryNode !== undefined;
  }

  /** True when no component hangs below, so that the directory node says everything about the content. */
  get isPlain(): boolean {
    return this.mount === undefined || this.mount.children.size === 0;
  }
}

export class SnapshotTree {
  readonly root: Place;
  readonly trees: TreeReader;
  readonly #madeUp: Omit<Entry, 'name'>;

  /** @throws OBJECT_CORRUPT for a source path that is not legal */
  constructor(trees: TreeReader, snapshot: Snapshot) {
    this.trees = trees;
    const top: Mount = { name: NO_NAME, root: undefined, children: new Map() };
    for (const { sourcePath, root } of snapshot.components) addMount(top, sourcePath, root);
    this.#madeUp = { type: 'directory', mode: MADE_UP_MODE, mtime: snapshot.startedAt, flags: 0 };
    this.root = new Place(undefined, this.#entryOf(top), top);
  }

  #entryOf(mount: Mount): Entry {
    return mount.root ?? { ...this.#madeUp, name: mount.name };
  }

  /** The entry at an absolute path; undefined when the snapshot does not hold it. */
  async find(path: Bytes, options: CallOptions = {}): Promise<Place | undefined> {
    let place = this.root;
    for (const name of pathNames(path)) {
      const mount = mountsOf(place)?.get(nameKey(name));
      const stored = mount?.root === undefined && place.entry.directoryNode !== undefined
        ? await this.trees.find(place.entry.directoryNode, name, options) : undefined;
      const entry = choose(mount, stored) ?? (mount === undefined ? undefined : this.#entryOf(mount));
      if (entry === undefined) return undefined;
      place = new Place(place, entry, mount);
    }
    return place;
  }

  /** @throws PATH_NOT_IN_SNAPSHOT */
  async get(path: Bytes | undefined, options: CallOptions = {}): Promise<Place> {
    const place = path === undefined ? this.root : await this.find(path, options);
    if (place !== undefined) return place;
    throw new SnapError('PATH_NOT_IN_SNAPSHOT', `The snapshot does not contain '${displayPath(path!)}'`, { hint: '`snap ls SNAPSHOT` shows what it contains' });
  }

  /** Entries of a directory in name order, leaf by leaf. */
  async *leaves(place: Place, options: TreeReadOptions = {}): AsyncGenerator<readonly Entry[]> {
    const mounts = mountsOf(place);
    const node = place.entry.directoryNode;
    if (mounts === undefined || mounts.size === 0) {
      if (node !== undefined) yield* this.trees.leaves(node, options);
      return;
    }
    const pending = [...mounts.values()].sort((a, b) => compareNames(b.name, a.name));
    if (node !== undefined) {
      for await (const leaf of this.trees.leaves(node, options)) yield this.#merge(leaf, pending);
    }
    yield pending.reverse().map(mount => this.#entryOf(mount));
  }

  /** Puts the mounts (last name first) that belong before or at the end of a leaf in their places. */
  #merge(leaf: readonly Entry[], pending: Mount[]): readonly Entry[] {
    const merged: Entry[] = [];
    for (const entry of leaf) {
      let order = -1;
      for (let mount = pending.at(-1); mount !== undefined; mount = pending.at(-1)) {
        order = compareNames(mount.name, entry.name);
        if (order > 0) break;
        merged.push((order === 0 ? choose(mount, entry) : undefined) ?? this.#entryOf(mount));
        pending.pop();
        if (order === 0) break;
      }
      if (order !== 0) merged.push(entry);
    }
    return merged;
  }

  /** The place of an entry that `leaves` gave for `place`. */
  child(place: Place, entry: Entry): Place {
    return new Place(place, entry, place.mount === undefined ? undefined : mountsOf(place)?.get(nameKey(entry.name)));
  }
}

function mountsOf({ mount, entry }: Place): ReadonlyMap<string, Mount> | undefined {
  return entry.type === 'directory' ? mount?.children : undefined;
}

/** What counts at a name: a component there; else a stored directory, on the way to a component or not. */
function choose(mount: Mount | undefined, stored: Entry | undefined): Entry | undefined {
  if (mount === undefined) return stored;
  return mount.root ?? (stored?.type === 'directory' ? stored : undefined);
}

function addMount(top: Mount, sourcePath: Bytes, root: Entry): void {
  let mount = top;
  for (const name of pathNames(sourcePath)) {
    const fault = nameFault(name);
    if (fault !== undefined) throw corrupt('snapshot', `the source path '${displayPath(sourcePath)}' is not legal: ${fault}`);
    const key = nameKey(name);
    let child = mount.children.get(key);
    if (child === undefined) mount.children.set(key, child = { name: name.slice(), root: undefined, children: new Map() });
    mount = child;
  }
  // Of two components with one path the first counts; a backup does not make such.
  mount.root ??= { ...root, name: mount.name };
}
