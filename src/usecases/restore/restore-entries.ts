/**
 * Restores single entries: asks the target what is there, keeps what is right, hands the content of the rest to `RestoreFiles`,
 * and makes what has no content.
 */
import { toHex } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import type { ContentItem, Entry } from '../../format/tree-node.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { Existing, TargetHandle, TargetProblem, TreeTarget } from '../../targets/target.ts';
import type { ContentComparison, ReadRange } from './content-comparison.ts';
import { lossOf } from '../reading/damaged-entry.ts';
import type { HardLinks } from './hard-links.ts';
import { joinPath } from '../path-bytes.ts';
import { isHole, type FileTask, type RestoreFiles } from './restore-files.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Place } from '../reading/snapshot-tree.ts';

/** Longer runs of zeros at the target are made again, since that is cheaper than reading them. */
const MAX_COMPARED_ZEROS = 64 * 1024 * 1024;

export interface RestoreEntriesParts {
  readonly session: ReadingSession;
  readonly target: TreeTarget;
  readonly tally: RestoreTally;
  readonly links: HardLinks;
  readonly comparison: ContentComparison;
  /** Undefined in a dry run: content is only counted. */
  readonly files: RestoreFiles | undefined;
  /** Every run of zeros becomes a hole, not only those of files that were sparse. */
  readonly makesHoles: boolean;
  /** False: content at the target is compared even when size and time are right. */
  readonly trustsStat: boolean;
  readonly signal: AbortSignal | undefined;
}

export class RestoreEntries {
  readonly #parts: RestoreEntriesParts;

  constructor(parts: RestoreEntriesParts) {
    this.#parts = parts;
  }

  /** Restores anything but a directory, as if it had no other name. The promise, if any, must be awaited before the next call. */
  restore(place: Place, parent: TargetHandle, entry: Entry): Promise<void> | undefined {
    const { target, tally, files } = this.#parts;
    if (files?.isFull === true) return files.flush().then(() => this.restore(place, parent, entry));
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
    this.#reportLoss(place, entry);
    this.#remember(entry, parent);
    tally.done(place, entry, existing.kind === 'absent' ? 'created' : 'updated');
    return undefined;
  }

  #remember(entry: Entry, parent: TargetHandle): number {
    return entry.hardLinkGroup === undefined ? -1 : this.#parts.links.add(entry, parent);
  }

  #file(place: Place, parent: TargetHandle, entry: Entry, existing: Existing): Promise<void> | undefined {
    const { target, tally, trustsStat, files } = this.#parts;
    if (existing.kind === 'file' && existing.matchesStat && trustsStat) return this.#touch(place, parent, entry);
    if (existing.kind === 'file' && existing.sizeBytes === 0 && entry.sizeBytes === 0) return this.#touch(place, parent, entry);
    this.#reportLoss(place, entry);
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
    this.#parts.links.fail(linkSlot, 'target');
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

  /** Of a file that is made anew: one that is right already may be whole. */
  #reportLoss(place: Place, entry: Entry): void {
    const loss = lossOf(entry);
    if (loss !== undefined) this.#parts.tally.problem(joinPath(place.path, entry.name), 'restore', loss);
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
}
