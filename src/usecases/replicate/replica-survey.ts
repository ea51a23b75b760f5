/** How a replica is related to its source, and which snapshots it holds or forgot. */
import { equalBytes, toHex, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { SnapshotId } from '../../format/ids.ts';
import { probeName } from '../../format/object-names.ts';
import { exists } from '../../repository/commit.ts';
import { copyKeyrings } from '../../repository/create-repository.ts';
import { loadForgotten } from '../../repository/forgotten.ts';
import { readConfigBytes } from '../../repository/open-repository.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';
import { firstId } from './replica-lag.ts';

/** 'same': ID and keys of the source. 'shared': other keys, equal chunks have equal IDs. 'foreign': nothing in common. */
export type Relation = 'same' | 'shared' | 'foreign';

export interface Survey {
  readonly relation: Relation;
  /** Valid ones. */
  readonly snapshots: readonly SnapshotRecord[];
  /** First IDs of what was forgotten there by a policy or by name. */
  readonly forgotten: readonly SnapshotId[];
}

export interface SurveyOptions extends CallOptions {
  readonly dryRun: boolean;
}

/** A replica with the keys of the source gets keyrings that it lacks. @throws USAGE when it is the source itself; errors of the replica */
export async function surveyReplica(source: OpenRepository, replica: OpenRepository, options: SurveyOptions): Promise<Survey> {
  const { keys } = replica;
  const isSame = replica.id === source.id && equalBytes(keys.keyringKey, source.keys.keyringKey);
  if (isSame && !options.dryRun) {
    await refuseSource(source, replica, options);
    await takeKeyrings(source, replica, options);
  }
  const { snapshots, unreadable } = await loadSnapshots(replica, options);
  // Nobody knows which ones they are, so they might be copied once more; that is better than a replica that lacks them. But not all.
  if (snapshots.length === 0 && unreadable[0] !== undefined) throw unreadable[0].error;
  const { forgotten } = await loadForgotten(replica, options);
  const relation = isSame ? 'same' : equalBytes(keys.keyring.dedupSecret, source.keys.keyring.dedupSecret) ? 'shared' : 'foreign';
  return { relation, snapshots, forgotten: forgotten.map(firstId) };
}

/**
 * A repository under another name of its own would always be up to date, and be taken for a second copy. A copy that was made byte by byte
 * has the same config, so only a write tells.
 */
async function refuseSource(source: OpenRepository, { backend, random }: OpenRepository, options: CallOptions): Promise<void> {
  const [here, there] = [await readConfigBytes(source.backend, options), await readConfigBytes(backend, options)];
  if (!equalBytes(here.bytes, there.bytes)) return;
  const name = probeName(toHex(random.bytes(16)));
  await backend.create(name, [random.bytes(16)], options);
  const isSource = await exists(source.backend, name, options);
  if (backend.capabilities.canRemove) await backend.remove(name, options);
  if (isSource) throw new SnapError('USAGE', `'${backend.location}' is the repository itself`, { hint: 'Name a repository at another place' });
}

/** Keys that were rotated at the source since: packs of the new epoch are copied as they are, too. */
async function takeKeyrings(source: OpenRepository, { keys, backend }: OpenRepository, options: CallOptions): Promise<void> {
  if (keys.keyringNumber >= source.keyringNumber || !keys.keyring.epochs.every(({ epoch, secret }) => hasEpoch(source, epoch, secret))) return;
  await copyKeyrings(source, backend, keys.keyringNumber, options);
  await keys.refresh(backend, options);
}

/** Whether packs that were sealed with this secret can be opened. */
export function hasEpoch({ keys }: OpenRepository, epoch: number, secret: Bytes): boolean {
  const known = keys.keyring.epochs.find(each => each.epoch === epoch)?.secret;
  return known !== undefined && equalBytes(known, secret);
}
