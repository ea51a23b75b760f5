/** What tests of prune need: a repository with snapshots of trees that differ, and a prune that ends at once. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../src/base/ambient.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';
import { PREFIXES } from '../../src/format/object-names.ts';
import type { SnapshotId } from '../../src/format/ids.ts';
import { forgetSnapshot } from '../../src/repository/forget.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import type { JobContext } from '../../src/usecases/events.ts';
import { prune, type PruneOptions } from '../../src/usecases/prune/prune.ts';
import type { PruneReport } from '../../src/usecases/reports.ts';
import { backupPath, makeRepository, memoryBackend, OWNER, reopen, SMALL_CHUNKS, type TestEnvironment } from './memory-repository.ts';
import { memoryDirectory } from './read-jobs.ts';
import { readAllSnapshots, type SnapshotContent } from './read-snapshot.ts';
import { SeededRandom } from './seeded-random.ts';

export type PruneChanges = Partial<Omit<PruneOptions, 'owner'>>;

/** Everything that is not needed goes, however little it is, unless told otherwise. */
export function runPrune(repository: OpenRepository, changes: PruneChanges = {}, context: JobContext = {}): Promise<PruneReport> {
  return prune(repository, { owner: OWNER, limits: { maxUnusedShare: 0, repackSmall: true }, dryRun: false, graceMs: 0, ...changes }, context);
}

export async function forget(repository: OpenRepository, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) await forgetSnapshot(repository, id as SnapshotId, 'test');
}

/** Sum of the sizes of all packs. */
export async function packBytes(backend: Backend): Promise<number> {
  let sum = 0;
  for await (const { sizeBytes } of backend.list(PREFIXES.packs)) sum += sizeBytes;
  return sum;
}

export async function namesBelow(backend: Backend, prefix: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of backend.list(prefix)) names.push(name);
  return names.sort();
}

export interface Generations {
  readonly backend: Backend;
  readonly repository: OpenRepository;
  readonly root: string;
  /** Oldest first. */
  readonly ids: readonly string[];
  readonly contents: ReadonlyMap<string, SnapshotContent>;
}

/**
 * Snapshots of one tree: each has files that all have, files that it shares with its neighbours, and files of its own. File
 * `long` has content nodes.
 */
export async function generations(count: number, backend: Backend = memoryBackend(), environment: TestEnvironment = {}, root: string = memoryDirectory()): Promise<Generations> {
  const repository = await makeRepository(backend, { ...environment, chunker: SMALL_CHUNKS });
  const ids: string[] = [];
  for (let generation = 0; generation < count; generation++) {
    changeTree(root, generation);
    ids.push((await backupPath(repository, root)).snapshotId!);
  }
  return { backend, repository, root, ids, contents: await readAllSnapshots(repository) };
}

/** The same, made once for a test file, without the tree; every call gives a store of its own. */
export async function storedGenerations(count: number, clock: Clock = systemClock): Promise<Omit<Generations, 'root' | 'backend'> & { readonly backend: MemoryBackend }> {
  let made = once.get(count);
  if (made === undefined) {
    const first = memoryBackend();
    const { ids, contents } = await generations(count, first);
    once.set(count, made = { state: first.snapshotState(), ids, contents });
  }
  const backend = MemoryBackend.fromState(made.state, { clock });
  return { ...made, backend, repository: await reopen(backend) };
}

const once = new Map<number, Pick<Generations, 'ids' | 'contents'> & { readonly state: MemoryState }>();

export function changeTree(root: string, generation: number): void {
  const random = new SeededRandom(generation + 1);
  const write = (path: string, bytes: Uint8Array | string): void => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), bytes);
  };
  if (generation === 0) {
    for (let i = 0; i < 12; i++) write(`kept/${i}`, random.bytes(500 + 700 * i));
    write('kept/long', random.bytes(700_000));
  }
  for (let i = 0; i < 3; i++) write(`shared/${(generation + i) % 5}/file-${generation}`, random.bytes(3000 + 1000 * i));
  rmSync(join(root, 'own'), { recursive: true, force: true });
  for (let i = 0; i < 6; i++) write(`own/${i}`, random.bytes(2000 + 20_000 * i));
  write('own/text', `generation ${generation}\n`.repeat(2000));
}
