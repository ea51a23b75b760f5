/** Walks everything below a place of a snapshot, depth first and in name order, without recursion. */
import { throwIfAborted } from '../../base/errors.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { TreeReadOptions } from '../../repository/tree-reader.ts';
import { isPartlyLost } from './damaged-entry.ts';
import type { Place, SnapshotTree } from './snapshot-tree.ts';

export type WalkStep =
  /** A directory, before its entries; `skip` leaves them out, and its 'leave'. */
  | { readonly kind: 'enter'; readonly place: Place }
  /** Anything but a directory. */
  | { readonly kind: 'entry'; readonly directory: Place; readonly entry: Entry }
  /** All entries of the directory came; `isWhole` false: some could not be read, or are known to be missing. */
  | { readonly kind: 'leave'; readonly place: Place; readonly isWhole: boolean };

const NO_ENTRIES: readonly Entry[] = [];

export class TreeWalk {
  readonly #tree: SnapshotTree;
  readonly #options: TreeReadOptions;
  readonly #levels: Level[] = [];
  #skips = false;
  /** False: some entries of the directory that the walk began at could not be read. Known when the walk is over. */
  isRootWhole = true;

  /** With `onDamage` nodes that cannot be read are left out; without it they end the walk. */
  constructor(tree: SnapshotTree, options: TreeReadOptions = {}) {
    this.#tree = tree;
    this.#options = options;
  }

  /** Directory whose entries are being read; for messages about damage. */
  get current(): Place | undefined {
    return this.#levels.at(-1)?.place;
  }

  /** After a step 'enter': the directory is not entered. */
  skip(): void {
    this.#skips = true;
  }

  /** The entries below a directory; without a step for the directory itself. */
  async *steps(root: Place): AsyncGenerator<WalkStep> {
    this.#push(root);
    for (let level = this.#levels.at(-1); level !== undefined; level = this.#levels.at(-1)) {
      if (level.next === level.leaf.length) {
        throwIfAborted(this.#options.signal);
        const { done, value } = await level.leaves.next();
        level.leaf = done === true ? NO_ENTRIES : value;
        level.next = 0;
        if (done !== true) continue;
        this.#levels.pop();
        if (this.#levels.length > 0) yield { kind: 'leave', place: level.place, isWhole: level.isWhole };
        else this.isRootWhole = level.isWhole;
        continue;
      }
      const entry = level.leaf[level.next++]!;
      if (entry.type !== 'directory') {
        yield { kind: 'entry', directory: level.place, entry };
        continue;
      }
      const place = this.#tree.child(level.place, entry);
      this.#skips = false;
      yield { kind: 'enter', place };
      if (!this.#skips) this.#push(place);
    }
  }

  #push(place: Place): void {
    this.#levels.push(new Level(this.#tree, place, this.#options));
  }
}

/** A directory that is being read; holds one leaf of it at a time. */
class Level {
  readonly place: Place;
  readonly leaves: AsyncGenerator<readonly Entry[]>;
  leaf: readonly Entry[] = NO_ENTRIES;
  next = 0;
  isWhole: boolean;

  constructor(tree: SnapshotTree, place: Place, options: TreeReadOptions) {
    this.place = place;
    this.isWhole = !isPartlyLost(place.entry);
    const { onDamage } = options;
    this.leaves = tree.leaves(place, onDamage === undefined ? options : {
      ...options,
      onDamage: (id, error, sizeBytes) => {
        this.isWhole = false;
        onDamage(id, error, sizeBytes);
      },
    });
  }
}
