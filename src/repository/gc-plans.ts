/**
 * Everything that the gc documents of a repository say, read once (repository design, sections 4.3 and 7). Fails closed: a
 * document that cannot be read stops whoever asks, unless a sweep or a valid `done` of its plan makes it needless.
 */
import type { CallOptions } from '../base/call-options.ts';
import type { Bytes } from '../base/bytes.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import { decodePlan, decodeSweep, unpackPackIds } from '../format/gc-documents.ts';
import type { PackId, RunId } from '../format/ids.ts';
import { parseObjectName, PREFIXES, type ObjectRef } from '../format/object-names.ts';
import type { StoredObject } from '../backend/backend.ts';
import { isUnreadable, withName } from './damage.ts';
import type { OpenRepository } from './opened-repository.ts';

/** Numbers that far above the highest valid one are ignored: nobody can use up the numbers. */
const MAX_NUMBER_GAP = 2 ** 20;
/** A document may be removed under our hands, when a later plan is done; then the listing is repeated. */
const MAX_ROUNDS = 5;

export interface GcPlanState {
  readonly number: number;
  /** Random part of the name on stores without create-only writes, else empty. */
  readonly suffix: string;
  /** Undefined when it is not there or was never valid, or cannot be read but is not needed any more. */
  readonly condemned: CondemnedPacks | undefined;
  /** Packs that are deleted, as the sweep says; undefined: nothing is decided yet. */
  readonly swept: ReadonlySet<PackId> | undefined;
  /** Digest of the plan that the sweep names. */
  readonly sweptDigest: Bytes | undefined;
  readonly isDone: boolean;
  /** Time of storage of `done`, ms since 1970 by the clock of the storage. */
  readonly doneAt: number | undefined;
  /** Names of all its documents, valid or not. */
  readonly names: { readonly plan?: string; readonly sweep?: string; readonly done?: string };
}

export interface CondemnedPacks {
  readonly packs: ReadonlySet<PackId>;
  /** BLAKE3 of the plan object as stored. */
  readonly digest: Bytes;
  readonly runId: RunId;
  /** Time of storage, ms since 1970 by the clock of the storage. */
  readonly storedAt: number;
}

export interface GcPlans {
  /** By number, then by suffix. */
  readonly plans: readonly GcPlanState[];
  /** 0 when there never was a plan. */
  readonly highestNumber: number;
  /** Names that no admin key signed, or whose numbers are too high: they were never valid. */
  readonly ignored: readonly string[];
}

type GcRepository = Pick<OpenRepository, 'backend' | 'objects' | 'kernel' | 'keys'>;
type GcRef = ObjectRef & { readonly kind: 'gc-plan' | 'gc-sweep' | 'gc-done' };

/** @throws OBJECT_CORRUPT, UNSUPPORTED_FORMAT with the name of the document */
export async function loadGcPlans(repository: GcRepository, options: CallOptions = {}): Promise<GcPlans> {
  for (let round = 1; ; round++) {
    try {
      return await new PlanReading(repository, options).run();
    } catch (error) {
      if (!hasCode(error, 'OBJECT_NOT_FOUND') || round === MAX_ROUNDS) throw error;
    }
  }
}

/**
 * Plans that still condemn packs, or whose packs are not all deleted yet. A sweep without its plan is what a run left that slept
 * until the plan was done and removed: nothing may be deleted for it.
 */
export function unfinishedPlans({ plans }: GcPlans): GcPlanState[] {
  return plans.filter(({ isDone, condemned, swept, names }) => !isDone && names.plan !== undefined && (condemned !== undefined || swept !== undefined));
}

interface ListedPlan {
  readonly number: number;
  readonly suffix: string;
  plan?: StoredObject;
  sweep?: StoredObject;
  done?: StoredObject;
}

class PlanReading {
  readonly #repository: GcRepository;
  readonly #options: CallOptions;
  readonly #ignored: string[] = [];
  #isKeyringFresh = false;

  constructor(repository: GcRepository, options: CallOptions) {
    this.#repository = repository;
    this.#options = options;
  }

