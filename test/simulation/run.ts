/** One process of a simulated host at work: what it shares with all others, what it holds, and what excuses a bad result. */
import type { Backend } from '../../src/backend/backend.ts';
import { RetryingBackend } from '../../src/backend/retrying.ts';
import { withoutRemove } from '../../src/backend/without-remove.ts';
import { openRepository } from '../../src/repository/open-repository.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import type { SessionOwner } from '../../src/repository/registration.ts';
import { KEY } from '../support/memory-repository.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import type { Host } from './hosts.ts';
import type { FileContents } from './memory-files.ts';
import { kernel } from './remembering-kernel.ts';
import { SimulatedBackend, simulatedClock } from './simulated-process.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { Process, World } from './world.ts';

export type Job = 'backup' | 'forget' | 'relabel' | 'undelete' | 'prune' | 'restore' | 'verify' | 'rotate' | 'parity' | 'repair' | 'replicate';

/** What all jobs of one simulation share. */
export interface Setting {
  readonly world: World;
  readonly main: SimulatedStore;
  /** Where snapshots are copied to. */
  readonly replica: SimulatedStore | undefined;
  /** Something else between a process and the storage, such as a planted mistake. */
  readonly wrap: (backend: Backend, process: Process, job: Job) => Backend;
  readonly promises: Promised;
}

/** What was promised to users, and what they had at that time. */
export interface Promised {
  /** Snapshot ID to what its source held. */
  readonly contents: Map<string, FileContents>;
  /** Reported as saved. */
  readonly saved: Set<string>;
  /** Somebody has begun to forget them. */
  readonly givenUp: Set<string>;
}

/** A wrong result that no fault excuses. */
export class BrokenPromise extends Error {}

export interface Run {
  readonly setting: Setting;
  readonly host: Host;
  readonly process: Process;
  readonly repository: OpenRepository;
  readonly owner: SessionOwner;
  readonly random: SeededRandom;
}

/** The repository that the host works in. */
export async function openAs({ world, main, replica, wrap }: Setting, host: Host, process: Process, job: Job): Promise<OpenRepository> {
  const clock = simulatedClock(world, process, () => host.offsetMs);
  const random = new SeededRandom(world.random.below(2 ** 31));
  const plain = wrap(new SimulatedBackend(world, host.isAtReplica ? replica! : main, process), process, job);
  const backend = host.canRemove ? plain : withoutRemove(plain);
  return openRepository(host.retries ? new RetryingBackend(backend, { clock, random }) : backend, KEY, { kernel, clock, random }, async () => host.cache.open());
}

// --- what excuses a bad result ---

export const mayMisread = ({ met }: Process): boolean => met.has('flip') || met.has('truncate');
/** A reader without a sign of life for a day loses its pin. */
export const wasAway = ({ longestPauseMs }: Process): boolean => longestPauseMs >= 20 * 3_600_000;
