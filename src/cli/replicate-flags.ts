/** The flags of `snap replicate`. Names are a contract with scripts: add, never rename. */
import { SnapError } from '../base/errors.ts';
import { flag, list, text, valued, wholeNumber, type ValuesOf } from './flag.ts';
import { FILTER_FLAGS } from './flags.ts';
import { parseDuration } from './values.ts';

/** One for all replicas, or one for each in the order of --to. */
const TO_FLAGS = {
  toPasswordFile: list('to-password-file', 'FILE', 'read the password of the replica from a file (repeated: one for each --to; default: the same as here)', {
    environment: 'SNAP_TO_PASSWORD_FILE', inFile: true, completes: 'file',
  }),
  toPasswordCommand: list('to-password-command', 'CMD', 'run a shell command that prints it (repeated as above)', {
    environment: 'SNAP_TO_PASSWORD_COMMAND', inFile: true,
  }),
  toKeyFile: list('to-key-file', 'FILE', 'open the replica with a key file (repeated as above)', {
    environment: 'SNAP_TO_KEY_FILE', inFile: true, completes: 'file',
  }),
};
export type ToValues = ValuesOf<typeof TO_FLAGS>;

export const REPLICATE_FLAGS = {
  ...FILTER_FLAGS,
  to: list('to', '[NAME=]LOCATION', 'the repository to copy to (may be repeated: each pack is read once for all)', { inFile: true }),
  ...TO_FLAGS,
  latest: wholeNumber('latest', 1, 1_000_000, 'only the newest N snapshots of each series', { inFile: true }),
  within: valued('within', 'DURATION', 'only snapshots that are not older, such as 30d', parseDuration, { inFile: true }),
  again: flag('again', 'copy also what the retention of the replica forgot'),
  verify: flag('verify', 'then read back what was stored, and check it to the last chunk', { inFile: true }),
  verifySample: valued('verify-sample', 'PERCENT', 'read back this share of the whole replica, as well', parseShare, { inFile: true }),
  dryRun: flag('dry-run', 'store nothing, only say exactly what would be copied', { short: 'n' }),
  status: flag('status', 'show when each replica was brought up to date, and how far it is behind'),
  drop: text('drop', 'LOCATION', 'forget what is known of a replica that is given up'),
};

/** `5%`, as 0.05. @throws USAGE */
function parseShare(given: string): number {
  const match = /^(\d{1,3}(?:\.\d{1,3})?)\s*%?$/.exec(given.trim());
  const share = match === null ? 0 : Number(match[1]) / 100;
  if (share > 0 && share <= 1) return share;
  throw new SnapError('USAGE', `'${given}' is not a share`, { hint: 'Write a percentage up to 100%' });
}
