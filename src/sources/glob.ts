/**
 * Glob patterns for one path component, on names of any bytes.
 *
 * `*` any characters, `?` one character, `[a-z]` one of a class (`[!…]` or `[^…]` none of it, `]` first stands for itself),
 * `\` takes the next character as it is. A character is one UTF-8 code point, or one byte where the name is not UTF-8.
 * Matching takes at most length of pattern times length of name steps.
 */
import { isUtf8 } from 'node:buffer';
import type { Bytes } from '../base/bytes.ts';

const REPLACEMENT_BASE = 0xdc00;

/**
 * A name as text for matching: UTF-8 where it is valid, every other byte as one lone surrogate U+DC80 to U+DCFF, which valid
 * UTF-8 never yields. So different names have different texts.
 */
export function nameText(name: Bytes): string {
  const buffer = Buffer.from(name.buffer, name.byteOffset, name.byteLength);
  return isUtf8(buffer) ? buffer.toString('utf8') : decodeMixed(buffer);
}

/** Length of the valid UTF-8 sequence at `at`, or 0 (Unicode 15, table 3-7, by way of `isUtf8`). */
function sequenceLength(buffer: Buffer, at: number): number {
  const lead = buffer[at]!;
  const length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
  return length > 0 && at + length <= buffer.length && isUtf8(buffer.subarray(at, at + length)) ? length : 0;
}

function decodeMixed(buffer: Buffer): string {
  let text = '';
  for (let at = 0; at < buffer.length;) {
    const length = sequenceLength(buffer, at);
    text += length > 0 ? buffer.toString('utf8', at, at + length) : String.fromCharCode(REPLACEMENT_BASE + buffer[at]!);
    at += Math.max(1, length);
  }
  return text;
}

/** Folds one code point for comparison without regard to case; what has no single counterpart stays. */
function foldCode(code: number): number {
  const upper = singleCode(String.fromCodePoint(code).toUpperCase()) ?? code;
  return singleCode(String.fromCodePoint(upper).toLowerCase()) ?? upper;
}

function singleCode(text: string): number | undefined {
  const code = text.codePointAt(0)!;
  return text.length === (code > 0xffff ? 2 : 1) ? code : undefined;
}

/** Text without regard to case; of two texts that differ in case only, both have the same. */
export function foldCase(text: string): string {
  // Nearly all names are ASCII.
  if (/^[\0-\x7f]*$/.test(text)) return text.toLowerCase();
  let folded = '';
  for (const character of text) folded += String.fromCodePoint(foldCode(character.codePointAt(0)!));
  return folded;
}

const STAR = -1;
const ANY = -2;

interface CharacterClass {
  readonly isNegated: boolean;
  /** Pairs: first and last code point. */
  readonly ranges: readonly number[];
}

/** A code point, `STAR`, `ANY`, or a class. */
type Token = number | CharacterClass;

/** What is wrong with a pattern, as the end of a sentence. */
export class GlobSyntaxError extends Error {}

export class Glob {
  readonly ignoreCase: boolean;
  /** Set when the pattern has no special characters; folded when case does not matter. */
  readonly literal: string | undefined;
  /** Set when the pattern is `*` and then only ordinary characters; folded when case does not matter. */
  readonly suffix: string | undefined;
  readonly #tokens: readonly Token[];

  /** @throws GlobSyntaxError */
  constructor(pattern: string, ignoreCase: boolean) {
    this.ignoreCase = ignoreCase;
    this.#tokens = parseTokens(pattern, ignoreCase);
    this.literal = literalText(this.#tokens);
    const suffix = this.#tokens[0] === STAR ? literalText(this.#tokens.slice(1)) : undefined;
    // A lone low surrogate could be found inside a pair, where it is no character of its own.
    this.suffix = suffix === undefined || isLowSurrogate(suffix.charCodeAt(0)) ? undefined : suffix;
  }

  /** `exact` is `nameText` of a name, `folded` is `foldCase(exact)`; only one of them is looked at. */
  matches(exact: string, folded: string): boolean {
    const text = this.ignoreCase ? folded : exact;
    if (this.literal !== undefined) return text === this.literal;
    if (this.suffix !== undefined) return text.endsWith(this.suffix);
    return matchTokens(this.#tokens, text, this.ignoreCase);
  }
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

function literalText(tokens: readonly Token[]): string | undefined {
  let text = '';
  for (const token of tokens) {
    if (typeof token !== 'number' || token < 0) return undefined;
    text += String.fromCodePoint(token);
  }
  return text;
}

function parseTokens(pattern: string, ignoreCase: boolean): Token[] {
  const codes = Array.from(pattern, character => character.codePointAt(0)!);
  const tokens: Token[] = [];
  for (let at = 0; at < codes.length; at++) {
    const character = String.fromCodePoint(codes[at]!);
    if (character === '*') {
      if (tokens.at(-1) !== STAR) tokens.push(STAR);
    } else if (character === '?') {
      tokens.push(ANY);
    } else if (character === '[') {
      const parsed = parseClass(codes, at + 1);
      tokens.push(parsed.token);
      at = parsed.end;
    } else {
      if (character === '\\') at++;
      const code = codes[at];
      if (code === undefined) throw new GlobSyntaxError('ends with a backslash that escapes nothing');
      tokens.push(ignoreCase ? foldCode(code) : code);
    }
  }
  return tokens;
}

/** Parses behind '['; `end` is the position of the closing ']'. */
function parseClass(codes: readonly number[], start: number): { token: CharacterClass; end: number } {
  const is = (at: number, character: string): boolean => codes[at] === character.codePointAt(0);
  const isNegated = is(start, '!') || is(start, '^');
  const first = isNegated ? start + 1 : start;
  const ranges: number[] = [];
  let at = first;
  const take = (): number => {
    if (is(at, '\\')) at++;
    const code = codes[at++];
    if (code === undefined) throw new GlobSyntaxError("has a '[' without its ']'");
    return code;
  };
  while (at === first || !is(at, ']')) {
    const low = take();
    let high = low;
    if (is(at, '-') && at + 1 < codes.length && !is(at + 1, ']')) {
      at++;
      high = take();
    }
    if (high < low) throw new GlobSyntaxError('has a character range that runs backwards');
    ranges.push(low, high);
  }
  return { token: { isNegated, ranges }, end: at };
}

function inRanges(ranges: readonly number[], code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) {
    if (code >= ranges[i]! && code <= ranges[i + 1]!) return true;
  }
  return false;
}

function matchesOne(token: Token, code: number, ignoreCase: boolean): boolean {
  if (typeof token === 'number') return token === ANY || token === code;
  const isIn = inRanges(token.ranges, code)
    || (ignoreCase && inRanges(token.ranges, singleCode(String.fromCodePoint(code).toUpperCase()) ?? code));
  return isIn !== token.isNegated;
}

/** Greedy, and after a mismatch back to the newest `*` only: an earlier one could not do better. */
function matchTokens(tokens: readonly Token[], text: string, ignoreCase: boolean): boolean {
  let token = 0;
  let at = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < text.length) {
    const code = text.codePointAt(at)!;
    const current = tokens[token];
    if (current === STAR) {
      starToken = token++;
      starAt = at;
    } else if (current !== undefined && matchesOne(current, code, ignoreCase)) {
      token++;
      at += code > 0xffff ? 2 : 1;
    } else if (starToken >= 0) {
      starAt += text.codePointAt(starAt)! > 0xffff ? 2 : 1;
      at = starAt;
      token = starToken + 1;
    } else {
      return false;
    }
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}
