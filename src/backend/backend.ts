/**
 * Port: named objects of bytes. Every sentence of this contract is the title of a test in `test/conformance/backend.ts`.
 *
 * A backend knows no chunk and no key. Only errors with these codes leave an adapter: OBJECT_NOT_FOUND, DENIED, NO_SPACE,
 * UNAVAILABLE, INVALID_RANGE, CANCELLED. "Not there" is never used for "cannot tell".
 */
import type { Bytes } from '../base/bytes.ts';
import type { CallOptions } from '../base/call-options.ts';

export type { CallOptions };

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

export interface StoredObject {
  readonly name: string;
  readonly sizeBytes: number;
  /** Time of storage by the clock of the storage, milliseconds since 1970. */
  readonly storedAt: number;
}

export interface BackendCapabilities {
  /** Whether `createIfAbsent` decides races by itself; 'none' needs the fallback protocol of the repository. */
  readonly createIfAbsent: 'atomic' | 'none';
  readonly canRemove: boolean;
}

/** Requests that were sent to a storage which charges for them, repeated ones too. A page of a listing is one `list`. */
export interface RequestCounts {
  readonly put: number;
  readonly get: number;
  /** Sizes and times of single objects. */
  readonly head: number;
  readonly list: number;
  readonly remove: number;
}

export interface ReadBackend {
  /** Printable; never contains credentials. */
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  /** Large writes that are best under way at once, each in memory until it is done; undefined where two are enough. */
  readonly writesAtOnce?: number | undefined;
  /** What was sent so far, through all wrappers; undefined where nobody charges for requests. */
  readonly requests?: RequestCounts | undefined;
  /** The whole object, or exactly the given range. A range that is not fully there fails with INVALID_RANGE. */
  read(name: string, range?: ByteRange, options?: CallOptions): Promise<Uint8Array<ArrayBuffer>>;
  stat(name: string, options?: CallOptions): Promise<StoredObject>;
  /** Each object whose name starts with `prefix`, once, in any order; temporary files never. */
  list(prefix: string, options?: CallOptions): AsyncIterable<StoredObject>;
  /** May be called twice. */
  close(): Promise<void>;
}

/** How an object differs from what it was at an earlier moment. */
export interface ObjectChange {
  readonly name: string;
  /** 'missing': it is not there any more; 'other': it has other content; 'new': it was not there. */
  readonly kind: 'missing' | 'other' | 'new';
  /** Of the earlier content; of the present one for what is new. */
  readonly sizeBytes: number;
}

/** The past of a storage that keeps it. Times in ms since 1970, by the clock of the storage. */
export interface ObjectHistory {
  /** All objects as they were. Nothing can be written or removed through it. @throws UNSUPPORTED_STORE when no past is kept */
  asOf(time: number, options?: CallOptions): Promise<Backend>;
  /** Objects that are not what they were, each once. @throws UNSUPPORTED_STORE when no past is kept */
  changesSince(time: number, options?: CallOptions): AsyncIterable<ObjectChange>;
  /** Makes the content of that time the present one again; what is there now is kept as another past version. */
  putBack(name: string, time: number, options?: CallOptions): Promise<void>;
}

/** Locks that keep objects from being removed or replaced by anybody, for a time. */
export interface ObjectLocks {
  /** How long a lock holds from when it is set. */
  readonly days: number;
  /** Whether objects of such a name are locked. */
  isLocked(name: string): boolean;
  /** @param until ms since 1970, not before what holds now. @throws DENIED, where the bucket has no Object Lock, too */
  extend(name: string, until: number, options?: CallOptions): Promise<void>;
}

export interface WriteBackend extends ReadBackend {
  /**
   * For random names that are never used twice. Resolves only when the bytes survive a power cut; before that nobody sees
   * even half of them, after it `read`, `stat` and `list` see the object at once. Never replaces another object.
   */
  create(name: string, parts: readonly Bytes[], options?: CallOptions): Promise<void>;
  /**
   * Decides races: of parallel calls exactly one gets 'created', the others 'exists', and the first bytes stay untouched.
   * Durable like `create`. An error whose context has `effectUnknown: 1` leaves open whether the object was made.
   */
  createIfAbsent(name: string, bytes: Bytes, options?: CallOptions): Promise<'created' | 'exists'>;
}

export interface Backend extends WriteBackend {
  /** Removing an absent object succeeds. Durable when it resolves. */
  remove(name: string, options?: CallOptions): Promise<void>;
}
