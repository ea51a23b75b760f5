import { SnapError } from '../../base/errors.ts';
import { listTree } from '../../usecases/browse/list-tree.ts';
import { sessionOwner, withRepository } from '../compose.ts';
import { entryFields, entryName, longLine } from '../describe-entry.ts';
import { snapshotMessage } from '../describe-snapshot.ts';
import type { LS_FLAGS } from '../flags.ts';
import { runJob } from '../job.ts';
import { rawBytes } from '../raw-arguments.ts';
import { findSnapshot } from '../snapshot-choice.ts';
import { flushedAtEnd, LineWriter } from '../terminal.ts';
import type { RunVerb } from '../verb.ts';

export const runLs: RunVerb<typeof LS_FLAGS> = context => runJob(context, job => withRepository(context, job.context, async repository => {
  const { flags, globals, operands, terminal } = context;
  const { record, path: within } = await findSnapshot(repository, operands[0]!, flags, job.context);
  if (within !== undefined && operands[1] !== undefined) throw new SnapError('USAGE', 'The path is given twice');
  const path = operands[1] === undefined ? within : rawBytes(operands[1]);
  const lines = new LineWriter(terminal);
  if (globals.json) await lines.add(JSON.stringify(snapshotMessage(record.snapshot)));
  const options = { owner: sessionOwner(context), recursive: flags.recursive || path === undefined };
  for await (const { path: each, entry } of flushedAtEnd(lines, listTree(repository, { snapshot: record, path }, options, job.context))) {
    const line = globals.json ? JSON.stringify({ message_type: 'node', ...entryFields(each, entry) })
      : flags.long ? longLine(each, entry) : entryName(each, entry);
    if (!await lines.add(line)) break;
  }
  return job.result();
}));
