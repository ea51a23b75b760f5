import { resolve } from 'node:path';
import type { Clock, Random } from '../base/ambient.ts';
import { type Bytes, equalBytes, toHex } from '../base/bytes.ts';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import type { Backend, BackendCapabilities, ByteRange, CallOptions, StoredObject } from './backend.ts';
import { directoryOf, DurableDirectories } from './durable-directories.ts';
import { invalidRange, localError, nameTaken, objectNotFound, rootVanished, saysMissing, type Failure } from './local-errors.ts';
import { errnoOf, type FileSystem, nodeFileSystem, type OpenFile } from './local-filesystem.ts';
import { listObjects } from './local-listing.ts';
import { openRoot } from './local-root.ts';
import { assertObjectName, assertObjectPrefix, assertRange, printable, TEMPORARY_DIRECTORY } from './object-arguments.ts';

export interface LocalBackendOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Makes the directory and its parents when they are missing. */
  readonly create?: boolean | undefined;
  /** The operating system's unless a test simulates one. */
  readonly fileSystem?: FileSystem | undefined;
}

/** A temporary file that no writer has touched for so long belongs to a dead one. */
const STALE_TEMPORARY_MS = 24 * 60 * 60 * 1000;
/** Up to this length a range is read without asking for the size first; above, a wrong length must not claim memory. */
const UNCHECKED_RANGE_BYTES = 1024 * 1024;

/**
 * Opens a directory as a backend and tries whether it has hard links.
 * @throws REPOSITORY_NOT_FOUND when there is no directory and `create` is not set; else as every call
 */
export async function openLocalBackend(path: string, options: LocalBackendOptions): Promise<LocalBackend> {
  const { clock, random, create = false, fileSystem = nodeFileSystem } = options;
  const root = await openRoot(fileSystem, resolve(path), { create, random });
  return new LocalBackend({ fileSystem, clock, random, ...root });
}

/** What `openRoot` found out. */
interface LocalBackendSetup {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
  readonly random: Random;
  /** Absolute path. */
  readonly path: string;
  readonly device: number;
  readonly createIfAbsent: BackendCapabilities['createIfAbsent'];
}

/**
 * Objects as plain files of one directory tree (repository design, section 5.2). Files are published by `link`, which never
 * replaces: complete and synced bytes get their name, or the name is taken. Besides the codes of the port, an answer
 * 'exists' is durable too: the directory is synced before it is given.
 */
export class LocalBackend implements Backend {
  readonly location: string;
  readonly capabilities: BackendCapabilities;
  readonly #fileSystem: FileSystem;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #path: string;
  readonly #directories: DurableDirectories;
  #device: number;
  /** Without hard links: the end of the last step that looks and then renames, so that such steps never interleave. */
  #lastRename: Promise<unknown> = Promise.resolve();

  constructor(setup: LocalBackendSetup) {
    this.location = printable(setup.path);
    this.capabilities = { createIfAbsent: setup.createIfAbsent, canRemove: true };
    this.#fileSystem = setup.fileSystem;
    this.#clock = setup.clock;
    this.#random = setup.random;
    this.#path = setup.path;
    this.#device = setup.device;
    this.#directories = new DurableDirectories(setup.fileSystem, setup.path);
  }

  async read(name: string, range?: ByteRange, options: CallOptions = {}): Promise<Uint8Array<ArrayBuffer>> {
    assertObjectName(name);
    if (range !== undefined) assertRange(range);
    throwIfAborted(options.signal);
    const failure = this.#failure('read', name);
    try {
      const file = await this.#fileSystem.openFile(this.#directories.pathOf(name));
      try {
        throwIfAborted(options.signal);
        return await readExactly(file, range, failure);
      } finally {
        await file.close();
      }
    } catch (error) {
      throw await this.#lookupError(failure, error);
    }
  }

