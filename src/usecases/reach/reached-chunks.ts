/**
 * Which snapshot reaches a chunk, or that several do, although every node is looked at only once.
 *
 * A chunk belongs to the snapshot that reached it first, until another one reaches it or a node above it. What is below a
 * shared node is found in the end: each chunk remembers the node it was last reached from, and a list holds the others. A
 * chunk takes 12 bytes (up to half more while columns grow), and 8 for every further node of the same snapshot above it.
 */

/** A chunk that the record of a snapshot names itself. */
export const NO_PARENT = 0xffff_ffff;
/** Owner of what several snapshots reach. */
const SHARED = 0xffff_ffff;
const NOBODY = 0;

export class ReachedChunks {
  /** Number of the snapshot + 1. */
  #owners = new Uint32Array(1024);
  #parents = new Uint32Array(1024);
  /** Stored bytes. A share of a frame is rarely a whole number; a rounding by 2^-24 does not matter. */
  #sizes = new Float32Array(1024);
  /** Pairs of parent and child. */
  #links = new Uint32Array(1024);
  #linkLength = 0;
  #limit = 0;

  /** `chunk` and `parent` are from `ChunkNumbers`. True when no snapshot reached the chunk before; then call `setSize`. */
  reach(chunk: number, parent: number, snapshot: number): boolean {
    if (chunk >= this.#owners.length) this.#grow(chunk + 1);
    const owner = this.#owners[chunk]!;
    if (owner === SHARED) return false;
    if (owner === NOBODY) {
      this.#owners[chunk] = snapshot + 1;
      this.#parents[chunk] = parent;
      this.#limit = Math.max(this.#limit, chunk + 1);
      return true;
    }
    if (owner !== snapshot + 1) this.#owners[chunk] = SHARED;
    else if (this.#parents[chunk] !== parent) this.#addParent(chunk, parent);
    return false;
  }

  setSize(chunk: number, storedBytes: number): void {
    this.#sizes[chunk] = storedBytes;
  }

  /** The newest parent takes the place of the one before, so that a node that names a chunk many times is linked once. */
  #addParent(chunk: number, parent: number): void {
    const former = this.#parents[chunk]!;
    this.#parents[chunk] = parent;
    if (former === NO_PARENT) return; // the snapshot itself, which owns the chunk anyway
    if (this.#linkLength === this.#links.length) this.#links = grown(this.#links, 2 * this.#links.length);
    this.#links[this.#linkLength++] = former;
    this.#links[this.#linkLength++] = chunk;
  }

  #grow(length: number): void {
    const capacity = Math.max(length, Math.ceil(1.5 * this.#owners.length));
    this.#owners = grown(this.#owners, capacity);
    this.#parents = grown(this.#parents, capacity);
    this.#sizes = grown(this.#sizes, capacity);
  }

  /** Stored bytes that only one snapshot reaches, by its number. Nothing may be reached afterwards. */
  uniqueBytes(snapshots: number): Float64Array {
    // A pass settles everything whose parents have smaller numbers or are settled; depth of the trees bounds the passes.
    while (this.#shareBelow());
    const bytes = new Float64Array(snapshots);
    for (let chunk = 0; chunk < this.#limit; chunk++) {
      const owner = this.#owners[chunk]!;
      if (owner !== NOBODY && owner !== SHARED) bytes[owner - 1]! += this.#sizes[chunk]!;
    }
    return bytes;
  }

  /** Whether something became shared because a node above it is. */
  #shareBelow(): boolean {
    let hasChanged = false;
    const share = (parent: number, chunk: number): void => {
      if (parent === NO_PARENT || this.#owners[parent] !== SHARED || this.#owners[chunk] === SHARED) return;
      this.#owners[chunk] = SHARED;
      hasChanged = true;
    };
    for (let chunk = 0; chunk < this.#limit; chunk++) if (this.#owners[chunk] !== NOBODY) share(this.#parents[chunk]!, chunk);
    for (let at = 0; at < this.#linkLength; at += 2) share(this.#links[at]!, this.#links[at + 1]!);
    return hasChanged;
  }
}

function grown<Column extends Uint32Array | Float32Array>(column: Column, length: number): Column {
  const larger = new (column.constructor as new (length: number) => Column)(length);
  larger.set(column);
  return larger;
}
