/**
 * Remembers the first name of every hard-link group that a restore meets, in columns of about 40 bytes a group. Two names
 * are one file only if type, size, time and content agree: inode numbers may have been reused while a backup ran.
 */
import type { Bytes } from '../../base/bytes.ts';
import { CborWriter } from '../../format/cbor-writer.ts';
import { ENTRY_TYPES, type Entry } from '../../format/tree-node.ts';
import type { Hasher } from '../../kernel/kernel.ts';
import type { TargetHandle } from '../../targets/target.ts';

/** Groups beyond it are restored as separate files. */
export const MAX_LINK_GROUPS = 2 ** 20;

const FAILURES = ['target', 'damage'] as const;
export type LinkFailure = (typeof FAILURES)[number];

/** What `HardLinks` knows of a name. */
export interface LinkOriginal {
  readonly slot: number;
  readonly parent: TargetHandle;
  readonly name: Bytes;
}

export class HardLinks {
  readonly #hasher: Hasher;
  readonly #maxGroups: number;
  /** Open addressing: index of the group + 1. */
  #table = new Uint32Array(1024);
  /** Four words a group: the group ID of the format, and the digest of what must agree. */
  #keys = new Uint32Array(4 * 512);
  #parents = new Uint32Array(512);
  #nameStarts = new Float64Array(513);
  #failed = new Uint8Array(512);
  #names = new Uint8Array(8192);
  #count = 0;
  /** Groups that found no room. */
  overflow = 0;

  /** `hasher` is keyed, so that nobody can make two files agree on purpose. */
  constructor(hasher: Hasher, maxGroups: number = MAX_LINK_GROUPS) {
    this.#hasher = hasher;
    this.#maxGroups = maxGroups;
  }

  /** The first name of the file that the entry is another name of. The entry has a hard-link group. */
  find(entry: Entry): LinkOriginal | undefined {
    const slot = this.#table[this.#locate(this.#keyOf(entry))]! - 1;
    if (slot < 0) return undefined;
    return { slot, parent: this.#parents[slot]!, name: this.#names.subarray(this.#nameStarts[slot]!, this.#nameStarts[slot + 1]!) };
  }

  /** Takes the entry as first name of its file. Returns its slot, or -1 when there is no room. */
  add(entry: Entry, parent: TargetHandle): number {
    if (this.#count >= this.#maxGroups) {
      this.overflow++;
      return -1;
    }
    if (this.#count === this.#parents.length) this.#grow();
    const key = this.#keyOf(entry);
    const slot = this.#count++;
    this.#keys.set(key, 4 * slot);
    this.#parents[slot] = parent;
    const start = this.#nameStarts[slot]!;
    if (start + entry.name.length > this.#names.length) this.#names = grown(this.#names, 2 * this.#names.length + entry.name.length);
    this.#names.set(entry.name, start);
    this.#nameStarts[slot + 1] = start + entry.name.length;
    this.#table[this.#locate(key)] = slot + 1;
    return slot;
  }

  /** The first name could not be restored whole; damage of the repository counts more than a target that did not take it. */
  fail(slot: number, reason: LinkFailure): void {
    if (slot >= 0) this.#failed[slot] = Math.max(this.#failed[slot]!, FAILURES.indexOf(reason) + 1);
  }

  failureOf(slot: number): LinkFailure | undefined {
    return FAILURES[this.#failed[slot]! - 1];
  }

  #keyOf(entry: Entry): Uint32Array {
    const key = new Uint8Array(16);
    key.set(entry.hardLinkGroup!);
    key.set(this.#hasher.hash(encodeSameness(entry)).subarray(0, 8), 8);
    return new Uint32Array(key.buffer);
  }

  /** Place in the table of the key, or the free one where it belongs. */
  #locate(key: Uint32Array): number {
    const mask = this.#table.length - 1;
    for (let at = key[2]! & mask; ; at = (at + 1) & mask) {
      const slot = this.#table[at]! - 1;
      if (slot < 0) return at;
      const k = 4 * slot;
      if (this.#keys[k] === key[0] && this.#keys[k + 1] === key[1] && this.#keys[k + 2] === key[2] && this.#keys[k + 3] === key[3]) return at;
    }
  }

  #grow(): void {
    const capacity = 2 * this.#parents.length;
    this.#keys = grown(this.#keys, 4 * capacity);
    this.#parents = grown(this.#parents, capacity);
    this.#nameStarts = grown(this.#nameStarts, capacity + 1);
    this.#failed = grown(this.#failed, capacity);
    this.#table = new Uint32Array(2 * capacity);
    for (let slot = 0; slot < this.#count; slot++) this.#table[this.#locate(this.#keys.subarray(4 * slot, 4 * slot + 4))] = slot + 1;
  }
}

function grown<Column extends Uint8Array | Uint32Array | Float64Array>(column: Column, length: number): Column {
  const larger = new (column.constructor as new (length: number) => Column)(length);
  larger.set(column);
  return larger;
}

/** Everything that must agree before two names become one file, in one unambiguous form. */
function encodeSameness(entry: Entry): Bytes {
  const writer = new CborWriter(256);
  writer.array(7);
  writer.uint(ENTRY_TYPES.indexOf(entry.type));
  writer.uint(entry.sizeBytes ?? 0);
  writer.int(entry.mtime[0]);
  writer.uint(entry.mtime[1]);
  writer.bytes(entry.contentNode ?? entry.linkTarget ?? new Uint8Array(0));
  writer.array(2);
  for (const number of entry.device ?? [0, 0]) writer.uint(number);
  const content = entry.content ?? [];
  writer.array(2 * content.length);
  for (const { id, lengthBytes } of content) {
    writer.bytes(id ?? new Uint8Array(0));
    writer.uint(lengthBytes);
  }
  return writer.view();
}
