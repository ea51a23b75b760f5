import type { Bytes } from '../../src/base/bytes.ts';
import { SnapError, type SnapErrorCode } from '../../src/base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from '../../src/backend/backend.ts';

export type FaultVerb = 'read' | 'stat' | 'list' | 'create' | 'createIfAbsent' | 'remove';

export type FaultEffect =
  /** The call fails and nothing happens. Default code UNAVAILABLE. */
  | { readonly effect: 'fail-before'; readonly code?: SnapErrorCode }
  /** The call does its work and then fails with UNAVAILABLE and `effectUnknown: 1`; a list fails after its objects. */
  | { readonly effect: 'fail-after' }
  /** NO_SPACE before anything is written. */
  | { readonly effect: 'no-space' }
  /** The read returns only the first bytes; default half of them. */
  | { readonly effect: 'truncate'; readonly keepBytes?: number }
  /** One bit of what is read is wrong; default the lowest of the byte in the middle. */
  | { readonly effect: 'flip'; readonly byte?: number; readonly bit?: number };

export type PlannedFault = FaultEffect & {
  readonly verb: FaultVerb;
  /** Object name (for `list` the prefix) or a pattern of it; default every name. */
  readonly name?: string | RegExp;
  /** Matching calls that go well first; default 0. */
  readonly after?: number;
  /** How many calls are hit; default 1. */
  readonly times?: number;
};

interface Plan {
  readonly fault: PlannedFault;
  toSkip: number;
  toHit: number;
}

/** Does what the inner backend does but for the faults that a test plans. */
export class FaultyBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #inner: Backend;
  #plans: Plan[] = [];

  constructor(inner: Backend, faults: readonly PlannedFault[] = []) {
    this.location = inner.location;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    for (const fault of faults) this.plan(fault);
  }

  plan(fault: PlannedFault): void {
    const isForReads = fault.effect === 'truncate' || fault.effect === 'flip';
    if (isForReads && fault.verb !== 'read') throw new TypeError(`'${fault.effect}' is for 'read', not '${fault.verb}'`);
    this.#plans.push({ fault, toSkip: fault.after ?? 0, toHit: fault.times ?? 1 });
  }

  /** A planned fault that did not strike means that the test did not test what it says. */
  assertAllHit(): void {
    const unused = this.#plans.filter(plan => plan.toHit > 0);
    if (unused.length === 0) return;
    const lines = unused.map(({ fault, toHit }) => `${fault.effect} of ${fault.verb} '${fault.name ?? '*'}': ${toHit} left`);
    throw new Error(`Planned faults that never struck:\n${lines.join('\n')}`);
  }

  async read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    const fault = this.#next('read', name);
    const bytes = await this.#run(fault, name, () => this.#inner.read(name, range, options));
    if (fault?.effect === 'truncate') return bytes.slice(0, fault.keepBytes ?? bytes.length >> 1);
    if (fault?.effect === 'flip' && bytes.length > 0) bytes[fault.byte ?? bytes.length >> 1]! ^= 1 << (fault.bit ?? 0);
    return bytes;
  }

  stat(name: string, options?: CallOptions): Promise<StoredObject> {
    return this.#run(this.#next('stat', name), name, () => this.#inner.stat(name, options));
  }

  async *list(prefix: string, options?: CallOptions): AsyncGenerator<StoredObject> {
    const fault = this.#next('list', prefix);
    if (fault !== undefined && fault.effect !== 'fail-after') throw makeError(fault, prefix);
    yield* this.#inner.list(prefix, options);
    if (fault !== undefined) throw makeError(fault, prefix);
  }

  create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void> {
    return this.#run(this.#next('create', name), name, () => this.#inner.create(name, parts, options));
  }

  createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    return this.#run(this.#next('createIfAbsent', name), name, () => this.#inner.createIfAbsent(name, bytes, options));
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#run(this.#next('remove', name), name, () => this.#inner.remove(name, options));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #run<T>(fault: PlannedFault | undefined, name: string, call: () => Promise<T>): Promise<T> {
    if (fault?.effect === 'fail-before' || fault?.effect === 'no-space') throw makeError(fault, name);
    const result = await call();
    if (fault?.effect === 'fail-after') throw makeError(fault, name);
    return result;
  }

  /** The first plan that strikes now; every plan that matches counts the call. */
  #next(verb: FaultVerb, name: string): PlannedFault | undefined {
    let striking: Plan | undefined;
    for (const plan of this.#plans) {
      if (plan.toHit === 0 || plan.fault.verb !== verb || !matches(plan.fault.name, name)) continue;
      if (plan.toSkip > 0) plan.toSkip--;
      else striking ??= plan;
    }
    if (striking !== undefined) striking.toHit--;
    return striking?.fault;
  }
}

function matches(pattern: string | RegExp | undefined, name: string): boolean {
  return pattern === undefined || (typeof pattern === 'string' ? pattern === name : pattern.test(name));
}

function makeError(fault: PlannedFault, name: string): SnapError {
  const code = fault.effect === 'no-space' ? 'NO_SPACE' : fault.effect === 'fail-before' ? fault.code ?? 'UNAVAILABLE' : 'UNAVAILABLE';
  const context = fault.effect === 'fail-after' ? { name, effectUnknown: 1 } : { name };
  return new SnapError(code, `Cannot ${fault.verb} '${name}': planned fault`, { context });
}
