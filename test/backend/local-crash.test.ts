/** What a power cut leaves of every operation of the local adapter (repository design, section 19.2, item 2). */
import { describe, expect, test } from 'vitest';
import type { Bytes } from '../../src/base/bytes.ts';
import { type LocalBackend, openLocalBackend } from '../../src/backend/local.ts';
import type { FileSystem } from '../../src/backend/local-filesystem.ts';
import { listed } from '../conformance/backend.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { SimulatedFileSystem, type SimulatedFileSystemOptions } from '../support/simulated-filesystem.ts';
import { TestClock } from '../support/test-clock.ts';

/** Ways in which concurrent calls overtake each other, and states after each crash. */
const SCHEDULES = 4;
const SEEDS = 6;
const ROOT = '/mnt/disk/repository';
const contentOf = (seed: number): Bytes => new SeededRandom(seed).bytes(300);

/** What must hold after the crash, collected while the scenario runs. */
class Promises {
  /** Name to the contents of which exactly one may be there. */
  readonly claims = new Map<string, Bytes[]>();
  readonly present = new Set<string>();
  readonly absent = new Set<string>();

  claim(name: string, bytes: Bytes): void {
    this.claims.set(name, [...this.claims.get(name) ?? [], bytes]);
  }

  brokenBy(found: ReadonlyMap<string, Bytes>): string[] {
    const strange = [...found].filter(([name, bytes]) => !this.claims.get(name)?.some(claim => Buffer.compare(claim, bytes) === 0));
    return [
      ...strange.map(([name]) => `${name} is not whole`),
      ...[...this.present].filter(name => !found.has(name)).map(name => `${name} was reported and is lost`),
      ...[...this.absent].filter(name => found.has(name)).map(name => `${name} was removed and is back`),
    ];
  }
}

interface Scenario {
  /** Runs without faults; all its promises hold from then on. */
  readonly before?: (backend: LocalBackend, promises: Promises) => Promise<void>;
  /** A failing step ends it; what was reported until then is in `promises`. */
  readonly run: (open: () => Promise<LocalBackend>, promises: Promises, fileSystem: SimulatedFileSystem) => Promise<void>;
  readonly options?: SimulatedFileSystemOptions;
  /** A file system that keeps less than its promises. */
  readonly liar?: (fileSystem: SimulatedFileSystem) => FileSystem;
}

let nextRandom = 1;
const openOn = (fileSystem: FileSystem): Promise<LocalBackend> =>
  openLocalBackend(ROOT, { clock: new TestClock(), random: new SeededRandom(nextRandom++), create: true, fileSystem });

async function create(backend: LocalBackend, promises: Promises, name: string, seed: number): Promise<void> {
  promises.claim(name, contentOf(seed));
  await backend.create(name, [contentOf(seed).subarray(0, 100), contentOf(seed).subarray(100)]);
  promises.present.add(name);
}

async function createIfAbsent(backend: LocalBackend, promises: Promises, name: string, seed: number): Promise<void> {
  promises.claim(name, contentOf(seed));
  // Also 'exists' is a promise: the object of the winner is there.
  await backend.createIfAbsent(name, contentOf(seed));
  promises.present.add(name);
}

async function remove(backend: LocalBackend, promises: Promises, name: string): Promise<void> {
  promises.present.delete(name);
  await backend.remove(name);
  promises.absent.add(name);
}

/** All crash points of the scenario times all schedules and seeds: the broken promises and how many points there were. */
async function explore(scenario: Scenario): Promise<{ broken: string[]; points: number }> {
  const results = await Promise.all(Array.from({ length: SCHEDULES }, (_, schedule) => exploreOne(scenario, schedule)));
  return { broken: results.flatMap(result => result.broken), points: results[0]!.points };
}

async function exploreOne(scenario: Scenario, schedule: number): Promise<{ broken: string[]; points: number }> {
  const broken: string[] = [];
  for (let point = 1; ; point++) {
    const promises = new Promises();
    const fileSystem = new SimulatedFileSystem({ ...scenario.options, schedule: new SeededRandom(schedule) });
    const seen = scenario.liar?.(fileSystem) ?? fileSystem;
    await scenario.before?.(await openOn(seen), promises);
    fileSystem.crashBeforeStep(point);
    // The error of the crash itself; what matters is what was promised before it.
    await scenario.run(() => openOn(seen), promises, fileSystem).catch(() => undefined);
    for (let seed = 0; seed < SEEDS; seed++) {
      const survivor = fileSystem.afterCrash(new SeededRandom(seed * 1009 + point));
      for (const each of promises.brokenBy(await contentsOf(survivor))) broken.push(`schedule ${schedule}, step ${point}, seed ${seed}: ${each}`);
      if (seed === 0) await expectUsable(survivor);
    }
    if (!fileSystem.hasCrashed) return { broken, points: point };
  }
}

async function contentsOf(fileSystem: SimulatedFileSystem): Promise<Map<string, Bytes>> {
  const backend = await openOn(fileSystem);
  const found = new Map<string, Bytes>();
  for (const { name } of await listed(backend)) found.set(name, await backend.read(name));
  return found;
}

/** The next run can go on where the power failed. */
async function expectUsable(fileSystem: SimulatedFileSystem): Promise<void> {
  const backend = await openOn(fileSystem);
  await backend.create('packs/d/3f/again', [contentOf(99)]);
  expect(await backend.read('packs/d/3f/again')).toEqual(contentOf(99));
}

