/** The verbs that look after a repository; part of the table in `verbs.ts`. */
import { CACHE_FLAGS, KEY_ADD_FLAGS, KEY_PASSWD_FLAGS, PIN_FLAGS, TAG_FLAGS, VERIFY_FLAGS } from './upkeep-flags.ts';
import { SNAPSHOT, SNAPSHOTS, verb, type Verb } from './verb.ts';

export const UPKEEP: readonly Verb[] = [
  verb({
    name: 'verify', aliases: ['check'], group: 'Upkeep', flags: VERIFY_FLAGS,
    summary: 'check that the repository is whole',
    description: 'Checks structure and metadata: every snapshot can be listed and every chunk that it needs is there. With '
      + '--read-data it reads, decrypts and checks all content as well. Exit code 13 means damage.',
    load: async () => (await import('./verbs/verify.ts')).runVerify,
  }),
  verb({
    name: 'tag', group: 'Upkeep', flags: TAG_FLAGS,
    summary: 'change the tags of snapshots',
    operands: [SNAPSHOTS],
    examples: ['snap tag --add keep latest', "snap tag --set '' --host old-laptop"],
    load: async () => (await import('./verbs/labels.ts')).runTag,
  }),
  verb({
    name: 'pin', group: 'Upkeep', flags: PIN_FLAGS,
    summary: 'protect snapshots from every retention policy',
    operands: [{ ...SNAPSHOT, isList: true }],
    load: async () => (await import('./verbs/labels.ts')).runPin,
  }),
  verb({
    name: 'unpin', group: 'Upkeep', flags: PIN_FLAGS,
    summary: 'end that protection',
    operands: [{ ...SNAPSHOT, isList: true }],
    load: async () => (await import('./verbs/labels.ts')).runUnpin,
  }),
  verb({
    name: 'key list', group: 'Upkeep', summary: 'list the key slots',
    load: async () => (await import('./verbs/key.ts')).runKeyList,
  }),
  verb({
    name: 'key add', group: 'Upkeep', flags: KEY_ADD_FLAGS, summary: 'add a password or a key file',
    load: async () => (await import('./verbs/key.ts')).runKeyAdd,
  }),
  verb({
    name: 'key remove', group: 'Upkeep', summary: 'remove a key slot',
    operands: [{ name: 'SLOT', help: 'id of the key slot, or its first digits' }],
    load: async () => (await import('./verbs/key.ts')).runKeyRemove,
  }),
  verb({
    name: 'key passwd', group: 'Upkeep', flags: KEY_PASSWD_FLAGS, summary: 'change the password that was used to open the repository',
    load: async () => (await import('./verbs/key.ts')).runKeyPasswd,
  }),
  verb({
    name: 'cache', group: 'Upkeep', flags: CACHE_FLAGS, summary: 'show where the local cache lives and how large it is, or remove it',
    load: async () => (await import('./verbs/cache.ts')).runCache,
  }),
];
