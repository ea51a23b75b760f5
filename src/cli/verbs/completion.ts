import { SnapError } from '../../base/errors.ts';
import { SHELLS, completionScript } from '../completion.ts';
import { TOPICS } from '../help-topics.ts';
import { printable } from '../printable.ts';
import type { RunVerb } from '../verb.ts';

export const runCompletion: RunVerb<Record<never, never>> = async ({ operands, terminal, globals, verbs }) => {
  const shell = SHELLS.find(each => each === operands[0]);
  if (shell === undefined) throw new SnapError('USAGE', `There is no completion for '${printable(operands[0]!)}'`, { hint: `Known shells: ${SHELLS.join(', ')}` });
  const script = completionScript(shell, verbs, TOPICS.map(topic => topic.name));
  terminal.out(globals.json ? JSON.stringify({ message_type: 'completion', shell, script }) : script);
  return 'complete';
};
