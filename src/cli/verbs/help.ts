import { SnapError } from '../../base/errors.ts';
import { helpText } from '../arguments.ts';
import { TOPICS, topicText } from '../help-topics.ts';
import { nearest } from '../nearest.ts';
import { printable } from '../printable.ts';
import type { RunVerb, Verb } from '../verb.ts';

export const runHelp: RunVerb<Record<never, never>> = async ({ operands, terminal, globals, verbs }) => {
  const text = helpFor(operands, verbs);
  terminal.out(globals.json ? JSON.stringify({ message_type: 'help', topic: operands.join(' '), text }) : text);
  return 'complete';
};

/** A topic, else a verb; without words the overview. @throws USAGE */
function helpFor(words: readonly string[], verbs: readonly Verb[]): string {
  const name = words.join(' ');
  if (name === '') return helpText(verbs);
  const text = topicText(name, verbs);
  if (text !== undefined) return text;
  const names = verbs.flatMap(verb => [verb.name, ...verb.aliases]);
  if (names.includes(name) || names.some(each => each.startsWith(`${name} `))) return helpText(verbs, words);
  const near = nearest(name, [...names, ...TOPICS.map(topic => topic.name)]);
  throw new SnapError('USAGE', `There is no help for '${printable(name)}'`, {
    hint: near === undefined ? "Run 'snap help topics' for the list of topics" : `Did you mean 'snap help ${near}'?`,
  });
}
