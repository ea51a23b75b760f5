/** Backs up trees of the file system: one component for each path. */
import { invariant, SnapError } from '../../base/errors.ts';
import { equalBytes, utf8, type Bytes } from '../../base/bytes.ts';
import { FILE_TYPE_MASK, StatRecords, TYPE_FILE } from '../../base/stat-record.ts';
import type { PackNumber } from '../../cache/cache.ts';
import type { ChunkId, PackId } from '../../format/ids.ts';
import { MAX_INLINE_XATTR_BYTES } from '../../format/limits.ts';
import { packName } from '../../format/object-names.ts';
import type { Component } from '../../format/snapshot.ts';
import type { Xattr } from '../../format/tree-node.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import type { EntryDetails, SourceRoot, TreeSource } from '../../sources/source.ts';
import { unreadableErrno } from '../../sources/unreadable.ts';
import { BackupWalk, type PendingFile } from './backup-walk.ts';
import type { BackupRun } from './backup-run.ts';
import type { BackupTally } from './backup-tally.ts';
import { ClosureCheck } from './closure-check.ts';
import { ContentIngest, type ContentAnswer } from './content-ingest.ts';
import { DirectoryAssembly } from './directory-assembly.ts';
import { DirectoryRecords } from './directory-records.ts';
import { EntryFactory, entryTypeOf, type EntryParts } from './entry-factory.ts';
import type { JobContext } from '../events.ts';

export interface OpenedTree {
  readonly roots: readonly SourceRoot[];
}

/** @throws SOURCE_MISSING before anything is stored */
export async function openTree(source: TreeSource, context: JobContext): Promise<OpenedTree> {
  const roots = await source.open({ signal: context.signal });
  if (roots.length === 0) throw new SnapError('SOURCE_MISSING', 'There is nothing to back up: no path was given');
  return { roots };
}

type Item = { readonly kind: 'file'; readonly slot: PendingFile } | { readonly kind: 'value'; readonly slot: PendingFile; readonly attribute: number }
  | { readonly kind: 'root'; readonly component: number } | { readonly kind: 'root-value'; readonly component: number; readonly attribute: number };

export async function backupTree(run: BackupRun, source: TreeSource, { roots }: OpenedTree): Promise<Component[]> {
  const { repository, options, session, engine, tally, parent, context } = run;
  const trees = new TreeReader(repository, new PackReader(repository));
  const onDamage = (error: SnapError, packs?: readonly PackNumber[]): void => { storeAgain(run, error, packs); };
  const closure = new ClosureCheck(repository, trees, onDamage);
  const records = new DirectoryRecords(repository.cache.files, repository.kernel, options.series);
  const factory = new EntryFactory(repository.keys.auxiliaryHasher, source);
  const rootNodes: (ChunkId | undefined)[] = roots.map(() => undefined);
  const rootAnswers = new Map<number, ContentAnswer>();
  const rootDetails = roots.map(root => source.rootDetails(root, problem => { tally.problem(problem); }));
  const rootXattrs: Xattr[][] = rootDetails.map(details => [...details.xattrs]);
  const ingest = new ContentIngest<Item>(engine, session.trees, (item, answer) => {
    if (item.kind === 'file') return assembly.fileStored(item.slot, answer);
    if (item.kind === 'value') return assembly.valueStored(item.slot, item.attribute, answer);
    session.reference(answer.packs);
    session.referenceClaimed(answer.claimed);
    if (item.kind === 'root') rootAnswers.set(item.component, answer);
    else rootXattrs[item.component]![item.attribute] = { name: rootXattrs[item.component]![item.attribute]!.name, value: answer.content.content! };
    return undefined;
  }, () => session.assembler.backPressure(), { signal: context.signal });
  const assembly = new DirectoryAssembly({
    session, trees, records, factory, tally, startedAt: run.startedAt, onDamage,
    storeValue: (value, slot, attribute) => ingest.addBytes(value, { kind: 'value', slot, attribute }),
    onRoot: (component, node) => { rootNodes[component] = node; },
  });
  const walk = new BackupWalk({
    source, trees, closure, records, assembly, tally, onDamage,
    ingest: {
      addFile: (directory, name, stat, sizeBytes, slot) => ingest.addFile(directory, name, stat, sizeBytes, { kind: 'file', slot }),
      backPressure: () => ingest.backPressure(),
    },
    takesOver: options.kind === 'incremental', ignoreInode: options.ignoreInode,
    parentStart: parent?.snapshot.startedAt, earlierRoots: earlierRoots(run, roots), signal: context.signal,
  });
  try {
    await walk.run();
    await addRootFiles(roots, ingest);
    await addRootValues(rootDetails, ingest);
    await ingest.finish();
    await engine.end();
    // What a prune condemned is stored again as well, but was never gone.
    if (!session.view.packs.some(({ id }) => session.view.excluded.has(id))) tally.tellHealed();
  } catch (error) {
    await ingest.settled();
    throw error;
  }
  const components = roots.map((root, i) => makeComponent(run, factory, root, { linkTarget: rootDetails[i]!.linkTarget, xattrs: rootXattrs[i]! }, rootNodes[i], rootAnswers.get(i)))
    .filter(component => component !== undefined);
  await session.flush();
  assembly.resolveClaims();
  if (!options.dryRun) await records.flush();
  return components;
}

