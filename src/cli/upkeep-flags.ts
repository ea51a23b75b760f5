/** The flags of the verbs that look after a repository. Names are a contract with scripts: add, never rename. */
import { flag, list, text, wholeNumber, type ValuesOf } from './flag.ts';
import { FILTER_FLAGS } from './flags.ts';

export const VERIFY_FLAGS = {
  ...FILTER_FLAGS,
  readData: flag('read-data', 'read and check the content of every pack, too'),
  snapshot: text('snapshot', 'SNAPSHOT', 'only what this snapshot needs'),
  readConcurrency: wholeNumber('read-concurrency', 1, 64, 'threads that decrypt and check (default: one per processor)', { environment: 'SNAP_READ_CONCURRENCY', inFile: true }),
};

const NEW_CREDENTIAL_FLAGS = {
  newPasswordFile: text('new-password-file', 'FILE', 'read the new password from a file', { environment: 'SNAP_NEW_PASSWORD_FILE', completes: 'file' }),
  newPasswordCommand: text('new-password-command', 'CMD', 'run a shell command that prints the new password', { environment: 'SNAP_NEW_PASSWORD_COMMAND' }),
  newKeyFile: text('new-key-file', 'FILE', 'write a new random key to this file and use it instead of a password', { completes: 'file' }),
};
export type NewCredentialValues = ValuesOf<typeof NEW_CREDENTIAL_FLAGS>;

export const KEY_ADD_FLAGS = { ...NEW_CREDENTIAL_FLAGS, label: text('label', 'TEXT', 'label of the new key slot') };
export const KEY_PASSWD_FLAGS = { ...NEW_CREDENTIAL_FLAGS };

export const TAG_FLAGS = {
  ...FILTER_FLAGS,
  set: list('set', 'TAG', "replace all tags ('' removes them; may be repeated)"),
  add: list('add', 'TAG', 'add a tag (may be repeated)'),
  remove: list('remove', 'TAG', 'remove a tag (may be repeated)'),
};

export const PIN_FLAGS = { ...FILTER_FLAGS };

export const CACHE_FLAGS = { remove: flag('remove', 'remove the cache of the repository given with -r (it is built again when needed)') };
