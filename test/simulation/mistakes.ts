/**
 * Planted mistakes: a backend between a process and the storage that makes the real code do what a wrong order of steps would
 * do. The simulation must notice each of them; this is the test of the test.
 */
import type { Backend, StoredObject } from '../../src/backend/backend.ts';
import type { Job } from './run.ts';
import { CALM, type Weather } from './weather.ts';
import type { Process } from './world.ts';

export type Mistake = (backend: Backend, process: Process, job: Job) => Backend;

/** No faults, but slow answers, long sleeps and hours that pass: what races need. */
export const STRESS: Weather = { ...CALM, slowAnswer: 6, freeze: 60, timeJump: 300 };

const LOSS = /^snapshot \w+ (lost chunk|was committed without chunk)/;

const isWriter = (job: Job): boolean => job === 'backup' || job === 'relabel' || job === 'undelete';

/** The same backend with some calls replaced. */
function changed(backend: Backend, changes: Partial<Backend>): Backend {
  return {
    location: backend.location, capabilities: backend.capabilities,
    read: (name, range, options) => backend.read(name, range, options),
    stat: (name, options) => backend.stat(name, options),
    list: (prefix, options) => backend.list(prefix, options),
    create: (name, parts, options) => backend.create(name, parts, options),
    createIfAbsent: (name, bytes, options) => backend.createIfAbsent(name, bytes, options),
    remove: (name, options) => backend.remove(name, options),
    close: () => backend.close(),
    ...changes,
  };
}

async function listed(backend: Backend, prefix: string): Promise<StoredObject[]> {
  const objects: StoredObject[] = [];
  for await (const object of backend.list(prefix)) objects.push(object);
  return objects;
}

/** Listings that were taken too early, each to be given once instead of a new one. */
class EarlyListings {
  readonly #backend: Backend;
  readonly #kept = new Map<string, StoredObject[]>();

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  async take(...prefixes: readonly string[]): Promise<void> {
    for (const prefix of prefixes) this.#kept.set(prefix, await listed(this.#backend, prefix));
  }

  async *list(prefix: string): AsyncGenerator<StoredObject> {
    const kept = this.#kept.get(prefix);
    this.#kept.delete(prefix);
    yield* kept ?? this.#backend.list(prefix);
  }
}

/** A slow host: others get far between one step and the next. */
async function dawdle(backend: Backend): Promise<void> {
  for (let count = 0; count < 80; count++) await backend.stat('config');
}

/** A writer that takes long between its last look and its commit, which every writer may. */
function slowCommits(backend: Backend): Backend {
  return changed(backend, {
    createIfAbsent: async (name, bytes) => {
      if (name.startsWith('snapshots/')) await dawdle(backend);
      return backend.createIfAbsent(name, bytes);
    },
  });
}

async function* nothing(): AsyncGenerator<StoredObject> {}

/** Names are those of the model where it has the same mistake. */
export const MISTAKES: Readonly<Record<string, {
  /** Seeds within which it must be found. */
  readonly seeds: number;
  /** The problem that it must lead to. */
  readonly finds: RegExp;
  readonly mistake: Mistake;
}>> = {
  'gc-before-session': {
    seeds: 40,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (!isWriter(job)) return backend;
      const early = new EarlyListings(backend);
      return changed(backend, {
        list: prefix => early.list(prefix),
        createIfAbsent: async (name, bytes) => {
          if (!name.startsWith('sessions/')) return backend.createIfAbsent(name, bytes);
          await early.take('gc/');
          await dawdle(backend);
          return backend.createIfAbsent(name, bytes);
        },
      });
    },
  },
  'ignore-condemned': {
    seeds: 40,
    finds: LOSS,
    mistake: (backend, _, job) => isWriter(job) ? changed(backend, { list: prefix => prefix === 'gc/' ? nothing() : backend.list(prefix) }) : backend,
  },
  'commit-without-fence': {
    seeds: 20,
    finds: /^the tombstone of \w+ was removed|written twice/,
    mistake: (backend, _, job) => !isWriter(job) ? backend : changed(backend, {
      createIfAbsent: async (name, bytes) => {
        const outcome = await backend.createIfAbsent(name, bytes);
        if (outcome === 'created' || !name.startsWith('snapshots/')) return outcome;
        await backend.remove(name);
        return backend.createIfAbsent(name, bytes);
      },
    }),
  },
  'commit-before-index': {
    seeds: 5,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (job !== 'backup') return backend;
      const late: (() => Promise<void>)[] = [];
      return changed(backend, {
        create: async (name, parts) => {
          if (!name.startsWith('index/')) return backend.create(name, parts);
          late.push(() => backend.create(name, parts));
        },
        createIfAbsent: async (name, bytes) => {
          const outcome = await backend.createIfAbsent(name, bytes);
          if (name.startsWith('snapshots/')) for (const create of late.splice(0)) await create();
          return outcome;
        },
      });
    },
  },
  'ignore-sessions': {
    seeds: 40,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (job !== 'prune') return isWriter(job) ? slowCommits(backend) : backend;
      return changed(backend, { list: prefix => prefix === 'sessions/' ? nothing() : backend.list(prefix) });
    },
  },
  'sessions-before-publish': {
    seeds: 80,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (job !== 'prune') return isWriter(job) ? slowCommits(backend) : backend;
      const early = new EarlyListings(backend);
      return changed(backend, {
        list: prefix => early.list(prefix),
        createIfAbsent: async (name, bytes) => {
          if (!/^gc\/\d+$/.test(name)) return backend.createIfAbsent(name, bytes);
          await early.take('sessions/');
          await dawdle(backend);
          return backend.createIfAbsent(name, bytes);
        },
      });
    },
  },
  'relist-before-resolve': {
    seeds: 40,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (job !== 'prune') return isWriter(job) ? slowCommits(backend) : backend;
      const early = new EarlyListings(backend);
      let isPublished = false;
      return changed(backend, {
        list: async function* (prefix) {
          // P5 comes right after the plan.
          if (prefix === 'sessions/' && isPublished) await early.take('forgotten/', 'rejected/', 'snapshots/');
          isPublished &&= prefix !== 'sessions/';
          yield* early.list(prefix);
        },
        createIfAbsent: async (name, bytes) => {
          isPublished ||= /^gc\/\d+$/.test(name);
          return backend.createIfAbsent(name, bytes);
        },
      });
    },
  },
  'no-second-listing': {
    seeds: 40,
    finds: LOSS,
    mistake: (backend, _, job) => {
      if (job !== 'prune') return backend;
      const first = new Map<string, StoredObject[]>();
      return changed(backend, {
        list: async function* (prefix) {
          if (prefix !== 'snapshots/' && prefix !== 'forgotten/') return yield* backend.list(prefix);
          if (!first.has(prefix)) first.set(prefix, await listed(backend, prefix));
          yield* first.get(prefix)!;
        },
      });
    },
  },
  'delete-before-sweep': {
    seeds: 10,
    finds: /^pack \w+ was deleted, and no sweep/,
    mistake: (backend, _, job) => job !== 'prune' ? backend : changed(backend, {
      createIfAbsent: async (name, bytes) => name.endsWith('.sweep') ? 'created' : backend.createIfAbsent(name, bytes),
    }),
  },
  'forget-by-delete': {
    seeds: 5,
    finds: /^the record of \w+ was removed/,
    mistake: (backend, _, job) => job !== 'forget' ? backend : changed(backend, {
      createIfAbsent: async (name, bytes) => name.startsWith('forgotten/') ? 'created' : backend.createIfAbsent(name, bytes),
    }),
  },
};
