import { resolve } from 'node:path';
import type { Clock, Random } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import type { BackendCapabilities, ByteRange, CallOptions, StoredObject } from './backend.ts';
import { directoryOf, DurableDirectories } from './durable-directories.ts';
import { localError, rootVanished, saysMissing } from './local-errors.ts';
import { type FileSystem, nodeFileSystem, type OpenFile } from './local-filesystem.ts';
import { listObjects } from './local-listing.ts';
import { LocalPublisher } from './local-publisher.ts';
import { type LocalRoot, openRoot } from './local-root.ts';
import { assertObjectName, assertObjectPrefix, assertRange, MAX_READ_BYTES, TEMPORARY_DIRECTORY } from './object-arguments.ts';
import { type Failure, invalidRange, nameTaken, objectNotFound } from './object-errors.ts';
import type { PacedBackend } from './throttled.ts';
import type { Pace, PacedCallOptions } from './transfer-limits.ts';

export interface LocalBackendOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the directory and its parents when they are missing. */
  readonly create?: boolean | undefined;
  /** The operating system's, unless it is simulated. */
  readonly fileSystem?: FileSystem | undefined;
}

/** Up to this length a range is read without asking for the size first; above it, a wrong length must not claim memory. */
const UNCHECKED_RANGE_BYTES = 1024 * 1024;

/**
 * Opens a directory as a backend, after a trial whether it has hard links; without them `createIfAbsent` is 'none'.
 * @throws REPOSITORY_NOT_FOUND when there is no directory and `create` is not set; DENIED, NO_SPACE, UNAVAILABLE
 */
export async function openLocalBackend(path: string, options: LocalBackendOptions): Promise<LocalBackend> {
  const { clock, random, create = false, fileSystem = nodeFileSystem } = options;
  return new LocalBackend(await openRoot(fileSystem, resolve(path), { create, random }), clock, random);
}

/**
 * Objects as plain files in one directory tree (repository design, section 5.2): directories with mode 700, files 600.
 * Links to files are not objects; links to directories are followed.
 */
export class LocalBackend implements PacedBackend {
  readonly isPaced = true;
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #root: LocalRoot;
  readonly #directories: DurableDirectories;
  readonly #publisher: LocalPublisher;

  /** `openLocalBackend` makes the root. */
  constructor(root: LocalRoot, clock: Clock, random: Random) {
    this.location = root.location;
    this.capabilities = { createIfAbsent: root.createIfAbsent, canRemove: true };
    this.#root = root;
    this.#directories = new DurableDirectories(root.fileSystem, root.path);
    this.#publisher = new LocalPublisher(root, this.#directories, clock, random);
  }

  async read(name: string, range?: ByteRange, options: PacedCallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(options.signal);
    const failure = this.#failure('read', name);
    try {
      const file = await this.#root.fileSystem.openFile(this.#directories.pathOf(name));
      try {
        throwIfAborted(options.signal);
        return await readExactly(file, range, failure, options.pace);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw await this.#translateLookup(failure, error);
    }
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('stat', name);
    try {
      const { kind, sizeBytes, modifiedAt } = await this.#root.fileSystem.stat(this.#directories.pathOf(name));
      if (kind !== 'file') throw objectNotFound(failure);
      return { name, sizeBytes, storedAt: modifiedAt };
    } catch (error) {
      throw await this.#translateLookup(failure, error);
    }
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    const failure = this.#failure('list', '');
    const onMissing = (error?: unknown): Promise<void> => this.#root.assertIsThere(failure, error);
    try {
      yield* listObjects(this.#root.fileSystem, this.#root.path, prefix, { signal: options.signal, onMissing });
    } catch (error) {
      throw translate(failure, error);
    }
  }

  /** Meeting exactly the same bytes under the name is a success too: an earlier try came so far. */
  async create(name: string, parts: readonly Bytes[], options: PacedCallOptions = {}): Promise<void> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('create', name);
    if (await this.#publisher.publish(failure, parts, 'own', options) === 'exists') throw nameTaken(failure);
  }

  async createIfAbsent(name: string, bytes: Bytes, options: PacedCallOptions = {}): Promise<'created' | 'exists'> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    return this.#publisher.publish(this.#failure('create', name), [bytes], 'contended', options);
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('remove', name);
    await this.#unlessMissing(failure, this.#root.fileSystem.unlink(this.#directories.pathOf(name)));
    // Also when the object was gone: whoever removed it may not have come to the sync.
    await this.#unlessMissing(failure, this.#directories.sync(directoryOf(name)));
  }

  async close(): Promise<void> {
    // Every call closes the files that it opened.
  }

  /** Removes temporary files that nobody has written to for 24 h; returns how many. For the start of a writing session. */
  async sweepTemporaryFiles(options: CallOptions = {}): Promise<number> {
    const failure = this.#failure('remove', TEMPORARY_DIRECTORY);
    return await this.#unlessMissing(failure, this.#publisher.sweepTemporaryFiles(options.signal)) ?? 0;
  }

  /** Of the disk that it lies on, bytes. */
  async space(): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
    const failure = this.#failure('stat', '');
    try {
      await this.#root.assertIsThere(failure);
      return await this.#root.fileSystem.space(this.#root.path);
    } catch (error) {
      throw translate(failure, error);
    }
  }

  #failure(verb: Failure['verb'], name: string): Failure {
    return { verb, location: this.location, name };
  }

  /** Undefined when what the call is about is not there, and that can be relied on. */
  async #unlessMissing<T>(failure: Failure, call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (!saysMissing(error)) throw translate(failure, error);
      await this.#root.assertIsThere(failure, error);
      return undefined;
    }
  }

  async #translateLookup(failure: Failure, error: unknown): Promise<SnapError> {
    if (!saysMissing(error)) return translate(failure, error);
    return await this.#root.isThere() ? objectNotFound(failure, error) : rootVanished(failure, error);
  }
}

function translate(failure: Failure, error: unknown): SnapError {
  return error instanceof SnapError ? error : localError(failure, error);
}

async function readExactly(file: OpenFile, range: ByteRange | undefined, failure: Failure, pace: Pace | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const isUnchecked = range !== undefined && range.length > 0 && range.length <= UNCHECKED_RANGE_BYTES;
  const sizeBytes = isUnchecked ? Number.POSITIVE_INFINITY : await file.sizeBytes();
  const wanted = range ?? { offset: 0, length: sizeBytes };
  if (wanted.length > MAX_READ_BYTES || wanted.offset + wanted.length > sizeBytes) throw invalidRange(failure, wanted, sizeBytes);
  // Not zeroed first: only a completely filled array is handed out.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(wanted.length).buffer);
  const count = pace === undefined ? await file.read(bytes, wanted.offset) : await readInPieces(file, bytes, wanted.offset, pace);
  if (count < wanted.length) throw invalidRange(failure, wanted, wanted.offset + count);
  return bytes;
}

async function readInPieces(file: OpenFile, target: Uint8Array<ArrayBuffer>, position: number, pace: Pace): Promise<number> {
  for (let at = 0; at < target.length; at += pace.pieceBytes) {
    const piece = target.subarray(at, at + pace.pieceBytes);
    await pace.take(piece.length);
    const count = await file.read(piece, position + at);
    if (count < piece.length) return at + count;
  }
  return target.length;
}
