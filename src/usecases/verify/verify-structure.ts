/** Level 0 of a check: lists everything and looks at all small objects (repository design, section 16.2). Reads no cache. */
import { mapBounded } from '../../base/concurrency.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { OBJECT_TYPES } from '../../format/header.ts';
import type { PackId, SegmentId, SessionId, SnapshotId } from '../../format/ids.ts';
import { parseKeySlot } from '../../format/key-slot.ts';
import { keyringName, packName, snapshotName } from '../../format/object-names.ts';
import { decodeReplicaRecord } from '../../format/replica-record.ts';
import { decodeSession } from '../../format/session.ts';
import { decodeSnapshot } from '../../format/snapshot.ts';
import { isDamage, isUnreadable } from '../../repository/damage.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { isMarkedDead, type SnapshotRecord } from '../../repository/snapshots.ts';
import type { FindingList } from '../findings.ts';
import { checkGcDocuments } from './verify-gc-documents.ts';
import { Listing, packSizeFault, sealedSizeFault, type StoredPackObject } from './verify-listing.ts';

export type { StoredPackObject } from './verify-listing.ts';

export interface Structure {
  readonly packs: ReadonlyMap<PackId, StoredPackObject>;
  readonly segments: readonly SegmentId[];
  /** Valid ones, from the storage itself. */
  readonly snapshots: readonly SnapshotRecord[];
  /** Packs and index segments of a size that no whole one has. Whoever reads them can say more. */
  readonly oddSizes: readonly OddSize[];
  /** Packs that have parity. */
  readonly parity: ReadonlySet<PackId>;
  /** When the first of the writers that are at work registered, by the clock of the storage; undefined when there is none. */
  readonly writingSince: number | undefined;
}

export interface OddSize {
  readonly object: 'pack' | 'index segment';
  readonly id: PackId | SegmentId;
  readonly name: string;
  readonly message: string;
}

const PARALLEL_READS = 8;
const DAY_MS = 24 * 60 * 60 * 1000;

export async function checkStructure(repository: OpenRepository, findings: FindingList, options: CallOptions): Promise<Structure> {
  const listing = await Listing.read(repository, findings, options);
  for (const name of listing.strays) findings.warn('stray file', name, 'The file does not belong to the repository; it was left alone');
  const snapshots = await checkSnapshots(repository, listing, findings, options);
  await checkKeySlots(repository, listing, findings, options);
  await checkKeyrings(repository, listing, findings, options);
  await checkGcDocuments(repository, listing, findings, options);
  const writingSince = await checkSessions(repository, listing, findings, options);
  await checkReplicaRecords(repository, listing, findings, options);
  checkLeftovers(repository, listing, findings);
  return {
    packs: listing.packs, segments: listing.of('segment').map(({ ref }) => ref.id), snapshots, oddSizes: findOddSizes(listing),
    parity: new Set(listing.of('parity').map(({ ref }) => ref.id)), writingSince,
  };
}

function findOddSizes(listing: Listing): OddSize[] {
  const odd: OddSize[] = [];
  for (const pack of listing.packs.values()) {
    const message = packSizeFault(pack);
    if (message !== undefined) odd.push({ object: 'pack', id: pack.id, name: packName(pack.type, pack.id), message });
  }
  for (const { ref, name, sizeBytes } of listing.of('segment')) {
    const message = sealedSizeFault(sizeBytes);
    if (message !== undefined) odd.push({ object: 'index segment', id: ref.id, name, message });
  }
  return odd;
}

