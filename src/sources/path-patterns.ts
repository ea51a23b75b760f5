/**
 * Lists of path patterns, the later of which win; for excluding entries from a backup and for selecting what to restore.
 *
 * A pattern is a path with a glob (`glob.ts`) for each component.
 * - With a slash in front it starts at '/'; otherwise it may start below any directory: `a/b` finds `/x/a/b`.
 * - Only whole components match: `foo` does not find `/foobar`.
 * - `**` as a component stands for any number of components, also none; at the end for at least one, so that `a/**` means
 *   everything inside `a` and not `a` itself.
 * - With a slash at the end it matches directories only.
 * - `!` in front takes back what earlier patterns matched; `\!` is a name that starts with '!'.
 *
 * Matching follows a walk: a `PatternCursor` stands in one directory and holds only the patterns that have got that far.
 */
import type { Bytes } from '../base/bytes.ts';
import { SnapError } from '../base/errors.ts';
import { displayText } from './display-path.ts';
import { foldCase, Glob, GlobSyntaxError, nameText } from './glob.ts';

export interface Pattern {
  /** Bytes, or text as `nameText` makes it; ordinary strings are such text. */
  readonly text: string | Bytes;
  readonly ignoreCase?: boolean;
}

/** What the last pattern that matches an entry says about it. */
export type Verdict = 'matched' | 'taken-back' | 'none';

/** Stands in one directory; immutable. Names are texts from `nameText`. */
export interface PatternCursor {
  verdict(name: string, isDirectory: boolean): Verdict;
  /** The cursor of a subdirectory. */
  enter(name: string): PatternCursor;
  /** False when nothing below this directory can be matched. */
  readonly mayMatchBelow: boolean;
}

export interface PathPatterns {
  readonly isEmpty: boolean;
  /** True when the verdict on some name depends on whether it is a directory. */
  readonly hasDirectoryPatterns: boolean;
  /** The cursor of the directory with this absolute path. */
  cursorAt(directory: Bytes): PatternCursor;
  /**
   * For selecting: whether the entry with this absolute path is selected, by itself or through a directory above it. The
   * verdict nearest to the entry counts.
   */
  selects(path: Bytes, isDirectory: boolean): boolean;
  /** For selecting: whether something below this directory may be selected, so that the walk has to enter it. */
  maySelectBelow(directory: Bytes): boolean;
}

const GLOBSTAR = '**';
type Component = Glob | typeof GLOBSTAR;

interface CompiledPattern {
  readonly index: number;
  readonly isTakenBack: boolean;
  readonly isDirectoryOnly: boolean;
  /** Starts with `GLOBSTAR` unless anchored; never ends with it; never has two in a row. */
  readonly components: readonly Component[];
}

/** A pattern that has matched the directories so far up to its component `at`, which is a glob. */
interface Position {
  readonly pattern: CompiledPattern;
  readonly at: number;
}

/** @throws USAGE for a pattern that cannot be understood. */
export function compilePatterns(patterns: readonly Pattern[]): PathPatterns {
  return new PatternList(patterns.map((pattern, index) => compilePattern(pattern, index)), patterns.some(pattern => pattern.ignoreCase === true));
}

/** The components of a path as texts; slashes that stand together count as one. */
function componentTexts(path: Bytes): string[] {
  return nameText(path).split('/').filter(component => component !== '');
}

function compilePattern({ text: source, ignoreCase = false }: Pattern, index: number): CompiledPattern {
  const whole = typeof source === 'string' ? source : nameText(source);
  const fail = (reason: string): SnapError => new SnapError('USAGE', `The pattern '${displayText(whole)}' ${reason}`, {
    hint: "Write a path with '*', '?', '[a-z]' or '**'; a backslash takes the next character as it is",
  });
  if (whole.includes('\0')) throw fail('contains a NUL character');
  const isTakenBack = whole.startsWith('!');
  const text = isTakenBack ? whole.slice(1) : whole;
  const names = text.split('/').filter(name => name !== '' && name !== '.');
  if (names.length === 0) throw fail('names nothing');
  if (names.includes('..')) throw fail("contains '..'");
  try {
    const components = names.map(name => (name === GLOBSTAR ? GLOBSTAR : new Glob(name, ignoreCase)));
    return { index, isTakenBack, isDirectoryOnly: text.endsWith('/'), components: normalize(components, text.startsWith('/')) };
  } catch (error) {
    if (error instanceof GlobSyntaxError) throw fail(error.message);
    throw error;
  }
}

function normalize(components: readonly Component[], isAnchored: boolean): Component[] {
  const joined: Component[] = isAnchored ? [] : [GLOBSTAR];
  for (const component of components) {
    if (component !== GLOBSTAR || joined.at(-1) !== GLOBSTAR) joined.push(component);
  }
  if (joined.at(-1) === GLOBSTAR) joined.push(new Glob('*', false));
  return joined;
}

/** Whether the position stays when a directory is entered whose name does not matter. */
function isFloating({ pattern, at }: Position): boolean {
  return pattern.components[at - 1] === GLOBSTAR;
}

function isAtEnd({ pattern, at }: Position): boolean {
  return at === pattern.components.length - 1;
}

function matchesHere({ pattern, at }: Position, exact: string, folded: string): boolean {
  return (pattern.components[at] as Glob).matches(exact, folded);
}

/** The position at component `at`, or behind it when that is `**`. */
function positionAt(pattern: CompiledPattern, at: number): Position {
  return { pattern, at: pattern.components[at] === GLOBSTAR ? at + 1 : at };
}

