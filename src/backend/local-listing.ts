import { throwIfAborted } from '../base/errors.ts';
import type { StoredObject } from './backend.ts';
import { directoryOf } from './durable-directories.ts';
import { saysMissing } from './local-errors.ts';
import { type DirectoryEntry, errnoOf, type FileSystem } from './local-filesystem.ts';
import { isNamePart, MAX_NAME_PARTS, TEMPORARY_DIRECTORY } from './object-arguments.ts';

export interface ListingOptions {
  readonly signal: AbortSignal | undefined;
  /** Called for a directory that is not there and for an empty root; throws when that is no answer. */
  readonly onMissing: (error?: unknown) => Promise<void>;
}

/** So many stats are under way at once: enough to keep the four I/O threads of Node busy. */
const STATS_AT_ONCE = 512;

/**
 * All plain files below `root` whose names relative to it start with `prefix`, strays included, temporary files not.
 * Memory: the names of one directory.
 */
export async function* listObjects(fileSystem: FileSystem, root: string, prefix: string, options: ListingOptions): AsyncGenerator<StoredObject> {
  const pending = [directoryOf(prefix)];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    if (directory === TEMPORARY_DIRECTORY || directory.startsWith(`${TEMPORARY_DIRECTORY}/`)) continue;
    throwIfAborted(options.signal);
    const base = directory === '' ? '' : `${directory}/`;
    const path = `${root}/${directory}`;
    const files: string[] = [];
    for (const entry of await readEntries(fileSystem, path, directory, options)) {
      if (!`${base}${entry.name}`.startsWith(prefix)) continue;
      if (entry.kind === 'file') files.push(entry.name);
      else if (entry.kind === 'directory' && base.split('/').length < MAX_NAME_PARTS) pending.push(`${base}${entry.name}`);
    }
    for (let at = 0; at < files.length; at += STATS_AT_ONCE) {
      yield* statFiles(fileSystem, path, base, files.slice(at, at + STATS_AT_ONCE), options.signal);
    }
  }
}

async function readEntries(
  fileSystem: FileSystem, path: string, directory: string, options: ListingOptions,
): Promise<readonly DirectoryEntry[]> {
  try {
    const entries = await fileSystem.readDirectory(path);
    // The mount point of a disk that is gone looks like this.
    if (directory === '' && entries.length === 0) await options.onMissing();
    return entries;
  } catch (error) {
    // In 'lost+found' and its like no object can lie, so that it is closed to us hides none.
    if (errnoOf(error) === 'EACCES' && !directory.split('/').every(isNamePart)) return [];
    if (!saysMissing(error)) throw error;
    await options.onMissing(error);
    return [];
  }
}

async function* statFiles(
  fileSystem: FileSystem, path: string, base: string, names: readonly string[], signal: AbortSignal | undefined,
): AsyncGenerator<StoredObject> {
  const stats = await fileSystem.statAll(path, names);
  for (const [i, stat] of stats.entries()) {
    throwIfAborted(signal);
    // Undefined: removed since the directory was read.
    if (stat?.kind === 'file') yield { name: `${base}${names[i]!}`, sizeBytes: stat.sizeBytes, storedAt: stat.modifiedAt };
  }
}
