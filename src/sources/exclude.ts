/**
 * What a backup leaves out: patterns (`path-patterns.ts`), directories that carry a marker file, files above a size.
 *
 * A directory that a pattern excludes is not entered, so nothing below it can be taken back. Of a directory with a marker
 * only the directory itself and the marker are stored. A path that is backed up by name is never excluded itself.
 */
import { equalBytes, utf8, type Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import { displayText } from './display-path.ts';
import { nameText } from './glob.ts';
import { compilePatterns, type PathPatterns, type Pattern } from './path-patterns.ts';

/** A directory that directly contains a regular file of this name whose content starts with `header`. */
export interface ExcludeMarker {
  readonly name: Bytes;
  readonly header: Bytes;
}

export interface ExcludeRules {
  readonly patterns?: readonly Pattern[];
  readonly markers?: readonly ExcludeMarker[];
  /** Files with more bytes are left out. */
  readonly largerThanBytes?: number | undefined;
}

export interface ExcludeMatcher {
  readonly patterns: PathPatterns;
  readonly markers: readonly ExcludeMarker[];
  /** Infinity when there is no limit. */
  readonly largerThanBytes: number;
  /** Whether patterns exclude the entry with this absolute path or a directory above it. */
  excludes(path: Bytes, isDirectory: boolean): boolean;
}

/** Longest header of a marker; a marker is told by its first bytes. */
export const MAX_MARKER_HEADER_BYTES = 4_096;

/** Cache Directory Tagging Specification, version 0.6: the file starts with these 43 bytes. */
export const CACHE_DIRECTORY_MARKER: ExcludeMarker = {
  name: utf8('CACHEDIR.TAG'),
  header: utf8('Signature: 8a477f597d28d172789f06886806bc55'),
};

/** @throws USAGE for a pattern that cannot be understood. */
export function compileExcludes(rules: ExcludeRules): ExcludeMatcher {
  const patterns = compilePatterns(rules.patterns ?? []);
  return {
    patterns,
    markers: rules.markers ?? [],
    largerThanBytes: rules.largerThanBytes ?? Number.POSITIVE_INFINITY,
    excludes: (path, isDirectory) => excludesPath(patterns, path, isDirectory),
  };
}

function excludesPath(patterns: PathPatterns, path: Bytes, isDirectory: boolean): boolean {
  const names = nameText(path).split('/').filter(name => name !== '');
  let cursor = patterns.cursorAt(utf8('/'));
  for (const [i, name] of names.entries()) {
    if (cursor.verdict(name, isDirectory || i < names.length - 1) === 'matched') return true;
    cursor = cursor.enter(name);
  }
  return false;
}

/** Reads `name` or `name:header`. @throws USAGE */
export function parseMarker(text: string): ExcludeMarker {
  const colon = text.indexOf(':');
  const name = colon < 0 ? text : text.slice(0, colon);
  const header = utf8(colon < 0 ? '' : text.slice(colon + 1));
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    throw new SnapError('USAGE', `'${displayText(text)}' does not start with the name of a file`, {
      hint: "Write 'name' or 'name:header'; the name has no slash",
    });
  }
  if (header.length > MAX_MARKER_HEADER_BYTES) {
    throw new SnapError('USAGE', `The header of the marker '${displayText(name)}' is longer than ${MAX_MARKER_HEADER_BYTES} bytes`);
  }
  return { name: utf8(name), header };
}

export interface PatternFile {
  /** For messages. */
  readonly path: string;
  readonly content: Bytes;
}

/**
 * Reads a file of patterns: one a line, blanks around it ignored (a blank after a backslash stays), lines that start with
 * `#` are comments. `$NAME` and `${NAME}` stand for the value in `environment`, `$$` for a dollar sign, `\$` for one too.
 * @throws USAGE for a variable that is not set: an empty value could exclude far more than was meant.
 */
export function parsePatternFile(file: PatternFile, environment: ReadonlyMap<string, string>, ignoreCase = false): Pattern[] {
  const content = equalBytes(file.content.subarray(0, 3), UTF8_MARK) ? file.content.subarray(3) : file.content;
  const patterns: Pattern[] = [];
  for (const [i, line] of nameText(content).split('\n').entries()) {
    const text = line.replace(/^[ \t]+/, '').replace(/(\\[ \t])?[ \t\r]*$/, '$1');
    if (text === '' || text.startsWith('#')) continue;
    patterns.push({ text: expandVariables(text, environment, `line ${i + 1} of '${displayText(file.path)}'`), ignoreCase });
  }
  return patterns;
}

const UTF8_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);

function expandVariables(text: string, environment: ReadonlyMap<string, string>, place: string): string {
  return text.replace(/\\[^]|\$\$|\$\{([^}]*)(\}?)|\$([A-Za-z_]\w*)/gu, (whole, braced?: string, brace?: string, plain?: string) => {
    if (whole.startsWith('\\')) return whole;
    if (whole === '$$') return '$';
    const name = plain ?? braced ?? '';
    if (plain === undefined && (brace === '' || !/^[A-Za-z_]\w*$/.test(name))) {
      throw new SnapError('USAGE', `'${displayText(whole)}' in ${place} is not a variable`, { hint: "Write '$$' for a dollar sign" });
    }
    const value = environment.get(name);
    if (value === undefined) {
      throw new SnapError('USAGE', `The variable '${name}' in ${place} is not set`, { hint: "Set it, or write '$$' for a dollar sign" });
    }
    return value;
  });
}
