/**
 * Level 1 of a check: every tree node that a snapshot reaches is read once, and every chunk it refers to must have a usable
 * place of the right length (repository design, section 16.2). Nodes and chunks that were met are told by their place.
 */
import { toHex, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { throwIfAborted, type SnapError } from '../../base/errors.ts';
import type { ChunkLocation, PackNumber } from '../../cache/cache.ts';
import { corrupt } from '../../format/decode-error.ts';
import type { ChunkId } from '../../format/ids.ts';
import { MAX_DIRECTORY_DEPTH } from '../../format/limits.ts';
import { packName } from '../../format/object-names.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import { compareNames, type ContentItem, type Entry, type TreeNode } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { checkContentNode, checkDirectoryNode } from '../../repository/tree-reader.ts';
import { ChunkMap } from '../reach/chunk-map.ts';
import type { Counters } from '../events.ts';
import type { DamageMap } from './verify-damage.ts';

/** Values of a node: looked at with everything below it; and being looked at, so that it must not be met again below. */
const MET = 1;
const UNDER_WAY = 2;

interface Level {
  /** Of the node below the root node of its directory. */
  readonly depth: number;
  /** Of the directory. */
  readonly nesting: number;
}

interface OpenNode<Node> {
  readonly node: Node;
  readonly location: ChunkLocation;
  /** Not met before. */
  readonly isNew: boolean;
}

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
      if (root.directoryNode !== undefined) await this.#checkDirectory(root.directoryNode, undefined, undefined, { depth: 0, nesting: 1 });
    }
  }

  /** `after` is the last name before this node, `lastName` the one that the node above gives it. */
  async #checkDirectory(id: ChunkId, after: Bytes | undefined, lastName: Bytes | undefined, level: Level): Promise<void> {
    if (level.nesting > MAX_DIRECTORY_DEPTH) return this.#refuse(id, corrupt('tree', `directories are nested more than ${MAX_DIRECTORY_DEPTH} deep`, { node: toHex(id) }));
    const open = await this.#open(id, read => checkDirectoryNode(id, read, lastName, level.depth), true);
    if (open === undefined) return;
    const { node, location } = open;
    if (node.kind === 'interior') {
      for (const [i, child] of node.children.entries()) {
        await this.#checkDirectory(child.id, node.children[i - 1]?.lastName ?? after, child.lastName, { ...level, depth: level.depth + 1 });
      }
    } else await this.#checkLeaf(id, node.entries, after, level.nesting);
    this.#met.set(location, MET);
  }

  async #checkLeaf(id: ChunkId, entries: readonly Entry[], after: Bytes | undefined, nesting: number): Promise<void> {
    const [first] = entries;
    if (after !== undefined && first !== undefined && compareNames(first.name, after) <= 0) this.#refuse(id, corrupt('tree', 'names of two leaves overlap', { node: toHex(id) }));
    this.#counters.entriesDone += entries.length;
    for (const entry of entries) {
      const pending = this.#checkEntry(entry);
      if (pending !== undefined) await pending;
      if (entry.directoryNode !== undefined) await this.#checkDirectory(entry.directoryNode, undefined, undefined, { depth: 0, nesting: nesting + 1 });
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
    const open = await this.#open(id, read => checkContentNode(id, read, sizeBytes, depth), false);
    if (open?.isNew !== true) return;
    const { node, location } = open;
    if (node.kind === 'content-interior') for (const child of node.children) await this.#checkContent(child.id, child.sizeBytes, depth + 1);
    else this.#checkItems(node.items);
    this.#met.set(location, MET);
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
  async #open<Node>(id: ChunkId, check: (node: TreeNode) => Node, onlyOnce: boolean): Promise<OpenNode<Node> | undefined> {
    throwIfAborted(this.#options.signal);
    const location = this.#damage.findGood(id, 'tree');
    if (location === undefined) {
      this.isHit = true;
      return undefined;
    }
    const known = this.#met.get(location);
    // IDs are hashes, so only whoever can forge them makes a tree that contains itself.
    if (known === UNDER_WAY) {
      this.#refuse(id, corrupt('tree', 'a node lies below itself', { node: toHex(id) }));
      return undefined;
    }
    if (known === MET && onlyOnce) return undefined;
    if (known !== MET) {
      this.#met.set(location, UNDER_WAY);
      this.treeNodes++;
    }
    try {
      return { node: check(await this.#session.trees.node(id, this.#options)), location, isNew: known !== MET };
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#met.set(location, MET);
      this.#blame(id, location, error);
      return undefined;
    }
  }

  #refuse(id: ChunkId, error: SnapError): void {
    this.isHit = true;
    this.#damage.idIsBad(id, 'tree', error.message);
  }

  #blame(id: ChunkId, { pack, frame, offset }: ChunkLocation, error: SnapError): void {
    this.isHit = true;
    // No place is known any more: the caller looks again, and who needs the node is found out then.
    if (error.code === 'CHUNK_MISSING') return;
    const { repository, view } = this.#session;
    const record = repository.cache.chunks.pack(pack);
    // The node itself, not the header of its pack.
    if (error.code === 'OBJECT_CORRUPT' && error.context['frame'] === undefined) return this.#refuse(id, error);
    if (error.code === 'CHUNK_CORRUPT') return this.#damage.placeIsBad(pack, frame, offset, id);
    // A prune removes packs, and what the index says of them, at any time.
    if (record === undefined || (error.code === 'OBJECT_NOT_FOUND' && view.excluded.has(record.id))) return;
    const name = packName(record.type, record.id);
    if (error.code === 'OBJECT_NOT_FOUND') this.#damage.packIsBad(pack, name, 'The pack has vanished');
    else this.#damage.frameIsBad(pack, frame, name, error.message);
  }
}
