/** The storage that all simulated hosts share. Every operation takes effect at one moment; a listing page by page. */
import { concatBytes, equalBytes, type Bytes } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import type { StoredObject } from '../../src/backend/backend.ts';

/**
 * What becomes of the condition of a create-only write: 'kept'; 'ignored' in silence, as some S3 clones do; or 'refused', so that the
 * adapter looks and then writes, in two steps between which others come.
 */
export type Conditions = 'kept' | 'ignored' | 'refused';

export interface StoreOptions {
  readonly now: () => number;
  readonly conditions: Conditions;
  /** Before the names of its objects in the trace. */
  readonly label?: string;
  /** What the times of storage are rounded down to, ms: one second on S3. */
  readonly timeStep: number;
  /** Objects of one page of a listing. */
  readonly pageSize: number;
}

export interface StoreObserver {
  created(name: string, bytes: Bytes, before: Bytes | undefined): void;
  removed(name: string, bytes: Bytes): void;
}

interface Kept {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly storedAt: number;
}

export interface Page {
  readonly objects: readonly StoredObject[];
  readonly isLast: boolean;
}

export class SimulatedStore {
  readonly #options: StoreOptions;
  readonly #objects = new Map<string, Kept>();
  observer: StoreObserver | undefined;
  readonly conditions: Conditions;
  readonly label: string;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.conditions = options.conditions;
    this.label = options.label ?? '';
  }

  names(): string[] {
    return [...this.#objects.keys()].sort();
  }

  bytes(name: string): Bytes | undefined {
    return this.#objects.get(name)?.bytes;
  }

  read(name: string): Uint8Array<ArrayBuffer> {
    return this.#get('read', name).bytes.slice();
  }

  stat(name: string): StoredObject {
    const { bytes, storedAt } = this.#get('stat', name);
    return { name, sizeBytes: bytes.length, storedAt };
  }

  /** The next names below the prefix in ascending order, as they are at this moment. */
  page(prefix: string, after: string): Page {
    const names = this.names().filter(name => name.startsWith(prefix) && name > after);
    const objects = names.slice(0, this.#options.pageSize).map(name => this.stat(name));
    return { objects, isLast: names.length <= this.#options.pageSize };
  }

  /** Whether the storage itself refuses to write there. */
  isTaken(name: string): boolean {
    return this.conditions === 'kept' && this.#objects.has(name);
  }

  create(name: string, parts: readonly Bytes[]): void {
    if (this.isTaken(name)) throw nameTaken(name);
    this.#put(name, concatBytes(parts));
  }

  createIfAbsent(name: string, bytes: Bytes): 'created' | 'exists' {
    if (this.isTaken(name)) return 'exists';
    this.#put(name, concatBytes([bytes]));
    return 'created';
  }

  remove(name: string): void {
    const kept = this.#objects.get(name);
    if (kept === undefined) return;
    this.#objects.delete(name);
    this.observer?.removed(name, kept.bytes);
  }

  #put(name: string, bytes: Uint8Array<ArrayBuffer>): void {
    const before = this.#objects.get(name)?.bytes;
    if (before !== undefined && equalBytes(before, bytes)) return;
    const { now, timeStep } = this.#options;
    this.#objects.set(name, { bytes, storedAt: Math.floor(now() / timeStep) * timeStep });
    this.observer?.created(name, bytes, before);
  }

  #get(verb: string, name: string): Kept {
    const kept = this.#objects.get(name);
    if (kept === undefined) throw new SnapError('OBJECT_NOT_FOUND', `Cannot ${verb} '${name}': there is no such object`, { context: { name } });
    return kept;
  }
}

export function nameTaken(name: string): SnapError {
  return new SnapError('DENIED', `Cannot create '${name}': another object has the name`, { context: { name, exists: 1 } });
}