async function checkSnapshots(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<SnapshotRecord[]> {
  const marked = new Set<SnapshotId>(listing.of('forgotten', 'rejected').map(({ ref }) => ref.id));
  const records: SnapshotRecord[] = [];
  await mapBounded(listing.of('snapshot'), PARALLEL_READS, async ({ ref: { id }, name, storedAt, sizeBytes }) => {
    if (marked.has(id) && await isMarkedDead(repository, id, options)) {
      return findings.warn('snapshot', name, 'The snapshot is marked as forgotten, but its record is still there; the next forget removes it');
    }
    const snapshot = await findings.tolerate('snapshot', name, async () => {
      const { header, payload } = await repository.objects.load(name, options);
      return header.type === OBJECT_TYPES.tombstone ? undefined : decodeSnapshot(payload);
    });
    if (snapshot === undefined) return;
    if (snapshot.id !== id) return findings.damage('snapshot', name, `The record is that of snapshot '${snapshot.id}'`);
    if (snapshot.startedAt[0] * 1000 > storedAt + DAY_MS) findings.warn('snapshot', name, 'The snapshot is dated later than it was stored');
    records.push({ id, snapshot, storedAt, sizeBytes });
  });
  checkChains(records, listing, findings);
  return records.sort((a, b) => a.snapshot.startedAt[0] - b.snapshot.startedAt[0] || a.snapshot.startedAt[1] - b.snapshot.startedAt[1] || (a.id < b.id ? -1 : 1));
}

/** Each snapshot names the one before of its host, so that one which vanished without being forgotten is noticed. */
function checkChains(records: readonly SnapshotRecord[], listing: Listing, findings: FindingList): void {
  const known = new Set<SnapshotId>(listing.of('snapshot', 'forgotten', 'rejected').map(({ ref }) => ref.id));
  for (const { id, snapshot: { previous, originalId } } of records) {
    // A copy may come from another repository.
    if (previous === undefined || originalId !== undefined || known.has(previous.id)) continue;
    findings.warn('snapshot', snapshotName(previous.id), `The snapshot is not there and was not forgotten, but snapshot '${id}' of the same host followed it`);
  }
}

async function checkKeySlots({ backend }: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  await mapBounded(listing.of('slot'), PARALLEL_READS, async ({ name, ref }) => {
    await findings.tolerate('key slot', name, async () => parseKeySlot(await backend.read(name, undefined, options), ref.id));
  });
}

/** The newest keyring was opened already and holds all that the others held; these prove that it follows from the first one. */
async function checkKeyrings(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  const numbers = new Set(listing.of('keyring').map(({ ref }) => ref.number));
  await mapBounded(listing.of('keyring').filter(({ ref }) => ref.number < repository.keyringNumber), PARALLEL_READS, async ({ name }) => {
    try {
      await repository.objects.loadSigned(name, options);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      findings.warn('keyring', name, `The keyring cannot be read, but a newer one holds everything that it held: ${error.message}`);
    }
  });
  for (let number = Math.max(0, ...numbers) - 1; number >= 1; number--) {
    if (!numbers.has(number)) return findings.warn('keyring', keyringName(number), 'The keyring is missing, but there is a newer one');
  }
}

/** Nothing but the next prune needs a session, so one that cannot be read is no damage. Returns since when somebody writes. */
async function checkSessions({ clock, objects }: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<number | undefined> {
  const lastSign = new Map<SessionId, number>();
  const sessions = new Set(listing.of('session').map(({ ref }) => ref.id));
  for (const { ref, name, storedAt } of listing.of('heartbeat')) {
    lastSign.set(ref.id, Math.max(storedAt, lastSign.get(ref.id) ?? 0));
    if (!sessions.has(ref.id) && clock.now() - storedAt >= DAY_MS) findings.warn('session', name, 'The heartbeat belongs to a session that is not there; it may be removed');
  }
  const snapshots = new Set(listing.of('snapshot').map(({ name }) => name));
  let writingSince: number | undefined;
  await mapBounded(listing.of('session'), PARALLEL_READS, async ({ name, ref, storedAt }) => {
    const isStale = clock.now() - Math.max(storedAt, lastSign.get(ref.id) ?? 0) >= DAY_MS && !snapshots.has(snapshotName(ref.id));
    if (isStale) return findings.warn('session', name, 'The session gave no sign of life for a day; the next prune removes it');
    try {
      const { kind } = decodeSession((await objects.load(name, options)).payload);
      if (kind !== 'reader') writingSince = Math.min(writingSince ?? storedAt, storedAt);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      if (error.code !== 'OBJECT_NOT_FOUND') findings.warn('session', name, error.message);
    }
  });
  return writingSince;
}

/** They only inform, so one that cannot be read is no damage. */
async function checkReplicaRecords({ objects }: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  await mapBounded(listing.of('replica'), PARALLEL_READS, async ({ name }) => {
    try {
      decodeReplicaRecord((await objects.load(name, options)).payload);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      if (error.code !== 'OBJECT_NOT_FOUND') findings.warn('replica record', name, error.message);
    }
  });
}

function checkLeftovers({ clock }: OpenRepository, listing: Listing, findings: FindingList): void {
  for (const { name } of listing.of('quarantine')) findings.warn('quarantine', name, 'The copy of a damaged pack that was put aside; nothing reads it');
  for (const { name, ref, storedAt } of listing.of('parity')) {
    // Whoever adds parity beside a prune removes it again; a young one may be such.
    if (!listing.packs.has(ref.id) && clock.now() - storedAt >= DAY_MS) findings.warn('parity', name, 'The parity belongs to a pack that is not there; `snap parity` removes it');
  }
  for (const { name, storedAt } of listing.of('probe')) {
    if (clock.now() - storedAt >= DAY_MS) findings.warn('probe', name, 'A trial of the storage was interrupted and left the object behind; it may be removed');
  }
}
