/** Which entries of a snapshot a restore takes. */
import type { Bytes } from '../../base/bytes.ts';

/** Path patterns as a use case needs them; `compilePatterns` of the sources makes them. Paths are absolute, as in the snapshot. */
export interface PathMatcher {
  /** Whether the entry is selected, by itself or through a directory above it. */
  selects(path: Bytes, isDirectory: boolean): boolean;
  /** Whether something below this directory may be selected. */
  maySelectBelow(directory: Bytes): boolean;
}

export class Selection {
  readonly #include: PathMatcher | undefined;
  readonly #exclude: PathMatcher | undefined;
  /** No rules: no path has to be made for a question. */
  readonly isEverything: boolean;

  constructor(include: PathMatcher | undefined, exclude: PathMatcher | undefined) {
    this.#include = include;
    this.#exclude = exclude;
    this.isEverything = include === undefined && exclude === undefined;
  }

  takes(path: Bytes, isDirectory: boolean): boolean {
    if (this.#exclude?.selects(path, isDirectory) === true) return false;
    return this.#include?.selects(path, isDirectory) ?? true;
  }

  /** Whether a directory has to be entered; an excluded one is not, whatever is below it. */
  enters(directory: Bytes): boolean {
    if (this.#exclude?.selects(directory, true) === true) return false;
    return this.#include === undefined || this.#include.selects(directory, true) || this.#include.maySelectBelow(directory);
  }
}
