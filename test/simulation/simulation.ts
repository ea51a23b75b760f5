/**
 * One simulation: several hosts that back up, forget, prune, restore and verify in one repository while the storage, their
 * processes and their clocks fail; then the storm ends, everything is put in order, and what was promised must be there.
 */
import { createHash } from 'node:crypto';
import type { Backend } from '../../src/backend/backend.ts';
import { decodeHeader, OBJECT_TYPES } from '../../src/format/header.ts';
import { parseObjectName } from '../../src/format/object-names.ts';
import { createRepository } from '../../src/repository/create-repository.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { Environment } from '../../src/repository/opened-repository.ts';
import { openMemoryCache } from '../../src/cache/memory-cache.ts';
import { KEY, SMALL_CHUNKS } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { newHost, type Habits, type Host, type PruneHabits } from './hosts.ts';
import { checkAll, closeAll, runJob } from './jobs.ts';
import { PromiseCheck } from './promise-check.ts';
import { kernel } from './remembering-kernel.ts';
import { Scheduler, type Policy } from './scheduler.ts';
import { makeReplica, type ReplicaKind } from './replication.ts';
import { BrokenPromise, type Job, type Promised, type Setting } from './run.ts';
import { SimulatedBackend, simulatedClock } from './simulated-process.ts';
import { SimulatedStore, type Conditions } from './simulated-store.ts';
import { CALM, drawWeather, type Weather } from './weather.ts';
import { World, type Process } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Default 'kept'. Otherwise the repository works without create-only writes. */
  readonly conditions?: Conditions;
  /** Default: none. */
  readonly replica?: ReplicaKind | undefined;
  /** A planted mistake. */
  readonly wrap?: (backend: Backend, process: Process, job: Job) => Backend;
  /** Overrides what the seed says. */
  readonly weather?: Weather;
  readonly jobsPerHost?: number;
}

export interface SimulationResult {
  /** The first promise that broke; undefined when all were kept. */
  readonly problem: string | undefined;
  readonly trace: readonly string[];
  readonly digest: string;
  readonly steps: number;
}

const HOUR = 3_600_000;
/** What becomes of conditions at the replica. */
const OF_REPLICA: readonly Conditions[] = ['kept', 'kept', 'kept', 'ignored', 'refused'];

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const simulation = new Simulation(options);
  let problem: string | undefined;
  try {
    await simulation.run();
  } catch (error) {
    problem = error instanceof BrokenPromise ? error.message : error instanceof Error ? error.stack ?? error.message : String(error);
  }
  return simulation.result(problem);
}

