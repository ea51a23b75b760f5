/**
 * Finds out which files of which snapshots need something that is damaged: a second walk, only made when there is damage.
 * Subtrees that were found to be whole are not entered again for the next snapshot.
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { throwIfAborted } from '../base/errors.ts';
import type { ChunkId, SnapshotId } from '../format/ids.ts';
import type { ContentItem, Entry, TreeNode } from '../format/tree-node.ts';
import { isDamage } from '../repository/damage.ts';
import type { ReadingSession } from '../repository/reading-session.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import { ChunkMap } from './chunk-map.ts';
import { pathNames, pathOfNames } from './path-bytes.ts';
import type { DamageMap } from './verify-damage.ts';

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
    let isWhole = this.#items(trail, entry.content ?? []);
    for (const { value } of entry.xattrs ?? []) if (!(value instanceof Uint8Array)) isWhole = this.#items(trail, value) && isWhole;
    if (entry.contentNode !== undefined) isWhole = await this.#content(trail, entry.contentNode) && isWhole;
    if (entry.directoryNode !== undefined) isWhole = await this.#directory(trail, entry.directoryNode) && isWhole;
    return isWhole;
  }

  #items(trail: Trail | undefined, items: readonly ContentItem[]): boolean {
    let isWhole = true;
    for (const { id, lengthBytes } of items) {
      if (id === undefined || this.#damage.findGood(id, 'data', lengthBytes) !== undefined) continue;
      isWhole = false;
      this.#hit(id, 'chunk', trail);
    }
    return isWhole;
  }

  #directory(trail: Trail | undefined, id: ChunkId): Promise<boolean> {
    return this.#node(trail, id, async node => {
      let isWhole = true;
      if (node.kind === 'interior') for (const child of node.children) isWhole = await this.#directory(trail, child.id) && isWhole;
      if (node.kind === 'leaf') for (const entry of node.entries) isWhole = await this.#entry({ parent: trail, name: entry.name }, entry) && isWhole;
      return isWhole;
    });
  }

  #content(trail: Trail | undefined, id: ChunkId): Promise<boolean> {
    return this.#node(trail, id, async node => {
      let isWhole = true;
      if (node.kind === 'content-interior') for (const child of node.children) isWhole = await this.#content(trail, child.id) && isWhole;
      if (node.kind === 'content-leaf') isWhole = this.#items(trail, node.items);
      return isWhole;
    });
  }

  async #node(trail: Trail | undefined, id: ChunkId, look: (node: TreeNode) => Promise<boolean>): Promise<boolean> {
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
    this.#hit(id, 'tree', trail);
    return false;
  }

  #hit(id: ChunkId, object: 'chunk' | 'tree', trail: Trail | undefined): void {
    const names: Bytes[] = [];
    for (let at = trail; at !== undefined; at = at.parent) names.push(at.name);
    this.#damage.hit(id, object, this.#snapshotId!, pathOfNames(names.reverse()));
  }
}
