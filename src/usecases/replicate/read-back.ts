/** Reads packs of a replica back and checks them to the last chunk: what was just stored there, and a share of all. */
import type { CallOptions } from '../../base/call-options.ts';
import { mapBounded } from '../../base/concurrency.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { PackId } from '../../format/ids.ts';
import type { LedgerRecord } from '../../format/ledger.ts';
import { packName, parseObjectName, PREFIXES } from '../../format/object-names.ts';
import { isUnreadable } from '../../repository/damage.ts';
import { writeLedger } from '../../repository/ledger.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { findPackFault } from '../../repository/pack-verification.ts';
import type { FindingList } from '../findings.ts';
import { choosePacks } from '../verify/verify-sample.ts';
import type { StoredPackName } from './whole-packs.ts';

const PARALLEL_READS = 2;

export interface ReadBack {
  readonly packs: number;
  readonly bytes: number;
  /** Of all packs of the replica. */
  readonly ofBytes: number;
  readonly damaged: number;
}

export interface ReadBackOptions extends CallOptions {
  readonly onRead: (bytes: number) => void;
}

/**
 * `share` of all packs, 0 to 1, beside those in `stored`. What was checked goes into the ledger of the replica.
 * @throws every error of the replica that is no damage
 */
export async function readBack(
  replica: OpenRepository, stored: readonly StoredPackName[], share: number, findings: FindingList, options: ReadBackOptions,
): Promise<ReadBack> {
  const all: StoredPackName[] = [];
  for await (const { name, sizeBytes } of replica.backend.list(PREFIXES.packs, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind === 'pack') all.push({ type: ref.type, id: ref.id, sizeBytes });
  }
  const sample = share > 0 ? choosePacks(all, { kind: 'share', share, order: 'random' }, () => undefined, replica.random) : [];
  const chosen = new Map<PackId, StoredPackName>([...stored, ...sample].map(pack => [pack.id, pack]));
  const records: LedgerRecord[] = [];
  let bytesRead = 0;
  await mapBounded(chosen.values(), PARALLEL_READS, async pack => {
    const fault = await faultOf(replica, pack, options);
    if (fault === 'vanished') return;
    bytesRead += pack.sizeBytes;
    options.onRead(pack.sizeBytes);
    records.push({ packId: pack.id, checkedAt: replica.clock.now(), result: fault === undefined ? 'good' : 'damaged', detail: 'data' });
    if (fault !== undefined) findings.damage('pack', packName(pack.type, pack.id), `At the replica '${replica.backend.location}': ${fault.message}`);
  });
  await noteChecks(replica, records, findings, options);
  return {
    packs: records.length, bytes: bytesRead, ofBytes: all.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    damaged: records.filter(({ result }) => result === 'damaged').length,
  };
}

/** A pack may be pruned there meanwhile. */
async function faultOf(replica: OpenRepository, pack: StoredPackName, options: CallOptions): Promise<SnapError | undefined | 'vanished'> {
  try {
    return findPackFault(replica, pack, await replica.backend.read(packName(pack.type, pack.id), undefined, options));
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return 'vanished';
    if (!isUnreadable(error)) throw error;
    return error;
  }
}

/** It informs later checks; a storage that does not take it makes nothing fail. */
async function noteChecks(replica: OpenRepository, records: readonly LedgerRecord[], findings: FindingList, options: CallOptions): Promise<void> {
  if (records.length === 0) return;
  try {
    await writeLedger(replica, records, options);
  } catch (error) {
    if (!(error instanceof SnapError) || error.code === 'CANCELLED') throw error;
    findings.warn('ledger', PREFIXES.ledger, `What was verified could not be written down at '${replica.backend.location}': ${error.message}`);
  }
}
