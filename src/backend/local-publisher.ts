import type { Clock, Random } from '../base/ambient.ts';
import { type Bytes, equalBytes, toHex } from '../base/bytes.ts';
import { SnapError, throwIfAborted } from '../base/errors.ts';
import { directoryOf, type DurableDirectories } from './durable-directories.ts';
import { localError, rootVanished } from './local-errors.ts';
import { errnoOf, type NewFile } from './local-filesystem.ts';
import type { LocalRoot } from './local-root.ts';
import { TEMPORARY_DIRECTORY } from './object-arguments.ts';
import type { Failure } from './object-errors.ts';
import { type PacedCallOptions, pacedPieces } from './transfer-limits.ts';

/**
 * `own`: the name is the caller's alone, so meeting exactly the same bytes there means an earlier try of its own.
 * `contended`: others want the name too, and equal bytes mean nothing.
 */
export type PublishMode = 'own' | 'contended';

/** A temporary file that nobody has written to for so long belongs to a dead writer. */
const STALE_TEMPORARY_MS = 24 * 60 * 60 * 1000;
/** Answers of link and rename after which the name is certainly not there. */
const NOTHING_DONE = [
  'ENOENT', 'ENOTDIR', 'ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EXDEV', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENAMETOOLONG',
];

/** Puts complete, synced bytes under their final name without ever replacing others (repository design, section 5.2). */
export class LocalPublisher {
  readonly #root: LocalRoot;
  readonly #directories: DurableDirectories;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Without hard links: the end of the last step that looks and then renames, so that such steps never interleave. */
  #lastRename: Promise<unknown> = Promise.resolve();

  constructor(root: LocalRoot, directories: DurableDirectories, clock: Clock, random: Random) {
    this.#root = root;
    this.#directories = directories;
    this.#clock = clock;
    this.#random = random;
  }

  /** The signal counts until the object gets its name. An answer 'exists' is as durable as 'created'. */
  async publish(failure: Failure, parts: readonly Bytes[], mode: PublishMode, options: PacedCallOptions): Promise<'created' | 'exists'> {
    const directory = directoryOf(failure.name);
    const temporary = await this.#translated(failure, this.#writeTemporary(failure, directory, parts, options), () => false);
    try {
      const naming = this.#giveName(temporary, this.#directories.pathOf(failure.name), mode === 'own' ? parts : undefined);
      const outcome = await this.#translated(failure, naming, error => !NOTHING_DONE.includes(errnoOf(error)));
      await this.#translated(failure, this.#directories.sync(directory), () => true);
      return outcome;
    } finally {
      await this.#discard(temporary);
    }
  }

