import type { Clock } from '../../src/base/ambient.ts';
import { type Bytes, concatBytes } from '../../src/base/bytes.ts';
import { SnapError } from '../../src/base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from '../../src/backend/backend.ts';
import { MemoryBackend, type MemoryState } from '../../src/backend/memory.ts';

export type RecordedVerb = 'read' | 'stat' | 'list' | 'create' | 'createIfAbsent' | 'remove';

export interface RecordedOperation {
  readonly verb: RecordedVerb;
  /** Object name; for `list` the prefix. */
  readonly name: string;
  /** What a create carries; empty for the others. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes that a create sent or a read returned. */
  readonly sizeBytes: number;
  /** Position among all beginnings and ends of operations. */
  readonly startedAt: number;
  /** The same for its end; undefined while it runs. */
  readonly finishedAt: number | undefined;
  /** 'unknown': it failed and said that it may have had its effect. */
  readonly outcome: 'running' | 'done' | 'created' | 'exists' | 'failed' | 'unknown';
}

type MutableOperation = { -readonly [K in keyof RecordedOperation]: RecordedOperation[K] };

const MUTATING: readonly RecordedVerb[] = ['create', 'createIfAbsent', 'remove'];

/** Writes down every operation with its order, for crash replay after any prefix and for audits of what was sent. */
export class RecordingBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #inner: Backend;
  readonly #clock: Clock;
  readonly #initial: MemoryState;
  readonly #operations: MutableOperation[] = [];
  #position = 0;

  /** @param initial what is stored before the recording, for the replay */
  constructor(inner: Backend, options: { clock: Clock; initial?: MemoryState }) {
    this.location = inner.location;
    this.capabilities = inner.capabilities;
    this.#inner = inner;
    this.#clock = options.clock;
    this.#initial = options.initial ?? new Map();
  }

  /** In the order of their beginnings. */
  get operations(): readonly RecordedOperation[] {
    return this.#operations;
  }

  /** Operations that changed the storage, in the order of their ends. */
  get changes(): readonly RecordedOperation[] {
    return this.#operations.filter(each => MUTATING.includes(each.verb) && (each.outcome === 'done' || each.outcome === 'created'))
      .sort((a, b) => a.finishedAt! - b.finishedAt!);
  }

  /** What may have taken effect as well when change `count` had ended: had begun and not ended, or ended in doubt. */
  inFlightAfter(count: number): readonly RecordedOperation[] {
    const at = count === 0 ? 0 : this.#firstChanges(count).at(-1)!.finishedAt!;
    return this.#operations.filter(each => MUTATING.includes(each.verb) && each.startedAt < at && each.outcome !== 'exists'
      && (each.outcome === 'unknown' || (each.finishedAt ?? Number.POSITIVE_INFINITY) > at));
  }

  /** The storage after the first `count` changes, and those of the operations in flight that are given as well. */
  async replayPrefix(count: number, alsoInFlight: readonly RecordedOperation[] = []): Promise<MemoryBackend> {
    const backend = MemoryBackend.fromState(this.#initial, { clock: this.#clock });
    for (const { verb, name, bytes } of [...this.#firstChanges(count), ...alsoInFlight]) {
      if (verb === 'remove') await backend.remove(name);
      else await backend.createIfAbsent(name, bytes);
    }
    return backend;
  }

  read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>> {
    return this.#record('read', name, [], () => this.#inner.read(name, range, options));
  }

  stat(name: string, options?: CallOptions): Promise<StoredObject> {
    return this.#record('stat', name, [], () => this.#inner.stat(name, options));
  }

  async *list(prefix: string, options?: CallOptions): AsyncGenerator<StoredObject> {
    const operation = this.#begin('list', prefix, []);
    operation.outcome = 'done';
    try {
      yield* this.#inner.list(prefix, options);
    } catch (error) {
      operation.outcome = 'failed';
      throw error;
    } finally {
      operation.finishedAt = this.#position++;
    }
  }

  create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void> {
    return this.#record('create', name, parts, () => this.#inner.create(name, parts, options));
  }

  createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'> {
    return this.#record('createIfAbsent', name, [bytes], () => this.#inner.createIfAbsent(name, bytes, options));
  }

  remove(name: string, options?: CallOptions): Promise<void> {
    return this.#record('remove', name, [], () => this.#inner.remove(name, options));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  #begin(verb: RecordedVerb, name: string, parts: readonly Bytes[]): MutableOperation {
    const bytes = concatBytes(parts);
    const operation: MutableOperation = {
      verb, name, bytes, sizeBytes: bytes.length, startedAt: this.#position++, finishedAt: undefined, outcome: 'running',
    };
    this.#operations.push(operation);
    return operation;
  }

  async #record<T>(verb: RecordedVerb, name: string, parts: readonly Bytes[], call: () => Promise<T>): Promise<T> {
    const operation = this.#begin(verb, name, parts);
    try {
      const result: unknown = await call();
      operation.outcome = result === 'created' || result === 'exists' ? result : 'done';
      if (result instanceof Uint8Array) operation.sizeBytes = result.length;
      return result as T;
    } catch (error) {
      operation.outcome = error instanceof SnapError && error.context['effectUnknown'] === 1 ? 'unknown' : 'failed';
      throw error;
    } finally {
      operation.finishedAt = this.#position++;
    }
  }

  #firstChanges(count: number): readonly RecordedOperation[] {
    const { changes } = this;
    if (count > changes.length) throw new RangeError(`There are only ${changes.length} changes, not ${count}`);
    return changes.slice(0, count);
  }
}
