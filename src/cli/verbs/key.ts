import { formatCount, formatSize } from '../../base/units.ts';
import { addKey, changePassword, listKeys, removeKey } from '../../usecases/keys.ts';
import { rotateKeys, type KeyRotation } from '../../usecases/rotate-keys.ts';
import { hostIdentity } from '../host-identity.ts';
import { pruneDefaults, withRepository, type OpenRepository } from '../compose.ts';
import type { KEY_ADD_FLAGS, KEY_PASSWD_FLAGS, KEY_ROTATE_FLAGS } from '../upkeep-flags.ts';
import { runJob, worst } from '../job.ts';
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
  terminal.out(describeKeyring(repository, globals.json));
  return 'complete';
}));

function describeKeyring({ keys: { keyring, keyringNumber, currentEpoch } }: OpenRepository, isJson: boolean): string {
  const epochs = keyring.epochs.map(({ epoch }) => epoch);
  if (isJson) return JSON.stringify({ message_type: 'keyring', number: keyringNumber, current_epoch: currentEpoch, epochs });
  const older = epochs.length === 1 ? '' : `, and ${epochs.length - 1} older ${epochs.length === 2 ? 'one' : 'ones'} can be read`;
  return `Keyring ${keyringNumber}: everything new is of epoch ${currentEpoch}${older}`;
}

export const runKeyAdd: RunVerb<typeof KEY_ADD_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async (repository, current): Promise<Result> => {
    const added = await readNewCredential(context.flags, context);
    const label = context.flags.label ?? defaultLabel(context);
    say(context, 'key_added', await addKey(repository, { current, added, label, isWriter: context.flags.writer }, job.context), 'Key slot', 'was added');
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

export const runKeyRotate: RunVerb<typeof KEY_ROTATE_FLAGS> = context => runJob(context, job =>
  withRepository(context, job.context, async (repository): Promise<Result> => {
    const rotation = await rotateKeys(repository, { ...pruneDefaults(context), resealBytes: context.flags.maxBytes }, job.context);
    const shown = rotation.prune === undefined ? 'complete' : job.show(rotation.prune);
    sayRotation(context, rotation);
    return worst(shown, job.result());
  }, { tidies: true }));

function sayRotation({ globals, terminal }: Pick<VerbContext<NoFlags>, 'globals' | 'terminal'>, rotation: KeyRotation): void {
  const { outcome, keyringNumber, epoch, packsLeft, bytesLeft } = rotation;
  if (globals.json) {
    const left = { packs_left: packsLeft, bytes_left: bytesLeft };
    return terminal.out(JSON.stringify({ message_type: 'key_rotated', outcome, keyring: keyringNumber, current_epoch: epoch, ...left }));
  }
  if (globals.quiet) return;
  const said = {
    rotated: `Everything new is of epoch ${epoch} now`,
    lost: `Another run rotated the keys at the same moment: everything new is of epoch ${epoch}`,
    continued: `Went on with the rotation to epoch ${epoch}`,
  };
  terminal.out(said[outcome]);
  if (packsLeft === 0) return terminal.out('No pack is of an older epoch');
  const packs = `${formatCount(packsLeft)} ${packsLeft === 1 ? 'pack is' : 'packs are'}`;
  terminal.out(`${packs} of older epochs, ${formatSize(bytesLeft)}: ${nextStep(rotation)}`);
}

function nextStep({ prune }: KeyRotation): string {
  if (prune === undefined) return 'they stay readable; --max-bytes encrypts them anew';
  return prune.packsRewritten === 0 && !prune.isPending ? '--max-bytes has no room for any of them' : 'run it again to go on';
}

function defaultLabel({ environment }: Pick<VerbContext<NoFlags>, 'environment'>): string {
  const { user, host } = hostIdentity(environment);
  return `${user}@${host}`;
}

function say({ globals, terminal }: Pick<VerbContext<NoFlags>, 'globals' | 'terminal'>, type: string, id: string, before: string, after: string): void {
  if (globals.json) terminal.out(JSON.stringify({ message_type: type, id }));
  else if (!globals.quiet) terminal.out(`${before} ${id} ${after}`);
}
