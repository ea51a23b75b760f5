/**
 * The one error type of snap and the catalogue of its codes.
 *
 * `kind` decides retry and exit code, `code` is the stable name that scripts and documents use, `hint` says what the
 * user can do next. Messages: capital first, no final period, no contractions, quoted values, active voice.
 */

/** What sort of failure it is; the command line maps each kind to one exit code. */
export type SnapErrorKind =
  | 'usage' | 'not-found' | 'conflict' | 'wrong-key' | 'corrupt' | 'guard' | 'unavailable' | 'denied' | 'no-space'
  | 'unsupported' | 'internal' | 'cancelled';

/** Every code with its kind and a one-line meaning; `docs/errors.md` is compared with this table by a test. */
export const ERROR_CATALOGUE = {
  USAGE: { kind: 'usage', meaning: 'A flag, an argument or a configuration value is wrong' },
  PASSWORD_MISSING: { kind: 'usage', meaning: 'No password was given and there is no terminal to ask on' },
  SOURCE_MISSING: { kind: 'usage', meaning: 'A path to back up does not exist' },
  TARGET_NOT_USABLE: { kind: 'usage', meaning: 'The restore target cannot be used as asked' },
  TARGET_FAILED: { kind: 'internal', meaning: 'An entry could not be written to the restore target' },
  TARGET_OCCUPIED: { kind: 'conflict', meaning: 'Something that must not be replaced is at the place of an entry' },
  REPOSITORY_EXISTS: { kind: 'usage', meaning: 'There is already a repository at the location' },
  LOCATION_NOT_EMPTY: { kind: 'usage', meaning: 'The place for a new repository already holds other files' },
  REPOSITORY_NOT_FOUND: { kind: 'not-found', meaning: 'There is no repository at the location' },
  OBJECT_NOT_FOUND: { kind: 'not-found', meaning: 'An object of the repository is missing' },
  SNAPSHOT_NOT_FOUND: { kind: 'not-found', meaning: 'No snapshot matches the name or the filters' },
  SNAPSHOT_AMBIGUOUS: { kind: 'usage', meaning: 'Several snapshots match the name' },
  PATH_NOT_IN_SNAPSHOT: { kind: 'not-found', meaning: 'The snapshot does not contain the path' },
  KEY_SLOT_NOT_FOUND: { kind: 'not-found', meaning: 'No key slot matches the name' },
  LAST_KEY_SLOT: { kind: 'guard', meaning: 'The last key slot cannot be removed' },
  FORGET_REFUSED: { kind: 'guard', meaning: 'What would be forgotten looks wrong' },
  SNAPSHOT_GONE: { kind: 'not-found', meaning: 'A forgotten snapshot cannot be brought back: some of its data is gone' },
  SESSION_REVOKED: { kind: 'conflict', meaning: 'A prune revoked the session and it could not commit again' },
  OBJECT_CONFLICT: { kind: 'conflict', meaning: 'Another process wrote the object first' },
  PRUNE_UNFINISHED: { kind: 'conflict', meaning: 'A prune is under way or was interrupted, and nothing may be repaired beside it' },
  CACHE_BUSY: { kind: 'conflict', meaning: 'Another process uses the local cache in a way that cannot be shared' },
  WRONG_PASSWORD: { kind: 'wrong-key', meaning: 'No key slot opens with the password' },
  OBJECT_CORRUPT: { kind: 'corrupt', meaning: 'A stored object is damaged' },
  PACK_CORRUPT: { kind: 'corrupt', meaning: 'A pack is damaged' },
  FRAME_CORRUPT: { kind: 'corrupt', meaning: 'A frame of a pack is damaged' },
  CHUNK_CORRUPT: { kind: 'corrupt', meaning: 'A chunk does not match its ID' },
  CHUNK_MISSING: { kind: 'corrupt', meaning: 'No usable pack holds a chunk that is needed' },
  DAMAGE_FOUND: { kind: 'corrupt', meaning: 'Verification found damage' },
  ENTRY_UNREADABLE: { kind: 'denied', meaning: 'An entry of the source, or its metadata, cannot be read' },
  SOURCE_EMPTY: { kind: 'guard', meaning: 'The source is empty although its parent snapshot had files' },
  ENTRY_CHANGED: { kind: 'unavailable', meaning: 'A file changed while it was read' },
  SOURCE_FAILED: { kind: 'internal', meaning: 'The source could not be read to its end, so no snapshot was made' },
  COMMAND_FAILED: { kind: 'internal', meaning: 'The command whose output was to be stored failed, so no snapshot was made' },
  UNAVAILABLE: { kind: 'unavailable', meaning: 'The storage did not answer or answered with a passing error' },
  DENIED: { kind: 'denied', meaning: 'The storage refused the operation' },
  NO_SPACE: { kind: 'no-space', meaning: 'The storage or the disk is full' },
  INVALID_RANGE: { kind: 'corrupt', meaning: 'An object is shorter than the range that was asked for' },
  UNRELATED_REPOSITORY: { kind: 'usage', meaning: 'The other repository is no copy of this one and does not share its deduplication secret' },
  ROLLBACK_SUSPECTED: { kind: 'guard', meaning: 'The repository lacks something that this host has seen in it before' },
  UNSUPPORTED_FORMAT: { kind: 'unsupported', meaning: 'The repository or an object needs a newer version of snap' },
  UNSUPPORTED_STORE: { kind: 'unsupported', meaning: 'The storage does not keep a promise that snap needs' },
  WORKER_FAILED: { kind: 'internal', meaning: 'A worker thread ended unexpectedly' },
  INTERNAL: { kind: 'internal', meaning: 'A broken invariant; please report it' },
  CANCELLED: { kind: 'cancelled', meaning: 'The run was interrupted' },
} as const satisfies Record<string, { kind: SnapErrorKind; meaning: string }>;

export type SnapErrorCode = keyof typeof ERROR_CATALOGUE;

export interface SnapErrorOptions {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** Path, IDs, sizes; never secrets. */
  readonly context?: Readonly<Record<string, string | number>> | undefined;
}

export class SnapError extends Error {
  override readonly name: string = 'SnapError';
  readonly code: SnapErrorCode;
  readonly kind: SnapErrorKind;
  readonly hint: string | undefined;
  readonly context: Readonly<Record<string, string | number>>;

  constructor(code: SnapErrorCode, message: string, options: SnapErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = ERROR_CATALOGUE[code].kind;
    this.hint = options.hint;
    this.context = options.context ?? {};
  }
}

/** True for a `SnapError` with one of the given codes; a `catch` names what it expects and throws the rest. */
export function hasCode(error: unknown, ...codes: SnapErrorCode[]): error is SnapError {
  return error instanceof SnapError && codes.includes(error.code);
}

/** The error of an aborted signal; `signal.reason` becomes its cause. */
export function cancelled(signal?: AbortSignal): SnapError {
  return new SnapError('CANCELLED', 'The run was interrupted', { cause: signal?.reason });
}

/** Throws `CANCELLED` when the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw cancelled(signal);
}

/** For a state that the code itself excludes. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new SnapError('INTERNAL', message, { hint: 'This is a fault in snap; please report it' });
}
