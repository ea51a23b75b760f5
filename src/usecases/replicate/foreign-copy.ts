/**
 * Snapshots for a target that shares nothing with the source: its chunks get new IDs, so every folder is written anew. Of two snapshots that
 * have a folder or the content of a file in common, the one that is there already serves for the other: source and target of it are
 * walked beside the new one, and what is equal here is taken over as it is called there. That snapshot is looked through first, since only
 * what lies in usable packs may be referred to.
 */
import { equalBytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { invariant, throwIfAborted } from '../../base/errors.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { ChunkId } from '../../format/ids.ts';
import type { Component, Snapshot } from '../../format/snapshot.ts';
import { compareNames, type ContentItem, type Entry, type Xattr } from '../../format/tree-node.ts';
import { ContentBuilder } from '../../repository/content-builder.ts';
import { DirectoryBuilder } from '../../repository/directory-builder.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import type { ReadingSession } from '../../repository/reading-session.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import type { NodeSink } from '../../repository/tree-writer.ts';
import { ClosureWalk } from '../reach/closure-walk.ts';
import { ChunkTranslation, Translations, type TranslationOptions } from './chunk-translation.ts';
import type { ReplicaTarget } from './replica-target.ts';
import { fromSource } from './source-failure.ts';

/** One snapshot as it is in the source and in the target. */
export interface SnapshotPair {
  readonly source: Snapshot;
  readonly target: Snapshot;
}

interface EntryPair {
  readonly source: Entry;
  readonly target: Entry;
}

export class ForeignCopy {
  readonly #reading: ReadingSession;
  readonly #target: ReplicaTarget;
  readonly #options: CallOptions;
  readonly #chunks: ChunkTranslation;
  readonly #nodes = new Translations();
  readonly #packs = new Set<PackNumber>();
  readonly #sink: NodeSink;
  readonly #targetTrees: TreeReader;
  readonly #closure: ClosureWalk;

  /** For one session of the target, until it looks at its repository anew. */
  constructor(reading: ReadingSession, target: ReplicaTarget, options: TranslationOptions) {
    this.#reading = reading;
    this.#target = target;
    this.#options = options;
    this.#chunks = new ChunkTranslation(reading, target, options);
    this.#sink = target.session.trees.sink(this.#packs);
    this.#targetTrees = new TreeReader(target.repository, new PackReader(target.repository));
    this.#closure = new ClosureWalk(target.repository, this.#targetTrees, options);
  }

  /** The components of the snapshot in the target; everything that they need is given to the session. @throws SourceFailure; errors of the target */
  async components(snapshot: Snapshot, base: SnapshotPair | undefined): Promise<Component[]> {
    const usable = base !== undefined && await this.#closure.isWhole(base.target) ? base : undefined;
    if (usable !== undefined) this.#target.session.reference(this.#closure.packs);
    const components: Component[] = [];
    for (const component of snapshot.components) {
      const [source, target] = [usable?.source, usable?.target].map(each => each?.components.find(({ name }) => name === component.name)?.root);
      components.push({ ...component, root: await this.#entry(component.root, pairOf(source, target)) });
    }
    this.#target.session.reference(this.#packs);
    return components;
  }

  async #entry(entry: Entry, base: EntryPair | undefined): Promise<Entry> {
    const xattrs = await this.#xattrs(entry.xattrs);
    const plain: Entry = xattrs === undefined ? entry : { ...entry, xattrs };
    if (entry.directoryNode !== undefined) return { ...plain, directoryNode: await this.#directory(entry.directoryNode, base) };
    if (entry.type !== 'file' || (entry.content === undefined && entry.contentNode === undefined)) return plain;
    if (base !== undefined && hasSameContent(entry, base.source)) return { ...plain, content: base.target.content, contentNode: base.target.contentNode };
    if (entry.content !== undefined) return { ...plain, content: await this.#chunks.items(entry.content) };
    return { ...plain, contentNode: await this.#content(entry, entry.contentNode!, base) };
  }

  async #xattrs(xattrs: Entry['xattrs']): Promise<Xattr[] | undefined> {
    if (xattrs === undefined) return undefined;
    const translated: Xattr[] = [];
    for (const xattr of xattrs) translated.push(xattr.value instanceof Uint8Array ? xattr : { ...xattr, value: await this.#chunks.items(xattr.value) });
    return translated;
  }

  /** Content of many chunks: those that the base has as well need not be read. */
  async #content(entry: Entry, node: ChunkId, base: EntryPair | undefined): Promise<ChunkId> {
    const known = this.#nodes.get(node);
    if (known !== undefined) return known;
    if (base !== undefined) await this.#learn(base);
    const builder = new ContentBuilder(this.#sink);
    for await (const items of this.#fromSource(this.#reading.trees.content(entry, this.#options))) {
      throwIfAborted(this.#options.signal);
      for (const { id, lengthBytes } of await this.#chunks.items(items)) builder.add(id, lengthBytes);
    }
    const { contentNode } = builder.finish();
    invariant(contentNode !== undefined, 'Content that had nodes needs none');
    this.#nodes.set(node, contentNode);
    return contentNode;
  }

  /** Both lists of chunks have the same lengths, so they pair up one by one. */
  async #learn({ source, target }: EntryPair): Promise<void> {
    if (source.type !== 'file' || target.type !== 'file') return;
    const theirs = itemsOf(this.#targetTrees.content(target, this.#options));
    for await (const { id, lengthBytes } of itemsOf(this.#fromSource(this.#reading.trees.content(source, this.#options)))) {
      const { value: other } = await theirs.next() as IteratorResult<ContentItem, undefined>;
      if (other === undefined || other.lengthBytes !== lengthBytes) return;
      if (id !== undefined && other.id !== undefined) this.#chunks.known.set(id, other.id);
    }
  }

  async #directory(node: ChunkId, base: EntryPair | undefined): Promise<ChunkId> {
    const [source, target] = [base?.source.directoryNode, base?.target.directoryNode];
    if (source !== undefined && target !== undefined && equalBytes(source, node)) return target;
    const known = this.#nodes.get(node);
    if (known !== undefined) return known;
    const builder = new DirectoryBuilder(this.#target.repository.keys.auxiliaryHasher);
    builder.begin(this.#sink);
    const pairs = new PairWalk(source === undefined || target === undefined ? undefined : {
      source: this.#fromSource(this.#reading.trees.leaves(source, this.#options)), target: this.#targetTrees.leaves(target, this.#options),
    });
    for await (const leaf of this.#fromSource(this.#reading.trees.leaves(node, this.#options))) {
      throwIfAborted(this.#options.signal);
      if (source === undefined) await this.#readTogether(leaf);
      for (const entry of leaf) builder.add(await this.#entry(entry, await pairs.find(entry.name)));
    }
    const translated = builder.finish();
    this.#nodes.set(node, translated);
    return translated;
  }

  /** Small files that lie next to each other in the packs are read together. */
  async #readTogether(leaf: readonly Entry[]): Promise<void> {
    const few = leaf.filter(({ content }) => content !== undefined && content.length === 1).flatMap(({ content }) => content!);
    if (few.length > 1) await this.#chunks.items(few);
  }

  async *#fromSource<T>(values: AsyncGenerator<T>): AsyncGenerator<T> {
    for (;;) {
      const { done, value } = await fromSource(() => values.next());
      if (done === true) return;
      yield value;
    }
  }
}

/** Walks a folder as it is in the source and in the target, in name order, for the entries of one name in both. */
class PairWalk {
  readonly #sides: { readonly source: AsyncGenerator<Entry>; readonly target: AsyncGenerator<Entry> } | undefined;
  #source: Entry | undefined;
  #target: Entry | undefined;
  #isBegun = false;

  constructor(sides: { readonly source: AsyncGenerator<readonly Entry[]>; readonly target: AsyncGenerator<readonly Entry[]> } | undefined) {
    this.#sides = sides === undefined ? undefined : { source: entriesOf(sides.source), target: entriesOf(sides.target) };
  }

  /** Names come in ascending order. */
  async find(name: Uint8Array): Promise<EntryPair | undefined> {
    if (this.#sides === undefined) return undefined;
    if (!this.#isBegun) {
      this.#isBegun = true;
      [this.#source, this.#target] = [await next(this.#sides.source), await next(this.#sides.target)];
    }
    while (this.#source !== undefined && compareNames(this.#source.name, name) < 0) this.#source = await next(this.#sides.source);
    while (this.#target !== undefined && compareNames(this.#target.name, name) < 0) this.#target = await next(this.#sides.target);
    if (this.#source === undefined || this.#target === undefined || !equalBytes(this.#source.name, name) || !equalBytes(this.#target.name, name)) return undefined;
    return { source: this.#source, target: this.#target };
  }
}

async function* entriesOf(leaves: AsyncGenerator<readonly Entry[]>): AsyncGenerator<Entry> {
  for await (const leaf of leaves) yield* leaf;
}

async function* itemsOf(parts: AsyncGenerator<readonly ContentItem[]>): AsyncGenerator<ContentItem, undefined> {
  for await (const items of parts) yield* items;
  return undefined;
}

async function next(entries: AsyncGenerator<Entry>): Promise<Entry | undefined> {
  const { done, value } = await entries.next();
  return done === true ? undefined : value;
}

function pairOf(source: Entry | undefined, target: Entry | undefined): EntryPair | undefined {
  return source === undefined || target === undefined ? undefined : { source, target };
}

function hasSameContent(a: Entry, b: Entry): boolean {
  if (a.sizeBytes !== b.sizeBytes) return false;
  if (a.contentNode !== undefined) return b.contentNode !== undefined && equalBytes(a.contentNode, b.contentNode);
  const [x, y] = [a.content, b.content];
  return x !== undefined && y !== undefined && x.length === y.length && x.every((item, i) => isSameItem(item, y[i]!));
}

function isSameItem(a: ContentItem, b: ContentItem): boolean {
  if (a.lengthBytes !== b.lengthBytes) return false;
  return a.id === undefined || b.id === undefined ? a.id === b.id : equalBytes(a.id, b.id);
}
