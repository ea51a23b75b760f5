/**
 * Walks what is to be restored: asks the target what is there, keeps what is right, hands the content of the rest to
 * `RestoreFiles`, and makes everything that has no content. Directories are made when something in them is restored.
 */
import type { CallOptions } from '../base/call-options.ts';
import { toHex } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import type { ContentItem, Entry } from '../format/tree-node.ts';
import type { ReadingSession } from '../repository/reading-session.ts';
import { isTargetProblem, ROOT_DIRECTORY, type Existing, type TargetHandle, type TargetProblem, type TreeTarget } from '../targets/target.ts';
import { salvageValue } from './chunk-salvage.ts';
import type { ContentComparison, ReadRange } from './content-comparison.ts';
import type { HardLinks } from './hard-links.ts';
import { displayPath, joinPath } from './path-bytes.ts';
import { removeOthers } from './remove-others.ts';
import { isHole, type FileTask, type RestoreFiles } from './restore-files.ts';
import type { RestoreLinks } from './restore-links.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Selection } from './selection.ts';
import type { Place, SnapshotTree } from './snapshot-tree.ts';
import { TreeWalk } from './tree-walk.ts';

/** Values of extended attributes that are stored as chunks; longer ones exist nowhere. */
const MAX_VALUE_BYTES = 16 * 1024 * 1024;
/** Longer runs of zeros at the target are made again, since that is cheaper than reading them. */
const MAX_COMPARED_ZEROS = 64 * 1024 * 1024;

export interface RestoreWalkParts {
  readonly session: ReadingSession;
  readonly tree: SnapshotTree;
  readonly target: TreeTarget;
  readonly tally: RestoreTally;
  readonly selection: Selection;
  readonly links: HardLinks;
  readonly comparison: ContentComparison;
  /** Undefined in a dry run: content is only counted. */
  readonly files: RestoreFiles | undefined;
  readonly pendingLinks: RestoreLinks;
  readonly removesOthers: boolean;
  /** Every run of zeros becomes a hole, not only those of files that were sparse. */
  readonly makesHoles: boolean;
  /** Content at the target is compared even when size and time are right. */
  readonly trustsStat: boolean;
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
  #directory: Directory | undefined;

  constructor(parts: RestoreWalkParts) {
    this.#parts = parts;
    this.#options = { signal: parts.signal };
  }

  /** Everything below a directory goes into the root of the target, or a single entry under its name. */
  async run(place: Place): Promise<void> {
    const { target, tally, selection } = this.#parts;
    if (place.entry.type !== 'directory') {
      this.#directory = { place: place.parent!, parent: undefined, handle: ROOT_DIRECTORY, isRefused: false };
      await this.#entry(this.#directory, place.entry);
      return;
    }
    if (place.isStored && (selection.isEverything || selection.takes(place.path, true))) target.root(await this.#withValues(place.parent ?? place, place.entry));
    tally.directory();
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
    const opened = parent === undefined ? undefined : target.directory(parent, await this.#withValues(place.parent!, place.entry), place.isStored);
    if (opened === undefined || isTargetProblem(opened)) {
      directory.isRefused = true;
      if (opened !== undefined) tally.targetProblem(opened);
      return;
    }
    tally.directory();
    directory.handle = opened;
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
    if (handle !== undefined) await this.#restore(directory, handle, await this.#withValues(directory.place, entry));
  }

  #restore({ place }: Directory, parent: TargetHandle, entry: Entry): Promise<void> | undefined {
    const { links, pendingLinks } = this.#parts;
    if (entry.hardLinkGroup !== undefined) {
      const original = links.find(entry);
      if (original !== undefined) return pendingLinks.add(place, parent, entry, original);
    }
    return this.restoreAlone(place, parent, entry);
  }

  /** Restores an entry as if it had no other name. */
  restoreAlone(place: Place, parent: TargetHandle, entry: Entry): Promise<void> | undefined {
    const { target, tally, files } = this.#parts;
    if (files?.isFull === true) return files.flush().then(() => this.restoreAlone(place, parent, entry));
    const existing = target.inspect(parent, entry);
    switch (existing.kind) {
      case 'problem':
        tally.targetProblem(existing.problem);
        return undefined;
      case 'keep':
        tally.done(place, entry, 'kept');
        return undefined;
      default:
        return entry.type === 'file' ? this.#file(place, parent, entry, existing) : this.#special(place, parent, entry, existing);
    }
  }

  #special(place: Place, parent: TargetHandle, entry: Entry, existing: Existing): undefined {
    const { target, tally } = this.#parts;
    const problem = target.special(parent, entry);
    if (problem !== undefined) {
      tally.targetProblem(problem);
      return undefined;
    }
    this.#remember(entry, parent);
    tally.done(place, entry, existing.kind === 'absent' ? 'created' : 'updated');
    return undefined;
  }

