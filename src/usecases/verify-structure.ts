/** Level 0 of a check: lists everything and looks at all small objects (repository design, section 16.2). Reads no cache. */
import { mapBounded } from '../base/concurrency.ts';
import type { CallOptions } from '../base/call-options.ts';
import type { StoredObject } from '../backend/backend.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { PackId, SegmentId, SnapshotId } from '../format/ids.ts';
import { parseKeySlot } from '../format/key-slot.ts';
import { gcDoneName, parseObjectName, snapshotName, type ObjectRef, type PackType } from '../format/object-names.ts';
import { decodeSession } from '../format/session.ts';
import { decodeSnapshot } from '../format/snapshot.ts';
import { isDamage, isUnreadable } from '../repository/damage.ts';
import type { OpenRepository } from '../repository/opened-repository.ts';
import { isMarkedDead, type SnapshotRecord } from '../repository/snapshots.ts';
import type { FindingList } from './findings.ts';

export interface StoredPackObject {
  readonly type: PackType;
  readonly id: PackId;
  readonly sizeBytes: number;
}

export interface Structure {
  readonly packs: ReadonlyMap<PackId, StoredPackObject>;
  readonly segments: readonly SegmentId[];
  /** Valid ones, from the storage itself. */
  readonly snapshots: readonly SnapshotRecord[];
}

const PARALLEL_READS = 8;
const DAY_MS = 24 * 60 * 60 * 1000;

type Listed<Kind extends ObjectRef['kind']> = StoredObject & { readonly ref: ObjectRef & { readonly kind: Kind } };

/** What is listed, by kind. */
class Listing {
  readonly all: Listed<ObjectRef['kind']>[] = [];
  readonly strays: StoredObject[] = [];

  of<Kind extends ObjectRef['kind']>(...kinds: Kind[]): Listed<Kind>[] {
    return this.all.filter((each): each is Listed<Kind> => (kinds as string[]).includes(each.ref.kind));
  }
}

export async function checkStructure(repository: OpenRepository, findings: FindingList, options: CallOptions): Promise<Structure> {
  const listing = new Listing();
  const packs = new Map<PackId, StoredPackObject>();
  for await (const object of repository.backend.list('', options)) {
    const ref = parseObjectName(object.name);
    if (ref === undefined) listing.strays.push(object);
    else if (ref.kind !== 'pack') listing.all.push({ ...object, ref });
    else addPack(packs, findings, object, ref);
  }
  for (const { name } of listing.strays) warn(findings, 'stray file', name, 'The file does not belong to the repository; it was left alone');
  const snapshots = await checkSnapshots(repository, listing, findings, options);
  await checkKeySlots(repository, listing, findings, options);
  await checkSigned(repository, listing, findings, options);
  checkPlans(listing, findings);
  await checkSessions(repository, listing, findings, options);
  return { packs, segments: listing.of('segment').map(({ ref }) => ref.id), snapshots };
}

function addPack(packs: Map<PackId, StoredPackObject>, findings: FindingList, { name, sizeBytes }: StoredObject, { type, id }: Extract<ObjectRef, { kind: 'pack' }>): void {
  if (packs.has(id)) add(findings, 'pack', name, 'The ID is used by a data pack and by a tree pack');
  packs.set(id, { type, id, sizeBytes });
}

function add(findings: FindingList, object: string, name: string, message: string): void {
  findings.add({ object, name, message, severity: 'damage', files: [] });
}

function warn(findings: FindingList, object: string, name: string, message: string): void {
  findings.add({ object, name, message, severity: 'warning', files: [] });
}

