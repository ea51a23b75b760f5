/** Options of the reading use cases, and ways to damage a repository in memory. */
import { utf8 } from '../../src/base/bytes.ts';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { frameRecordAt } from '../../src/format/frame.ts';
import { chunkIdFromBytes } from '../../src/format/ids.ts';
import { packName } from '../../src/format/object-names.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { ReadingSession } from '../../src/repository/reading-session.ts';
import { FilesTarget } from '../../src/targets/files.ts';
import type { JobContext } from '../../src/usecases/events.ts';
import type { RestoreReport } from '../../src/usecases/reports.ts';
import { restore } from '../../src/usecases/restore.ts';
import type { RestoreOptions } from '../../src/usecases/restore-options.ts';
import { resolveSnapshot } from '../../src/usecases/select-snapshots.ts';
import { SnapshotTree } from '../../src/usecases/snapshot-tree.ts';
import { engines, OWNER } from './memory-repository.ts';

export type RestoreChanges = Partial<Omit<RestoreOptions, 'snapshot' | 'path'>> & { readonly snapshot?: string; readonly path?: string };

/** Restores `latest`, or the snapshot of that name, into a directory of this system. */
export async function restoreTo(repository: OpenRepository, directory: string, changes: RestoreChanges = {}, context: JobContext = {}): Promise<RestoreReport> {
  const { snapshot = 'latest', path, ...options } = changes;
  return restore(repository, new FilesTarget({ path: utf8(directory) }), {
    engines, owner: OWNER, snapshot: await resolveSnapshot(repository, snapshot), path: path === undefined ? undefined : utf8(path),
    overwrite: 'if-changed', delete: false, dryRun: false, verify: false, sparse: false, setsOwner: true, ...options,
  }, context);
}

/** A session on the newest snapshot, for a while. */
export async function withLatest<T>(repository: OpenRepository, work: (session: ReadingSession, tree: SnapshotTree) => Promise<T>): Promise<T> {
  const record = await resolveSnapshot(repository, 'latest');
  const session = await ReadingSession.begin(repository, OWNER, [record]);
  try {
    return await work(session, new SnapshotTree(session.trees, record.snapshot));
  } finally {
    await session.end();
  }
}

/** Where the frame of a chunk is stored. */
export interface StoredFrame {
  readonly object: string;
  readonly offset: number;
  readonly length: number;
}

/** The frame that holds the n-th chunk of a file of the newest snapshot. */
export function frameOfFile(repository: OpenRepository, path: string, chunk = 0): Promise<StoredFrame> {
  return withLatest(repository, async (session, tree) => {
    const { entry } = await tree.get(utf8(path));
    const ids: Uint8Array[] = [];
    for await (const items of session.trees.content(entry)) for (const { id } of items) if (id !== undefined) ids.push(id);
    return frameOfChunk(repository, ids[chunk]!);
  });
}

/** The frame that holds the root node of a directory of the newest snapshot. */
export function frameOfDirectory(repository: OpenRepository, path: string): Promise<StoredFrame> {
  return withLatest(repository, async (_, tree) => frameOfChunk(repository, (await tree.get(utf8(path))).entry.directoryNode!));
}

export function frameOfChunk(repository: OpenRepository, id: Uint8Array): StoredFrame {
  const { chunks } = repository.cache;
  const location = chunks.find(chunkIdFromBytes(id))!;
  const pack = chunks.pack(location.pack)!;
  const { offset, storedLength } = frameRecordAt(pack.frames, location.frame);
  return { object: packName(pack.type, pack.id), offset, length: storedLength };
}

/** Changes one bit in the middle of a stored range. */
export async function flipBit(backend: MemoryBackend, { object, offset, length }: StoredFrame): Promise<void> {
  const bytes = await backend.read(object);
  bytes[offset + (length >> 1)]! ^= 0x10;
  await backend.remove(object);
  await backend.create(object, [bytes]);
}

export async function entryOf(repository: OpenRepository, path: string): Promise<Entry> {
  return withLatest(repository, async (_, tree) => (await tree.get(utf8(path))).entry);
}
