/** The registered sessions of a repository, as a prune sees them (repository design, section 7, P3, P5 and P7). */
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode } from '../base/errors.ts';
import type { SessionId } from '../format/ids.ts';
import { parseObjectName, PREFIXES, sessionName } from '../format/object-names.ts';
import { decodeSession, type Session } from '../format/session.ts';
import { isUnreadable } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

/** A session that gave no sign of life for so long is dead, by the clock of the storage. A wrong clock costs a second commit, never data. */
export const STALE_MS: number = 24 * 60 * 60 * 1000;

export interface ListedSession {
  readonly id: SessionId;
  /** Undefined when it cannot be read; then it counts as a writer's. */
  readonly session: Session | undefined;
  /** Time of storage of the session or its newest heartbeat, ms since 1970 by the clock of the storage. */
  readonly lastSignAt: number;
  /** Heartbeats first, the session itself last: the order in which they are removed. */
  readonly names: readonly string[];
}

export interface SessionListing {
  readonly sessions: readonly ListedSession[];
  /** Heartbeats of sessions that are not there any more. */
  readonly strayHeartbeats: readonly string[];
}

const PARALLEL_READS = 8;

/** A session that ends while this goes on is left out. */
export async function listSessions(repository: OpenRepository, options: CallOptions = {}): Promise<SessionListing> {
  const found = new Map<SessionId, { isThere: boolean; lastSignAt: number; readonly heartbeats: string[] }>();
  for await (const { name, storedAt } of repository.backend.list(PREFIXES.sessions, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind !== 'session' && ref?.kind !== 'heartbeat') continue;
    const each = found.get(ref.id) ?? { isThere: false, lastSignAt: 0, heartbeats: [] };
    found.set(ref.id, each);
    each.lastSignAt = Math.max(each.lastSignAt, storedAt);
    if (ref.kind === 'session') each.isThere = true;
    else each.heartbeats.push(name);
  }
  const sessions: ListedSession[] = [];
  await mapBounded([...found].filter(([, { isThere }]) => isThere), PARALLEL_READS, async ([id, { lastSignAt, heartbeats }]) => {
    const session = await readSession(repository, id, options);
    if (session !== 'gone') sessions.push({ id, session, lastSignAt, names: [...heartbeats, sessionName(id)] });
  });
  return { sessions, strayHeartbeats: [...found.values()].filter(({ isThere }) => !isThere).flatMap(({ heartbeats }) => heartbeats) };
}

async function readSession({ objects }: OpenRepository, id: SessionId, options: CallOptions): Promise<Session | undefined | 'gone'> {
  try {
    return decodeSession((await objects.load(sessionName(id), options)).payload);
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return 'gone';
    if (!isUnreadable(error) || error.code === 'INVALID_RANGE') throw error;
    return undefined;
  }
}

/** Whether it may commit a snapshot. */
export function isWriter({ session }: ListedSession): boolean {
  return session === undefined || session.kind !== 'reader';
}

/** `storageTime` by the clock of the storage, ms since 1970. */
export function isStale({ lastSignAt }: ListedSession, storageTime: number): boolean {
  return storageTime - lastSignAt >= STALE_MS;
}

/** Best effort, as for whoever ended the session: what stays is removed by the next prune. */
export async function removeSession({ backend }: OpenRepository, { names }: Pick<ListedSession, 'names'>, options: CallOptions = {}): Promise<void> {
  for (const name of names) await backend.remove(name, options);
}