  async run(): Promise<GcPlans> {
    const listed = await this.#list();
    const plans: GcPlanState[] = [];
    let highestValid = 0;
    for (const each of listed) {
      const state = await this.#read(each);
      plans.push(state);
      if (state.isDone || state.condemned !== undefined || state.swept !== undefined) highestValid = each.number;
    }
    const isCounted = ({ number }: { readonly number: number }): boolean => number <= highestValid + MAX_NUMBER_GAP;
    for (const { names } of plans.filter(plan => !isCounted(plan))) this.#ignored.push(...Object.values(names));
    const highestNumber = plans.filter(isCounted).reduce((highest, { number }) => Math.max(highest, number), 0);
    return { plans: plans.filter(isCounted), highestNumber, ignored: [...new Set(this.#ignored)] };
  }

  async #list(): Promise<ListedPlan[]> {
    const plans = new Map<string, ListedPlan>();
    for await (const object of this.#repository.backend.list(PREFIXES.gc, this.#options)) {
      const ref = parseObjectName(object.name);
      if (ref === undefined || !isGcRef(ref)) continue;
      const key = `${ref.number}-${ref.suffix}`;
      const plan: ListedPlan = plans.get(key) ?? { number: ref.number, suffix: ref.suffix };
      if (ref.kind === 'gc-plan') plan.plan = object;
      else if (ref.kind === 'gc-sweep') plan.sweep = object;
      else plan.done = object;
      plans.set(key, plan);
    }
    return [...plans.values()].sort((a, b) => a.number - b.number || (a.suffix < b.suffix ? -1 : 1));
  }

  async #read({ number, suffix, plan, sweep, done }: ListedPlan): Promise<GcPlanState> {
    const isDone = done !== undefined && await this.#isSigned(done.name);
    // What cannot be read is needed unless something later of the same plan says all that matters.
    const swept = sweep === undefined ? undefined : await this.#document(sweep.name, isDone, body => decodeSweep(body));
    const planned = plan === undefined ? undefined : await this.#document(plan.name, isDone || swept !== undefined, (body, bytes) => ({
      ...decodePlan(body), digest: this.#repository.kernel.blake3(bytes),
    }));
    return {
      number, suffix, isDone, doneAt: isDone ? done.storedAt : undefined,
      condemned: planned === undefined ? undefined : { packs: new Set(unpackPackIds(planned.packs)), digest: planned.digest, runId: planned.runId, storedAt: plan!.storedAt },
      swept: swept === undefined ? undefined : new Set(unpackPackIds(swept.packs)), sweptDigest: swept?.planDigest,
      names: { ...plan === undefined ? {} : { plan: plan.name }, ...sweep === undefined ? {} : { sweep: sweep.name }, ...done === undefined ? {} : { done: done.name } },
    };
  }

  /** Undefined for a document that nobody entitled signed, or that is not needed and cannot be read. */
  async #document<Body>(name: string, isNeedless: boolean, decode: (body: Bytes, bytes: Bytes) => Body): Promise<Body | undefined> {
    try {
      const bytes = await this.#repository.backend.read(name, undefined, this.#options);
      const body = await this.#signedBody(name, bytes);
      return body === undefined ? undefined : decode(body, bytes);
    } catch (error) {
      if (!isUnreadable(error) || error.code === 'INVALID_RANGE') throw error;
      if (isNeedless) return undefined;
      if (error.kind === 'unsupported') throw withName(error, name);
      throw new SnapError('OBJECT_CORRUPT', `Cannot read the gc document '${name}', so nobody can know which packs it condemned`, {
        hint: 'Nothing was changed. Restore this object from a copy of the repository, or see docs/operations.md', cause: error, context: { name },
      });
    }
  }

  async #isSigned(name: string): Promise<boolean> {
    try {
      return await this.#signedBody(name, await this.#repository.backend.read(name, undefined, this.#options)) !== undefined;
    } catch (error) {
      if (isUnreadable(error)) return false; // then it says nothing: the plan counts
      throw error;
    }
  }

  /** Undefined when no admin key signed it. A key that came with a newer keyring may have, so that is looked for once. */
  async #signedBody(name: string, bytes: Bytes): Promise<Bytes | undefined> {
    const { backend, objects, keys } = this.#repository;
    await objects.openFresh(name, bytes, this.#options);
    let signed = objects.openSigned(name, bytes);
    if (!signed.isTrusted && !this.#isKeyringFresh) {
      await keys.refresh(backend, this.#options);
      signed = objects.openSigned(name, bytes);
      this.#isKeyringFresh = true;
    }
    if (signed.isTrusted) return signed.body;
    this.#ignored.push(name);
    return undefined;
  }
}

function isGcRef(ref: ObjectRef): ref is GcRef {
  return ref.kind === 'gc-plan' || ref.kind === 'gc-sweep' || ref.kind === 'gc-done';
}
