/** Merges flags, environment and configuration file into one frozen set of values for a verb. */
import { SnapError } from '../base/errors.ts';
import type { GivenTexts } from './arguments.ts';
import type { Environment } from './config-place.ts';
import { spelling, type FlagSet, type ValuesOf } from './flag.ts';

export interface Origins {
  readonly given: GivenTexts;
  readonly environment: Environment;
  readonly file: GivenTexts;
  /** Names the file in messages. */
  readonly filePath: string | undefined;
}

/** Flags of which only one may count: the strongest origin that gives any of them wins and the others are not looked at. */
export const EXCLUSIVE_GLOBALS = [['repo', 'repositoryFile'], ['passwordFile', 'passwordCommand', 'keyFile']] as const;

/**
 * @param exclusive groups of keys of which at most one gets a value
 * @throws USAGE naming the flag, variable or key
 */
export function resolveFlags<Flags extends FlagSet>(
  flags: Flags, origins: Origins, exclusive: readonly (readonly (keyof Flags & string)[])[] = [],
): ValuesOf<Flags> {
  const shadowed = exclusive.flatMap(group => shadowedKeys(flags, origins, group));
  const values: Record<string, unknown> = {};
  for (const [key, each] of Object.entries(flags)) {
    const found = shadowed.includes(key) ? undefined : find(flags, key, origins);
    values[key] = found === undefined ? each.initial : each.parse(found.texts, found.origin);
  }
  return Object.freeze(values) as ValuesOf<Flags>;
}

type Level = 'given' | 'environment' | 'file';
const LEVELS: readonly Level[] = ['given', 'environment', 'file'];

function find(flags: FlagSet, key: string, origins: Origins): { texts: readonly string[]; origin: string } | undefined {
  for (const level of LEVELS) {
    const texts = textsAt(flags, key, origins, level);
    if (texts !== undefined && texts.length > 0) return { texts, origin: originName(flags, key, origins, level) };
  }
  return undefined;
}

function textsAt(flags: FlagSet, key: string, origins: Origins, level: Level): readonly string[] | undefined {
  if (level === 'given') return origins.given[key];
  if (level === 'file') return origins.file[key];
  const variable = flags[key]!.environment;
  const value = variable === undefined ? undefined : origins.environment[variable];
  return value === undefined || value === '' ? undefined : [value];
}

function originName(flags: FlagSet, key: string, origins: Origins, level: Level): string {
  const each = flags[key]!;
  if (level === 'given') return `Option '${spelling(each)}'`;
  return level === 'environment' ? `Variable '${each.environment}'` : `Key '${each.name}' in '${origins.filePath}'`;
}

/** All keys of the group but the one that counts. */
function shadowedKeys(flags: FlagSet, origins: Origins, group: readonly string[]): string[] {
  for (const level of LEVELS) {
    const here = group.filter(key => textsAt(flags, key, origins, level) !== undefined);
    // Variables are often set globally by different hands; flags and one file are written by one.
    if (here.length > 1 && level !== 'environment') {
      const [first, second] = here.map(key => (level === 'given' ? spelling(flags[key]!) : flags[key]!.name));
      throw new SnapError('USAGE', `'${first}' and '${second}'${level === 'file' ? ` in '${origins.filePath}'` : ''} exclude each other`, { hint: 'Keep one of them' });
    }
    if (here.length > 0) return group.filter(key => key !== here[0]);
  }
  return [];
}
