import { describe, expect, test } from 'vitest';
import fc from 'fast-check';
import { DirectoryBuilder } from '../../src/repository/directory-builder.ts';
import { ContentBuilder } from '../../src/repository/content-builder.ts';
import type { NodeSink } from '../../src/repository/tree-writer.ts';
import { chunkIdFromBytes, chunkIdKey, type ChunkId } from '../../src/format/ids.ts';
import { decodeNode, type ContentItem, type Entry } from '../../src/format/tree-node.ts';
import { utf8 } from '../../src/base/bytes.ts';
import { kernel } from '../support/memory-repository.ts';

const hasher = kernel.createHasher(new Uint8Array(32).fill(1));
const auxiliary = kernel.createHasher(new Uint8Array(32).fill(2));

class Nodes implements NodeSink {
  readonly nodes = new Map<string, Uint8Array>();
  put(node: Uint8Array): ChunkId {
    const id = chunkIdFromBytes(hasher.hash(node));
    this.nodes.set(chunkIdKey(id), node.slice());
    return id;
  }
  get(id: ChunkId): ReturnType<typeof decodeNode> {
    return decodeNode(this.nodes.get(chunkIdKey(id))!);
  }
  entries(id: ChunkId): Entry[] {
    const node = this.get(id);
    if (node.kind === 'leaf') return [...node.entries];
    if (node.kind !== 'interior') throw new Error('a content node in a directory');
    return node.children.flatMap(child => {
      const entries = this.entries(child.id);
      expect(entries.at(-1)!.name).toEqual(child.lastName);
      return entries;
    });
  }
  items(id: ChunkId): ContentItem[] {
    const node = this.get(id);
    if (node.kind === 'content-leaf') return [...node.items];
    if (node.kind !== 'content-interior') throw new Error('a directory node in a content');
    return node.children.flatMap(child => {
      const items = this.items(child.id);
      expect(items.reduce((sum, item) => sum + item.lengthBytes, 0)).toBe(child.sizeBytes);
      return items;
    });
  }
}

const entry = (name: string, size = 0): Entry => ({ name: utf8(name), type: 'file', mode: 0o644, uid: 1, gid: 1, mtime: [size, 0], sizeBytes: 0, flags: 0 });
const build = (sink: Nodes, names: string[]): ChunkId => {
  const builder = new DirectoryBuilder(auxiliary);
  builder.begin(sink);
  for (const name of names) builder.add(entry(name));
  return builder.finish();
};
const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `name-${String(i).padStart(7, '0')}`);

describe('a directory', () => {
  test('without entries is one empty leaf', () => {
    const sink = new Nodes();
    expect(sink.get(build(sink, []))).toEqual({ kind: 'leaf', entries: [] });
  });

  test.each([1, 100, 5_000, 60_000])('of %i entries is found again entry by entry', count => {
    const sink = new Nodes();
    const root = build(sink, names(count));
    expect(sink.entries(root).map(each => new TextDecoder().decode(each.name))).toEqual(names(count));
    for (const node of sink.nodes.values()) expect(node.length).toBeLessThanOrEqual(300 * 1024);
  });

  test('that changes in one entry changes few nodes', () => {
    const sink = new Nodes();
    build(sink, names(60_000));
    const before = sink.nodes.size;
    const builder = new DirectoryBuilder(auxiliary);
    builder.begin(sink);
    for (const name of names(60_000)) builder.add(entry(name, name === 'name-0030000' ? 1 : 0));
    builder.finish();
    expect(before).toBeGreaterThan(10);
    expect(sink.nodes.size - before).toBeLessThanOrEqual(3);
  });

  test('has the same nodes when its builder was used before', () => {
    const sink = new Nodes();
    const builder = new DirectoryBuilder(auxiliary);
    const roots = [1, 2].map(() => {
      builder.begin(sink);
      for (const name of names(5_000)) builder.add(entry(name));
      return builder.finish();
    });
    expect(roots[0]).toEqual(roots[1]);
  });
});

describe('the content of a file', () => {
  const id = (n: number): ChunkId => chunkIdFromBytes(kernel.blake3(utf8(String(n))));
  const buildContent = (sink: Nodes, items: readonly ContentItem[]): ReturnType<ContentBuilder['finish']> => {
    const builder = new ContentBuilder(sink);
    for (const item of items) builder.add(item.id, item.lengthBytes);
    return builder.finish();
  };

  test('of up to 128 items stays inline, of 129 goes into a node', () => {
    const sink = new Nodes();
    const items = Array.from({ length: 129 }, (_, i) => ({ id: id(i), lengthBytes: 10 }));
    expect(buildContent(sink, items.slice(0, 128))).toEqual({ sizeBytes: 1280, content: items.slice(0, 128) });
    const built = buildContent(sink, items);
    expect(built.content).toBeUndefined();
    expect(sink.items(built.contentNode!)).toEqual(items);
  });

  test('of nothing has no items', () => {
    expect(buildContent(new Nodes(), [])).toEqual({ sizeBytes: 0 });
  });

  test('joins neighbouring runs of zeros', () => {
    expect(buildContent(new Nodes(), [{ id: undefined, lengthBytes: 5 }, { id: undefined, lengthBytes: 7 }])).toEqual({
      sizeBytes: 12, content: [{ id: undefined, lengthBytes: 12 }],
    });
  });

  test('of any length and mixture is found again', () => {
    fc.assert(fc.property(fc.integer({ min: 129, max: 12_000 }), fc.integer({ min: 2, max: 9 }), (count, zeroEvery) => {
      const sink = new Nodes();
      const items = Array.from({ length: count }, (_, i): ContentItem => ({ id: i % zeroEvery === 0 ? undefined : id(i % 3000), lengthBytes: 1 + (i % 100) }));
      const built = buildContent(sink, items);
      expect(sink.items(built.contentNode!)).toEqual(items);
      expect(built.sizeBytes).toBe(items.reduce((sum, item) => sum + item.lengthBytes, 0));
    }), { numRuns: 4 });
  });
});
