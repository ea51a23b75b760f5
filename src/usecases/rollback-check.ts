/**
 * Notices a repository that was rolled back or whose newest snapshots are hidden (repository design, section 15): this host
 * remembers what it has seen.
 */
import { SnapError } from '../base/errors.ts';
import type { CallOptions } from '../base/call-options.ts';
import { parseSnapshotId } from '../format/ids.ts';
import { forgottenName, snapshotName } from '../format/object-names.ts';
import { exists } from '../repository/commit.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';

const HINT = 'If you did not put back an older copy of the repository yourself, somebody may be hiding what is newer: compare with a replica';

/** What this host saw earlier and does not see now, one error each; none is thrown. */
export async function findRollback(
  repository: OpenRepository, snapshots: readonly SnapshotRecord[], gcNumber: number, options: CallOptions = {},
): Promise<SnapError[]> {
  const { highestGc, highestKeyring, lastSnapshot } = repository.cache.memory();
  const found: SnapError[] = [];
  const report = (message: string): void => { found.push(new SnapError('ROLLBACK_SUSPECTED', message, { hint: HINT })); };
  if (gcNumber < highestGc) report(`The newest gc plan of the repository is number ${gcNumber}, but this host has seen number ${highestGc}`);
  const { keyringNumber } = repository;
  if (keyringNumber < highestKeyring) report(`The newest keyring is number ${keyringNumber}, but this host has seen number ${highestKeyring}`);
  if (lastSnapshot !== undefined && !snapshots.some(({ id, snapshot }) => id === lastSnapshot || snapshot.originalId === lastSnapshot)) {
    const id = parseSnapshotId(lastSnapshot);
    // A record that is there and cannot be read is damage, not a roll-back.
    const isKnown = await exists(repository.backend, snapshotName(id), options) || await exists(repository.backend, forgottenName(id), options);
    if (!isKnown) report(`The last snapshot of this host, '${lastSnapshot}', is not there any more and was not forgotten`);
  }
  return found;
}
