/**
 * Where values come from: defaults < configuration file < environment < flags, resolved once to frozen objects. The file is
 * YAML; its keys are the long names of flags: global ones at the top, those of a verb in a section named after it.
 */
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { LineCounter, isAlias, isMap, isScalar, isSeq, parseDocument, type Document, type Node, type Pair, type YAMLMap } from 'yaml';
import { SnapError } from '../base/errors.ts';
import type { GivenTexts } from './arguments.ts';
import type { Flag, FlagSet } from './flag.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import { nearest } from './nearest.ts';
import type { Verb } from './verb.ts';

export interface ConfigFile {
  readonly path: string;
  readonly globals: GivenTexts;
  /** By the name of the verb. */
  readonly verbs: Readonly<Record<string, GivenTexts>>;
}

/** The keys of the file that are not named like their flag. */
const FILE_KEYS: Readonly<Record<string, keyof typeof GLOBAL_FLAGS>> = { 'repository': 'repo', 'repository-file': 'repositoryFile' };

/** @throws USAGE naming file, line and key, and what to do */
export function parseConfigFile(text: string, path: string, verbs: readonly Verb[]): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const reader = new ConfigReader(document, lines, path);
  const fault = document.errors[0];
  if (fault !== undefined) throw reader.wrong(fault.pos[0], fault.message.split('\n')[0]!, 'Correct the YAML of the file');
  const globals: Record<string, readonly string[]> = {};
  const sections: Record<string, GivenTexts> = {};
  const top = new Map(flagsByKey(GLOBAL_FLAGS));
  for (const [key, flagKey] of Object.entries(FILE_KEYS)) top.set(key, [flagKey, GLOBAL_FLAGS[flagKey]]);
  const withSection = verbs.filter(verb => flagsByKey(verb.flags).size > 0);
  for (const pair of reader.pairs(document.contents)) {
    const key = reader.keyOf(pair);
    const verb = withSection.find(each => each.name === key);
    const known = top.get(key);
    if (verb !== undefined) sections[key] = reader.section(pair.value, flagsByKey(verb.flags), `${key}.`);
    else if (known !== undefined) globals[known[0]] = reader.texts(pair, known[1], key);
    else throw reader.unknownKey(pair, key, [...top.keys(), ...withSection.map(each => each.name)], '');
  }
  return { path, globals, verbs: sections };
}

type FlagsByKey = ReadonlyMap<string, readonly [flagKey: string, flag: Flag<unknown>]>;

function flagsByKey(flags: FlagSet): Map<string, [string, Flag<unknown>]> {
  return new Map(Object.entries(flags).filter(([, each]) => each.inFile).map(([flagKey, each]) => [each.name, [flagKey, each]]));
}

/** Walks the document tree instead of plain values, so that every complaint names its line. */
class ConfigReader {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #path: string;

  constructor(document: Document, lines: LineCounter, path: string) {
    this.#document = document;
    this.#lines = lines;
    this.#path = path;
  }

  pairs(node: unknown): Pair[] {
    const value = this.#resolved(node);
    if (value === null || value === undefined || (isScalar(value) && value.value === null)) return [];
    if (!isMap(value)) throw this.wrong(positionOf(value), 'Expected keys with values', "Write 'key: value' lines");
    return (value as YAMLMap).items;
  }

  keyOf(pair: Pair): string {
    const key = this.#resolved(pair.key);
    if (!isScalar(key)) throw this.wrong(positionOf(key), 'A key is not a word', "Write 'key: value' lines");
    return String(key.value);
  }

  section(node: unknown, flags: FlagsByKey, prefix: string): GivenTexts {
    const given: Record<string, readonly string[]> = {};
    for (const pair of this.pairs(node)) {
      const key = this.keyOf(pair);
      const known = key.includes('.') ? undefined : flags.get(key);
      const inner = new Map([...flags].filter(([name]) => name.startsWith(`${key}.`)).map(([name, each]) => [name.slice(key.length + 1), each]));
      if (inner.size > 0) Object.assign(given, this.section(pair.value, inner, `${prefix}${key}.`));
      else if (known === undefined) throw this.unknownKey(pair, key, [...new Set([...flags.keys()].map(name => name.split('.')[0]!))], prefix);
      else given[known[0]] = this.texts(pair, known[1], prefix + key);
    }
    return given;
  }

