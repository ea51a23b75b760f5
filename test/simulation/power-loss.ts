/**
 * Forget, prune and backup on the local adapter with a power cut at any step of the file system: what was not synced survives in
 * any selection (`test/support/simulated-filesystem.ts`), and still every snapshot that is there can be restored to the byte.
 */
import { utf8 } from '../../src/base/bytes.ts';
import { openLocalBackend } from '../../src/backend/local.ts';
import type { FileSystem } from '../../src/backend/local-filesystem.ts';
import { openKnownChunks } from '../../src/cache/known-chunks.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { createInlineEngine } from '../../src/engine/inline-engine.ts';
import type { SnapshotId } from '../../src/format/ids.ts';
import { createRepository } from '../../src/repository/create-repository.ts';
import { forgetSnapshot } from '../../src/repository/forget.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import { openFileTree } from '../../src/sources/files.ts';
import { backup } from '../../src/usecases/backup/backup.ts';
import { prune } from '../../src/usecases/prune/prune.ts';
import { restore } from '../../src/usecases/restore/restore.ts';
import { backupOptions, KEY, OWNER, SMALL_CHUNKS } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { SimulatedFileSystem } from '../support/simulated-filesystem.ts';
import { TestClock } from '../support/test-clock.ts';
import { changeFiles } from './hosts.ts';
import { MemoryTarget, MemoryTree, type FileContents } from './memory-files.ts';
import { kernel } from './remembering-kernel.ts';

const ROOT = '/mnt/disk/repository';
/** States of the disk that are looked at for each power cut. */
const STATES = 3;

class Scene {
  readonly tree: MemoryTree;
  readonly contents = new Map<string, FileContents>();
  /** Reported as saved, and as forgotten; the latter are added when the attempt begins. */
  readonly saved = new Set<string>();
  readonly givenUp = new Set<string>();
  readonly forgotten = new Set<string>();
  readonly #clock = new TestClock();
  #seed = 1;