async function checkSnapshots(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<SnapshotRecord[]> {
  const marked = new Set<SnapshotId>(listing.of('forgotten', 'rejected').map(({ ref }) => ref.id));
  const records: SnapshotRecord[] = [];
  await mapBounded(listing.of('snapshot'), PARALLEL_READS, async ({ ref: { id }, name, storedAt, sizeBytes }) => {
    if (marked.has(id) && await isMarkedDead(repository, id, options)) return warn(findings, 'snapshot', name, 'The snapshot is marked as forgotten, but its record is still there; the next forget removes it');
    const snapshot = await tolerate(findings, 'snapshot', name, async () => {
      const { header, payload } = await repository.objects.load(name, options);
      return header.type === OBJECT_TYPES.tombstone ? undefined : decodeSnapshot(payload);
    });
    if (snapshot === undefined) return;
    if (snapshot.id !== id) return add(findings, 'snapshot', name, `The record is that of snapshot '${snapshot.id}'`);
    if (snapshot.startedAt[0] * 1000 > storedAt + DAY_MS) warn(findings, 'snapshot', name, 'The snapshot is dated later than it was stored');
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
    warn(findings, 'snapshot', snapshotName(previous.id), `The snapshot is not there and was not forgotten, but snapshot '${id}' of the same host followed it`);
  }
}

async function checkKeySlots({ backend }: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  await mapBounded(listing.of('slot'), PARALLEL_READS, async ({ name, ref }) => {
    await tolerate(findings, 'key slot', name, async () => parseKeySlot(await backend.read(name, undefined, options), ref.id));
  });
}

/** Objects that count only when an admin key signed them; the others were never valid. */
async function checkSigned(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  const signed = listing.of('gc-plan', 'gc-sweep', 'gc-done', 'forgotten', 'revoked', 'rejected');
  await mapBounded(signed, PARALLEL_READS, async ({ name, ref }) => {
    const what = ref.kind.startsWith('gc-') ? 'gc document' : `${ref.kind} marker`;
    const verified = await tolerate(findings, what, name, () => repository.objects.loadSigned(name, options));
    if (verified?.isTrusted === false) warn(findings, what, name, `No admin key signed the ${what}, so it does not count; it may be removed`);
  });
}

function checkPlans(listing: Listing, findings: FindingList): void {
  const done = new Set(listing.of('gc-done').map(({ name }) => name));
  for (const { name, ref } of listing.of('gc-plan')) {
    if (!done.has(gcDoneName(ref.number, ref.suffix))) warn(findings, 'gc document', name, 'A prune is under way or was interrupted; the next one goes on where it stopped');
  }
}

/** Nothing but the next prune needs a session, so one that cannot be read is no damage. */
async function checkSessions({ clock, objects }: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  const lastSign = new Map<string, number>();
  for (const { ref, storedAt } of listing.of('heartbeat')) lastSign.set(ref.id, Math.max(storedAt, lastSign.get(ref.id) ?? 0));
  const snapshots = new Set(listing.of('snapshot').map(({ name }) => name));
  await mapBounded(listing.of('session'), PARALLEL_READS, async ({ name, ref, storedAt }) => {
    const isStale = clock.now() - Math.max(storedAt, lastSign.get(ref.id) ?? 0) >= DAY_MS && !snapshots.has(snapshotName(ref.id));
    if (isStale) return warn(findings, 'session', name, 'The session gave no sign of life for a day; the next prune removes it');
    try {
      decodeSession((await objects.load(name, options)).payload);
    } catch (error) {
      if (!isDamage(error) && !isUnreadable(error)) throw error;
      if (error.code !== 'OBJECT_NOT_FOUND') warn(findings, 'session', name, error.message);
    }
  });
}

/** Undefined for what is damaged or unsupported, which becomes a finding. A vanished object is none: others may be at work. */
async function tolerate<T>(findings: FindingList, object: string, name: string, read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (!isDamage(error) && !isUnreadable(error)) throw error;
    if (error.kind === 'unsupported') findings.addUnsupported({ object, name, message: error.message, files: [] });
    else if (error.code !== 'OBJECT_NOT_FOUND') add(findings, object, name, error.message);
    return undefined;
  }
}
