/** The verbs that look after a repository; part of the table in `verbs.ts`. */
import {
  CACHE_FLAGS, FORGET_FLAGS, KEY_ADD_FLAGS, KEY_PASSWD_FLAGS, KEY_ROTATE_FLAGS, PARITY_FLAGS, PIN_FLAGS, PRUNE_FLAGS, RECOVER_FLAGS, REPAIR_INDEX_FLAGS, REPAIR_PACKS_FLAGS,
  REPAIR_SNAPSHOTS_FLAGS, TAG_FLAGS, UNDELETE_FLAGS, VERIFY_FLAGS,
} from './upkeep-flags.ts';
import { REPLICATE_FLAGS } from './replicate-flags.ts';
import { SNAPSHOT, SNAPSHOTS, verb, type Verb } from './verb.ts';

export const UPKEEP: readonly Verb[] = [
  verb({
    name: 'verify', aliases: ['check'], group: 'Upkeep', flags: VERIFY_FLAGS,
    summary: 'check that the repository is whole',
    description: 'Checks structure and metadata: every snapshot can be listed and every chunk that it needs is there. With '
      + '--read-data it reads, decrypts and checks all content as well, with --read-data-subset a part of it; what was verified when '
      + 'is kept in the repository. Exit code 13 means damage. See snap help verification.',
    examples: ['snap verify', 'snap verify --read-data-subset oldest:5%', 'snap verify --read-data', 'snap verify --test-restore --snapshot latest'],
    load: async () => (await import('./verbs/verify.ts')).runVerify,
  }),
  verb({
    name: 'forget', group: 'Upkeep', flags: FORGET_FLAGS,
    summary: 'forget snapshots by a retention policy, or by name',
    description: 'Keeps what the keep options say, counted for each series and kind, and forgets the rest; without any keep option a '
      + 'default policy applies. With SNAPSHOTs, forgets exactly these. No space is freed before a prune, and until then '
      + '`snap undelete` brings everything back. Look first with --dry-run; snap help retention explains the rules.',
    operands: [SNAPSHOTS],
    examples: [
      'snap forget --dry-run --keep-daily 7 --keep-weekly 5 --keep-monthly 12', 'snap forget --keep-within 30d --keep-yearly unlimited --prune',
      'snap forget --keep-daily 14 --max-size 50G', 'snap forget 1f4c9a2e',
    ],
    load: async () => (await import('./verbs/forget.ts')).runForget,
  }),
  verb({
    name: 'prune', aliases: ['gc'], group: 'Upkeep', flags: PRUNE_FLAGS,
    summary: 'free the space that no snapshot needs',
    description: 'Removes packs that nothing needs, and stores anew what is still needed of packs that are mostly unused. Safe beside running '
      + 'backups and other prunes: what a backup may still use stays until it has ended. Can be interrupted at any time; the next run '
      + 'goes on. Whatever cannot be read stops it before anything is removed. See snap help prune.',
    examples: ['snap prune --dry-run', 'snap prune', 'snap prune --max-unused 0 --max-repack 50G', 'snap prune --wait 2h'],
    load: async () => (await import('./verbs/prune.ts')).runPrune,
  }),
  verb({
    name: 'undelete', group: 'Upkeep', flags: UNDELETE_FLAGS,
    summary: 'bring forgotten snapshots back, as long as no prune has freed what they need',
    description: 'Without SNAPSHOTs, lists what was forgotten, and whether its data is still complete.',
    operands: [{ name: 'SNAPSHOT', isOptional: true, isList: true, help: 'id of a forgotten snapshot, or its first 4 or more digits' }],
    examples: ['snap undelete', 'snap undelete 1f4c9a2e'],
    load: async () => (await import('./verbs/undelete.ts')).runUndelete,
  }),
  verb({
    name: 'repair index', group: 'Upkeep', flags: REPAIR_INDEX_FLAGS,
    summary: 'make the index anew from the packs, where it is damaged or wrong',
    description: 'Reads the tables of packs that no index segment lists, or that a segment contradicts, writes new segments, and then removes '
      + 'what is damaged or wrong. Packs are never touched. The order of a repair is: index, packs, a backup, snapshots (see snap help repair).',
    examples: ['snap repair index --dry-run', 'snap repair index', 'snap repair index --full'],
    load: async () => (await import('./verbs/repair.ts')).runRepairIndex,
  }),
  verb({
    name: 'repair packs', group: 'Upkeep', flags: REPAIR_PACKS_FLAGS,
    summary: 'save what is left of damaged packs, and heal what a copy or parity still has',
    description: 'Finds damaged packs by the listing, the index, the tables of the packs, the trees and earlier checks, or by reading all data; '
      + 'stores what can be saved of them in new packs, heals the rest from parity and from --from, names what is lost, and puts the '
      + 'damaged packs into quarantine.',
    operands: [{ name: 'PACK', isOptional: true, isList: true, help: 'only these packs: ids as snap verify names them, or their first 4 or more digits' }],
    examples: ['snap repair packs --read-data --dry-run', 'snap repair packs --from /mnt/second/repo', 'snap repair packs --empty-quarantine'],
    load: async () => (await import('./verbs/repair.ts')).runRepairPacks,
  }),
  verb({
    name: 'repair snapshots', group: 'Upkeep', flags: REPAIR_SNAPSHOTS_FLAGS,
    summary: 'make new snapshots of damaged ones that say exactly what is missing',
    description: 'For every snapshot with content or folders that are gone it makes a new one, with the tag repaired, in which the files that are hit '
      + 'are marked with the ranges of bytes that are lost. The damaged one stays, unless --forget is given.',
    operands: [SNAPSHOTS],
    examples: ['snap repair snapshots --dry-run', 'snap repair snapshots --forget'],
    load: async () => (await import('./verbs/repair.ts')).runRepairSnapshots,
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
    name: 'key rotate', group: 'Upkeep', flags: KEY_ROTATE_FLAGS, summary: 'encrypt everything new with a new key',
    description: 'Makes a new epoch of keys, which everything that is stored from now on uses; what is there stays readable. With '
      + '--max-bytes it also encrypts packs of older epochs anew, so many bytes a run: repeat it until none is left. A password or '
      + 'key slot that became known is not made harmless by this: see snap help passwords.',
    examples: ['snap key rotate', 'snap key rotate --max-bytes 50G'],
    load: async () => (await import('./verbs/key.ts')).runKeyRotate,
  }),
  verb({
    name: 'parity', group: 'Upkeep', flags: PARITY_FLAGS,
    summary: 'add redundancy from which damaged packs can be repaired',
    description: 'Reads and checks every pack that has no parity yet, and stores blocks from which `snap repair packs` restores it when a '
      + 'part of it is lost, as on a failing disk. An interrupted run goes on where it was. A second copy at another place is worth more.',
    examples: ['snap parity', 'snap parity --share 10%', 'snap parity --remove'],
    load: async () => (await import('./verbs/parity.ts')).runParity,
  }),
  verb({
    name: 'replicate', group: 'Upkeep', flags: REPLICATE_FLAGS,
    summary: 'copy snapshots to other repositories, such as off-site ones',
    description: 'Copies the snapshots that the filters let through, or those that are named, to each repository given with --to; what is there '
      + 'already is not copied again, nor what the retention of the replica forgot. Each pack is read once for all of them. Safe beside '
      + 'backups and prunes on both sides; an interrupted run goes on where it was. A replica that fails does not stop the others: exit code 3. '
      + 'See snap help replication.',
    operands: [SNAPSHOTS],
    examples: [
      'snap -r sftp://backup@host/snap init --from /srv/backup', 'snap -r /srv/backup replicate --to sftp://backup@host/snap --to cloud=s3://bucket/snap',
      'snap replicate --to /mnt/usb/snap --kind full --latest 3 --verify', 'snap replicate --status',
    ],
    load: async () => (await import('./verbs/replicate.ts')).runReplicate,
  }),
  verb({
    name: 'lock', group: 'Upkeep',
    summary: 'extend the Object Lock of everything that is needed, in a bucket of S3',
    description: 'With --s3-object-lock everything that stays is locked when it is stored. This extends the locks of what is needed still; '
      + 'run it at least every half of --s3-object-lock-days. One request for each object. See snap help past.',
    examples: ['snap lock --s3-object-lock governance --s3-object-lock-days 30'],
    load: async () => (await import('./verbs/lock.ts')).runLock,
  }),
  verb({
    name: 'recover', group: 'Upkeep', flags: RECOVER_FLAGS,
    summary: 'put back what was removed or replaced since a moment, in a bucket that keeps versions',
    description: 'For when somebody with the right to delete has destroyed or altered the repository. Without --yes it only says what it would do. '
      + 'What was added since stays. Look first with `snap snapshots --as-of TIME`, and stop everything that works in the repository (see snap help past).',
    examples: ["snap recover --as-of '2026-05-31 14:00'", "snap recover --as-of '2026-05-31 14:00' --yes"],
    load: async () => (await import('./verbs/recover.ts')).runRecover,
  }),
  verb({
    name: 'cache', group: 'Upkeep', flags: CACHE_FLAGS, summary: 'show where the local cache lives and how large it is, remove it, or build it again',
    load: async () => (await import('./verbs/cache.ts')).runCache,
  }),
];
