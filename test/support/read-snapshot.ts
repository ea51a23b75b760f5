/** Reads everything that a snapshot reaches, chunk by chunk: the plain way to say that nothing is missing. */
import { createHash } from 'node:crypto';
import { SnapError } from '../../src/base/errors.ts';
import { parseSnapshotId } from '../../src/format/ids.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import type { Snapshot } from '../../src/format/snapshot.ts';
import { isDamage } from '../../src/repository/damage.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { PackReader } from '../../src/repository/pack-reader.ts';
import { establishView } from '../../src/repository/session-view.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { TreeReader } from '../../src/repository/tree-reader.ts';

/** Path (latin1 of its bytes) to "type:sha256 of content" or "type:…". */
export type SnapshotContent = Map<string, string>;

/** Content of every valid snapshot. @throws whatever is missing or damaged */
export async function readAllSnapshots(repository: OpenRepository): Promise<Map<string, SnapshotContent>> {
  await establishView(repository);
  const { snapshots, unreadable } = await loadSnapshots(repository);
  if (unreadable.length > 0) throw unreadable[0]!.error;
  const contents = new Map<string, SnapshotContent>();
  for (const { id } of snapshots) contents.set(id, await readSnapshot(repository, id));
  return contents;
}

export async function readSnapshot(repository: OpenRepository, snapshotId: string): Promise<SnapshotContent> {
  const { snapshots } = await loadSnapshots(repository);
  const record = snapshots.find(each => each.id === parseSnapshotId(snapshotId));
  if (record === undefined) throw new SnapError('SNAPSHOT_NOT_FOUND', `No snapshot '${snapshotId}'`);
  const packs = new PackReader(repository);
  const trees = new TreeReader(repository, packs);
  const content: SnapshotContent = new Map();
  const visit = async (path: string, entry: Entry): Promise<void> => {
    content.set(path, await describe(repository, packs, trees, entry));
    if (entry.directoryNode === undefined) return;
    for await (const child of trees.entries(entry.directoryNode)) await visit(`${path}/${Buffer.from(child.name).toString('latin1')}`, child);
  };
  for (const component of record.snapshot.components) await visit(Buffer.from(component.sourcePath).toString('latin1'), component.root);
  return content;
}

async function describe(repository: OpenRepository, packs: PackReader, trees: TreeReader, entry: Entry): Promise<string> {
  if (entry.type === 'symlink') return `symlink:${Buffer.from(entry.linkTarget!).toString('latin1')}`;
  if (entry.type !== 'file') return entry.type;
  const hash = createHash('sha256');
  for await (const items of trees.content(entry)) {
    for (const { id, lengthBytes } of items) {
      if (id === undefined) {
        hash.update(new Uint8Array(lengthBytes));
        continue;
      }
      const location = repository.cache.chunks.find(id);
      if (location === undefined) throw new SnapError('CHUNK_MISSING', 'A data chunk is in no usable pack');
      hash.update(await packs.chunk(id, location));
    }
  }
  return `file:${entry.sizeBytes}:${hash.digest('hex')}`;
}

/** Path (latin1 of its bytes) to content, as in `SnapshotContent`, of what can be read; files of which a part is missing are left out. */
export type ReadableFiles = ReadonlyMap<string, string>;

/** What is damaged or missing is passed over. */
export async function readableFiles(repository: OpenRepository, { components }: Snapshot): Promise<ReadableFiles> {
  const packs = new PackReader(repository);
  const trees = new TreeReader(repository, packs);
  const content: SnapshotContent = new Map();
  const visit = async (path: string, entry: Entry): Promise<void> => {
    if (entry.flags === 0 || entry.type === 'directory') await describe(repository, packs, trees, entry).then(text => content.set(path, text), ignoreDamage);
    if (entry.directoryNode === undefined) return;
    for await (const child of trees.entries(entry.directoryNode, { onDamage: () => undefined })) await visit(`${path}/${Buffer.from(child.name).toString('latin1')}`, child);
  };
  for (const { sourcePath, root } of components) await visit(Buffer.from(sourcePath).toString('latin1'), root);
  return content;
}

function ignoreDamage(error: unknown): void {
  if (!isDamage(error)) throw error;
}