  constructor(earlier?: Scene) {
    this.tree = earlier?.tree ?? new MemoryTree(() => this.#clock.now());
    if (earlier === undefined) return;
    this.contents = new Map(earlier.contents);
    this.saved = new Set(earlier.saved);
    this.#seed = 1000;
  }

  async open(fileSystem: FileSystem, isNew = false): Promise<OpenRepository> {
    const environment = { kernel, clock: this.#clock, random: new SeededRandom(this.#seed++) };
    const backend = await openLocalBackend(ROOT, { ...environment, create: true, fileSystem });
    if (isNew) await createRepository(backend, environment, { credential: KEY, suite: 1, chunker: SMALL_CHUNKS, label: 'test' });
    return openRepository(backend, KEY, environment, async () => openMemoryCache());
  }

  async backUp(repository: OpenRepository): Promise<void> {
    changeFiles(this.tree, new SeededRandom(this.#seed++));
    const contents = this.tree.contents();
    const native = this.tree.native();
    const engine = createInlineEngine({ kernel, native, openKnownChunks, random: new SeededRandom(this.#seed++) });
    const source = openFileTree([utf8('/data')], { cwd: utf8('/'), native });
    const { snapshotId } = await backup(repository, source, backupOptions({ engines: { capacity: 1, open: () => engine } }));
    this.contents.set(snapshotId!, contents);
    this.saved.add(snapshotId!);
  }

  async forget(repository: OpenRepository, id: string): Promise<void> {
    this.givenUp.add(id);
    await forgetSnapshot(repository, id as SnapshotId, 'test');
    this.forgotten.add(id);
  }

  prune(repository: OpenRepository): Promise<unknown> {
    return prune(repository, { owner: OWNER, dryRun: false, graceMs: 0, limits: { maxUnusedShare: 0, repackSmall: true }, isProcessAlive: () => false });
  }

  /** The promises that do not hold on this disk. */
  async brokenOn(fileSystem: FileSystem): Promise<string[]> {
    const repository = await this.open(fileSystem);
    const { snapshots, unreadable } = await loadSnapshots(repository);
    const broken = unreadable.map(({ id }) => `${id} cannot be read`);
    for (const snapshot of snapshots) {
      const target = new MemoryTarget();
      const engine = createInlineEngine({ kernel, native: this.tree.native(), openKnownChunks, random: new SeededRandom(1) });
      const { status } = await restore(repository, target, {
        engines: { capacity: 1, open: () => engine }, owner: OWNER, snapshot, overwrite: 'always', delete: false, dryRun: false, verify: false, sparse: false, setsOwner: false,
      });
      const expected = this.contents.get(snapshot.id);
      // A snapshot that was committed and not reported yet has no entry; it must be whole all the same.
      const isSame = expected === undefined || [...expected].every(([path, bytes]) => Buffer.compare(bytes, target.files.get(path) ?? new Uint8Array(0)) === 0);
      if (status !== 'complete' || !isSame) broken.push(`${snapshot.id} cannot be restored`);
    }
    const listed = new Set<string>(snapshots.map(({ id }) => id));
    broken.push(...[...this.saved].filter(id => !listed.has(id) && !this.givenUp.has(id)).map(id => `${id} was saved and is gone`));
    broken.push(...[...this.forgotten].filter(id => listed.has(id)).map(id => `${id} was forgotten and is back`));
    return broken;
  }
}

/** Three backups, all durable. */
async function prepare(): Promise<{ scene: Scene; disk: SimulatedFileSystem }> {
  const scene = new Scene();
  const disk = new SimulatedFileSystem();
  await scene.open(disk, true);
  for (let count = 0; count < 3; count++) await scene.backUp(await scene.open(disk));
  return { scene, disk };
}

export interface ExploreOptions {
  /** Every so-many-th step of the scenario is tried as the one before which the power fails. */
  readonly stride: number;
  /** A disk that keeps less than its promises. */
  readonly liar?: (disk: SimulatedFileSystem) => FileSystem;
}

export interface Explored {
  readonly broken: readonly string[];
  /** Of the whole scenario. */
  readonly steps: number;
  /** How often the power failed after the prune only. */
  readonly pruned: number;
}

/** Cuts the power at many steps of forget, prune and backup. With a liar, it ends with the first broken promise. */
export async function explore({ stride, liar }: ExploreOptions): Promise<Explored> {
  const prepared = await prepare();
  const broken: string[] = [];
  let pruned = 0;
  for (let step = 1; ; step += stride) {
    const scene = new Scene(prepared.scene);
    const disk = prepared.disk.afterCrash(new SeededRandom(1));
    disk.crashBeforeStep(step);
    const run = async (): Promise<void> => {
      const repository = await scene.open(liar?.(disk) ?? disk);
      await scene.forget(repository, [...scene.saved][step % 2]!);
      await scene.prune(repository);
      pruned++;
      await scene.backUp(repository);
    };
    await run().catch((error: unknown) => { if (!disk.hasCrashed) throw error; });
    for (let state = 0; state < STATES; state++) {
      const survivor = disk.afterCrash(new SeededRandom(step * 31 + state));
      for (const each of await scene.brokenOn(survivor)) broken.push(`step ${step}, state ${state}: ${each}`);
      if (state > 0) continue;
      // The next run goes on where the power failed.
      await scene.prune(await scene.open(survivor)).catch((error: unknown) => { broken.push(`step ${step}, the next prune: ${String(error)}`); });
      for (const each of await scene.brokenOn(survivor)) broken.push(`step ${step}, after the next prune: ${each}`);
    }
    if (!disk.hasCrashed || (liar !== undefined && broken.length > 0)) return { broken, steps: step, pruned };
  }
}

/** The same disk, but for directories that are never synced. */
export const skippingSyncOf = (pattern: RegExp) => (disk: SimulatedFileSystem): FileSystem => new Proxy(disk, {
  get: (target, key) => {
    if (key === 'syncDirectory') return async (path: string) => pattern.test(path) ? undefined : target.syncDirectory(path);
    const value: unknown = Reflect.get(target, key);
    return typeof value === 'function' ? value.bind(target) as unknown : value;
  },
});
