/** The one place where ports meet their adapters. Everything that is opened here is closed here, also after a failure. */
import { closeSync, openSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { availableParallelism, homedir, platform } from 'node:os';
import { resolve } from 'node:path';
import { systemClock, systemRandom } from '../base/ambient.ts';
import { equalBytes, utf8, type Bytes } from '../base/bytes.ts';
import { hasCode, SnapError } from '../base/errors.ts';
import type { Backend } from '../backend/backend.ts';
import { openBackend, parseLocation } from '../backend/open.ts';
import { cacheDirectory, listCaches, removeCache, type CacheFolder } from '../cache/cache-directory.ts';
import { openLmdbCache } from '../cache/lmdb-cache.ts';
import type { Engine } from '../engine/engine.ts';
import { JOBS_PER_WORKER } from '../engine/messages.ts';
import { createPoolEngine } from '../engine/pool-engine.ts';
import { parseHostId, type RepositoryId } from '../format/ids.ts';
import { createFastKernel } from '../kernel/fast.ts';
import { openRepository, readConfigBytes } from '../repository/open-repository.ts';
import type { Environment, OpenRepository } from '../repository/opened-repository.ts';
import type { SnapshotRecord } from '../repository/snapshots.ts';
import type { SessionOwner } from '../repository/registration.ts';
import { nameText } from '../sources/glob.ts';
import { compilePatterns, type PatternCursor } from '../sources/path-patterns.ts';
import { createArchiveWriter } from '../targets/archive.ts';
import { FilesTarget } from '../targets/files.ts';
import { writeToStream } from '../targets/stream.ts';
import type { TreeTarget } from '../targets/target.ts';
import type { JobContext } from '../usecases/events.ts';
import type { LiveFile } from '../usecases/diff-live.ts';
import type { EngineFactory } from '../usecases/ingest-engine.ts';
import type { Source, TreeSource } from '../sources/source.ts';
import { resolvePath } from '../sources/raw-path.ts';
import { CACHE_DIRECTORY_MARKER, compileExcludes, parseMarker, parsePatternFile, type ExcludeMatcher } from '../sources/exclude.ts';
import { parseFileList, type FileListFormat } from '../sources/file-list.ts';
import { openFileTree } from '../sources/files.ts';
import { openCommand } from '../sources/command.ts';
import { openStdin } from '../sources/stdin.ts';
import type { PathMatcher } from '../usecases/selection.ts';
import type { FlagSet, ValuesOf } from './flag.ts';
import type { BACKUP_FLAGS } from './flags.ts';
import { hostIdentity } from './host-identity.ts';
import { repositoryLocation } from './location.ts';
import { printable } from './printable.ts';
import { programVersion } from './program-version.ts';
import { rawBytes } from './raw-arguments.ts';
import { hasGivenCredential, readCredential, type Credential } from './secrets.ts';
import type { VerbContext } from './verb.ts';

export type { OpenRepository, SnapshotRecord };

/** What of a verb's context decides about adapters. */
export type Surroundings = Pick<VerbContext<FlagSet>, 'globals' | 'credentialOrigin' | 'terminal' | 'signal' | 'environment'>;

/** More threads than this wait for storage and memory, not for a processor. */
const MAX_DEFAULT_THREADS = 8;
const SLASH = 0x2f;

/** Kernel, clock and chance for everything below. */
export function newEnvironment(): Environment {
  return { kernel: createFastKernel(), clock: systemClock, random: systemRandom };
}

export function sessionOwner(surroundings: Surroundings, host?: string): SessionOwner {
  const identity = hostIdentity(surroundings.environment);
  return { ...identity, host: host ?? identity.host, hostId: parseHostId(identity.hostId), program: `snap ${programVersion()}` };
}

export interface BackendChoice {
  /** Makes the place of a new repository. */
  readonly create: boolean;
  /** A writer removes what writers left in mid-write a day ago or longer. */
  readonly tidies?: boolean;
  readonly location?: string;
}

export async function withBackend<T>(
  surroundings: Surroundings, job: JobContext, options: BackendChoice, work: (backend: Backend) => Promise<T>,
): Promise<T> {
  const { globals } = surroundings;
  const { backend, local } = await openBackend(options.location ?? repositoryLocation(globals), {
    clock: systemClock, random: systemRandom, create: options.create,
    uploadBytesPerSecond: globals.limitUpload, downloadBytesPerSecond: globals.limitDownload,
    onRetry: ({ operation, attempt, delayMs }) => job.onEvent?.({ type: 'retry-scheduled', operation, attempt, delayMs }),
  });
  return closing(backend, async () => {
    if (options.tidies === true) await local?.sweepTemporaryFiles({ signal: job.signal });
    return work(backend);
  });
}

/** The printable location of a repository that is there already; for looking before anybody is asked for a password. */
export async function existingRepository(surroundings: Surroundings, job: JobContext): Promise<string | undefined> {
  try {
    return await withBackend(surroundings, job, { create: false }, async backend => {
      await readConfigBytes(backend, job);
      return backend.location;
    });
  } catch (error) {
    if (hasCode(error, 'REPOSITORY_NOT_FOUND')) return undefined;
    throw error;
  }
}

/** Opens the repository that the globals name, with the credential that they name or that a person types. */
export function withRepository<T>(
  surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository, credential: Credential) => Promise<T>, tidies: boolean = false,
): Promise<T> {
  return withBackend(surroundings, job, { create: false, tidies }, async backend => {
    // Nobody is asked for the password of a repository that is not there.
    if (!hasGivenCredential(surroundings)) await readConfigBytes(backend, job);
    const credential = await readCredential(surroundings);
    return withOpened(backend, credential, surroundings, job, repository => work(repository, credential));
  });
}