class Simulation {
  readonly #options: SimulationOptions;
  readonly #random: SeededRandom;
  readonly #world: World;
  readonly #scheduler: Scheduler;
  readonly #promises: Promised = { contents: new Map(), saved: new Set(), givenUp: new Set() };
  readonly #setting: Setting;
  readonly #hosts: Host[] = [];
  readonly #checks: PromiseCheck[] = [];
  #failure: { readonly error: unknown } | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
    this.#world = new World(this.#random);
    const { conditions = 'kept' } = options;
    const shared = { now: () => this.#world.now, timeStep: options.seed % 3 === 0 ? 1000 : 1, pageSize: 2 + this.#random.below(40) };
    const main = new SimulatedStore({ ...shared, conditions });
    this.#scheduler = new Scheduler(this.#world, (['uniform', 'turns', 'priorities'] satisfies Policy[])[this.#random.below(3)]!);
    this.#setting = {
      world: this.#world, main, promises: this.#promises,
      replica: options.replica === undefined ? undefined : new SimulatedStore({ ...shared, conditions: OF_REPLICA[options.seed % 5]!, label: 'replica:' }),
      wrap: (backend, process, job) => this.#committing(options.wrap?.(backend, process, job) ?? backend, process),
    };
  }

  async run(): Promise<void> {
    await this.#prepare();
    this.#addHosts();
    await this.#all(this.#hosts.filter(({ name }) => name.startsWith('writer')).map(host => runJob(this.#setting, host, 'backup')));
    this.#scheduler.weather = this.#options.weather ?? drawWeather(this.#random);
    this.#world.note(`weather ${JSON.stringify(this.#scheduler.weather)}`);
    await this.#all(this.#hosts.map(host => this.#live(host)));
    this.#world.note('the storm is over');
    this.#scheduler.weather = CALM;
    this.#scheduler.settleStrays();
    await this.#putInOrder();
  }

  result(problem: string | undefined): SimulationResult {
    const { trace } = this.#world;
    return { problem, trace, digest: createHash('sha256').update(trace.join('\n')).digest('hex'), steps: this.#scheduler.steps };
  }

  // --- before ---

  async #prepare(): Promise<void> {
    const { main, replica } = this.#setting;
    await this.#found(main, (backend, environment) => createRepository(backend, environment, { credential: KEY, suite: 1, chunker: SMALL_CHUNKS, label: 'simulated' }));
    if (replica === undefined) return;
    await this.#found(replica, async (backend, environment, process) => {
      const source = await openRepository(new SimulatedBackend(this.#world, main, process), KEY, environment, async () => openMemoryCache());
      await makeReplica(this.#options.replica!, backend, environment, source);
    });
  }

  async #found(store: SimulatedStore, make: (backend: Backend, environment: Environment, process: Process) => Promise<unknown>): Promise<void> {
    const process = this.#world.start('', 'init', () => undefined);
    const environment = { kernel, clock: simulatedClock(this.#world, process, () => 0), random: new SeededRandom(this.#random.below(2 ** 31)) };
    const backend = new SimulatedBackend(this.#world, store, process);
    await this.#all([(async () => {
      await make(backend, environment, process);
      const repository = await openRepository(backend, KEY, environment, async () => openMemoryCache());
      const expected = store.conditions === 'kept' ? 'create-only' : 'fallback';
      if (repository.config.storeMode !== expected) throw new BrokenPromise(`The repository was made in mode '${repository.config.storeMode}', not '${expected}'`);
      const check = new PromiseCheck(repository, store, store.conditions === 'kept');
      store.observer = check;
      this.#checks.push(check);
    })()]);
    this.#world.end(process);
  }

  #addHosts(): void {
    const now = (): number => this.#world.now;
    const pick = <T>(items: readonly T[]): T => items[this.#random.below(items.length)]!;
    const habits = (canRemove: boolean, store = this.#setting.main): Habits => ({
      canRemove, retries: this.#random.oneIn(2), offsetMs: pick([0, 0, -36 * HOUR, 5 * HOUR]),
      prunes: { ...this.#drawPatience(store), limits: { maxUnusedShare: pick([0, 0.05]), repackSmall: this.#random.oneIn(2) } },
    });
    for (let i = 1, count = [2, 2, 3, 4][this.#random.below(4)]!; i <= count; i++) this.#hosts.push(newHost(`writer${i}`, i, habits(!this.#random.oneIn(4)), now));
    for (const i of [1, 2]) this.#hosts.push(newHost(`keeper${i}`, 10 + i, habits(true), now));
    this.#hosts.push(newHost('reader', 20, habits(true), now));
    const { replica } = this.#setting;
    if (replica !== undefined) {
      for (const i of [1, 2]) this.#hosts.push(newHost(`copier${i}`, 40 + i, habits(true), now, { target: newHost(`copier${i}`, 40 + i, habits(true, replica), now, { isAtReplica: true }) }));
      this.#hosts.push(newHost('second', 50, habits(true, replica), now, { isAtReplica: true }));
    }
    this.#scheduler.onClockChange = () => {
      const host = pick(this.#hosts);
      host.offsetMs += pick([-48, -1, 1, 30]) * HOUR;
      this.#world.note(`the clock of ${host.name} is set ${host.offsetMs / HOUR} hours off`);
    };
  }

  /** Without create-only writes a prune must condemn and delete in one run. */
  #drawPatience({ conditions }: SimulatedStore): Pick<PruneHabits, 'graceMs' | 'waitMs'> {
    const graceMs = [0, 0, 24 * HOUR][this.#random.below(3)]!;
    const waitMs = [0, HOUR, 72 * HOUR][this.#random.below(3)]!;
    return { graceMs, waitMs: conditions === 'kept' ? waitMs : Math.max(graceMs, waitMs) };
  }

  // --- the storm ---

  async #live(host: Host): Promise<void> {
    const wishes = this.#world.start('', host.name, () => undefined);
    for (let left = this.#options.jobsPerHost ?? 3 + this.#random.below(3); left > 0; left--) {
      await this.#world.request(wishes, 'begin', host.name, () => undefined);
      if (this.#random.oneIn(8)) this.#changeCache(host);
      await runJob(this.#setting, host, this.#chooseJob(host));
    }
    this.#world.end(wishes);
  }

  #chooseJob({ name }: Host): Job {
    if (name.startsWith('copier')) return 'replicate';
    if (name === 'second') return (['prune', 'prune', 'forget', 'restore', 'verify'] satisfies Job[])[this.#random.below(5)]!;
    if (name.startsWith('keeper') && this.#random.oneIn(8)) return (['rotate', 'parity', 'repair'] satisfies Job[])[this.#random.below(3)]!;
    const jobs: readonly Job[] = name.startsWith('writer') ? ['backup', 'backup', 'backup', 'backup', 'backup', 'relabel', 'forget']
      : name.startsWith('keeper') ? ['prune', 'prune', 'prune', 'prune', 'forget', 'forget', 'undelete'] : ['restore', 'restore', 'verify', 'forget'];
    return jobs[this.#random.below(jobs.length)]!;
  }

  /** Rolled back, lost, or a copy of another host's. */
  #changeCache(host: Host): void {
    // The cache of a repository is never opened for its replica.
    const alike = this.#hosts.filter(each => each.isAtReplica === host.isAtReplica);
    const other = this.#random.oneIn(3) ? alike[this.#random.below(alike.length)]! : host;
    const { changes } = other.cache;
    host.cache.become(changes.slice(0, this.#random.below(changes.length + 1)));
    this.#world.note(`${host.name} gets an old cache${other === host ? '' : ` of ${other.name}`}`);
  }

  /** Notes which source a new snapshot has, at the moment of its commit. */
  #committing(backend: Backend, process: Process): Backend {
    const watched = <T>(name: string, bytes: Uint8Array, call: Promise<T>): Promise<T> => {
      const ref = parseObjectName(name);
      if (ref?.kind === 'snapshot' && process.stores !== undefined && decodeHeader(bytes).type === OBJECT_TYPES.snapshot) this.#promises.contents.set(ref.id, process.stores);
      return call;
    };
    return {
      location: backend.location, capabilities: backend.capabilities,
      read: (name, range, call) => backend.read(name, range, call), stat: (name, call) => backend.stat(name, call), list: (prefix, call) => backend.list(prefix, call),
      create: (name, parts, call) => watched(name, parts[0]!, backend.create(name, parts, call)),
      createIfAbsent: (name, bytes, call) => watched(name, bytes, backend.createIfAbsent(name, bytes, call)),
      remove: (name, call) => backend.remove(name, call), close: () => backend.close(),
    };
  }

  // --- after ---

  async #putInOrder(): Promise<void> {
    const prunes: PruneHabits = { graceMs: 0, waitMs: 0, limits: { maxUnusedShare: 0, repackSmall: true } };
    const after = (number: number, place: Partial<Pick<Host, 'isAtReplica' | 'target'>> = {}): Host =>
      newHost('after', number, { canRemove: true, retries: false, offsetMs: 0, prunes }, () => this.#world.now, place);
    const [keeper, keeperThere] = [after(30), after(31, { isAtReplica: true })];
    this.#expectSaved();
    this.#world.advance(48 * HOUR);
    await this.#putSiteInOrder(keeper, 0);
    if (this.#setting.replica === undefined) return;
    await this.#all([runJob(this.#setting, after(32, { target: keeperThere }), 'replicate')]);
    await this.#putSiteInOrder(keeperThere, 1);
  }

  async #putSiteInOrder(keeper: Host, site: number): Promise<void> {
    const check = this.#checks[site]!;
    const { conditions } = site === 0 ? this.#setting.main : this.#setting.replica!;
    // Without create-only writes the plans of dead runs are given up by hand.
    if (conditions !== 'kept') await this.#all([closeAll(this.#setting, keeper)]);
    for (let i = 0; i < 3; i++) await this.#all([runJob(this.#setting, keeper, 'prune')]);
    const unneeded = check.unneededPacks();
    if (unneeded.length > 0) throw new BrokenPromise(`After the last prune, nothing needs packs ${unneeded.join(', ')}`);
    await this.#all([checkAll(this.#setting, keeper, check.validSnapshots())]);
    this.#expectSaved();
  }

  #expectSaved(): void {
    const valid = new Set(this.#checks.flatMap(check => check.validSnapshots()));
    for (const id of this.#promises.saved) {
      if (!valid.has(id) && !this.#promises.givenUp.has(id)) throw new BrokenPromise(`Snapshot ${id} was reported as saved and is gone`);
    }
  }

  /** Runs the scheduler until all of it is done. */
  async #all(work: readonly Promise<void>[]): Promise<void> {
    let isDone = false;
    Promise.all(work).then(() => { isDone = true; }, (error: unknown) => { this.#failure = { error }; });
    await this.#scheduler.run(() => isDone || this.#failure !== undefined, () => this.#expectKept());
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #expectKept(): Promise<void> {
    for (const check of this.#checks) {
      await check.settle();
      const [problem] = check.problems;
      if (problem !== undefined) throw new BrokenPromise(problem);
    }
  }
}
