/**
 * The sessions that a plan must wait for (repository design, section 7, P5 and P6): afterwards each of them has committed or never
 * can. Time and processes only decide whom to revoke; a wrong guess costs that session a second commit, never data.
 */
import { mapBounded } from '../../base/concurrency.ts';
import type { SnapshotId } from '../../format/ids.ts';
import { snapshotName } from '../../format/object-names.ts';
import { exists } from '../../repository/commit.ts';
import { isResolved, revokeSession } from '../../repository/revocation.ts';
import { isStale, isWriter, listSessions, removeSession, type ListedSession, type SessionListing } from '../../repository/sessions.ts';
import type { PruneRun } from './prune-run.ts';

/** How often sessions that are alive are looked at again. */
const LOOK_EVERY_MS = 5_000;
const PARALLEL_CALLS = 8;

export interface Resolution {
  /** Sessions that are alive: nothing may be deleted. */
  readonly alive: readonly ListedSession[];
  /** Sessions that had committed: their snapshots must be among the roots, unless they were forgotten. */
  readonly committed: readonly SnapshotId[];
}

/** Writers that may still commit, of those that are listed. Changes nothing. */
export async function findAlive(run: PruneRun, sessions: readonly ListedSession[]): Promise<ListedSession[]> {
  const storageTime = await run.storageTime();
  const writers = sessions.filter(session => isWriter(session) && !isDead(run, session, storageTime));
  const resolved = await mapBounded(writers, PARALLEL_CALLS, ({ id }) => isResolved(run.repository, id, run.call));
  return writers.filter((_, i) => !resolved[i]);
}

/** P5 and P6. Waits for sessions that are alive as long as the run may. `planNumber` stands in the marks. */
export async function resolveSessions(run: PruneRun, planNumber: number, patience: 'waiting' | 'without waiting' = 'waiting'): Promise<Resolution> {
  const { clock } = run.repository;
  const listing = await listSessions(run.repository, run.call); // P5
  const committed: SnapshotId[] = [];
  let waiting = listing.sessions.filter(isWriter);
  for (;;) {
    waiting = await resolveSome(run, waiting, planNumber, committed); // P6
    const pauseMs = Math.min(LOOK_EVERY_MS, run.patienceMs);
    if (waiting.length === 0 || pauseMs === 0 || patience === 'without waiting' || run.options.dryRun) break;
    await clock.sleep(pauseMs, run.call.signal);
    waiting = await refreshed(run, waiting);
  }
  await removeDeadReaders(run, listing);
  return { alive: waiting, committed };
}

/** Returns those that are alive. */
async function resolveSome(run: PruneRun, sessions: readonly ListedSession[], planNumber: number, committed: SnapshotId[]): Promise<ListedSession[]> {
  const { repository, call, options } = run;
  const storageTime = await run.storageTime();
  const alive: ListedSession[] = [];
  await mapBounded(sessions, PARALLEL_CALLS, async session => {
    const { id } = session;
    const isDecided = await isResolved(repository, id, call);
    if (!isDecided && !isDead(run, session, storageTime)) return void alive.push(session);
    if (options.dryRun) {
      if (!isDecided) run.revoked.add(id);
      return;
    }
    if (!isDecided && await revokeSession(repository, id, planNumber, call) === 'revoked') run.revoked.add(id);
    else if (await exists(repository.backend, snapshotName(id), call)) committed.push(id);
    await removeSession(repository, session, call);
  });
  return alive;
}

/** New signs of life; a session that ended is out. */
async function refreshed(run: PruneRun, waiting: readonly ListedSession[]): Promise<ListedSession[]> {
  const { sessions } = await listSessions(run.repository, run.call);
  return sessions.filter(({ id }) => waiting.some(each => each.id === id));
}

/** Their pins do not count any more. */
async function removeDeadReaders(run: PruneRun, { sessions, strayHeartbeats }: SessionListing): Promise<void> {
  if (run.options.dryRun) return;
  const storageTime = await run.storageTime();
  const dead = sessions.filter(session => !isWriter(session) && isStale(session, storageTime));
  for (const session of [...dead, { names: strayHeartbeats }]) await removeSession(run.repository, session, run.call);
}

/** No sign of life for a day, or its process on this very host is gone. */
function isDead({ options }: PruneRun, listed: ListedSession, storageTime: number): boolean {
  const { session } = listed;
  if (isStale(listed, storageTime)) return true;
  return session !== undefined && session.hostId === options.owner.hostId && options.isProcessAlive?.(session.processId) === false;
}

/** For people: whom the run waits for. */
export function describeAlive(sessions: readonly ListedSession[]): string {
  const [first] = sessions;
  const who = first?.session === undefined ? 'one that cannot be read' : `process ${first.session.processId} on ${first.session.host}`;
  const more = sessions.length > 1 ? ` and ${sessions.length - 1} more` : '';
  return `it waits for a backup that is still running (${who}${more})`;
}