export async function withOpened<T>(
  backend: Backend, credential: Credential, surroundings: Surroundings, job: JobContext, work: (repository: OpenRepository) => Promise<T>,
): Promise<T> {
  const directory = cachesDirectory(surroundings);
  const openCache = (repositoryId: RepositoryId): ReturnType<typeof openLmdbCache> =>
    openLmdbCache({ directory, repositoryId, random: systemRandom, clock: systemClock });
  const repository = await openRepository(backend, credential, newEnvironment(), openCache, { signal: job.signal });
  return closing({ close: () => repository.cache.close() }, () => work(repository));
}

/** Engines on worker threads, one per processor unless told otherwise. */
export function engineFactory(threads: number | undefined): EngineFactory {
  const workers = threads ?? Math.min(MAX_DEFAULT_THREADS, availableParallelism());
  const open = (): Engine => createPoolEngine({ workers, openPacks: workers === 1 ? 2 : 1, workerUrl: new URL('../engine/worker.js', import.meta.url) });
  return { capacity: workers * JOBS_PER_WORKER, open };
}

/** The folder of all caches: flag or variable, systemd's CACHE_DIRECTORY, then the custom of the system. */
export function cachesDirectory({ globals, environment }: Surroundings): string {
  return cacheDirectory({
    explicit: globals.cacheDir ?? environment['CACHE_DIRECTORY']?.split(':')[0], xdgCacheHome: environment['XDG_CACHE_HOME'],
    localAppData: environment['LOCALAPPDATA'], home: homedir(), platform: platform(),
  });
}

export function cacheFolders(surroundings: Surroundings): CacheFolder[] {
  return listCaches(cachesDirectory(surroundings));
}

/** Removes the cache of the repository that the globals name; needs no password. */
export function removeRepositoryCache(surroundings: Surroundings, job: JobContext): Promise<{ id: RepositoryId; location: string }> {
  return withBackend(surroundings, job, { create: false }, async backend => {
    const { id } = await readConfigBytes(backend, job);
    removeCache(cachesDirectory(surroundings), id);
    return { id, location: backend.location };
  });
}

// --- sources ---

/** What a backup reads, and the paths or the name that its default series is named after. */
export interface ChosenSource {
  readonly source: Source;
  readonly named: readonly Bytes[];
}

