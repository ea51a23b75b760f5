/**
 * A flag as plain data: from one description come the parser, the help, the completion, the environment variable and the
 * key of the configuration file. All sources give texts, so each flag is parsed in one place.
 */
import { SnapError } from '../base/errors.ts';
import { KiB, parseSize } from '../base/units.ts';

export interface Flag<T> {
  /** Long name without dashes. */
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  /** Placeholder of the value; absent for a switch. */
  readonly value?: string;
  /** May be given several times. */
  readonly isList: boolean;
  /** A switch that also exists as `--no-NAME`. */
  readonly hasNegation: boolean;
  /** A switch that exists only as `--no-NAME`. */
  readonly isNegation: boolean;
  readonly choices?: readonly string[];
  readonly completes?: 'file' | 'directory';
  /** Environment variable that gives the value when the flag is absent. */
  readonly environment?: string;
  /** May be set in the configuration file, under its long name; a dot in it stands for a section. */
  readonly inFile: boolean;
  /** Does not exist on the command line. */
  readonly isFileOnly?: boolean;
  /** In the file each item of it is a map with some of these keys; its text is the JSON of keys and texts. */
  readonly fields?: readonly string[];
  /** Described in a help topic instead of in the help of every verb. */
  readonly isHidden?: boolean;
  readonly help: string;
  /** The value when nobody gives one. */
  readonly initial: T;
  /** Reads all texts given by one origin, at least one. @throws USAGE naming `origin` */
  parse(texts: readonly string[], origin: string): T;
}

export type FlagSet = Readonly<Record<string, Flag<unknown>>>;
export type ValuesOf<Flags extends FlagSet> = { readonly [Key in keyof Flags]: Flags[Key] extends Flag<infer T> ? T : never };

interface Extras {
  readonly short?: string;
  readonly environment?: string;
  readonly inFile?: boolean;
  readonly isHidden?: boolean;
  readonly completes?: 'file' | 'directory';
}

const BOOLEANS: Readonly<Record<string, boolean>> = { true: true, yes: true, on: true, 1: true, false: false, no: false, off: false, 0: false };

function parseSwitch(texts: readonly string[], origin: string): boolean {
  const text = texts[texts.length - 1]!;
  const value = BOOLEANS[text.toLowerCase()];
  if (value === undefined) throw wrongValue(origin, `'${text}' is neither true nor false`);
  return value;
}

/** A switch, off unless given. */
export function flag(name: string, help: string, extras: Extras = {}): Flag<boolean> {
  return { name, help, isList: false, hasNegation: false, isNegation: false, initial: false, inFile: false, ...extras, parse: parseSwitch };
}

/** A switch that is on unless `--no-NAME` is given. */
export function onUnless(name: string, help: string, extras: Extras = {}): Flag<boolean> {
  return { name, help, isList: false, hasNegation: false, isNegation: true, initial: true, inFile: false, ...extras, parse: parseSwitch };
}

/** A switch that is off unless given and can be taken back with `--no-NAME`. */
export function toggle(name: string, help: string, extras: Extras = {}): Flag<boolean> {
  return { ...flag(name, help, extras), hasNegation: true };
}

/** A switch that counts how often it was given. */
export function counted(name: string, help: string, extras: Extras = {}): Flag<number> {
  return {
    name, help, isList: true, hasNegation: false, isNegation: false, initial: 0, inFile: false, ...extras, parse: texts => texts.length,
  };
}

/** One value, read by `read`; the last one given wins. */
export function valued<T>(name: string, value: string, help: string, read: (text: string) => T, extras: Extras = {}): Flag<T | undefined> {
  return {
    name, value, help, isList: false, hasNegation: false, isNegation: false, initial: undefined, inFile: false, ...extras,
    parse: (texts, origin) => located(origin, () => read(texts[texts.length - 1]!)),
  };
}

export function text(name: string, value: string, help: string, extras: Extras = {}): Flag<string | undefined> {
  return valued(name, value, help, given => {
    if (given === '') throw new SnapError('USAGE', 'The value is empty');
    return given;
  }, extras);
}

/** Text that may be given several times. An empty text counts. */
export function list(name: string, value: string, help: string, extras: Extras = {}): Flag<readonly string[]> {
  return { name, value, help, isList: true, hasNegation: false, isNegation: false, initial: [], inFile: false, ...extras, parse: texts => texts };
}

export function choice<const C extends string>(
  name: string, choices: readonly C[], help: string, extras: Extras = {},
): Flag<C | undefined> {
  const base = valued(name, choices.join('|'), help, given => pick(given, choices), extras);
  return { ...base, choices };
}

/** One of several words, given several times. */
export function choices<const C extends string>(
  name: string, words: readonly C[], help: string, extras: Extras = {},
): Flag<readonly C[]> {
  return {
    ...list(name, words.join('|'), help, extras), choices: words, initial: [],
    parse: (texts, origin) => located(origin, () => texts.flatMap(given => given.split(',')).map(given => pick(given, words))),
  };
}

/** Bytes, such as 500K or 1.5G. */
export function size(name: string, help: string, extras: Extras = {}): Flag<number | undefined> {
  return valued(name, 'SIZE', help, parseSize, extras);
}

/** Bytes per second; a bare number counts KiB/s, as in the other tools of this field. */
export function rate(name: string, help: string, extras: Extras = {}): Flag<number | undefined> {
  return valued(name, 'RATE', help, parseRate, extras);
}

/** Below this, connections stand still for so long that servers close them. */
const MIN_RATE = 1 * KiB;

/** Bytes per second. @throws USAGE */
export function parseRate(given: string): number {
  const bytes = /^\d+$/.test(given.trim()) ? Number(given) * KiB : parseSize(given.trim().replace(/\/s$/, ''));
  if (bytes === 0) throw new SnapError('USAGE', 'A limit of 0 would stop all transfer', { hint: 'Leave the option out for no limit' });
  if (bytes < MIN_RATE) throw new SnapError('USAGE', 'A limit below 1 KiB/s would let every connection time out', { hint: 'Write at least 1K' });
  return bytes;
}

export function wholeNumber(name: string, least: number, most: number, help: string, extras: Extras = {}): Flag<number | undefined> {
  return valued(name, 'N', help, given => {
    const number = Number(given);
    if (!/^\d+$/.test(given) || number < least || number > most) {
      throw new SnapError('USAGE', `'${given}' is not a whole number from ${least} to ${most}`);
    }
    return number;
  }, extras);
}

/** How the flag is written on the command line: `--no-owner`, `--repo`. */
export function spelling(each: Flag<unknown>): string {
  return each.isNegation ? `--no-${each.name}` : `--${each.name}`;
}

function pick<C extends string>(given: string, allowed: readonly C[]): C {
  const found = allowed.find(each => each === given);
  if (found === undefined) throw new SnapError('USAGE', `'${given}' is not one of ${allowed.join(', ')}`);
  return found;
}

function wrongValue(origin: string, message: string, hint?: string): SnapError {
  return new SnapError('USAGE', `${origin}: ${message}`, { hint });
}

/** Runs `read` and puts the origin before the message of its USAGE error. */
function located<T>(origin: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof SnapError && error.kind === 'usage') throw wrongValue(origin, error.message, error.hint);
    throw error;
  }
}
