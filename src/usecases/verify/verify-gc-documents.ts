/** Level 0 of a check, gc documents and markers: what only an administrator may say, and what a prune left (repository design, 16.2). */
import { mapBounded } from '../../base/concurrency.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { hasCode } from '../../base/errors.ts';
import { decodeSweep, unpackPackIds } from '../../format/gc-documents.ts';
import { gcDoneName, gcPlanName, packName } from '../../format/object-names.ts';
import type { VerifiedBody } from '../../format/sealed-object.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { FindingList } from '../findings.ts';
import type { Listing, StoredPackObject } from './verify-listing.ts';

const PARALLEL_READS = 8;

export async function checkGcDocuments(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  await mapBounded(listing.of('forgotten', 'revoked', 'rejected'), PARALLEL_READS, async ({ name, ref }) => {
    await loadTrusted(repository, findings, `${ref.kind} marker`, name, options);
  });
  await mapBounded(listing.of('gc-plan', 'gc-done'), PARALLEL_READS, async ({ name }) => {
    await loadTrusted(repository, findings, 'gc document', name, options);
  });
  checkPlans(repository, listing, findings);
  await checkSweeps(repository, listing, findings, options);
}

/** Undefined for what no admin key signed: it was never valid. */
async function loadTrusted({ objects }: OpenRepository, findings: FindingList, what: string, name: string, options: CallOptions): Promise<VerifiedBody | undefined> {
  const verified = await findings.tolerate(what, name, () => objects.loadSigned(name, options));
  if (verified === undefined || verified.isTrusted) return verified;
  findings.warn(what, name, `No admin key signed the ${what}, so it does not count; it may be removed`);
  return undefined;
}

function checkPlans({ config }: OpenRepository, listing: Listing, findings: FindingList): void {
  const done = new Set(listing.of('gc-done').map(({ name }) => name));
  const numbers = new Set<number>();
  for (const { name, ref } of listing.of('gc-plan')) {
    const isDone = done.has(gcDoneName(ref.number, ref.suffix));
    if (!isDone) findings.warn('gc document', name, 'A prune is under way or was interrupted; the next one goes on where it stopped');
    const isSecond = config.storeMode === 'create-only' && numbers.has(ref.number);
    if (isSecond) findings.warn('gc document', name, `There is more than one plan with the number ${ref.number}`);
    numbers.add(ref.number);
  }
}

/** A sweep belongs to a plan, and when it is done, what it names is gone. */
async function checkSweeps(repository: OpenRepository, listing: Listing, findings: FindingList, options: CallOptions): Promise<void> {
  const listed = new Set(listing.of('gc-plan', 'gc-done').map(({ name }) => name));
  await mapBounded(listing.of('gc-sweep'), PARALLEL_READS, async ({ name, ref }) => {
    const verified = await loadTrusted(repository, findings, 'gc document', name, options);
    const isDone = listed.has(gcDoneName(ref.number, ref.suffix));
    if (!isDone && !listed.has(gcPlanName(ref.number, ref.suffix))) findings.warn('gc document', name, 'The sweep is there without its plan');
    if (verified === undefined || !isDone) return;
    const sweep = await findings.tolerate('gc document', name, async () => decodeSweep(verified.body));
    if (sweep === undefined) return;
    const left = [...unpackPackIds(sweep.packs)].flatMap(id => listing.packs.get(id) ?? []);
    if (left.length === 0 || !await isStillThere(repository, left[0]!, options)) return;
    findings.warn('gc document', name, `Packs that the finished sweep names are there (${left.length}), though nothing needs them`);
  });
}

/** A prune may have ended while the objects were being listed. */
async function isStillThere({ backend }: OpenRepository, { type, id }: StoredPackObject, options: CallOptions): Promise<boolean> {
  try {
    await backend.stat(packName(type, id), options);
    return true;
  } catch (error) {
    if (!hasCode(error, 'OBJECT_NOT_FOUND')) throw error;
    return false;
  }
}
