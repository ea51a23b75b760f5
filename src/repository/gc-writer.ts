/** Writes and removes gc documents (repository design, section 7, P4, P8 and P9). */
import { equalBytes, toHex } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { corrupt } from '../format/decode-error.ts';
import { decodeSweep, encodeDone, encodePlan, encodeSweep, packPackIds, unpackPackIds } from '../format/gc-documents.ts';
import { OBJECT_TYPES } from '../format/header.ts';
import type { PackId, RunId } from '../format/ids.ts';
import { gcDoneName, gcPlanName, gcSweepName } from '../format/object-names.ts';
import { loadGcPlans, type GcPlans, type GcPlanState } from './gc-plans.ts';
import type { OpenRepository } from './opened-repository.ts';
import { createSettled } from './settled-write.ts';

/** Documents of a plan that is done stay so long, and as much longer as the storage may show old listings. */
const KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * P4. Undefined: another prune was faster, which takes nothing but a long pause: the documents of an old plan are removed, so a
 * number is only free when it is the highest, before and after the write. On stores without create-only writes the name has a
 * random part, and nobody else ever takes it.
 */
export async function publishPlan(repository: OpenRepository, number: number, packs: Iterable<PackId>, runId: RunId, options: CallOptions = {}): Promise<GcPlanState | undefined> {
  const { backend, objects, kernel, clock, random, config } = repository;
  const suffix = config.storeMode === 'create-only' ? '' : toHex(random.bytes(8));
  const name = gcPlanName(number, suffix);
  const condemned = new Set(packs);
  const bytes = objects.seal(name, OBJECT_TYPES.plan, encodePlan({ packs: packPackIds(condemned), createdAt: clock.now(), runId }));
  if (config.storeMode === 'create-only' && (await loadGcPlans(repository, options)).highestNumber >= number) return undefined;
  if (await createSettled(backend, name, bytes, options) === 'exists') return undefined;
  const { storedAt } = await backend.stat(name, options);
  const plan: GcPlanState = {
    number, suffix, isDone: false, doneAt: undefined, swept: undefined, sweptDigest: undefined, names: { plan: name },
    condemned: { packs: condemned, digest: kernel.blake3(bytes), runId, storedAt },
  };
  if (config.storeMode !== 'create-only' || (await loadGcPlans(repository, options)).highestNumber === number) return plan;
  await closePlan(repository, plan, options);
  return undefined;
}

/** Ends a plan that is not to delete anything: all its packs are usable again. False when its sweep says otherwise already. */
export async function closePlan(repository: OpenRepository, plan: GcPlanState, options: CallOptions = {}): Promise<boolean> {
  const swept = await publishSweep(repository, plan, [], options);
  if (swept === 'plan gone') return true;
  if (swept.size > 0) return false;
  await publishDone(repository, plan, options);
  return true;
}

/**
 * P8. The packs that are deleted: ours, or those of a sweep that somebody else wrote first, which counts. 'plan gone': this run slept
 * until others had finished the plan and removed its documents; there is nothing left to delete.
 */
export async function publishSweep(repository: OpenRepository, plan: GcPlanState, packs: Iterable<PackId>, options: CallOptions = {}): Promise<ReadonlySet<PackId> | 'plan gone'> {
  const { backend, objects, clock } = repository;
  const { number, suffix, condemned } = plan;
  const name = gcSweepName(number, suffix);
  const swept = new Set(packs);
  const body = encodeSweep({ packs: packPackIds(swept), planDigest: condemned!.digest, createdAt: clock.now() });
  if (await createSettled(backend, name, objects.seal(name, OBJECT_TYPES.sweep, body), options) === 'created') {
    if (await isStillThere(repository, plan, options)) return swept;
    await backend.remove(name, options);
    return 'plan gone';
  }
  const signed = await objects.loadSigned(name, options);
  if (!signed.isTrusted) {
    throw new SnapError('OBJECT_CONFLICT', `Something that no admin key signed is at '${name}', so plan ${number} cannot go on`, {
      hint: 'It was never valid. If no other administrator of this repository wrote it, remove this object and run the prune again', context: { name },
    });
  }
  const { packs: decided, planDigest } = decodeSweep(signed.body);
  return checkedSweep({ ...plan, swept: new Set(unpackPackIds(decided)), sweptDigest: planDigest });
}

/**
 * Of the documents of a plan the plan itself is removed first, so as long as it is there no sweep of it ever was removed. What is
 * misread says nothing: the sweep counts for others already and must not be taken back.
 */
async function isStillThere({ backend, kernel, objects }: OpenRepository, { number, suffix, condemned }: GcPlanState, options: CallOptions): Promise<boolean> {
  const name = gcPlanName(number, suffix);
  try {
    const stored = await backend.read(name, undefined, options);
    if (equalBytes(kernel.blake3(stored), condemned!.digest)) return true;
    await objects.openFresh(name, stored, options); // whole, so it is a later plan of another run that slept
    return false;
  } catch (error) {
    if (hasCode(error, 'OBJECT_NOT_FOUND')) return false;
    throw error;
  }
}

/** The packs of the sweep, which must be one of this very plan. @throws OBJECT_CORRUPT */
export function checkedSweep({ number, suffix, condemned, swept, sweptDigest }: GcPlanState): ReadonlySet<PackId> {
  const name = gcSweepName(number, suffix);
  if (swept === undefined || sweptDigest === undefined) throw corrupt('gc sweep', 'it is not there', { name });
  if (condemned === undefined) return swept;
  if (!equalBytes(sweptDigest, condemned.digest)) throw corrupt('gc sweep', 'it belongs to another plan', { name });
  for (const id of swept) if (!condemned.packs.has(id)) throw corrupt('gc sweep', `pack '${id}' was never condemned`, { name });
  return swept;
}

/** P9, when every pack of the sweep is deleted. */
export async function publishDone({ backend, objects, clock }: OpenRepository, { number, suffix }: GcPlanState, options: CallOptions = {}): Promise<void> {
  const name = gcDoneName(number, suffix);
  await createSettled(backend, name, objects.seal(name, OBJECT_TYPES.done, encodeDone({ createdAt: clock.now() })), options);
}

/**
 * Removes the documents of plans that are done for a day, never those of the highest number: numbers are not used twice. `done`
 * goes last, so that a plan that is half removed is not taken for an unfinished one. Returns how many plans.
 */
export async function removeOldDocuments(repository: OpenRepository, { plans, highestNumber }: GcPlans, storageTime: number, options: CallOptions = {}): Promise<number> {
  const keptMs = KEPT_MS + repository.config.stalenessMs;
  const old = plans.filter(({ number, doneAt }) => number < highestNumber && doneAt !== undefined && storageTime - doneAt >= keptMs);
  for (const { names } of old) {
    for (const name of [names.plan, names.sweep, names.done]) if (name !== undefined) await repository.backend.remove(name, options);
  }
  return old.length;
}
