/** Walks what is to be restored: selects entries, makes directories when something in them is restored, and finds hard links. */
import type { CallOptions } from '../../base/call-options.ts';
import { toHex } from '../../base/bytes.ts';
import type { SnapError } from '../../base/errors.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { isTargetProblem, ROOT_DIRECTORY, type TargetHandle, type TreeTarget } from '../../targets/target.ts';
import { lossOf } from '../reading/damaged-entry.ts';
import type { HardLinks } from './hard-links.ts';
import { displayPath, joinPath } from '../path-bytes.ts';
import { removeOthers } from './remove-others.ts';
import type { RestoreEntries } from './restore-entries.ts';
import type { RestoreLinks } from './restore-links.ts';
import type { RestoreTally } from './restore-tally.ts';
import { hasStoredValues, RestoreValues } from './restore-values.ts';
import type { Selection } from './selection.ts';
import type { Place, SnapshotTree } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export interface RestoreWalkParts {
  readonly session: ReadingSession;
  readonly tree: SnapshotTree;
  readonly target: TreeTarget;
  readonly tally: RestoreTally;
  readonly selection: Selection;
  readonly links: HardLinks;
  readonly entries: RestoreEntries;
  readonly pendingLinks: RestoreLinks;
  readonly removesOthers: boolean;
  readonly signal: AbortSignal | undefined;
}

/** A directory of the walk; `handle` undefined until something in it is restored. */
interface Directory {
  readonly place: Place;
  readonly parent: Directory | undefined;
  handle: TargetHandle | undefined;
  isRefused: boolean;
}

export class RestoreWalk {
  readonly #parts: RestoreWalkParts;
  readonly #options: CallOptions;
  readonly #values: RestoreValues;
  #directory: Directory | undefined;

  constructor(parts: RestoreWalkParts) {
    this.#parts = parts;
    this.#options = { signal: parts.signal };
    this.#values = new RestoreValues(parts.session, parts.tally, this.#options);
  }

  /** Everything below a directory goes into the root of the target, or a single entry under its name. */
  async run(place: Place): Promise<void> {
    const { target, tally, selection } = this.#parts;
    if (place.entry.type !== 'directory') {
      this.#directory = { place: place.parent!, parent: undefined, handle: ROOT_DIRECTORY, isRefused: false };
      await this.#entry(this.#directory, place.entry);
      return;
    }
    if (place.isStored && (selection.isEverything || selection.takes(place.path, true))) target.root(await this.#values.load(place.parent ?? place, place.entry));
    tally.directory();
    this.#reportLoss(place);
    this.#directory = { place, parent: undefined, handle: ROOT_DIRECTORY, isRefused: false };
    const walk = new TreeWalk(this.#parts.tree, { signal: this.#parts.signal, onDamage: (id, error) => { this.#lostNode(walk.current ?? place, toHex(id), error); } });
    for await (const step of walk.steps(place)) {
      if (step.kind === 'entry') {
        const pending = this.#entry(this.#directory, step.entry);
        if (pending !== undefined) await pending;
      } else if (step.kind === 'enter') {
        if (!await this.#enter(step.place)) walk.skip();
      } else await this.#leave(step.isWhole);
    }
    await this.#removeOthers(this.#directory, walk.isRootWhole);
  }

  #lostNode(place: Place, node: string, error: SnapError): void {
    this.#parts.tally.damage('tree', node, `Entries of the directory '${displayPath(place.path)}' cannot be read: ${error.message}`, place.path);
  }

  // --- directories ---

  async #enter(place: Place): Promise<boolean> {
    const { selection } = this.#parts;
    if (!selection.isEverything && !selection.enters(place.path)) return false;
    const directory: Directory = { place, parent: this.#directory, handle: undefined, isRefused: false };
    if (selection.isEverything || selection.takes(place.path, true)) {
      if (await this.#handleOf(directory) === undefined) return false;
    }
    this.#directory = directory;
    return true;
  }

  async #leave(isWhole: boolean): Promise<void> {
    const directory = this.#directory!;
    this.#directory = directory.parent;
    await this.#removeOthers(directory, isWhole);
  }

  /** Makes or enters the directory at the target, after those above it. Undefined when that is not possible. */
  async #handleOf(directory: Directory): Promise<TargetHandle | undefined> {
    const missing: Directory[] = [];
    let at: Directory = directory;
    while (at.handle === undefined && !at.isRefused) {
      missing.push(at);
      at = at.parent!; // the one that the walk began with has a handle
    }
    for (let next = missing.pop(); next !== undefined; next = missing.pop()) await this.#open(next, next.parent!);
    return directory.handle;
  }

  async #open(directory: Directory, { handle: parent }: Directory): Promise<void> {
    const { target, tally } = this.#parts;
    const { place } = directory;
    const opened = parent === undefined ? undefined : target.directory(parent, await this.#values.load(place.parent!, place.entry), place.isStored);
    if (opened === undefined || isTargetProblem(opened)) {
      directory.isRefused = true;
      if (opened !== undefined) tally.targetProblem(opened);
      return;
    }
    tally.directory();
    this.#reportLoss(place);
    directory.handle = opened;
  }

  #reportLoss({ entry, path }: Place): void {
    const loss = lossOf(entry);
    if (loss !== undefined) this.#parts.tally.problem(path, 'restore', loss);
  }

  async #removeOthers(directory: Directory, isWhole: boolean): Promise<void> {
    const { removesOthers, target, tally, tree, selection } = this.#parts;
    // What could not be listed must not be taken for absent.
    if (!removesOthers || !isWhole || directory.handle === undefined || !directory.place.isStored) return;
    const hasher = this.#parts.session.repository.keys.auxiliaryHasher;
    await removeOthers({ target, tally, tree, selection, place: directory.place, handle: directory.handle, hasher }, this.#options);
  }

  // --- entries ---

  /** The promise, if there is one, must be awaited before the next entry. */
  #entry(directory: Directory, entry: Entry): Promise<void> | undefined {
    const { selection, tally } = this.#parts;
    if (!selection.isEverything && !selection.takes(joinPath(directory.place.path, entry.name), false)) return undefined;
    tally.selected(entry);
    if (directory.handle === undefined || hasStoredValues(entry)) return this.#prepared(directory, entry);
    return this.#restore(directory, directory.handle, entry);
  }

  async #prepared(directory: Directory, entry: Entry): Promise<void> {
    const handle = await this.#handleOf(directory);
    if (handle !== undefined) await this.#restore(directory, handle, await this.#values.load(directory.place, entry));
  }

  #restore({ place }: Directory, parent: TargetHandle, entry: Entry): Promise<void> | undefined {
    const { links, pendingLinks, entries } = this.#parts;
    if (entry.hardLinkGroup !== undefined) {
      const original = links.find(entry);
      if (original !== undefined) return pendingLinks.add(place, parent, entry, original);
    }
    return entries.restore(place, parent, entry);
  }
}
