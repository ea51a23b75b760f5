/** Loads the values of extended attributes that are stored as chunks, since metadata is set in one go. */
import type { CallOptions } from '../../base/call-options.ts';
import type { ContentItem, Entry, Xattr } from '../../format/tree-node.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { salvageValue } from '../reading/chunk-salvage.ts';
import { joinPath } from '../path-bytes.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Place } from '../reading/snapshot-tree.ts';

/** Longer values exist on no file system that a restore could go to. */
const MAX_VALUE_BYTES = 16 * 1024 * 1024;

export function hasStoredValues({ xattrs }: Entry): boolean {
  return xattrs !== undefined && xattrs.some(({ value }) => !(value instanceof Uint8Array));
}

export class RestoreValues {
  readonly #session: ReadingSession;
  readonly #tally: RestoreTally;
  readonly #options: CallOptions;

  constructor(session: ReadingSession, tally: RestoreTally, options: CallOptions) {
    this.#session = session;
    this.#tally = tally;
    this.#options = options;
  }

  /** The entry with all values as bytes, but for those that cannot be read: the target reports an attribute without a value. */
  async load(directory: Place, entry: Entry): Promise<Entry> {
    if (!hasStoredValues(entry)) return entry;
    const xattrs: Xattr[] = [];
    for (const { name, value } of entry.xattrs!) {
      xattrs.push({ name, value: value instanceof Uint8Array ? value : await this.#loadValue(directory, entry, value) });
    }
    return { ...entry, xattrs };
  }

  async #loadValue(directory: Place, entry: Entry, items: readonly ContentItem[]): Promise<Xattr['value']> {
    if (items.reduce((sum, item) => sum + item.lengthBytes, 0) > MAX_VALUE_BYTES) return items;
    const value = await salvageValue(this.#session, items, this.#options);
    if (value instanceof Uint8Array) return value;
    const path = joinPath(directory.path, entry.name);
    this.#tally.damage('chunk', String(value.context['chunk'] ?? ''), `An extended attribute cannot be restored: ${value.message}`, path);
    return items;
  }
}