  #remember(entry: Entry, parent: TargetHandle): number {
    return entry.hardLinkGroup === undefined ? -1 : this.#parts.links.add(entry, parent);
  }

  #file(place: Place, parent: TargetHandle, entry: Entry, existing: Existing): Promise<void> | undefined {
    const { target, tally, trustsStat, files } = this.#parts;
    if (entry.damagedSpans !== undefined) this.#reportSpans(place, entry);
    if (existing.kind === 'file' && existing.matchesStat && trustsStat) return this.#touch(place, parent, entry);
    const linkSlot = this.#remember(entry, parent);
    const action = existing.kind === 'absent' ? 'created' : 'updated';
    if (entry.sizeBytes === 0) {
      const problem = target.writeFile(parent, entry, []);
      if (problem === undefined) tally.done(place, entry, action);
      else this.#refused(linkSlot, problem);
      return undefined;
    }
    const { content } = entry;
    const task = files?.begin(place, parent, entry, action, linkSlot);
    const foundBytes = existing.kind === 'file' ? existing.sizeBytes : 0;
    if (content === undefined || foundBytes > 0 || content.length > 1 || task === undefined) return this.#contents(place, parent, entry, task, foundBytes, action);
    // The usual case, a new small file, without a promise.
    const pending = files!.add(task, 0, content[0]!);
    if (pending !== undefined) return pending.then(() => { files!.end(task); });
    files!.end(task);
    return undefined;
  }

  #refused(linkSlot: number, problem: TargetProblem): void {
    this.#parts.links.fail(linkSlot);
    this.#parts.tally.targetProblem(problem);
  }

  #touch(place: Place, parent: TargetHandle, entry: Entry): undefined {
    const { target, tally } = this.#parts;
    const problem = target.touch(parent, entry);
    if (problem !== undefined) {
      tally.targetProblem(problem);
      return undefined;
    }
    this.#remember(entry, parent);
    tally.reused(entry.sizeBytes ?? 0);
    tally.done(place, entry, 'kept');
    return undefined;
  }

  /** Parts that were unreadable when the backup was made hold zeros in the snapshot. */
  #reportSpans(place: Place, entry: Entry): void {
    const [first] = entry.damagedSpans!;
    const more = entry.damagedSpans!.length > 1 ? ` and ${entry.damagedSpans!.length - 1} more ranges` : '';
    this.#parts.tally.problem(joinPath(place.path, entry.name), 'restore', new SnapError(
      'ENTRY_UNREADABLE', `Bytes ${first!.offset} to ${first!.offset + first!.length - 1}${more} could not be read when the backup was made and are zeros`,
    ));
  }

  /** Compares with what is there, and collects what has to be written. */
  async #contents(place: Place, parent: TargetHandle, entry: Entry, task: FileTask | undefined, foundBytes: number, action: FileTask['action']): Promise<void> {
    const { session, target, tally, files } = this.#parts;
    const read: ReadRange = (offset, length) => target.readExisting(parent, entry, offset, length);
    let position = 0;
    let isAsWanted = foundBytes === entry.sizeBytes;
    const onDamage = (id: Uint8Array, error: SnapError, length: number): void => {
      isAsWanted = false;
      if (task === undefined) this.#parts.tally.damage('tree', toHex(id), `The content of the file is not known: ${error.message}`, joinPath(place.path, entry.name));
      else files!.lose(task, position, length, id, error);
      position += length;
    };
    for await (const items of session.trees.content(entry, { signal: this.#parts.signal, onDamage })) {
      for (const item of items) {
        const mayStay = task === undefined || task.handle === undefined || task.reusesContent;
        if (mayStay && position + item.lengthBytes <= foundBytes && await this.#isThere(read, position, item)) {
          tally.reused(item.lengthBytes);
          if (task !== undefined) task.reusesContent = true;
        } else {
          isAsWanted = false;
          await this.#write(task, entry, position, item);
        }
        position += item.lengthBytes;
      }
    }
    if (isAsWanted) this.#keep(place, parent, entry, task);
    else if (task !== undefined) files!.end(task);
    else tally.done(place, entry, action);
  }

  async #isThere(read: ReadRange, position: number, item: ContentItem): Promise<boolean> {
    if (item.id === undefined && item.lengthBytes > MAX_COMPARED_ZEROS) return false;
    return this.#parts.comparison.holds(read, position, item);
  }

  async #write(task: FileTask | undefined, entry: Entry, position: number, item: ContentItem): Promise<void> {
    if (task !== undefined) return this.#parts.files!.add(task, position, item);
    if (isHole(entry, item, this.#parts.makesHoles)) this.#parts.tally.madeHole(item.lengthBytes);
    else this.#parts.tally.written(item.lengthBytes);
  }

  /** Only the metadata may differ. */
  #keep(place: Place, parent: TargetHandle, entry: Entry, task: FileTask | undefined): void {
    const { target, tally, trustsStat } = this.#parts;
    const problem = target.touch(parent, entry);
    if (problem !== undefined) return this.#refused(task?.linkSlot ?? -1, problem);
    if (!trustsStat) tally.filesVerified++;
    tally.done(place, entry, 'kept');
  }

  // --- extended attributes that are stored as chunks ---

  async #withValues(directory: Place, entry: Entry): Promise<Entry> {
    if (!hasStoredValues(entry)) return entry;
    const xattrs = [];
    for (const xattr of entry.xattrs!) {
      const value = xattr.value instanceof Uint8Array ? xattr.value : await this.#loadValue(directory, entry, xattr.value);
      xattrs.push({ name: xattr.name, value });
    }
    return { ...entry, xattrs };
  }

  /** The list itself when the value cannot be read: the target reports an attribute without a value. */
  async #loadValue(directory: Place, entry: Entry, items: readonly ContentItem[]): Promise<Uint8Array | readonly ContentItem[]> {
    if (items.reduce((sum, item) => sum + item.lengthBytes, 0) > MAX_VALUE_BYTES) return items;
    const value = await salvageValue(this.#parts.session, items, this.#options);
    if (value instanceof Uint8Array) return value;
    this.#parts.tally.damage('chunk', String(value.context['chunk'] ?? ''), `An extended attribute cannot be restored: ${value.message}`, joinPath(directory.path, entry.name));
    return items;
  }
}

function hasStoredValues({ xattrs }: Entry): boolean {
  return xattrs !== undefined && xattrs.some(({ value }) => !(value instanceof Uint8Array));
}
