/** Where sources of files meet their adapters; part of the composition root in `compose.ts`. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { systemClock } from '../base/ambient.ts';
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import { parseLocation } from '../backend/open.ts';
import { CACHE_DIRECTORY_MARKER, compileExcludes, parseMarker, parsePatternFile, type ExcludeMatcher } from '../sources/exclude.ts';
import { parseFileList, type FileListFormat } from '../sources/file-list.ts';
import { openFileTree } from '../sources/files.ts';
import { openCommand } from '../sources/command.ts';
import { resolvePath } from '../sources/raw-path.ts';
import type { Source, TreeSource } from '../sources/source.ts';
import { openStdin } from '../sources/stdin.ts';
import { cachesDirectory, workingDirectory, type Surroundings } from './compose.ts';
import type { ValuesOf } from './flag.ts';
import type { BACKUP_FLAGS } from './flags.ts';
import { repositoryLocation } from './location.ts';
import { printable } from './printable.ts';
import { rawBytes } from './raw-arguments.ts';

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

function readGivenFile(path: string, what: string): Bytes {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new SnapError('USAGE', `Cannot read the ${what} '${printable(path)}'`, { cause: error });
  }
}
