import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { toHex, utf8 } from '../../../src/base/bytes.ts';
import { chunkIdFromBytes, type ChunkId } from '../../../src/format/ids.ts';
import type { Snapshot } from '../../../src/format/snapshot.ts';
import type { Entry, TreeNode } from '../../../src/format/tree-node.ts';
import { TreeReader } from '../../../src/repository/tree-reader.ts';
import { DirectoryCursor, nextPair } from '../../../src/usecases/browse/directory-cursor.ts';
import { SnapshotTree } from '../../../src/usecases/reading/snapshot-tree.ts';

/** Name of an entry to what it is like. */
type Names = ReadonlyMap<string, number>;

/** Nodes by their content, as a repository keeps them; the same entries always give the same nodes. */
class NodeStore extends TreeReader {
  readonly #nodes = new Map<string, TreeNode>();
  readonly opened: string[] = [];

  constructor() {
    super(undefined as never, undefined as never);
  }

  override async node(id: ChunkId): Promise<TreeNode> {
    this.opened.push(toHex(id));
    return this.#nodes.get(toHex(id))!;
  }

  /** Root node of a directory, cut by its names into nodes of about 4 records. */
  put(names: Names): ChunkId {
    const sorted = [...names].sort(([a], [b]) => (a < b ? -1 : 1));
    let level = cut(sorted, ([name]) => name, 0).map(part => ({
      lastName: part.at(-1)?.[0] ?? '', id: this.#add({ kind: 'leaf', entries: part.map(([name, version]) => entryOf(name, version)) }),
    }));
    for (let depth = 1; level.length > 1; depth++) {
      level = cut(level, ({ lastName }) => lastName, depth).map(part => ({
        lastName: part.at(-1)!.lastName, id: this.#add({ kind: 'interior', children: part.map(({ lastName, id }) => ({ lastName: utf8(lastName), id })) }),
      }));
    }
    return level[0]!.id;
  }

  #add(node: TreeNode): ChunkId {
    const id = digest(JSON.stringify(node, (_, value: unknown) => (value instanceof Uint8Array ? toHex(value) : value)));
    this.#nodes.set(toHex(id), node);
    return chunkIdFromBytes(id);
  }

  cursor(root: ChunkId): DirectoryCursor {
    const entry: Entry = { ...entryOf('', 0), type: 'directory', directoryNode: root };
    const tree = new SnapshotTree(this, { startedAt: [0, 0], components: [{ name: 'd', isConfiguration: false, sourcePath: utf8('/'), root: entry }] } as unknown as Snapshot);
    return new DirectoryCursor(tree, tree.root);
  }
}

function digest(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest());
}

/** After names with a certain hash; a level never stays as long as the one below it. */
function cut<Item>(items: readonly Item[], nameOf: (item: Item) => string, level: number): Item[][] {
  const parts: Item[][] = [[]];
  for (const [i, item] of items.entries()) {
    parts.at(-1)!.push(item);
    const isCut = parts.at(-1)!.length >= 2 && digest(`${level}${nameOf(item)}`)[0]! % 3 === 0;
    if (isCut && i < items.length - 1) parts.push([]);
  }
  return parts;
}

function entryOf(name: string, version: number): Entry {
  return { name: utf8(name), type: 'file', mode: 0o644, mtime: [version, 0], sizeBytes: 0, flags: 0 };
}

interface Seen {
  readonly differing: string[];
  readonly opened: readonly string[];
}

/** Pairs that differ, as `name before/after`. */
async function compare(before: Names, after: Names): Promise<Seen> {
  const store = new NodeStore();
  const [a, b] = [store.cursor(store.put(before)), store.cursor(store.put(after))];
  const differing: string[] = [];
  for (let pair = await nextPair(a, b); pair !== undefined; pair = await nextPair(a, b)) {
    if (pair.before?.mtime[0] === pair.after?.mtime[0]) continue;
    differing.push(`${Buffer.from((pair.before ?? pair.after)!.name).toString()} ${pair.before?.mtime[0] ?? '-'}/${pair.after?.mtime[0] ?? '-'}`);
  }
  return { differing, opened: store.opened };
}

function reference(before: Names, after: Names): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].sort().filter(name => before.get(name) !== after.get(name))
    .map(name => `${name} ${before.get(name) ?? '-'}/${after.get(name) ?? '-'}`);
}

const name = (i: number): string => `n${String(i).padStart(5, '0')}`;

test('two directories give the same differences as a plain merge of their names, in order', async () => {
  const change = fc.record({ at: fc.nat(79), version: fc.option(fc.nat(3)) });
  await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.nat(79)), fc.array(change, { maxLength: 12 }), async (present, changes) => {
    const before = new Map(present.map(i => [name(i), 0]));
    const after = new Map(before);
    for (const { at, version } of changes) {
      if (version === null) after.delete(name(at));
      else after.set(name(at), version);
    }
    expect((await compare(before, after)).differing).toEqual(reference(before, after));
    expect((await compare(after, before)).differing).toEqual(reference(after, before));
  }), { numRuns: 300 });
});

test('a change in a large directory opens a few nodes on each side', async () => {
  const before = new Map(Array.from({ length: 1200 }, (_, i) => [name(i), 0]));
  const total = 1200 / 4;
  for (const at of [0, 1, 777, 1198, 1199]) {
    for (const edit of [(names: Map<string, number>) => names.set(name(at), 1), (names: Map<string, number>) => names.delete(name(at)), (names: Map<string, number>) => names.set(`${name(at)}+`, 1)]) {
      const after = new Map(before);
      edit(after);
      const { differing, opened } = await compare(before, after);
      expect(differing).toHaveLength(1);
      expect(opened.length).toBeLessThan(total / 10);
    }
  }
});

test('no node is opened twice', async () => {
  const before = new Map(Array.from({ length: 500 }, (_, i) => [name(i), 0]));
  const after = new Map([...before].filter((_, i) => i % 97 !== 0));
  const { opened } = await compare(before, after);
  expect(new Set(opened).size).toBe(opened.length);
});
