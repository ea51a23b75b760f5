/** Removes what a directory at the target holds but the one of the snapshot does not. */
import { viewOf, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { TargetHandle, TreeTarget } from '../../targets/target.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import { joinPath } from '../path-bytes.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Selection } from './selection.ts';
import type { Place, SnapshotTree } from '../reading/snapshot-tree.ts';

export interface RemoveOthersParts {
  readonly target: TreeTarget;
  readonly tally: RestoreTally;
  readonly tree: SnapshotTree;
  readonly selection: Selection;
  readonly place: Place;
  readonly handle: TargetHandle;
  /** Keyed, so that nobody can make two names look the same. */
  readonly hasher: Hasher;
}

/** Names that the selection leaves out stay, whatever they are. */
export async function removeOthers(parts: RemoveOthersParts, options: CallOptions): Promise<void> {
  const { target, tally, tree, selection, place, handle, hasher } = parts;
  const names = new NameHashes(hasher);
  for await (const leaf of tree.leaves(place, options)) for (const { name } of leaf) names.add(name);
  names.sort();
  const keep = (name: Bytes): boolean => {
    if (names.has(name)) return true;
    if (selection.isEverything) return false;
    const path = joinPath(place.path, name);
    return !(selection.takes(path, false) && selection.takes(path, true));
  };
  const { removed, problems } = target.removeOthers(handle, keep);
  for (const path of removed) tally.removed(path);
  for (const problem of problems) tally.targetProblem(problem, 'remove');
}

/** Names of a directory of any size, 8 bytes each: 53 bits of a hash. Two names that look the same only keep an entry. */
class NameHashes {
  readonly #hasher: Hasher;
  #hashes = new Float64Array(256);
  #count = 0;

  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  add(name: Bytes): void {
    if (this.#count === this.#hashes.length) {
      const larger = new Float64Array(2 * this.#count);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[this.#count++] = this.#hash(name);
  }

  sort(): void {
    this.#hashes = this.#hashes.subarray(0, this.#count).sort();
  }

  has(name: Bytes): boolean {
    const wanted = this.#hash(name);
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#hashes[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low < this.#count && this.#hashes[low] === wanted;
  }

  #hash(name: Bytes): number {
    const view = viewOf(this.#hasher.hash(name));
    return view.getUint32(0, true) * 2 ** 21 + (view.getUint32(4, true) >>> 11);
  }
}
