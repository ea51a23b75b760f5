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
 * Memory: the names of the directories that are read at once.
 */
export async function* listObjects(fileSystem: FileSystem, root: string, prefix: string, options: ListingOptions): AsyncGenerator<StoredObject> {
  const { directoriesAtOnce = 1 } = fileSystem;
  const pending = [directoryOf(prefix)];
  const reading: Reading[] = [];
  const readOn = (): void => {
    while (reading.length < directoriesAtOnce && pending.length > 0) {
      const directory = pending.pop()!;
      if (directory === TEMPORARY_DIRECTORY || directory.startsWith(`${TEMPORARY_DIRECTORY}/`)) continue;
      const entries = readEntries(fileSystem, `${root}/${directory}`, directory, options);
      entries.catch(() => undefined); // it is awaited in its turn, or the listing has ended by then
      reading.push({ directory, entries });
    }
  };
  readOn();
  for (let next = reading.shift(); next !== undefined; next = reading.shift()) {
    throwIfAborted(options.signal);
    const base = next.directory === '' ? '' : `${next.directory}/`;
    const files: DirectoryEntry[] = [];
    for (const entry of await next.entries) {
      if (!`${base}${entry.name}`.startsWith(prefix)) continue;
      if (entry.kind === 'file') files.push(entry);
      else if (entry.kind === 'directory' && base.split('/').length < MAX_NAME_PARTS) pending.push(`${base}${entry.name}`);
    }
    readOn();
    for (let at = 0; at < files.length; at += STATS_AT_ONCE) {
      yield* statFiles(fileSystem, `${root}/${next.directory}`, base, files.slice(at, at + STATS_AT_ONCE), options.signal);
    }
  }
}

interface Reading {
  readonly directory: string;
  readonly entries: Promise<readonly DirectoryEntry[]>;
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
  fileSystem: FileSystem, path: string, base: string, entries: readonly DirectoryEntry[], signal: AbortSignal | undefined,
): AsyncGenerator<StoredObject> {
  // An adapter tells all of them with the directory or none.
  const isToldAlready = entries.every(entry => entry.stat !== undefined);
  const stats = isToldAlready ? entries.map(entry => entry.stat) : await fileSystem.statAll(path, entries.map(entry => entry.name));
  for (const [i, stat] of stats.entries()) {
    throwIfAborted(signal);
    // Undefined: removed since the directory was read.
    if (stat?.kind === 'file') yield { name: `${base}${entries[i]!.name}`, sizeBytes: stat.sizeBytes, storedAt: stat.modifiedAt };
  }
}
