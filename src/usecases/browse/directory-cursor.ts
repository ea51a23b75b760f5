/**
 * Steps through a stored directory in name order, node by node, so that two directories can be compared without reading the
 * nodes that they share. One leaf is held at a time, and the IDs of the nodes beside the way to it.
 */
import type { Bytes } from '../../base/bytes.ts';
import { equalBytes } from '../../base/bytes.ts';
import { invariant } from '../../base/errors.ts';
import type { ChunkId } from '../../format/ids.ts';
import { compareNames, type Entry } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import { checkDirectoryNode, type TreeReadOptions } from '../../repository/tree-reader.ts';
import { isPartlyLost } from '../reading/damaged-entry.ts';
import type { Place, SnapshotTree } from '../reading/snapshot-tree.ts';

/** A node that was not opened yet. */
interface UnreadNode {
  readonly id: ChunkId;
  /** Undefined for the root node of the directory. */
  readonly lastName: Bytes | undefined;
  readonly depth: number;
}

const NO_ENTRIES: readonly Entry[] = [];

export class DirectoryCursor {
  readonly place: Place;
  readonly #tree: SnapshotTree;
  readonly #options: TreeReadOptions;
  /** Next one last. */
  readonly #nodes: UnreadNode[] = [];
  /** In place of nodes, for a directory in which components hang. */
  readonly #leaves: AsyncGenerator<readonly Entry[]> | undefined;
  #leaf: readonly Entry[] = NO_ENTRIES;
  #next = 0;
  #isAtEnd = false;
  /** False: some entries could not be read, so far, or are known to be missing. */
  isWhole: boolean;

  /** With `onDamage` nodes that cannot be read are left out; without it they are thrown. */
  constructor(tree: SnapshotTree, place: Place, options: TreeReadOptions = {}) {
    this.place = place;
    this.isWhole = !isPartlyLost(place.entry);
    this.#tree = tree;
    const { onDamage } = options;
    this.#options = onDamage === undefined ? options : {
      ...options,
      onDamage: (id, error, sizeBytes) => {
        this.isWhole = false;
        onDamage(id, error, sizeBytes);
      },
    };
    const { directoryNode } = place.entry;
    if (!place.isPlain) this.#leaves = tree.leaves(place, this.#options);
    else if (directoryNode !== undefined) this.#nodes.push({ id: directoryNode, lastName: undefined, depth: 0 });
  }

  /** The next entry, when it was read already. */
  get entry(): Entry | undefined {
    return this.#leaf[this.#next];
  }

  /** The node that follows the entries at hand. */
  get node(): UnreadNode | undefined {
    return this.#nodes.at(-1);
  }

  /** Whether the next entry, if there is one, has to be read first. */
  get isClosed(): boolean {
    return this.entry === undefined && (this.#leaves === undefined ? this.#nodes.length > 0 : !this.#isAtEnd);
  }

  /** Goes past the entry at hand. */
  advance(): void {
    this.#next++;
  }

  /** Goes past the next node with everything below it. */
  skipNode(): void {
    this.#nodes.pop();
  }

  /** Reads one more node. Afterwards there may be an entry at hand, or another node to open. */
  async open(): Promise<void> {
    this.#next = 0;
    this.#leaf = NO_ENTRIES;
    if (this.#leaves !== undefined) return this.#nextLeaf(this.#leaves);
    const unread = this.#nodes.pop();
    invariant(unread !== undefined, 'A directory is read beyond its end');
    const { id, lastName, depth } = unread;
    try {
      const node = checkDirectoryNode(id, await this.#tree.trees.node(id, this.#options), lastName, depth);
      if (node.kind === 'leaf') this.#leaf = node.entries;
      else for (const child of node.children.toReversed()) this.#nodes.push({ ...child, depth: depth + 1 });
    } catch (error) {
      if (this.#options.onDamage === undefined || !isDamage(error)) throw error;
      this.#options.onDamage(id, error, 0);
    }
  }

  async #nextLeaf(leaves: AsyncGenerator<readonly Entry[]>): Promise<void> {
    const { done, value } = await leaves.next();
    if (done === true) this.#isAtEnd = true;
    else this.#leaf = value;
  }

  /** Opens nodes until an entry is at hand, or the directory is at its end. */
  async peek(): Promise<Entry | undefined> {
    while (this.isClosed) await this.open();
    return this.entry;
  }
}

export interface EntryPair {
  readonly before: Entry | undefined;
  readonly after: Entry | undefined;
}

/**
 * The next entries of one name, or the next one that only one side has; undefined at the end. Nodes that both sides share are
 * passed over. When a side could not be read whole, entries that only the other one has are passed over from then on.
 */
export async function nextPair(before: DirectoryCursor | undefined, after: DirectoryCursor | undefined): Promise<EntryPair | undefined> {
  for (;;) {
    if (before?.isClosed === true && after?.isClosed === true && isSameNode(before, after)) {
      before.skipNode();
      after.skipNode();
      continue;
    }
    const closed = nextToOpen(before, after);
    if (closed !== undefined) {
      await closed.open();
      continue;
    }
    const pair = takePair(before, after);
    if (pair === undefined) return undefined;
    if (pair.before === undefined && before?.isWhole === false) continue;
    if (pair.after === undefined && after?.isWhole === false) continue;
    return pair;
  }
}

function isSameNode({ node: a }: DirectoryCursor, { node: b }: DirectoryCursor): boolean {
  return a !== undefined && b !== undefined && equalBytes(a.id, b.id);
}

function nextToOpen(before: DirectoryCursor | undefined, after: DirectoryCursor | undefined): DirectoryCursor | undefined {
  if (before?.isClosed !== true) return after?.isClosed === true ? after : undefined;
  if (after?.isClosed !== true) return before;
  // The one that reaches farther may contain the other one.
  const [a, b] = [before.node?.lastName, after.node?.lastName];
  if (a === undefined || b === undefined) return a === undefined ? before : after;
  return compareNames(a, b) >= 0 ? before : after;
}

function takePair(before: DirectoryCursor | undefined, after: DirectoryCursor | undefined): EntryPair | undefined {
  const [a, b] = [before?.entry, after?.entry];
  if (a === undefined && b === undefined) return undefined;
  const order = a === undefined ? 1 : b === undefined ? -1 : compareNames(a.name, b.name);
  if (order <= 0) before!.advance();
  if (order >= 0) after!.advance();
  return { before: order <= 0 ? a : undefined, after: order >= 0 ? b : undefined };
}
