/**
 * Finds out which files of which snapshots need something that is damaged: a second walk, only made when there is damage.
 * Subtrees that were found to be whole are not entered again for the next snapshot.
 */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { throwIfAborted } from '../../base/errors.ts';
import type { ChunkId, SnapshotId } from '../../format/ids.ts';
import type { ContentItem, Entry, TreeNode } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { ChunkMap } from '../reach/chunk-map.ts';
import { pathNames, pathOfNames } from '../path-bytes.ts';
import type { DamageMap, Need } from './verify-damage.ts';

const WHOLE = 1;

/** A path as a chain, since few of them are ever written out. */
interface Trail {
  readonly parent: Trail | undefined;
  readonly name: Bytes;
}

export class DamageTrace {
  readonly #session: ReadingSession;
  readonly #damage: DamageMap;
  readonly #options: CallOptions;
  readonly #whole: ChunkMap;
  #snapshotId: SnapshotId | undefined;

  constructor(session: ReadingSession, damage: DamageMap, options: CallOptions) {
    this.#session = session;
    this.#damage = damage;
    this.#options = options;
    this.#whole = new ChunkMap(session.repository.cache.chunks);
  }

  async trace({ id, snapshot }: SnapshotRecord): Promise<void> {
    this.#snapshotId = id;
    for (const { sourcePath, root } of snapshot.components) {
      let trail: Trail | undefined;
      for (const name of pathNames(sourcePath)) trail = { parent: trail, name };
      await this.#entry(trail, root);
    }
  }

  /** Whether the entry, with everything below it, is whole. */
  async #entry(trail: Trail | undefined, entry: Entry): Promise<boolean> {
    let isWhole = this.#items(trail, entry.content ?? [], 0);
    for (const { value } of entry.xattrs ?? []) if (!(value instanceof Uint8Array)) isWhole = this.#items(trail, value, undefined) && isWhole;
    if (entry.contentNode !== undefined) isWhole = await this.#content(trail, entry.contentNode, 0, entry.sizeBytes ?? 0) && isWhole;
    if (entry.directoryNode !== undefined) isWhole = await this.#directory(trail, entry.directoryNode) && isWhole;
    return isWhole;
  }

  /** `position` of the items in their file; undefined for those of an extended attribute. */
  #items(trail: Trail | undefined, items: readonly ContentItem[], position: number | undefined): boolean {
    let isWhole = true;
    let at = position;
    for (const { id, lengthBytes } of items) {
      if (id !== undefined && this.#damage.findGood(id, 'data', lengthBytes) === undefined) {
        isWhole = false;
        this.#hit(id, 'chunk', trail, at === undefined ? undefined : [at, lengthBytes]);
      }
      if (at !== undefined) at += lengthBytes;
    }
    return isWhole;
  }

  #directory(trail: Trail | undefined, id: ChunkId): Promise<boolean> {
    return this.#node(trail, id, undefined, async node => {
      let isWhole = true;
      if (node.kind === 'interior') for (const child of node.children) isWhole = await this.#directory(trail, child.id) && isWhole;
      if (node.kind === 'leaf') for (const entry of node.entries) isWhole = await this.#entry({ parent: trail, name: entry.name }, entry) && isWhole;
      return isWhole;
    });
  }

  #content(trail: Trail | undefined, id: ChunkId, position: number, sizeBytes: number): Promise<boolean> {
    return this.#node(trail, id, [position, sizeBytes], async node => {
      let isWhole = true;
      if (node.kind === 'content-leaf') isWhole = this.#items(trail, node.items, position);
      let at = position;
      for (const child of node.kind === 'content-interior' ? node.children : []) {
        isWhole = await this.#content(trail, child.id, at, child.sizeBytes) && isWhole;
        at += child.sizeBytes;
      }
      return isWhole;
    });
  }

  async #node(trail: Trail | undefined, id: ChunkId, range: Need['range'], look: (node: TreeNode) => Promise<boolean>): Promise<boolean> {
    throwIfAborted(this.#options.signal);
    const location = this.#damage.findGood(id, 'tree');
    if (location !== undefined && this.#whole.get(location) === WHOLE) return true;
    try {
      if (location !== undefined) {
        if (!await look(await this.#session.trees.node(id, this.#options))) return false;
        this.#whole.set(location, WHOLE);
        return true;
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    this.#hit(id, 'tree', trail, range);
    return false;
  }

  #hit(id: ChunkId, object: Need['object'], trail: Trail | undefined, range: Need['range']): void {
    const names: Bytes[] = [];
    for (let at = trail; at !== undefined; at = at.parent) names.push(at.name);
    this.#damage.hit({ id, object, snapshotId: this.#snapshotId!, path: pathOfNames(names.reverse()), range });
  }
}
