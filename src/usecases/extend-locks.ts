/**
 * Extends the locks of everything that is needed (repository design, section 15). To be run every half of the time that a lock
 * holds: then nothing that is needed is ever without a lock, and what a prune has condemned runs out of its own.
 */
import { mapBounded } from '../base/concurrency.ts';
import { hasCode } from '../base/errors.ts';
import type { ObjectLocks } from '../backend/backend.ts';
import { parseObjectName } from '../format/object-names.ts';
import { loadGcView } from '../repository/gc-view.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { newCounters, type JobContext } from './events.ts';

export interface LockReport {
  /** What the locks hold until at least, ms since 1970. */
  readonly until: number;
  readonly extended: number;
  /** Stored so lately that the lock they got then holds for half of the time still. */
  readonly young: number;
  /** Packs that are condemned, and go when their locks end. */
  readonly condemned: number;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const PARALLEL_CALLS = 16;
/** A clock of the storage that is ahead of ours must not make objects look younger than they are. */
const CLOCK_TOLERANCE_MS = 60 * 60 * 1000;

/** @throws DENIED where the bucket has no Object Lock, or the right is missing; every other error of the storage */
export async function extendLocks(repository: OpenRepository, locks: ObjectLocks, context: JobContext = {}): Promise<LockReport> {
  const { backend, clock } = repository;
  const call = { signal: context.signal };
  const counters = context.counters ?? newCounters();
  const now = clock.now();
  const periodMs = locks.days * DAY_MS;
  const { excluded } = await loadGcView(repository, call);
  counters.phase = 'scanning';
  const names: string[] = [];
  let [young, condemned] = [0, 0];
  for await (const { name, storedAt } of backend.list('', call)) {
    const ref = parseObjectName(name);
    if (ref === undefined || !locks.isLocked(name)) continue;
    if ((ref.kind === 'pack' || ref.kind === 'parity') && excluded.has(ref.id)) condemned++;
    else if (now - storedAt + CLOCK_TOLERANCE_MS < periodMs / 2) young++;
    else names.push(name);
  }
  counters.phase = 'writing';
  counters.totalEntries = names.length;
  const until = now + periodMs;
  let extended = 0;
  await mapBounded(names, PARALLEL_CALLS, async name => {
    try {
      await locks.extend(name, until, call);
      extended++;
    } catch (error) {
      // Removed by a prune in the meantime, and so not needed.
      if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    }
    counters.entriesDone++;
  });
  return { until: now + Math.floor(periodMs / 2), extended, young, condemned };
}