const started = async (backend: LocalBackend, promises: Promises): Promise<void> => create(backend, promises, 'config', 1);

const scenarios: Record<string, Scenario> = {
  'create of the first object of a new repository': {
    run: async (open, promises) => create(await open(), promises, 'config', 1),
  },
  'create in directories that must be made': {
    before: started,
    run: async (open, promises) => create(await open(), promises, 'packs/d/3f/3f00', 2),
  },
  'create in a directory that exists': {
    before: (backend, promises) => create(backend, promises, 'index/1', 1),
    run: async (open, promises) => {
      const backend = await open();
      await create(backend, promises, 'index/2', 2);
      await create(backend, promises, 'index/3', 3);
    },
  },
  'several create calls at once in one directory, which share syncs': {
    before: started,
    run: async (open, promises) => {
      const backend = await open();
      await Promise.all([2, 3, 4, 5, 6, 7].map(seed => create(backend, promises, `packs/d/3f/${seed}`, seed)));
    },
  },
  'create of two connections at once in a directory that must be made': {
    before: started,
    run: async (open, promises) => {
      const [one, two] = [await open(), await open()];
      await Promise.all([create(one, promises, 'packs/d/3f/1', 2), create(two, promises, 'packs/d/3f/2', 3)]);
    },
  },
  'create in a directory that a killed process had made without a sync': {
    before: started,
    run: async (open, promises, fileSystem) => {
      await fileSystem.makeDirectory(`${ROOT}/index`);
      await create(await open(), promises, 'index/1', 2);
    },
  },
  'createIfAbsent': {
    before: started,
    run: async (open, promises) => createIfAbsent(await open(), promises, 'snapshots/5e', 2),
  },
  'createIfAbsent of two connections at once, the loser included': {
    before: started,
    run: async (open, promises) => {
      const [one, two] = [await open(), await open()];
      await Promise.all([createIfAbsent(one, promises, 'snapshots/5e', 2), createIfAbsent(two, promises, 'snapshots/5e', 3)]);
    },
  },
  'remove': {
    before: (backend, promises) => create(backend, promises, 'index/1', 1),
    run: async (open, promises) => remove(await open(), promises, 'index/1'),
  },
  'remove of what another connection is removing': {
    before: (backend, promises) => create(backend, promises, 'index/1', 1),
    run: async (open, promises) => {
      const [one, two] = [await open(), await open()];
      await Promise.all([remove(one, promises, 'index/1'), remove(two, promises, 'index/1')]);
    },
  },
  'create again after the sync of the directory failed and lost the name': {
    before: (backend, promises) => create(backend, promises, 'index/1', 1),
    run: async (open, promises, fileSystem) => {
      const backend = await open();
      // Known and synced already, so that the failure hits the sync after the link.
      await create(backend, promises, 'index/2', 2);
      fileSystem.failNextDirectorySync();
      await expect(create(backend, promises, 'index/3', 3)).rejects.toThrow();
      await create(backend, promises, 'index/3', 3);
    },
  },
  'create without hard links': {
    options: { hasHardLinks: false },
    before: started,
    run: async (open, promises) => create(await open(), promises, 'packs/d/3f/3f00', 2),
  },
  'createIfAbsent without hard links': {
    options: { hasHardLinks: false },
    before: started,
    run: async (open, promises) => createIfAbsent(await open(), promises, 'snapshots/5e', 2),
  },
};

describe('after a power cut at any step, what was reported is there and whole, and nothing is half there', () => {
  test.each(Object.entries(scenarios))('%s', async (_name, scenario) => {
    const { broken, points } = await explore(scenario);
    expect(broken).toEqual([]);
    expect(points).toBeGreaterThan(5);
  });
});

/** The same file system with some calls replaced; its methods need their own `this`. */
function withChanges(fileSystem: SimulatedFileSystem, changes: Partial<FileSystem>): FileSystem {
  return new Proxy(fileSystem, {
    get: (target, key) => {
      const value: unknown = Reflect.get(changes, key) ?? Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) as unknown : value;
    },
  });
}

const skippingSyncOf = (matches: (path: string) => boolean) => (fileSystem: SimulatedFileSystem): FileSystem =>
  withChanges(fileSystem, { syncDirectory: async path => matches(path) ? undefined : fileSystem.syncDirectory(path) });

describe('the simulation notices', () => {
  const newDirectories = scenarios['create in directories that must be made']!;
  const liars: Record<string, [Scenario, (fileSystem: SimulatedFileSystem) => FileSystem]> = {
    'that file contents are not synced': [newDirectories, fileSystem => withChanges(fileSystem, {
      createFile: async path => ({ ...await fileSystem.createFile(path), sync: async () => undefined }),
    })],
    'that the directory of the object is not synced': [newDirectories, skippingSyncOf(path => path.endsWith('/3f'))],
    'that the directory above a new one is not synced': [newDirectories, skippingSyncOf(path => path.endsWith('/packs/d'))],
    'that the root is not synced for a new directory': [newDirectories, skippingSyncOf(path => path === ROOT)],
    'that the directory above a new repository is not synced':
      [scenarios['create of the first object of a new repository']!, skippingSyncOf(path => path === '/mnt/disk')],
    'that a removal is not synced': [scenarios['remove']!, skippingSyncOf(path => path.endsWith('/index'))],
  };
  test.each(Object.entries(liars))('%s', async (_name, [scenario, liar]) => {
    const { broken } = await explore({ ...scenario, liar });
    expect(broken.length).toBeGreaterThan(0);
  });
});
