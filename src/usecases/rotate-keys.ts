/** Rotates the keys: a new epoch for everything new, and on request packs of older epochs encrypted anew, so many bytes a run. */
import { throwIfAborted } from '../base/errors.ts';
import { rotateKeyring } from '../repository/key-rotation.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { establishView } from '../repository/session-view.ts';
import type { JobContext } from './events.ts';
import { prune, type PruneOptions } from './prune/prune.ts';
import type { PruneReport } from './reports.ts';

export interface RotateOptions extends Pick<PruneOptions, 'owner' | 'graceMs' | 'waitMs' | 'isProcessAlive'> {
  /** Stored bytes of packs of older epochs that are encrypted anew; undefined: none, and a new epoch in any case. */
  readonly resealBytes?: number | undefined;
}

export interface KeyRotation {
  /**
   * 'rotated': there is a new epoch. 'lost': another run was faster, and its epoch counts. 'continued': no new epoch, since packs
   * of older ones were left of an earlier rotation.
   */
  readonly outcome: 'rotated' | 'lost' | 'continued';
  readonly keyringNumber: number;
  /** Everything new uses it. */
  readonly epoch: number;
  /** Packs of older epochs that are still in use, and their stored bytes. */
  readonly packsLeft: number;
  readonly bytesLeft: number;
  readonly prune: PruneReport | undefined;
}

/** @throws DENIED without the admin key; UNSUPPORTED_STORE; and what `prune` throws: the new epoch is there then all the same */
export async function rotateKeys(repository: OpenRepository, options: RotateOptions, context: JobContext = {}): Promise<KeyRotation> {
  const { keys, cache } = repository;
  const { resealBytes } = options;
  keys.adminSeed(); // whoever may not rotate learns it before anything is done
  const goesOn = resealBytes !== undefined && (await countOld(repository, context)).packs > 0;
  throwIfAborted(context.signal);
  const outcome = goesOn ? 'continued' : await rotateKeyring(repository, context);
  await cache.remember({ highestKeyring: keys.keyringNumber });
  const report = resealBytes === undefined ? undefined : await prune(repository, {
    ...options, dryRun: false, limits: { resealBytes, repackSmall: false, maxUnusedShare: 1 },
  }, context);
  const left = await countOld(repository, context);
  return { outcome, keyringNumber: keys.keyringNumber, epoch: keys.currentEpoch, packsLeft: left.packs, bytesLeft: left.bytes, prune: report };
}

/** Packs that are about to be deleted do not count. An index segment that is damaged hides its packs; `snap verify` says so. */
async function countOld(repository: OpenRepository, { signal }: JobContext): Promise<{ packs: number; bytes: number }> {
  const { keys, cache } = repository;
  const view = await establishView(repository, { signal, onDamagedObject: () => undefined });
  const old = { packs: 0, bytes: 0 };
  for (const { id, sizeBytes } of view.packs) {
    const number = cache.chunks.packNumber(id);
    const record = number === undefined ? undefined : cache.chunks.pack(number);
    if (record === undefined || record.epoch >= keys.currentEpoch || view.excluded.has(id)) continue;
    old.packs++;
    old.bytes += sizeBytes;
  }
  return old;
}
