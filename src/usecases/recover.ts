/**
 * Puts a repository back to what it held at an earlier moment, in place, where the storage keeps versions (decision 0012). What
 * was removed or replaced since comes back; what was added stays, but for the documents that would make it vanish again: markers of
 * snapshots that were valid then, and sweeps. Nothing else may work in the repository meanwhile.
 */
import { mapBounded } from '../base/concurrency.ts';
import type { Backend, ObjectChange, ObjectHistory } from '../backend/backend.ts';
import { parseObjectName, type ObjectRef } from '../format/object-names.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { loadSnapshots } from '../repository/snapshots.ts';
import { newCounters, type JobContext } from './events.ts';

export interface RecoverOptions {
  /** The repository as it is. */
  readonly present: Backend;
  readonly history: ObjectHistory;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly dryRun: boolean;
}

export interface RecoverReport {
  readonly dryRun: boolean;
  /** Snapshots that were valid then, and when the newest of them was made, ms since 1970. */
  readonly snapshotsThen: number;
  readonly newestThen: number | undefined;
  readonly objectsMissing: number;
  readonly objectsReplaced: number;
  /** Of what comes back. */
  readonly bytes: number;
  /** Markers and sweeps that are removed. */
  readonly documentsRemoved: readonly string[];
  /** Objects that were added since and stay, snapshots among them. */
  readonly objectsNewer: number;
  readonly snapshotsNewer: number;
  /** Names that no object of a repository has; left alone. */
  readonly strays: number;
  /** Registered runs; none of them should be going on. */
  readonly sessions: number;
}

/** In this order what comes back may be relied on at every moment: a snapshot when everything that it needs is there. */
const ORDER: readonly (readonly ObjectRef['kind'][])[] = [['pack', 'parity'], ['segment'], ['config', 'slot', 'keyring'], ['ledger', 'replica'], ['snapshot']];
/** Of the moment, and not of what is stored. */
const PASSING: readonly ObjectRef['kind'][] = ['session', 'heartbeat', 'probe'];
const MARKERS: readonly ObjectRef['kind'][] = ['forgotten', 'rejected', 'revoked'];
const PARALLEL_CALLS = 8;

interface Plan {
  readonly back: readonly { readonly name: string; readonly ref: ObjectRef; readonly change: ObjectChange }[];
  readonly remove: readonly string[];
  readonly newer: readonly ObjectRef[];
  readonly strays: number;
}

/** @param then the repository as it was, opened with what opened it then. @throws UNSUPPORTED_STORE, DENIED and every other error of the storage */
export async function recover(then: OpenRepository, options: RecoverOptions, context: JobContext = {}): Promise<RecoverReport> {
  const { present, history, time, dryRun } = options;
  const call = { signal: context.signal };
  const counters = context.counters ?? newCounters();
  counters.phase = 'scanning';
  const { snapshots } = await loadSnapshots(then, call);
  const plan = await planOf(history, time, new Set<string>(snapshots.map(({ id }) => id)), call);
  let sessions = 0;
  for await (const { name } of present.list('sessions/', call)) if (parseObjectName(name)?.kind === 'session') sessions++;
  if (!dryRun) {
    counters.phase = 'writing';
    counters.totalEntries = plan.back.length;
    for (const kinds of ORDER) {
      await mapBounded(plan.back.filter(({ ref }) => kinds.includes(ref.kind)), PARALLEL_CALLS, async ({ name }) => {
        await history.putBack(name, time, call);
        counters.entriesDone++;
      });
    }
    // Last: only now nothing that they hide or exclude is missing.
    await mapBounded(plan.remove, PARALLEL_CALLS, name => present.remove(name, call));
  }
  return {
    dryRun, snapshotsThen: snapshots.length, newestThen: snapshots.at(-1) === undefined ? undefined : snapshots.at(-1)!.snapshot.startedAt[0] * 1000,
    objectsMissing: plan.back.filter(({ change }) => change.kind === 'missing').length, objectsReplaced: plan.back.filter(({ change }) => change.kind === 'other').length,
    bytes: plan.back.reduce((sum, { change }) => sum + change.sizeBytes, 0), documentsRemoved: plan.remove,
    objectsNewer: plan.newer.length, snapshotsNewer: plan.newer.filter(({ kind }) => kind === 'snapshot').length, strays: plan.strays, sessions,
  };
}

async function planOf(history: ObjectHistory, time: number, validThen: ReadonlySet<string>, call: { readonly signal: AbortSignal | undefined }): Promise<Plan> {
  const back: Plan['back'][number][] = [];
  const remove: string[] = [];
  const newer: ObjectRef[] = [];
  let strays = 0;
  for await (const change of history.changesSince(time, call)) {
    const { name, kind } = change;
    const ref = parseObjectName(name);
    if (ref === undefined) strays++;
    else if (PASSING.includes(ref.kind)) continue;
    else if (kind !== 'new') {
      // Documents of garbage collection that are gone were done with; those that were replaced are not in the order.
      if (ORDER.some(kinds => kinds.includes(ref.kind))) back.push({ name, ref, change });
    } else if (ref.kind === 'gc-sweep' || (MARKERS.includes(ref.kind) && 'id' in ref && validThen.has(ref.id))) remove.push(name);
    else newer.push(ref);
  }
  return { back, remove: remove.sort(), newer, strays };
}