  /** Removes the temporary files of dead writers; returns how many. */
  async sweepTemporaryFiles(signal: AbortSignal | undefined): Promise<number> {
    const { fileSystem } = this.#root;
    const directory = this.#directories.pathOf(TEMPORARY_DIRECTORY);
    const names = (await fileSystem.readDirectory(directory)).filter(entry => entry.kind === 'file').map(entry => entry.name);
    const stats = await fileSystem.statAll(directory, names);
    let removed = 0;
    for (const [i, name] of names.entries()) {
      throwIfAborted(signal);
      const modifiedAt = stats[i]?.modifiedAt;
      if (modifiedAt === undefined || this.#clock.now() - modifiedAt < STALE_TEMPORARY_MS) continue;
      if (await this.#removeIfThere(`${directory}/${name}`)) removed++;
    }
    return removed;
  }

  /** Writes and syncs all parts under a temporary name, and meanwhile makes the directories of the final one. */
  async #writeTemporary(failure: Failure, directory: string, parts: readonly Bytes[], options: PacedCallOptions): Promise<string> {
    const temporary = this.#directories.pathOf(`${TEMPORARY_DIRECTORY}/${toHex(this.#random.bytes(16))}`);
    const file = await this.#createTemporary(failure, temporary);
    try {
      const [written, made] = await Promise.allSettled([this.#fill(file, parts, options), this.#directories.ensure(directory)]);
      if (written.status === 'rejected') throw written.reason;
      if (made.status === 'rejected') throw made.reason;
      throwIfAborted(options.signal);
      return temporary;
    } catch (error) {
      await this.#discard(temporary);
      throw error;
    }
  }

  async #createTemporary(failure: Failure, temporary: string): Promise<NewFile> {
    const { fileSystem } = this.#root;
    try {
      return await fileSystem.createFile(temporary);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      // Only the directory can be missing. It is made anew on the disk that was opened, never in an empty mount point.
      await this.#root.assertIsThere(failure, error);
    }
    try {
      await fileSystem.makeDirectory(this.#directories.pathOf(TEMPORARY_DIRECTORY));
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
    return fileSystem.createFile(temporary);
  }

  async #fill(file: NewFile, parts: readonly Bytes[], { signal, pace }: PacedCallOptions): Promise<void> {
    try {
      throwIfAborted(signal);
      if (pace === undefined) await file.write(parts);
      else for await (const piece of pacedPieces(parts, pace)) await file.write([piece]);
      throwIfAborted(signal);
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async #giveName(temporary: string, path: string, own: readonly Bytes[] | undefined): Promise<'created' | 'exists'> {
    const isAtomic = this.#root.createIfAbsent === 'atomic';
    const outcome = isAtomic ? await this.#link(temporary, path) : await this.#renameIfAbsent(temporary, path);
    if (outcome === 'created' || own === undefined || !await this.#holds(path, own)) return outcome;
    // An earlier try came to the name but perhaps not to the sync. The same bytes again, freshly synced, change the
    // directory once more, so that the coming sync covers it. Nobody can see the difference.
    await this.#root.fileSystem.rename(temporary, path);
    return 'created';
  }

  async #link(temporary: string, path: string): Promise<'created' | 'exists'> {
    try {
      await this.#root.fileSystem.link(temporary, path);
      return 'created';
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
      // NFS may have linked and lost the answer; then the temporary file has two names: open(2), under O_EXCL.
      return (await this.#root.fileSystem.stat(temporary)).links === 2 ? 'created' : 'exists';
    }
  }

  /** Decides races among the calls of this backend only; `capabilities` says so. */
  #renameIfAbsent(temporary: string, path: string): Promise<'created' | 'exists'> {
    const { fileSystem } = this.#root;
    const turn = this.#lastRename.then(async () => {
      try {
        await fileSystem.stat(path);
        return 'exists';
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
        await fileSystem.rename(temporary, path);
        return 'created';
      }
    });
    this.#lastRename = turn.catch(() => undefined);
    return turn;
  }

  async #holds(path: string, parts: readonly Bytes[]): Promise<boolean> {
    const file = await this.#root.fileSystem.openFile(path);
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

  /** What stays is found by `sweepTemporaryFiles`; so a failure here never turns a finished write into a failed one. */
  async #discard(temporary: string): Promise<void> {
    await this.#root.fileSystem.unlink(temporary).catch(() => undefined);
  }

  async #removeIfThere(path: string): Promise<boolean> {
    try {
      await this.#root.fileSystem.unlink(path);
      return true;
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      return false;
    }
  }

  /** @param isEffectUnknown whether the object may have got its name although the step failed so */
  async #translated<T>(failure: Failure, step: Promise<T>, isEffectUnknown: (error: unknown) => boolean): Promise<T> {
    try {
      return await step;
    } catch (error) {
      if (error instanceof SnapError) throw error;
      if (errnoOf(error) === 'ENOENT') {
        if (!await this.#root.isThere()) throw rootVanished(failure, error, isEffectUnknown(error));
        // Somebody removed directories (empty ones, perhaps); the next try makes them again.
        this.#directories.forget();
      }
      throw localError(failure, error, isEffectUnknown(error));
    }
  }
}
