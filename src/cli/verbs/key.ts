import { addKey, changePassword, listKeys, removeKey } from '../../usecases/keys.ts';
import { hostIdentity } from '../host-identity.ts';
import { withRepository } from '../compose.ts';
import type { KEY_ADD_FLAGS, KEY_PASSWD_FLAGS } from '../upkeep-flags.ts';
import { runJob } from '../job.ts';
import type { Result } from '../outcome.ts';
import { jsonTime, localTime } from '../printable.ts';
import { readNewCredential } from '../secrets.ts';
import { formatTable } from '../text-table.ts';
import type { RunVerb, VerbContext } from '../verb.ts';

type NoFlags = Record<never, never>;

export const runKeyList: RunVerb<NoFlags> = context => runJob(context, job => withRepository(context, job.context, async (repository): Promise<Result> => {
  const { terminal, globals } = context;
  const slots = (await listKeys(repository, job.context)).map(({ id, kdf, storedAt, isCurrent }) =>
    ({ id, kind: kdf === 'keyfile' ? 'key file' : 'password', storedAt, isCurrent }));
  const lines = globals.json
    ? slots.map(({ id, kind, storedAt, isCurrent }) => JSON.stringify({ message_type: 'key', id, kind, created: jsonTime(storedAt), current: isCurrent }))
    : formatTable([{ title: '' }, { title: 'Slot' }, { title: 'Opens with' }, { title: 'Created' }],
      slots.map(({ id, kind, storedAt, isCurrent }) => [isCurrent ? '*' : '', id, kind, localTime([Math.floor(storedAt / 1000), 0])]));
  for (const line of lines) terminal.out(line);
  return 'complete';
}));

export const runKeyAdd: RunVerb<typeof KEY_ADD_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async (repository, current): Promise<Result> => {
    const added = await readNewCredential(context.flags, context);
    const label = context.flags.label ?? defaultLabel(context);
    say(context, 'key_added', await addKey(repository, { current, added, label }, job.context), 'Key slot', 'was added');
    return 'complete';
  }));

export const runKeyRemove: RunVerb<NoFlags> = context => runJob(context, job => withRepository(context, job.context, async (repository): Promise<Result> => {
  say(context, 'key_removed', await removeKey(repository, context.operands[0]!, job.context), 'Key slot', 'was removed');
  return 'complete';
}));

export const runKeyPasswd: RunVerb<typeof KEY_PASSWD_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async (repository, current): Promise<Result> => {
    const added = await readNewCredential(context.flags, context);
    const id = await changePassword(repository, { current, added, label: defaultLabel(context) }, job.context);
    say(context, 'key_changed', id, 'The password was changed; its key slot is', 'now');
    return 'complete';
  }));

function defaultLabel({ environment }: Pick<VerbContext<NoFlags>, 'environment'>): string {
  const { user, host } = hostIdentity(environment);
  return `${user}@${host}`;
}

function say({ globals, terminal }: Pick<VerbContext<NoFlags>, 'globals' | 'terminal'>, type: string, id: string, before: string, after: string): void {
  if (globals.json) terminal.out(JSON.stringify({ message_type: type, id }));
  else if (!globals.quiet) terminal.out(`${before} ${id} ${after}`);
}
