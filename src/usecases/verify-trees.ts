/**
 * Level 1 of a check: every tree node that a snapshot reaches is read once, and every chunk it refers to must have a usable
 * place of the right length (repository design, section 16.2). Nodes and chunks that were met are told by their place.
 */
import { toHex, type Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { throwIfAborted, type SnapError } from '../base/errors.ts';
import type { ChunkLocation, PackNumber } from '../cache/cache.ts';
import { corrupt } from '../format/decode-error.ts';
import type { ChunkId } from '../format/ids.ts';
import { packName } from '../format/object-names.ts';
import type { Snapshot } from '../format/snapshot.ts';
import { compareNames, type ContentItem, type Entry, type TreeNode } from '../format/tree-node.ts';
import { isDamage } from '../repository/damage.ts';
import type { ReadingSession } from '../repository/reading-session.ts';
import { checkContentNode, checkDirectoryNode } from '../repository/tree-reader.ts';
import { ChunkMap } from './chunk-map.ts';
import type { Counters } from './events.ts';
import type { DamageMap } from './verify-damage.ts';

const MET = 1;

export class TreeCheck {
  readonly #session: ReadingSession;
  readonly #damage: DamageMap;
  readonly #counters: Counters;
  readonly #options: CallOptions;
  readonly #met: ChunkMap;
  treeNodes = 0;
  /** Distinct data chunks that are referred to and have a place. */
  chunks = 0;
  /** Something that a snapshot needs cannot be read. */
  isHit = false;

  constructor(session: ReadingSession, damage: DamageMap, counters: Counters, options: CallOptions) {
    this.#session = session;
    this.#damage = damage;
    this.#counters = counters;
    this.#options = options;
    this.#met = new ChunkMap(session.repository.cache.chunks);
  }

  /** Packs that some snapshot needs. */
  packs(): IterableIterator<PackNumber> {
    return this.#met.packs();
  }

  async checkSnapshot({ components }: Snapshot): Promise<void> {
    for (const { root } of components) {
      const pending = this.#checkEntry(root);
      if (pending !== undefined) await pending;
      if (root.directoryNode !== undefined) await this.#checkDirectory(root.directoryNode, undefined, undefined, 0);
    }
  }

  /** `after` is the last name before this node, `lastName` the one that the node above gives it. */
  async #checkDirectory(id: ChunkId, after: Bytes | undefined, lastName: Bytes | undefined, depth: number): Promise<void> {
    const node = await this.#open(id, read => checkDirectoryNode(id, read, lastName, depth), true);
    if (node === undefined) return;
    if (node.kind === 'interior') {
      for (const [i, child] of node.children.entries()) {
        await this.#checkDirectory(child.id, node.children[i - 1]?.lastName ?? after, child.lastName, depth + 1);
      }
      return;
    }
    const [first] = node.entries;
    if (after !== undefined && first !== undefined && compareNames(first.name, after) <= 0) this.#refuse(id, corrupt('tree', 'names of two leaves overlap', { node: toHex(id) }));
    this.#counters.entriesDone += node.entries.length;
    for (const entry of node.entries) {
      const pending = this.#checkEntry(entry);
      if (pending !== undefined) await pending;
      if (entry.directoryNode !== undefined) await this.#checkDirectory(entry.directoryNode, undefined, undefined, 0);
    }
  }

  /** The promise, if there is one, must be awaited before the next entry. */
  #checkEntry(entry: Entry): Promise<void> | undefined {
    if (entry.content !== undefined) this.#checkItems(entry.content);
    if (entry.xattrs !== undefined) for (const { value } of entry.xattrs) if (!(value instanceof Uint8Array)) this.#checkItems(value);
    return entry.contentNode === undefined ? undefined : this.#checkContent(entry.contentNode, entry.sizeBytes ?? 0, 0);
  }

  /** A node may be met again in a place that says another size: its own is looked at each time, what is below it once. */
  async #checkContent(id: ChunkId, sizeBytes: number, depth: number): Promise<void> {
    const known = this.#damage.findGood(id, 'tree');
    const isNew = known === undefined || this.#met.get(known) !== MET;
    const node = await this.#open(id, read => checkContentNode(id, read, sizeBytes, depth), false);
    if (node === undefined) return;
    if (node.kind === 'content-interior') {
      for (const child of isNew ? node.children : []) await this.#checkContent(child.id, child.sizeBytes, depth + 1);
    } else if (isNew) this.#checkItems(node.items);
  }

  #checkItems(items: readonly ContentItem[]): void {
    for (const { id, lengthBytes } of items) {
      if (id === undefined) continue;
      const location = this.#damage.findGood(id, 'data', lengthBytes);
      if (location === undefined) this.isHit = true;
      else if (this.#met.get(location) !== MET) {
        this.#met.set(location, MET);
        this.chunks++;
      }
    }
  }

  /** Undefined for a node that was met before (unless it is to be looked at again), or is damaged. */
  async #open<Node>(id: ChunkId, check: (node: TreeNode) => Node, onlyOnce: boolean): Promise<Node | undefined> {
    throwIfAborted(this.#options.signal);
    const location = this.#damage.findGood(id, 'tree');
    if (location === undefined) {
      this.isHit = true;
      return undefined;
    }
    const isNew = this.#met.get(location) !== MET;
    if (!isNew && onlyOnce) return undefined;
    if (isNew) {
      this.#met.set(location, MET);
      this.treeNodes++;
    }
    try {
      return check(await this.#session.trees.node(id, this.#options));
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#blame(id, location, error);
      return undefined;
    }
  }

  #refuse(id: ChunkId, error: SnapError): void {
    this.isHit = true;
    this.#damage.idIsBad(id, 'tree', error.message);
  }

  #blame(id: ChunkId, { pack, frame, offset }: ChunkLocation, error: SnapError): void {
    const record = this.#session.repository.cache.chunks.pack(pack);
    if (error.code === 'OBJECT_CORRUPT' || error.code === 'CHUNK_MISSING' || record === undefined) return this.#refuse(id, error);
    this.isHit = true;
    if (error.code === 'CHUNK_CORRUPT') this.#damage.placeIsBad(pack, frame, offset, id);
    else this.#damage.frameIsBad(pack, frame, packName(record.type, record.id), error.message);
  }
}