export async function chooseSource(surroundings: Surroundings, flags: ValuesOf<typeof BACKUP_FLAGS>, operands: readonly string[]): Promise<ChosenSource> {
  const listed = await listedPaths(surroundings, flags);
  const ways = [operands.length > 0 || listed !== undefined, flags.stdin, flags.command !== undefined].filter(way => way).length;
  if (ways > 1) throw new SnapError('USAGE', 'Paths, --stdin and --command exclude each other', { hint: 'Make one backup for each' });
  if (flags.stdin || flags.command !== undefined) return chooseStream(surroundings, flags);
  if (flags.stdinFilename !== undefined) throw new SnapError('USAGE', '--stdin-filename goes with --stdin or --command');
  const paths = [...operands.map(rawBytes), ...listed ?? []];
  if (paths.length === 0) {
    throw new SnapError('USAGE', listed === undefined ? 'Nothing to back up was named' : 'The lists of files name nothing', {
      hint: 'Name at least one path, or give --stdin or --command',
    });
  }
  return treeSource(surroundings, flags, paths);
}

/**
 * @param flags exclude rules and the like
 * @param leftOut absolute paths that are left out besides
 */
export function treeSource(
  surroundings: Surroundings, flags: Partial<ValuesOf<typeof BACKUP_FLAGS>>, paths: readonly Bytes[], leftOut: readonly string[] = [],
): ChosenSource & { source: TreeSource } {
  const cwd = workingDirectory();
  const excludes = excludesOf(surroundings, flags, [...leftOut, ...ownFolders(surroundings)]);
  const source = openFileTree(paths, { cwd, excludes, oneFileSystem: flags.oneFileSystem });
  return { source, named: paths.map(path => resolvePath(cwd, path)) };
}

function chooseStream({ terminal }: Surroundings, { command, stdinFilename = 'stdin' }: ValuesOf<typeof BACKUP_FLAGS>): ChosenSource {
  if (['.', '..'].includes(stdinFilename) || /[/\0]/.test(stdinFilename)) {
    throw new SnapError('USAGE', `'${printable(stdinFilename)}' is not a file name`, { hint: 'Give --stdin-filename a name without slash' });
  }
  const name = rawBytes(stdinFilename);
  const source = command === undefined ? openStdin(terminal.input(), name)
    : openCommand({ command, name, killGroup: (group, signal) => void process.kill(-group, signal), clock: systemClock });
  return { source, named: [name] };
}

async function listedPaths({ terminal }: Surroundings, flags: ValuesOf<typeof BACKUP_FLAGS>): Promise<Bytes[] | undefined> {
  const lists: [string, FileListFormat][] = [
    ...flags.filesFrom.map((path): [string, FileListFormat] => [path, 'lines']),
    ...flags.filesFromVerbatim.map((path): [string, FileListFormat] => [path, 'verbatim']),
    ...flags.filesFromRaw.map((path): [string, FileListFormat] => [path, 'raw']),
  ];
  if (lists.length === 0) return undefined;
  const paths: Bytes[] = [];
  for (const [path, format] of lists) {
    const content = path === '-' ? Buffer.concat(await terminal.input().toArray() as Buffer[]) : readGivenFile(path, 'list of files');
    paths.push(...parseFileList(content, format));
  }
  return paths;
}

function excludesOf({ environment: variables }: Surroundings, flags: Partial<ValuesOf<typeof BACKUP_FLAGS>>, leftOut: readonly string[]): ExcludeMatcher {
  const environment = new Map(Object.entries(variables).filter((pair): pair is [string, string] => pair[1] !== undefined));
  const markers = (flags.excludeIfPresent ?? []).map(parseMarker);
  return compileExcludes({
    patterns: [
      ...leftOut.map(path => ({ text: path.replace(/[\\*?[\]]/g, '\\$&') })),
      ...(flags.exclude ?? []).map(text => ({ text: rawBytes(text) })),
      ...(flags.iexclude ?? []).map(text => ({ text: rawBytes(text), ignoreCase: true })),
      ...(flags.excludeFile ?? []).flatMap(path => parsePatternFile({ path, content: readGivenFile(path, 'file of patterns') }, environment)),
    ],
    markers: flags.excludeCaches === true ? [CACHE_DIRECTORY_MARKER, ...markers] : markers,
    largerThanBytes: flags.excludeLargerThan,
  });
}

