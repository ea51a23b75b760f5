/**
 * What a session must know of garbage collection: the packs that no new reference may use, and the highest gc number
 * (repository design, section 6.1, W2). Fails closed: a gc document that cannot be read stops the session, unless its plan is done.
 */
import type { CallOptions } from '../base/call-options.ts';
import { SnapError } from '../base/errors.ts';
import { toHex, type Bytes } from '../base/bytes.ts';
import { decodePlan, decodeSweep } from '../format/gc-documents.ts';
import { parseObjectName, PREFIXES } from '../format/object-names.ts';
import type { ReadBackend } from '../backend/backend.ts';
import { isUnreadable } from './damage.ts';
import type { SealedObjects } from './sealed-objects.ts';

export interface GcView {
  /** Pack IDs that are condemned by an unfinished plan, or in a sweep. */
  readonly excluded: ReadonlySet<string>;
  /** 0 when there never was a plan. */
  readonly highestNumber: number;
  /** Names that are not signed by an admin key and so were never valid. */
  readonly ignored: readonly string[];
}

/** Numbers that far above the highest valid one are ignored: nobody can use up the numbers. */
const MAX_NUMBER_GAP = 2 ** 20;

interface PlanNames {
  number: number;
  plan?: string;
  sweep?: string;
  done?: string;
}

export async function loadGcView(backend: ReadBackend, objects: SealedObjects, options: CallOptions = {}): Promise<GcView> {
  const plans = await listPlans(backend, options);
  const excluded = new Set<string>();
  const ignored: string[] = [];
  let highestValid = 0;
  for (const plan of plans) {
    if (plan.done !== undefined && await isSigned(objects, plan.done, ignored, options)) {
      highestValid = Math.max(highestValid, plan.number);
      if (plan.sweep === undefined) continue;
    }
    const condemned = await packsOf(objects, plan, ignored, options);
    if (condemned === undefined) continue;
    highestValid = Math.max(highestValid, plan.number);
    for (const id of condemned) excluded.add(id);
  }
  const highestNumber = Math.max(highestValid, ...plans.map(plan => plan.number).filter(number => number <= highestValid + MAX_NUMBER_GAP), 0);
  return { excluded, highestNumber, ignored };
}

async function listPlans(backend: ReadBackend, options: CallOptions): Promise<PlanNames[]> {
  const plans = new Map<string, PlanNames>();
  for await (const { name } of backend.list(PREFIXES.gc, options)) {
    const ref = parseObjectName(name);
    if (ref?.kind !== 'gc-plan' && ref?.kind !== 'gc-sweep' && ref?.kind !== 'gc-done') continue;
    const key = `${ref.number}-${ref.suffix}`;
    const plan = plans.get(key) ?? { number: ref.number };
    if (ref.kind === 'gc-plan') plan.plan = name;
    else if (ref.kind === 'gc-sweep') plan.sweep = name;
    else plan.done = name;
    plans.set(key, plan);
  }
  return [...plans.values()].sort((a, b) => a.number - b.number);
}

/** The sweep decides when there is one: condemned packs outside it are rescued. */
async function packsOf(objects: SealedObjects, plan: PlanNames, ignored: string[], options: CallOptions): Promise<string[] | undefined> {
  if (plan.sweep !== undefined) {
    const body = await signedBody(objects, plan.sweep, plan, ignored, options);
    if (body !== undefined) return splitIds(decodeSweep(body).packs);
  }
  if (plan.plan === undefined) return undefined;
  const body = await signedBody(objects, plan.plan, plan, ignored, options);
  return body === undefined ? undefined : splitIds(decodePlan(body).packs);
}

async function signedBody(
  objects: SealedObjects, name: string, plan: PlanNames, ignored: string[], options: CallOptions,
): Promise<Uint8Array | undefined> {
  try {
    const signed = await objects.loadSigned(name, options);
    if (signed.isTrusted) return signed.body;
    ignored.push(name);
    return undefined;
  } catch (error) {
    if (!(error instanceof SnapError) || error.kind !== 'corrupt' || error.code === 'INVALID_RANGE') throw error;
    if (plan.done !== undefined && await isSigned(objects, plan.done, ignored, options)) return undefined;
    throw new SnapError('OBJECT_CORRUPT', `Cannot read the gc document '${name}', so nobody can know which packs it condemned`, {
      hint: 'Nothing was changed. Restore this object from a copy of the repository, or see docs/operations.md', cause: error, context: { name },
    });
  }
}

async function isSigned(objects: SealedObjects, name: string, ignored: string[], options: CallOptions): Promise<boolean> {
  try {
    const signed = await objects.loadSigned(name, options);
    if (!signed.isTrusted) ignored.push(name);
    return signed.isTrusted;
  } catch (error) {
    if (isUnreadable(error)) return false; // then it says nothing: the plan counts
    throw error;
  }
}

function splitIds(packed: Bytes): string[] {
  const ids: string[] = [];
  for (let at = 0; at < packed.length; at += 16) ids.push(toHex(packed.subarray(at, at + 16)));
  return ids;
}
