/** Replications with the options of tests, replicas of every kind, and a look at what they hold. */
import { systemClock, systemRandom, type Clock } from '../../src/base/ambient.ts';
import type { SnapError } from '../../src/base/errors.ts';
import type { Backend } from '../../src/backend/backend.ts';
import { MemoryBackend } from '../../src/backend/memory.ts';
import type { ReplicaSelection } from '../../src/format/replica-record.ts';
import { createReplica, createRepository } from '../../src/repository/create-repository.ts';
import type { OpenRepository } from '../../src/repository/opened-repository.ts';
import { loadSnapshots } from '../../src/repository/snapshots.ts';
import type { JobContext } from '../../src/usecases/events.ts';
import { firstId } from '../../src/usecases/replicate/replica-lag.ts';
import type { ReplicateOptions } from '../../src/usecases/replicate/replicate-options.ts';
import { replicate } from '../../src/usecases/replicate/replicate.ts';
import type { ReplicateReport } from '../../src/usecases/reports.ts';
import { KEY, kernel, memoryBackend, OWNER, reopen, SMALL_CHUNKS } from './memory-repository.ts';
import { readAllSnapshots, type SnapshotContent } from './read-snapshot.ts';

export const EVERYTHING: ReplicaSelection = { host: [], series: [], kind: [], tags: [], paths: [] };

/** Each target is a repository or why it could not be opened; its location is `/replica-N`. */
export function runReplicate(
  source: OpenRepository, targets: readonly (OpenRepository | SnapError)[], changes: Partial<ReplicateOptions> = {}, context: JobContext = {},
): Promise<ReplicateReport> {
  const places = targets.map((repository, i) => ({ location: `/replica-${i}`, repository }));
  return replicate(source, places, { owner: OWNER, selection: EVERYTHING, again: false, verify: false, dryRun: false, ...changes }, context);
}

/** 'same': ID and keys of the source. 'shared': the deduplication secret only. 'foreign': nothing in common. */
export type ReplicaKind = 'same' | 'shared' | 'foreign';

export async function makeReplica(source: OpenRepository, kind: ReplicaKind = 'same', backend: Backend = memoryBackend(), clock: Clock = systemClock): Promise<OpenRepository> {
  const environment = { kernel, clock, random: systemRandom };
  if (kind === 'same') await createReplica(backend, environment, { source, sourceCredential: KEY, credential: KEY, label: 'test' });
  else {
    const dedupSecret = kind === 'shared' ? source.keys.keyring.dedupSecret : undefined;
    await createRepository(backend, environment, { credential: KEY, suite: 1, chunker: SMALL_CHUNKS, label: 'test', dedupSecret });
  }
  return reopen(backend, { clock });
}

/** Content of every valid snapshot by its first ID, read through a cache of its own. @throws whatever is missing or damaged */
export async function contentsByFirst(backend: Backend): Promise<Map<string, SnapshotContent>> {
  const repository = await reopen(backend);
  const contents = await readAllSnapshots(repository);
  return new Map((await loadSnapshots(repository)).snapshots.map(record => [firstId(record), contents.get(record.id)!]));
}

export function copyOf(backend: MemoryBackend): MemoryBackend {
  return MemoryBackend.fromState(backend.snapshotState(), { clock: systemClock });
}
