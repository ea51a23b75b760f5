/** Completion scripts for shells, generated from the table of verbs so that they cannot fall behind it. */
import { spelling, type Flag, type FlagSet } from './flag.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import type { Verb } from './verb.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** @param topics names of help topics, completed after `snap help` */
export function completionScript(shell: Shell, allVerbs: readonly Verb[], topics: readonly string[]): string {
  const verbs = allVerbs.map(verb => ({ ...verb, flags: typed(verb.flags) }));
  switch (shell) {
    case 'bash': return bashScript(verbs, topics);
    case 'zsh': return zshScript(verbs, topics);
    case 'fish': return fishScript(verbs, topics);
  }
}

function typed(flags: FlagSet): FlagSet {
  return Object.fromEntries(Object.entries(flags).filter(([, each]) => each.isFileOnly !== true));
}

/** Everything that may be typed for a flag: `-r`, `--repo`, `--no-sparse`. */
function spellings(each: Flag<unknown>): string[] {
  return [...each.short === undefined ? [] : [`-${each.short}`], spelling(each), ...each.hasNegation ? [`--no-${each.name}`] : []];
}

function firstWords(verbs: readonly Verb[]): string[] {
  return [...new Set(verbs.flatMap(verb => [verb.name, ...verb.aliases]).map(name => name.split(' ')[0]!))];
}

/** Names of two words by their first: key -> list, add, ... */
function groupsOf(verbs: readonly Verb[]): Map<string, Verb[]> {
  const groups = new Map<string, Verb[]>();
  for (const verb of verbs) {
    const [first, second] = verb.name.split(' ');
    if (second !== undefined) groups.set(first!, [...groups.get(first!) ?? [], verb]);
  }
  return groups;
}

const secondWord = (verb: Verb): string => verb.name.split(' ')[1]!;

function wordsAfter(verb: Verb, topics: readonly string[]): readonly string[] {
  if (verb.name === 'completion') return SHELLS;
  if (verb.operands.some(operand => operand.completes === 'topic')) return topics;
  return verb.operands.some(operand => operand.name.startsWith('SNAPSHOT')) ? ['latest'] : [];
}

function operandKind(verb: Verb): 'file' | 'directory' | undefined {
  const kind = verb.operands.find(operand => operand.completes === 'file' || operand.completes === 'directory')?.completes;
  return kind === 'topic' ? undefined : kind;
}

// --- bash ---

function bashScript(verbs: readonly Verb[], topics: readonly string[]): string {
  const valued = Object.values(GLOBAL_FLAGS).filter(each => each.value !== undefined).flatMap(spellings).join('|');
  const groups = groupsOf(verbs);
  const lines = [
    '# bash completion for snap; load it with: source <(snap completion bash)',
    '_snap() {',
    '  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" verb="" word i',
    '  for ((i = 1; i < COMP_CWORD; i++)); do',
    '    word="${COMP_WORDS[i]}"',
    '    case "$word" in',
    `      ${valued}) ((i++)) ;;`,
    '      -*) ;;',
    '      *)',
    '        if [[ -z $verb ]]; then verb="$word"',
    `        elif [[ ${[...groups.keys()].map(group => `$verb == ${group}`).join(' || ') || '-z x'} ]]; then verb="$verb $word"; break`,
    '        else break; fi ;;',
    '    esac',
    '  done',
    '  case "$prev" in',
    ...bashValues(GLOBAL_FLAGS, '    '),
    '  esac',
    '  case "$verb" in',
    `    "") COMPREPLY=($(compgen -W "${[...firstWords(verbs), ...optionWords(GLOBAL_FLAGS)].join(' ')}" -- "$cur")) ;;`,
    ...[...groups].map(([group, members]) => `    ${group}) COMPREPLY=($(compgen -W "${members.map(secondWord).join(' ')}" -- "$cur")) ;;`),
    ...verbs.flatMap(verb => bashVerb(verb, topics)),
    '  esac',
    '}',
    'complete -o filenames -F _snap snap',
  ];
  return lines.join('\n');
}

function optionWords(flags: FlagSet): string[] {
  return Object.values(flags).flatMap(each => spellings(each).filter(word => word.startsWith('--')));
}

function bashValues(flags: FlagSet, indent: string): string[] {
  return Object.values(flags).filter(each => each.value !== undefined).map(each => {
    const action = each.choices !== undefined ? `COMPREPLY=($(compgen -W "${each.choices.join(' ')}" -- "$cur")); `
      : each.completes === 'directory' ? 'COMPREPLY=($(compgen -d -- "$cur")); '
      : each.completes === 'file' ? 'COMPREPLY=($(compgen -f -- "$cur")); ' : '';
    return `${indent}${spellings(each).join('|')}) ${action}return ;;`;
  });
}

function bashVerb(verb: Verb, topics: readonly string[]): string[] {
  const names = [verb.name, ...verb.aliases].map(name => (name.includes(' ') ? `"${name}"` : name)).join('|');
  const words = wordsAfter(verb, topics);
  const kind = operandKind(verb);
  const values = bashValues(verb.flags, '        ');
  return [
    `    ${names})`,
    ...values.length === 0 ? [] : ['      case "$prev" in', ...values, '      esac'],
    `      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${[...optionWords(verb.flags), ...optionWords(GLOBAL_FLAGS), '--help'].join(' ')}" -- "$cur"))`,
    ...words.length === 0 ? [] : [`      else COMPREPLY=($(compgen -W "${words.join(' ')}"${kind === undefined ? '' : ' -f'} -- "$cur"))`],
    ...words.length === 0 && kind !== undefined ? [`      else COMPREPLY=($(compgen ${kind === 'directory' ? '-d' : '-f'} -- "$cur"))`] : [],
    '      fi ;;',
  ];
}