function earlierRoots({ parent }: BackupRun, roots: readonly SourceRoot[]): (ChunkId | undefined)[] {
  return roots.map(({ path }) => parent?.snapshot.components.find(component => equalBytes(component.sourcePath, path))?.root.directoryNode);
}

/** A path that is itself a file. */
async function addRootFiles(roots: readonly SourceRoot[], ingest: ContentIngest<Item>): Promise<void> {
  for (const [component, root] of roots.entries()) {
    const stats = new StatRecords(root.stat);
    if ((stats.mode(0) & FILE_TYPE_MASK) !== TYPE_FILE || stats.size(0) === 0) continue;
    const { directory, name } = splitPath(root.path);
    await ingest.addFile(directory, name, root.stat, stats.size(0), { kind: 'root', component });
  }
}

function splitPath(path: Bytes): { directory: Bytes; name: Bytes } {
  const slash = path.lastIndexOf(0x2f);
  return { directory: slash <= 0 ? utf8('/') : path.subarray(0, slash), name: path.subarray(slash + 1) };
}

async function addRootValues(rootDetails: readonly EntryDetails[], ingest: ContentIngest<Item>): Promise<void> {
  for (const [component, { xattrs }] of rootDetails.entries()) {
    for (const [attribute, { value }] of xattrs.entries()) {
      if (value.length > MAX_INLINE_XATTR_BYTES) await ingest.addBytes(value, { kind: 'root-value', component, attribute });
    }
  }
}

interface RootParts {
  readonly linkTarget: Bytes | undefined;
  readonly xattrs: readonly Xattr[];
}

/** Undefined for a root whose content could not be read at all. */
/** Damage that a backup comes upon is healed by it: nothing of these packs is taken over. Of tree packs, since content is not read. */
function storeAgain({ session, tally, repository }: BackupRun, error: SnapError, packs: readonly PackNumber[] = []): void {
  const { chunks } = repository.cache;
  const id = error.context['pack'];
  const named = typeof id === 'string' ? chunks.packNumber(id as PackId) : undefined;
  const bad = [...packs, ...named === undefined ? [] : [named]].filter(pack => chunks.isUsable(pack) && chunks.pack(pack)?.type === 'tree');
  if (bad.length === 0) return;
  session.distrust(bad);
  tally.healing(bad.map(pack => packName('tree', chunks.pack(pack)!.id)), error);
}

function makeComponent(
  { tally, options }: BackupRun, factory: EntryFactory, root: SourceRoot, { linkTarget, xattrs }: RootParts, node: ChunkId | undefined, answer: ContentAnswer | undefined,
): Component | undefined {
  const stats = new StatRecords(root.stat);
  const shared: EntryParts = { linkTarget, xattrs: xattrs.length === 0 ? undefined : xattrs };
  const content = entryTypeOf(stats.type(0)) === 'file' ? rootContent(tally, root, answer) : { directoryNode: node };
  if (content === undefined) return undefined;
  invariant(entryTypeOf(stats.type(0)) !== 'directory' || node !== undefined, 'The root of a component has no node');
  return {
    name: new TextDecoder().decode(root.path), isConfiguration: options.kind === 'config', sourcePath: root.path,
    root: factory.make(new Uint8Array(0), stats, 0, { ...shared, ...content }),
  };
}

function rootContent(tally: BackupTally, root: SourceRoot, answer: ContentAnswer | undefined): EntryParts | undefined {
  if (answer !== undefined && answer.errno !== 0) {
    tally.problem({ path: root.path, during: 'read', error: unreadableErrno(root.path, 'read', answer.errno) });
    return undefined;
  }
  const { directory, name } = splitPath(root.path);
  tally.file(directory, name, 'new', answer?.content.sizeBytes ?? 0);
  if (answer === undefined) return { sizeBytes: 0 };
  return { ...answer.content, flags: answer.flags, damagedSpans: answer.damagedSpans.length > 0 ? answer.damagedSpans : undefined };
}