  async stat(name: string, options: CallOptions = {}): Promise<StoredObject> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('stat', name);
    try {
      const { kind, sizeBytes, modifiedAt } = await this.#fileSystem.stat(this.#directories.pathOf(name));
      if (kind !== 'file') throw objectNotFound(failure);
      return { name, sizeBytes, storedAt: modifiedAt };
    } catch (error) {
      throw await this.#lookupError(failure, error);
    }
  }

  async *list(prefix: string, options: CallOptions = {}): AsyncGenerator<StoredObject> {
    assertObjectPrefix(prefix);
    const failure = this.#failure('list', '');
    try {
      yield* listObjects(this.#fileSystem, this.#directories, prefix, {
        signal: options.signal,
        onMissing: error => this.#assertRootIsThere(failure, error),
      });
    } catch (error) {
      throw error instanceof SnapError ? error : localError(failure, error);
    }
  }

  async create(name: string, parts: readonly Bytes[], options: CallOptions = {}): Promise<void> {
    if (await this.#store(name, parts, options.signal, 'own') === 'exists') throw nameTaken(this.#failure('create', name));
  }

  async createIfAbsent(name: string, bytes: Bytes, options: CallOptions = {}): Promise<'created' | 'exists'> {
    return this.#store(name, [bytes], options.signal, 'contended');
  }

  async remove(name: string, options: CallOptions = {}): Promise<void> {
    assertObjectName(name);
    throwIfAborted(options.signal);
    const failure = this.#failure('remove', name);
    try {
      await this.#tolerate(failure, this.#fileSystem.unlink(this.#directories.pathOf(name)));
      // Also when the object was gone: whoever removed it may not have come to the sync.
      await this.#tolerate(failure, this.#directories.sync(directoryOf(name)));
    } catch (error) {
      throw error instanceof SnapError ? error : localError(failure, error);
    }
  }

  async close(): Promise<void> {
    // Every call closes its own files.
  }

  /** Removes temporary files that were not written to for 24 h; returns how many. For the start of a writing session. */
  async sweepTemporaryFiles(options: CallOptions = {}): Promise<number> {
    const failure = this.#failure('remove', TEMPORARY_DIRECTORY);
    const directory = this.#directories.pathOf(TEMPORARY_DIRECTORY);
    let removed = 0;
    try {
      const names = (await this.#fileSystem.readDirectory(directory)).filter(entry => entry.kind === 'file').map(entry => entry.name);
      const stats = await this.#fileSystem.statAll(directory, names);
      for (const [i, name] of names.entries()) {
        throwIfAborted(options.signal);
        const modifiedAt = stats[i]?.modifiedAt;
        if (modifiedAt === undefined || this.#clock.now() - modifiedAt < STALE_TEMPORARY_MS) continue;
        await this.#tolerate(failure, this.#fileSystem.unlink(`${directory}/${name}`));
        removed++;
      }
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error instanceof SnapError ? error : localError(failure, error);
      await this.#assertRootIsThere(failure, error);
    }
    return removed;
  }

  /** What can still be written, bytes. */
  async freeBytes(): Promise<number> {
    try {
      return await this.#fileSystem.freeBytes(this.#path);
    } catch (error) {
      throw await this.#writeError(this.#failure('stat', ''), error);
    }
  }

  /** Write, sync, publish, sync the directory. The signal counts until the object is published. */
  async #store(name: string, parts: readonly Bytes[], signal: AbortSignal | undefined, mode: 'own' | 'contended'): Promise<'created' | 'exists'> {
    assertObjectName(name);
    throwIfAborted(signal);
    const failure = this.#failure('create', name);
    const temporary = this.#directories.pathOf(`${TEMPORARY_DIRECTORY}/${toHex(this.#random.bytes(16))}`);
    let isPublishing = false;
    try {
      await this.#writeTemporary(temporary, name, parts, signal, failure);
      isPublishing = true;
      const outcome = await this.#publish(temporary, name, mode === 'own' ? parts : undefined);
      // Nothing after this line can undo the publishing, so an error leaves the effect unknown.
      await Promise.all([this.#directories.sync(directoryOf(name)), this.#discard(temporary)]);
      return outcome;
    } catch (error) {
      await this.#discard(temporary);
      throw await this.#writeError(failure, error, isPublishing && !SAYS_NOTHING_DONE.includes(errnoOf(error)));
    }
  }

  /** Writes and syncs all parts under a temporary name while the directories of the final name are made. */
  async #writeTemporary(temporary: string, name: string, parts: readonly Bytes[], signal: AbortSignal | undefined, failure: Failure): Promise<void> {
    const file = await this.#createTemporary(temporary, failure);
    const directory = this.#directories.ensure(directoryOf(name));
    try {
      throwIfAborted(signal);
      await file.write(parts);
      throwIfAborted(signal);
      await file.sync();
    } finally {
      await Promise.allSettled([directory]);
      await file.close();
    }
    await directory;
    throwIfAborted(signal);
  }

  async #createTemporary(temporary: string, failure: Failure): ReturnType<FileSystem['createFile']> {
    try {
      return await this.#fileSystem.createFile(temporary);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Only the directory can be missing. It is made again only on the disk that was opened, never in an empty mount point.
      await this.#assertRootIsThere(failure, error);
    }
    try {
      await this.#fileSystem.makeDirectory(this.#directories.pathOf(TEMPORARY_DIRECTORY));
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    return this.#fileSystem.createFile(temporary);
  }

  /** @param own the bytes, when nobody else may use the name: then meeting exactly them there is a success as well */
  async #publish(temporary: string, name: string, own: readonly Bytes[] | undefined): Promise<'created' | 'exists'> {
    const path = this.#directories.pathOf(name);
    const outcome = this.capabilities.createIfAbsent === 'atomic' ? await this.#link(temporary, path) : await this.#renameIfAbsent(temporary, path);
    if (outcome === 'created' || own === undefined || !await this.#holds(path, own)) return outcome;
    // An earlier try got as far as the name, but perhaps not to the sync. The same bytes once more, freshly synced, make
    // the directory change again, so that the sync to come covers it. Nobody can see the difference.
    await this.#fileSystem.rename(temporary, path);
    return 'created';
  }

  async #link(temporary: string, path: string): Promise<'created' | 'exists'> {
    try {
      await this.#fileSystem.link(temporary, path);
      return 'created';
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      // NFS may have linked and lost the answer; then the temporary file has two names: open(2), under O_EXCL.
      return (await this.#fileSystem.stat(temporary)).links === 2 ? 'created' : 'exists';
    }
  }

  /** Right among the calls of this backend only; `capabilities` says so. */
  #renameIfAbsent(temporary: string, path: string): Promise<'created' | 'exists'> {
    const turn = this.#lastRename.then(async () => {
      try {
        await this.#fileSystem.stat(path);
        return 'exists';
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
        await this.#fileSystem.rename(temporary, path);
        return 'created';
      }
    });
    this.#lastRename = turn.catch(() => undefined);
    return turn;
  }

  async #holds(path: string, parts: readonly Bytes[]): Promise<boolean> {
    const file = await this.#fileSystem.openFile(path);
    try {
      let position = 0;
      for (const part of parts) {
        const stored = new Uint8Array(part.length);
        if (await file.read(stored, position) < part.length || !equalBytes(stored, part)) return false;
        position += part.length;
      }
      return await file.sizeBytes() === position;
    } finally {
      await file.close();
    }
  }

  /** A temporary file that stays is found by `sweepTemporaryFiles`, so this never turns a finished write into a failed one. */
  async #discard(temporary: string): Promise<void> {
    await this.#fileSystem.unlink(temporary).catch(() => undefined);
  }

  /** Awaits a call for which an absent object is as good as success. */
  async #tolerate(failure: Failure, call: Promise<void>): Promise<void> {
    try {
      await call;
    } catch (error) {
      if (!saysMissing(error)) throw error;
      await this.#assertRootIsThere(failure, error);
    }
  }

  #failure(verb: Failure['verb'], name: string): Failure {
    return { verb, location: this.location, name };
  }

  async #lookupError(failure: Failure, error: unknown): Promise<unknown> {
    if (error instanceof SnapError) return error;
    if (!saysMissing(error)) return localError(failure, error);
    return await this.#isRootThere() ? objectNotFound(failure, error) : rootVanished(failure, error);
  }

  async #writeError(failure: Failure, error: unknown, effectUnknown = false): Promise<unknown> {
    if (error instanceof SnapError) return error;
    if (errnoOf(error) === 'ENOENT') {
      if (!await this.#isRootThere()) return rootVanished(failure, error);
      // Somebody removed directories (empty ones, perhaps); the next try makes them again.
      this.#directories.forget();
    }
    return localError(failure, error, effectUnknown);
  }

  async #assertRootIsThere(failure: Failure, cause: unknown): Promise<void> {
    if (!await this.#isRootThere()) throw rootVanished(failure, cause);
  }

  /** False when nothing below the root can be judged: it is gone, or it is the empty mount point of a disk that is gone. */
  async #isRootThere(): Promise<boolean> {
    try {
      const { kind, device } = await this.#fileSystem.stat(`${this.#path}/.`);
      if (kind !== 'directory') return false;
      // An automounter may have mounted the same disk anew, under another number.
      if (device !== this.#device && (await this.#fileSystem.readDirectory(this.#path)).length === 0) return false;
      this.#device = device;
      return true;
    } catch {
      return false;
    }
  }
}

/** Answers of link and rename after which the name is certainly not there. */
const SAYS_NOTHING_DONE = ['ENOENT', 'ENOTDIR', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EXDEV', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENAMETOOLONG'];

async function readExactly(file: OpenFile, range: ByteRange | undefined, failure: Failure): Promise<Uint8Array<ArrayBuffer>> {
  const isUnchecked = range !== undefined && range.length > 0 && range.length <= UNCHECKED_RANGE_BYTES;
  const sizeBytes = isUnchecked ? Number.POSITIVE_INFINITY : await file.sizeBytes();
  const wanted = range ?? { offset: 0, length: sizeBytes };
  if (wanted.offset + wanted.length > sizeBytes) throw invalidRange(failure, wanted, sizeBytes);
  // Not zeroed first: only a completely filled array is handed out.
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(wanted.length).buffer);
  const count = await file.read(bytes, wanted.offset);
  if (count < wanted.length) throw invalidRange(failure, wanted, wanted.offset + count);
  return bytes;
}
