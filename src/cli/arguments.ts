/** From the words on the command line to a verb, its operands and the texts of its flags, by way of commander. */
import { Command, CommanderError, Option } from 'commander';
import { SnapError } from '../base/errors.ts';
import { spelling, type Flag, type FlagSet } from './flag.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import type { Operand, Verb, VerbGroup } from './verb.ts';

/** Texts given for flags, by the key of the flag in its set. */
export type GivenTexts = Readonly<Record<string, readonly string[]>>;

export type ParsedArguments =
  | { readonly kind: 'run'; readonly verb: Verb; readonly operands: readonly string[]; readonly globals: GivenTexts; readonly flags: GivenTexts }
  | { readonly kind: 'help'; readonly text: string };

const GROUPS: readonly VerbGroup[] = ['Backup and restore', 'Looking around', 'Upkeep', 'More'];
const GROUP_SUMMARIES: Readonly<Record<string, string>> = { key: 'list, add, remove and change passwords', repair: 'bring index, packs or snapshots in order again' };

/** @throws USAGE with a hint where to read more */
export function parseArguments(words: readonly string[], verbs: readonly Verb[]): ParsedArguments {
  let parsed: ParsedArguments | undefined;
  const shown: string[] = [];
  const program = buildProgram(verbs, shown, (verb, command) => {
    const root = rootOf(command);
    parsed = {
      kind: 'run', verb, operands: command.args,
      globals: givenTexts(root, GLOBAL_FLAGS), flags: givenTexts(command, verb.flags),
    };
  });
  try {
    program.parse([...words], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'help', text: shown.join('').trimEnd() };
    throw usageError(error, words, verbs);
  }
  if (parsed === undefined) throw new SnapError('USAGE', 'No command was given', { hint: "Run 'snap help' for the list of commands" });
  return parsed;
}

/** The text of `snap help` or `snap VERB --help`. */
export function helpText(verbs: readonly Verb[], name: readonly string[] = []): string {
  const parsed = parseArguments([...name, '--help'], verbs);
  return parsed.kind === 'help' ? parsed.text : '';
}

type OnVerb = (verb: Verb, command: Command) => void;

function buildProgram(verbs: readonly Verb[], shown: string[], onVerb: OnVerb): Command {
  const program = new Command('snap').exitOverride()
    .configureOutput({ writeOut: text => void shown.push(text), writeErr: () => undefined, getOutHelpWidth: () => 100 })
    .configureHelp({ showGlobalOptions: true })
    .helpOption('-h, --help', 'show help')
    .helpCommand(false)
    .option('-V, --version', 'show the version');
  program.helpInformation = () => overview(verbs);
  addOptions(program, GLOBAL_FLAGS);
  const groups = new Map<string, Command>();
  for (const verb of verbs) addVerb(program, groups, verb, onVerb);
  return program;
}

/** Verbs first: commander would begin with two screens of global options. */
function overview(verbs: readonly Verb[]): string {
  const rows = (pairs: readonly (readonly [string, string])[]): string[] => pairs.map(([term, help]) => `  ${term.padEnd(24)}${help}`);
  return [
    'Usage: snap VERB [options] [arguments]', '',
    'Back up into an encrypted, deduplicating repository, and get it back.',
    "New here? 'snap try PATH' makes a trial backup, checks it and restores it.",
    ...GROUPS.flatMap(group => ['', `${group}:`, ...rows(verbs.filter(verb => verb.group === group).map(verb => [[verb.name, ...verb.aliases].join(', '), verb.summary]))]),
    '', 'Global options, before or after the verb:',
    ...rows(Object.values<Flag<unknown>>(GLOBAL_FLAGS).filter(each => each.isHidden !== true).map(each => [`${each.short === undefined ? '    ' : `-${each.short}, `}${spelling(each)}`, each.help])),
    "  Options of S3, Azure and SFTP repositories: 'snap help locations'",
    '',
    "'snap VERB --help' shows the options of a verb, 'snap help TOPIC' explains a topic, 'snap help topics' lists them.",
  ].join('\n');
}

function addVerb(program: Command, groups: Map<string, Command>, verb: Verb, onVerb: OnVerb): void {
  const [first, second] = verb.name.split(' ') as [string, string?];
  let parent = program;
  if (second !== undefined) {
    parent = groups.get(first) ?? program.command(first).description(GROUP_SUMMARIES[first] ?? '').helpCommand(false);
    groups.set(first, parent);
  }
  const command = parent.command(second ?? first)
    .summary(verb.summary).description(verb.description === '' ? `${capitalised(verb.summary)}.` : verb.description)
    .helpOption('-h, --help', 'show help');
  for (const alias of verb.aliases) command.alias(alias);
  for (const operand of verb.operands) command.argument(usageOf(operand), operand.help);
  addOptions(command, verb.flags);
  if (verb.examples.length > 0) command.addHelpText('after', `\nExamples:\n${verb.examples.map(example => `  ${example}`).join('\n')}`);
  command.action(() => onVerb(verb, command));
}

function usageOf(operand: Operand): string {
  const name = operand.isList === true ? `${operand.name}...` : operand.name;
  return operand.isOptional === true ? `[${name}]` : `<${name}>`;
}

function addOptions(command: Command, flags: FlagSet): void {
  for (const each of Object.values(flags)) {
    if (each.isFileOnly === true) continue;
    command.addOption(optionOf(each, spelling(each), !each.isNegation));
    if (each.hasNegation) command.addOption(optionOf(each, `--no-${each.name}`, false));
  }
}

function optionOf(each: Flag<unknown>, long: string, isOn: boolean): Option {
  const short = each.short === undefined ? '' : `-${each.short}, `;
  const value = each.value === undefined ? '' : ` <${each.value}>`;
  const environment = each.environment === undefined ? '' : ` [${each.environment}]`;
  const option = new Option(`${short}${long}${value}`, each.help + environment)
    .argParser<readonly string[]>((text, previous: unknown) => [...(Array.isArray(previous) ? previous as string[] : []), text]);
  if (each.isHidden === true) option.hideHelp();
  return each.value === undefined ? option.preset(String(isOn)) : option;
}

/** Commander keeps values by camel-cased option name; only lists that our own reader made were really given. */
function givenTexts(command: Command, flags: FlagSet): GivenTexts {
  const given: Record<string, readonly string[]> = {};
  for (const [key, each] of Object.entries(flags)) {
    const value: unknown = command.getOptionValue(new Option(`--${each.name}`).attributeName());
    if (Array.isArray(value)) given[key] = value as string[];
  }
  return given;
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

function usageError(error: CommanderError, words: readonly string[], verbs: readonly Verb[]): SnapError {
  if (error.code === 'commander.help') {
    return new SnapError('USAGE', 'No command was given', { hint: "Run 'snap help' for the list of commands, or 'snap try PATH' for a first try" });
  }
  const message = capitalised(error.message.replace(/^error: /, '').replace(/\n\(?/, ' (').replace(/\.$/, ''));
  const name = verbs.flatMap(each => [each.name, ...each.aliases]).filter(each => each.split(' ').every(word => words.includes(word)))
    .sort((a, b) => words.indexOf(a.split(' ')[0]!) - words.indexOf(b.split(' ')[0]!) || b.length - a.length)[0];
  return new SnapError('USAGE', message, { hint: `Run 'snap ${name === undefined ? 'help' : `${name} --help`}' to see what it takes` });
}

function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