// --- zsh ---

function zshScript(verbs: readonly Verb[], topics: readonly string[]): string {
  const groups = groupsOf(verbs);
  const single = verbs.filter(verb => !verb.name.includes(' '));
  return [
    '#compdef snap',
    '# zsh completion for snap; load it with: source <(snap completion zsh)',
    '_snap() {',
    '  local curcontext="$curcontext" state line',
    '  local -a globals verbs',
    `  globals=(${Object.values(GLOBAL_FLAGS).flatMap(zshFlag).join(' ')})`,
    `  verbs=(${[...single.map(verb => [verb.name, verb.summary] as const), ...[...groups.keys()].map(group => [group, 'key slots'] as const)]
      .map(([name, summary]) => zshQuoted(`${name}:${summary}`)).join(' ')})`,
    "  _arguments -C $globals '1: :->verb' '*:: :->rest'",
    '  case "$state" in',
    "    verb) _describe 'command' verbs ;;",
    '    rest)',
    '      case "$words[1]" in',
    ...single.map(verb => `        ${[verb.name, ...verb.aliases].join('|')}) ${zshArguments(verb, topics)} ;;`),
    ...[...groups].flatMap(([group, members]) => [
      `        ${group})`,
      '          case "$words[2]" in',
      ...members.map(verb => `            ${secondWord(verb)}) shift words; (( CURRENT-- )); ${zshArguments(verb, topics)} ;;`),
      `            *) _values 'command' ${members.map(verb => zshQuoted(`${secondWord(verb)}[${verb.summary}]`)).join(' ')} ;;`,
      '          esac ;;',
    ]),
    '      esac ;;',
    '  esac',
    '}',
    'if [[ "$funcstack[1]" == _snap ]]; then _snap "$@"; else compdef _snap snap; fi',
  ].join('\n');
}

function zshArguments(verb: Verb, topics: readonly string[]): string {
  const words = wordsAfter(verb, topics);
  const kind = operandKind(verb);
  const operand = words.length > 0 ? [zshQuoted(`*: :(${words.join(' ')})`)]
    : kind === undefined ? [] : [zshQuoted(`*: :_files${kind === 'directory' ? ' -/' : ''}`)];
  return ['_arguments $globals', ...Object.values(verb.flags).flatMap(zshFlag), ...operand].join(' ');
}

function zshFlag(each: Flag<unknown>): string[] {
  const help = each.help.replace(/[[\]:\\]/g, '\\$&');
  const action = each.choices !== undefined ? `(${each.choices.join(' ')})`
    : each.completes === 'directory' ? '_files -/' : each.completes === 'file' ? '_files' : ' ';
  const value = each.value === undefined ? '' : `:${each.value.replace(/[:\\]/g, '\\$&')}:${action}`;
  return spellings(each).map(word => zshQuoted(`${each.isList ? '*' : ''}${word}[${help}]${value}`));
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// --- fish ---

function fishScript(verbs: readonly Verb[], topics: readonly string[]): string {
  const groups = groupsOf(verbs);
  const lines = [
    '# fish completion for snap; load it with: snap completion fish | source',
    'complete -c snap -f',
    ...Object.values(GLOBAL_FLAGS).flatMap(each => fishFlag(each, undefined)),
    ...[...groups].map(([group]) => `complete -c snap -n __fish_use_subcommand -a ${group} -d ${fishQuoted('key slots')}`),
  ];
  for (const verb of verbs) {
    const names = [verb.name.split(' ')[0]!, ...verb.aliases];
    const isMember = verb.name.includes(' ');
    const seen = `__fish_seen_subcommand_from ${names.join(' ')}`;
    const condition = isMember ? `${seen}; and __fish_seen_subcommand_from ${secondWord(verb)}` : seen;
    if (isMember) lines.push(`complete -c snap -n ${fishQuoted(seen)} -a ${secondWord(verb)} -d ${fishQuoted(verb.summary)}`);
    else for (const name of names) lines.push(`complete -c snap -n __fish_use_subcommand -a ${name} -d ${fishQuoted(verb.summary)}`);
    lines.push(...Object.values(verb.flags).flatMap(each => fishFlag(each, condition)));
    const words = wordsAfter(verb, topics);
    if (words.length > 0) lines.push(`complete -c snap -n ${fishQuoted(condition)} -a ${fishQuoted(words.join(' '))}`);
    if (operandKind(verb) !== undefined) lines.push(`complete -c snap -n ${fishQuoted(condition)} -F`);
  }
  return lines.join('\n');
}

function fishFlag(each: Flag<unknown>, condition: string | undefined): string[] {
  const when = condition === undefined ? '' : ` -n ${fishQuoted(condition)}`;
  const short = each.short === undefined ? '' : ` -s ${each.short}`;
  const values = each.value === undefined ? '' : each.choices !== undefined ? ` -x -a ${fishQuoted(each.choices.join(' '))}`
    : each.completes !== undefined ? ' -r -F' : ' -x';
  const names = [spelling(each), ...each.hasNegation ? [`--no-${each.name}`] : []];
  return names.map((name, i) => `complete -c snap${when}${i === 0 ? short : ''} -l ${name.slice(2)}${values} -d ${fishQuoted(each.help)}`);
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