/** Patterns of one component that may start anywhere: looked up by name, not tried one by one. */
class NamePatterns {
  /** Index of the last pattern by exact name, by ending (from the last dot on), and the same for folded names. */
  readonly #literals = new Map<string, number>();
  readonly #extensions = new Map<string, number>();
  readonly #foldedLiterals = new Map<string, number>();
  readonly #foldedExtensions = new Map<string, number>();
  /** Last pattern first. */
  readonly #others: { readonly index: number; readonly glob: Glob }[] = [];

  constructor(patterns: readonly CompiledPattern[]) {
    for (const { index, components } of patterns) {
      const glob = components[1] as Glob;
      if (glob.literal !== undefined) {
        (glob.ignoreCase ? this.#foldedLiterals : this.#literals).set(glob.literal, index);
      } else if (glob.suffix?.lastIndexOf('.') === 0) {
        (glob.ignoreCase ? this.#foldedExtensions : this.#extensions).set(glob.suffix, index);
      } else {
        this.#others.push({ index, glob });
      }
    }
    this.#others.reverse();
  }

  /** Index of the last pattern that matches, or -1. */
  find(exact: string, folded: string): number {
    let index = Math.max(this.#literals.get(exact) ?? -1, this.#foldedLiterals.get(folded) ?? -1);
    const exactDot = this.#extensions.size > 0 ? exact.lastIndexOf('.') : -1;
    if (exactDot >= 0) index = Math.max(index, this.#extensions.get(exact.slice(exactDot)) ?? -1);
    const foldedDot = this.#foldedExtensions.size > 0 ? folded.lastIndexOf('.') : -1;
    if (foldedDot >= 0) index = Math.max(index, this.#foldedExtensions.get(folded.slice(foldedDot)) ?? -1);
    for (const other of this.#others) {
      if (other.index <= index) break;
      if (other.glob.matches(exact, folded)) return other.index;
    }
    return index;
  }
}

class PatternList implements PathPatterns {
  readonly isEmpty: boolean;
  readonly hasDirectoryPatterns: boolean;
  readonly hasFolding: boolean;
  readonly hasNamePatterns: boolean;
  readonly patterns: readonly CompiledPattern[];
  readonly forDirectories: NamePatterns;
  readonly forOthers: NamePatterns;
  readonly #root: PatternCursor;

  constructor(patterns: readonly CompiledPattern[], hasFolding: boolean) {
    this.patterns = patterns;
    this.isEmpty = patterns.length === 0;
    this.hasFolding = hasFolding;
    this.hasDirectoryPatterns = patterns.some(pattern => pattern.isDirectoryOnly);
    const ofNames = patterns.filter(isNamePattern);
    this.hasNamePatterns = ofNames.length > 0;
    this.forDirectories = new NamePatterns(ofNames);
    this.forOthers = new NamePatterns(ofNames.filter(pattern => !pattern.isDirectoryOnly));
    this.#root = new ListCursor(this, patterns.filter(pattern => !isNamePattern(pattern)).map(pattern => positionAt(pattern, 0)));
  }

  cursorAt(directory: Bytes): PatternCursor {
    return componentTexts(directory).reduce((cursor, name) => cursor.enter(name), this.#root);
  }

  selects(path: Bytes, isDirectory: boolean): boolean {
    const names = componentTexts(path);
    let cursor = this.#root;
    let isSelected = false;
    for (const [i, name] of names.entries()) {
      const verdict = cursor.verdict(name, isDirectory || i < names.length - 1);
      if (verdict !== 'none') isSelected = verdict === 'matched';
      cursor = cursor.enter(name);
    }
    return isSelected;
  }

  maySelectBelow(directory: Bytes): boolean {
    return this.selects(directory, true) || this.cursorAt(directory).mayMatchBelow;
  }
}

function isNamePattern({ components }: CompiledPattern): boolean {
  return components.length === 2 && components[0] === GLOBSTAR;
}

class ListCursor implements PatternCursor {
  readonly mayMatchBelow: boolean;
  readonly #list: PatternList;
  readonly #positions: readonly Position[];
  readonly #last: readonly Position[];

  constructor(list: PatternList, positions: readonly Position[]) {
    this.#list = list;
    this.#positions = positions;
    this.#last = positions.filter(isAtEnd);
    this.mayMatchBelow = list.hasNamePatterns || positions.length > 0;
  }

  verdict(name: string, isDirectory: boolean): Verdict {
    const folded = this.#list.hasFolding ? foldCase(name) : name;
    let index = (isDirectory ? this.#list.forDirectories : this.#list.forOthers).find(name, folded);
    for (const position of this.#last) {
      const { pattern } = position;
      if (pattern.index > index && (isDirectory || !pattern.isDirectoryOnly) && matchesHere(position, name, folded)) index = pattern.index;
    }
    if (index < 0) return 'none';
    return this.#list.patterns[index]!.isTakenBack ? 'taken-back' : 'matched';
  }

  enter(name: string): PatternCursor {
    if (this.#positions.length === 0) return this;
    const folded = this.#list.hasFolding ? foldCase(name) : name;
    const entered = new Map<string, Position>();
    const add = (position: Position): void => void entered.set(`${position.pattern.index}.${position.at}`, position);
    for (const position of this.#positions) {
      if (isFloating(position)) add(position);
      if (!isAtEnd(position) && matchesHere(position, name, folded)) add(positionAt(position.pattern, position.at + 1));
    }
    return new ListCursor(this.#list, [...entered.values()]);
  }
}
