/**
 * Notices a repository that was rolled back or whose newest snapshots are hidden (repository design, section 15): this host
 * remembers what it has seen. What has vanished stays remembered until it is back or somebody accepts the loss, so that it is
 * told with every run and not only once.
 */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import { parseSnapshotId, type SnapshotId } from '../format/ids.ts';
import { snapshotName } from '../format/object-names.ts';
import { exists } from '../repository/commit.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { isMarkedDead, loadSnapshots, type SnapshotRecord } from '../repository/snapshots.ts';

const HINT = 'If you put back an older copy of the repository yourself, run `snap cache --accept-roll-back`; otherwise somebody may be hiding what is newer: compare with a replica';
/** Lines of snapshots of which the newest is remembered. */
const MAX_SEEN = 1_024;
/** IDs in a message. */
const SHOWN = 3;

/** What this host saw earlier and does not see now, one error each; none is thrown. Then remembers what it sees now. */
export async function findRollback(
  repository: OpenRepository, snapshots: readonly SnapshotRecord[], gcNumber: number, options: CallOptions = {},
): Promise<SnapError[]> {
  const { cache, keyringNumber } = repository;
  const { highestGc, highestKeyring, lastSnapshot, seen } = cache.memory();
  const found: SnapError[] = [];
  const report = (message: string, missingSnapshots = 0): void => { found.push(new SnapError('ROLLBACK_SUSPECTED', message, { hint: HINT, context: { missingSnapshots } })); };
  if (gcNumber < highestGc) report(`The newest gc plan of the repository is number ${gcNumber}, but this host has seen number ${highestGc}`);
  if (keyringNumber < highestKeyring) report(`The newest keyring is number ${keyringNumber}, but this host has seen number ${highestKeyring}`);
  const missing = await missingOf(repository, [...lastSnapshot === undefined ? [] : [lastSnapshot], ...seen], snapshots, options);
  if (lastSnapshot !== undefined && missing.includes(lastSnapshot)) report(`The last snapshot of this host, '${lastSnapshot}', is not there any more and was not forgotten`, 1);
  const others = missing.filter(id => id !== lastSnapshot);
  if (others.length > 0) {
    const names = others.slice(0, SHOWN).map(id => `'${id}'`).join(', ');
    report(`${others.length === 1 ? `Snapshot ${names}, which this host has seen, is` : `${others.length} snapshots that this host has seen (${names}${others.length > SHOWN ? ', ...' : ''}) are`} not there any more and ${others.length === 1 ? 'was' : 'were'} not forgotten`, others.length);
  }
  await cache.remember({ highestGc: Number.isFinite(gcNumber) ? gcNumber : 0, highestKeyring: keyringNumber, seen: [...missing, ...newestOfLines(snapshots)].slice(0, MAX_SEEN) });
  return found;
}

/** Snapshots are hidden: a prune would make it final, by deleting what they need. A lower number alone harms nothing. */
export function hidesSnapshots({ context }: SnapError): boolean {
  return Number(context['missingSnapshots'] ?? 0) > 0;
}

/** What is there now is all there is: forgets whatever else this host has seen. */
export async function acceptRollback(repository: OpenRepository, options: CallOptions = {}): Promise<void> {
  const { snapshots } = await loadSnapshots(repository, options);
  // Plan numbers of the lost history are never used again: the next prune goes beyond them.
  const { highestGc } = repository.cache.memory();
  await repository.cache.replaceMemory({ highestGc, highestKeyring: repository.keyringNumber, lastSnapshot: undefined, seen: newestOfLines(snapshots).slice(0, MAX_SEEN) });
}

async function missingOf(repository: OpenRepository, ids: readonly string[], snapshots: readonly SnapshotRecord[], options: CallOptions): Promise<string[]> {
  const there = new Set(snapshots.flatMap(({ id, snapshot: { originalId } }): SnapshotId[] => originalId === undefined ? [id] : [id, originalId]));
  const missing: string[] = [];
  for (const text of new Set(ids)) {
    const id = parseSnapshotId(text);
    // A record that is there and cannot be read is damage, not a roll-back. A marker that nobody entitled signed explains nothing.
    const isKnown = there.has(id) || await isMarkedDead(repository, id, options) || await exists(repository.backend, snapshotName(id), options);
    if (!isKnown) missing.push(text);
  }
  return missing;
}

/** IDs of the newest snapshot of each series, the newest first. */
function newestOfLines(snapshots: readonly SnapshotRecord[]): string[] {
  const newest = new Map<string, string>();
  for (const { id, snapshot: { series } } of snapshots.toReversed()) if (!newest.has(series)) newest.set(series, id);
  return [...newest.values()];
}
