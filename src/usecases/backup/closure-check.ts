/**
 * No reference is taken over without finding its chunk in a usable pack of this session (repository design, W5; rule I9).
 */
import type { SnapError } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { ContentItem, Entry } from '../../format/tree-node.ts';
import { isDamage } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';

export class ClosureCheck {
  readonly #repository: OpenRepository;
  readonly #trees: TreeReader;
  readonly #onDamage: (error: SnapError) => void;

  /** `onDamage`: a content node that cannot be read. */
  constructor(repository: OpenRepository, trees: TreeReader, onDamage: (error: SnapError) => void) {
    this.#onDamage = onDamage;
    this.#repository = repository;
    this.#trees = trees;
  }

  areUsable(packs: readonly PackNumber[]): boolean {
    const { chunks } = this.#repository.cache;
    for (const pack of packs) if (!chunks.isUsable(pack)) return false;
    return true;
  }

  /** Whether every chunk that the entry refers to is there; its packs are added to `packs` only then. Directories: without their node. */
  async holds(entry: Entry, packs: Set<PackNumber>): Promise<boolean> {
    const found = new Set<PackNumber>();
    if (entry.content !== undefined && !this.#holdsItems(entry.content, found)) return false;
    if (entry.contentNode !== undefined && !await this.#holdsContentNodes(entry, found)) return false;
    for (const { value } of entry.xattrs ?? []) {
      if (!(value instanceof Uint8Array) && !this.#holdsItems(value, found)) return false;
    }
    for (const pack of found) packs.add(pack);
    return true;
  }

  #holdsItems(items: readonly ContentItem[], packs: Set<PackNumber>): boolean {
    const { chunks } = this.#repository.cache;
    for (const { id } of items) {
      if (id === undefined) continue;
      const location = chunks.find(id);
      if (location === undefined || chunks.pack(location.pack)?.type !== 'data') return false;
      packs.add(location.pack);
    }
    return true;
  }

  async #holdsContentNodes(entry: Entry, packs: Set<PackNumber>): Promise<boolean> {
    try {
      for await (const items of this.#trees.content(entry, { onNode: (_, pack) => { packs.add(pack); } })) {
        if (!this.#holdsItems(items, packs)) return false;
      }
      return true;
    } catch (error) {
      // A content node that is missing or damaged: the file is read again.
      if (!isDamage(error)) throw error;
      this.#onDamage(error);
      return false;
    }
  }
}