  /** The value of a key as texts, checked by the parser of its flag here, where the line is known. */
  texts(pair: Pair, each: Flag<unknown>, key: string): readonly string[] {
    const value = this.#resolved(pair.value);
    const at = positionOf(value) ?? positionOf(pair.key);
    if (each.fields !== undefined) return this.#mapTexts(value, each, each.fields, key);
    const nodes = isSeq(value) ? value.items.map(item => this.#resolved(item)) : [value];
    if (isSeq(value) && !each.isList) throw this.wrong(at, `'${key}' takes one value`, 'Write it without a list');
    const texts = nodes.map(node => {
      if (!isScalar(node) || node.value === null) throw this.wrong(positionOf(node) ?? at, `'${key}' has no value`, 'Write a value or remove the key');
      return this.#located(each, typeof node.value === 'string' ? node.value : node.source ?? String(node.value));
    });
    try {
      if (texts.length > 0) each.parse(texts, `'${key}'`);
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
      throw this.wrong(at, error.message, error.hint);
    }
    return texts;
  }

  /** A list of maps. */
  #mapTexts(value: Node | null | undefined, each: Flag<unknown>, fields: readonly string[], key: string): readonly string[] {
    if (!isSeq(value)) throw this.wrong(positionOf(value), `'${key}' is not a list`, "Begin each of its items with '- '");
    return value.items.map(item => {
      const given: Record<string, string> = {};
      for (const pair of this.pairs(item)) {
        const field = this.keyOf(pair);
        if (!fields.includes(field)) throw this.unknownKey(pair, field, fields, `${key}.`);
        const node = this.#resolved(pair.value);
        const parts = isSeq(node) ? node.items.map(inner => this.#resolved(inner)) : [node];
        given[field] = parts.map(part => {
          if (!isScalar(part) || part.value === null) throw this.wrong(positionOf(part) ?? positionOf(pair.key), `'${key}.${field}' has no value`, 'Write a value or remove the key');
          return typeof part.value === 'string' ? part.value : part.source ?? String(part.value);
        }).join(',');
      }
      const text = JSON.stringify(given);
      try {
        each.parse([text], `'${key}'`);
      } catch (error) {
        if (!(error instanceof SnapError)) throw error;
        throw this.wrong(positionOf(this.#resolved(item)), error.message, error.hint);
      }
      return text;
    });
  }

  unknownKey(pair: Pair, key: string, known: readonly string[], prefix: string): SnapError {
    const near = nearest(key, known);
    const hint = near === undefined ? `Known keys here: ${[...known].sort().join(', ')}` : `Did you mean '${prefix}${near}'?`;
    return this.wrong(positionOf(pair.key), `Unknown key '${prefix}${key}'`, hint);
  }

  wrong(position: number | undefined, message: string, hint?: string): SnapError {
    const line = this.#lines.linePos(position ?? 0).line;
    return new SnapError('USAGE', `${this.#path}, line ${Math.max(1, line)}: ${message}`, { hint });
  }

  /** Paths in the file count from the folder of the file; `~/` is the home folder. */
  #located(each: Flag<unknown>, text: string): string {
    const isPath = each.completes !== undefined || (each.name === GLOBAL_FLAGS.repo.name && !/^[a-z][a-z0-9+.-]+:/i.test(text));
    if (!isPath || text === '' || text === '-') return text;
    return text.startsWith('~/') ? join(homedir(), text.slice(2)) : resolve(dirname(this.#path), text);
  }

  #resolved(node: unknown): Node | null | undefined {
    return isAlias(node) ? node.resolve(this.#document) : node as Node | null | undefined;
  }
}

function positionOf(node: unknown): number | undefined {
  return (node as Node | null | undefined)?.range?.[0];
}