/** A repository must not back itself up: each run would store what the run before has stored. The cache changes all the time. */
function ownFolders(surroundings: Surroundings): string[] {
  const location = parseLocation(repositoryLocation(surroundings.globals));
  return [...location.kind === 'local' ? [location.path] : [], resolve(cachesDirectory(surroundings))];
}

/** As a snapshot of this machine would name the path; links are not followed. */
export function absolutePath(path: Bytes): Bytes {
  return resolvePath(workingDirectory(), path);
}

function readGivenFile(path: string, what: string): Bytes {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new SnapError('USAGE', `Cannot read the ${what} '${printable(path)}'`, { cause: error });
  }
}

/** As bytes where the system gives them: a folder may have a name that is not UTF-8. */
function workingDirectory(): Bytes {
  try {
    return readlinkSync('/proc/self/cwd', { encoding: 'buffer' });
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return utf8(process.cwd());
  }
}

// --- targets ---

export function filesTarget(path: Bytes): TreeTarget {
  return new FilesTarget({ path });
}

/** Archive formats and the paced stream below a dump. */
export { createArchiveWriter, writeToStream };

/** Patterns of people on absolute paths; undefined when there are none. */
export function pathMatcher(patterns: readonly string[]): PathMatcher | undefined {
  return patterns.length === 0 ? undefined : compilePatterns(patterns.map(text => ({ text: rawBytes(text) })));
}

/** Whether patterns mean an entry itself, by its absolute path. Asked directory by directory it is cheap. @throws USAGE */
export function entryMatcher(patterns: readonly string[], ignoreCase: boolean): (path: Bytes, isDirectory: boolean) => boolean {
  const compiled = compilePatterns(patterns.map(text => ({ text: rawBytes(text), ignoreCase })));
  let directory: Bytes = new Uint8Array(0);
  let cursor: PatternCursor | undefined;
  return (path, isDirectory) => {
    const slash = path.lastIndexOf(SLASH);
    const parent = path.subarray(0, Math.max(1, slash));
    if (cursor === undefined || !equalBytes(parent, directory)) {
      directory = parent.slice();
      cursor = compiled.cursorAt(directory);
    }
    return cursor.verdict(nameText(path.subarray(slash + 1)), isDirectory) === 'matched';
  };
}

/** For comparing live files with a snapshot by content; undefined for one that cannot be read. */
export function openLiveFile(path: Bytes): LiveFile | undefined {
  const file = unlessUnreadable(() => openSync(Buffer.from(path), 'r'));
  if (file === undefined) return undefined;
  let buffer = Buffer.alloc(0);
  return {
    read: (offset, length) => {
      if (buffer.length < length) buffer = Buffer.allocUnsafe(length);
      const read = unlessUnreadable(() => readSync(file, buffer, 0, length, offset));
      return read === length ? buffer.subarray(0, length) : undefined;
    },
    close: () => closeSync(file),
  };
}

function unlessUnreadable<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) return undefined;
    throw error;
  }
}

/** Selects exactly one path and what is below it. */
export function onlyPath(path: Bytes): PathMatcher {
  return compilePatterns([{ text: Buffer.from(Buffer.from(path).toString('latin1').replace(/[\\*?[\]]/g, '\\$&'), 'latin1') }]);
}

/** Closes in any case. When both fail, the error of the work counts, and that of closing becomes its cause unless it has one. */
async function closing<R extends { close(): Promise<void> }, T>(resource: R, work: (resource: R) => Promise<T>): Promise<T> {
  let result: T;
  try {
    result = await work(resource);
  } catch (error) {
    await resource.close().catch((closeError: unknown) => {
      if (error instanceof Error) error.cause ??= closeError;
    });
    throw error;
  }
  await resource.close();
  return result;
}
