/** Options of the reading use cases, and ways to damage a repository in memory. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { utf8 } from '../../src/base/bytes.ts';
import type { MemoryBackend } from '../../src/backend/memory.ts';
import { frameRecordAt } from '../../src/format/frame.ts';
import { chunkIdFromBytes } from '../../src/format/ids.ts';
import { packName } from '../../src/format/object-names.ts';
import type { Entry } from '../../src/format/tree-node.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { ReadingSession } from '../../src/repository/reading-session.ts';
import { WritingSession } from '../../src/repository/writing-session.ts';
import { FilesTarget } from '../../src/targets/files.ts';
import type { JobContext } from '../../src/usecases/events.ts';
import type { RestoreReport } from '../../src/usecases/reports.ts';
import { restore } from '../../src/usecases/restore/restore.ts';
import type { RestoreOptions } from '../../src/usecases/restore/restore-options.ts';
import { resolveSnapshot } from '../../src/usecases/reading/select-snapshots.ts';
import { SnapshotTree } from '../../src/usecases/reading/snapshot-tree.ts';
import { engines, OWNER } from './memory-repository.ts';

const MEMORY = '/dev/shm';

/** In memory where the system has such a place: making a restore durable takes time elsewhere. Removed when the test ends. */
export function memoryDirectory(): string {
  const path = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), 'snap-test-'));
  onTestFinished(() => { rmSync(path, { recursive: true, force: true }); });
  return path;
}

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

export function entryOf(repository: OpenRepository, path: string): Promise<Entry> {
  return withLatest(repository, async (_, tree) => (await tree.get(utf8(path))).entry);
}

/** Commits a snapshot of one component that the test makes up; its trees must be in the repository. */
export async function commitComponent(repository: OpenRepository, sourcePath: string, root: Entry): Promise<void> {
  const session = await WritingSession.begin(repository, { owner: OWNER, compressionLevel: 1, discard: false });
  try {
    const statistics = { files: 1, directories: 0, bytes: root.sizeBytes ?? 0, bytesAddedRaw: 0, bytesAddedStored: 0, chunksAdded: 0, sourceErrors: 0 };
    const time = repository.clock.nowPair();
    await session.commit(({ id, gcNumber }) => ({
      id, gcNumber, kind: 'full', startedAt: time, finishedAt: time, host: OWNER.host, hostId: OWNER.hostId, user: OWNER.user, series: 'test', tags: [],
      components: [{ name: sourcePath, isConfiguration: false, sourcePath: utf8(sourcePath), root }], statistics, program: 'snap test', chunkers: [], protected: false,
    }));
  } finally {
    await session.end();
  }
}
