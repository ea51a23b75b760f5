/** All verbs: verb, flags, and the module that runs the use case and renders its report. */
import {
  BACKUP_FLAGS, DIFF_FLAGS, DUMP_FLAGS, FIND_FLAGS, HISTORY_FLAGS, INIT_FLAGS, LS_FLAGS, RESTORE_FLAGS, SNAPSHOTS_FLAGS, STATS_FLAGS, TRY_FLAGS,
} from './flags.ts';
import { STATUS_FLAGS } from './status-flags.ts';
import { SNAPSHOT, SNAPSHOTS, verb, type Verb } from './verb.ts';
import { UPKEEP } from './upkeep-verbs.ts';

const BACKUP_AND_RESTORE: readonly Verb[] = [
  verb({
    name: 'try', group: 'Backup and restore', flags: TRY_FLAGS,
    summary: 'make a trial backup of a folder, check it, restore it and compare every byte',
    description: 'Makes a new repository with a new password, backs PATH up, verifies all stored data, restores it to a temporary '
      + 'place and compares every file with the original. Nothing outside the trial folder changes.',
    operands: [{ name: 'PATH', completes: 'file', help: 'what to try it with' }],
    examples: ['snap try ~/Documents'],
    load: async () => (await import('./verbs/try.ts')).runTry,
  }),
  verb({
    name: 'init', group: 'Backup and restore', flags: INIT_FLAGS,
    summary: 'make a new repository',
    description: 'Makes a new, encrypted repository at the location. Keep the password well: without it nobody can read the '
      + 'repository, and nobody can recover it. With --from it is an empty replica of another repository, for `snap replicate`.',
    examples: ['snap -r /srv/backup init', 'snap -r /srv/backup init --suite chacha20-poly1305 --chunker 1M', 'snap -r s3://bucket/snap init --from /srv/backup'],
    load: async () => (await import('./verbs/init.ts')).runInit,
  }),
  verb({
    name: 'backup', group: 'Backup and restore', flags: BACKUP_FLAGS,
    summary: 'back up files and folders, standard input, or the output of a command',
    description: 'Makes one snapshot of all PATHs. Every snapshot is complete by itself; only new content is stored.',
    operands: [{ name: 'PATH', isOptional: true, isList: true, completes: 'file', help: 'file or folder to back up' }],
    examples: [
      'snap backup ~/Documents --exclude node_modules --tag daily',
      "snap backup --command 'pg_dump app' --stdin-filename app.sql",
    ],
    load: async () => (await import('./verbs/backup.ts')).runBackup,
  }),
  verb({
    name: 'restore', group: 'Backup and restore', flags: RESTORE_FLAGS,
    summary: 'restore a snapshot, or a part of it',
    description: 'Restores into the folder given with --target. With SNAPSHOT:PATH, only what lies at PATH.',
    operands: [{ ...SNAPSHOT, name: 'SNAPSHOT[:PATH]' }],
    examples: ['snap restore latest --target /tmp/restored', "snap restore latest:/home/me/docs --target ./docs --include '*.txt'"],
    load: async () => (await import('./verbs/restore.ts')).runRestore,
  }),
  verb({
    name: 'dump', group: 'Backup and restore', flags: DUMP_FLAGS,
    summary: 'write a file, or a folder as an archive, to standard output',
    operands: [SNAPSHOT, { name: 'PATH', isOptional: true, help: 'file or folder in the snapshot (default everything)' }],
    examples: ['snap dump latest /var/lib/app.sql | psql app', 'snap dump latest / --format zip > all.zip'],
    load: async () => (await import('./verbs/dump.ts')).runDump,
  }),
];

const LOOKING_AROUND: readonly Verb[] = [
  verb({
    name: 'snapshots', group: 'Looking around', flags: SNAPSHOTS_FLAGS,
    summary: 'list snapshots, oldest first',
    operands: [SNAPSHOTS],
    load: async () => (await import('./verbs/snapshots.ts')).runSnapshots,
  }),
  verb({
    name: 'ls', group: 'Looking around', flags: LS_FLAGS,
    summary: 'list what a snapshot holds',
    operands: [{ ...SNAPSHOT, name: 'SNAPSHOT[:PATH]' }, { name: 'PATH', isOptional: true, help: 'folder in the snapshot (default everything)' }],
    load: async () => (await import('./verbs/ls.ts')).runLs,
  }),
  verb({
    name: 'find', group: 'Looking around', flags: FIND_FLAGS,
    summary: 'find files by name in all snapshots',
    operands: [{ name: 'PATTERN', isList: true, help: "a name or a path with '*', '?' and '**' (see snap help patterns)" }],
    examples: ["snap find '*.kdbx'", 'snap find -i invoice-2025.pdf --host laptop'],
    load: async () => (await import('./verbs/find.ts')).runFind,
  }),
  verb({
    name: 'diff', group: 'Looking around', flags: DIFF_FLAGS,
    summary: 'show what differs between two snapshots, or between a snapshot and a live folder',
    operands: [
      { ...SNAPSHOT, name: 'SNAPSHOT[:PATH]' },
      { name: 'SNAPSHOT[:PATH]|DIR', completes: 'directory', help: "another snapshot, or a live folder: starts with '/' or '.'" },
    ],
    examples: ['snap diff latest~1 latest', 'snap diff latest:/etc /etc'],
    load: async () => (await import('./verbs/diff.ts')).runDiff,
  }),
  verb({
    name: 'history', group: 'Looking around', flags: HISTORY_FLAGS,
    summary: 'show every version of one file or folder',
    operands: [{ name: 'PATH', completes: 'file', help: 'path as in the snapshots' }],
    load: async () => (await import('./verbs/history.ts')).runHistory,
  }),
  verb({
    name: 'stats', group: 'Looking around', flags: STATS_FLAGS,
    summary: 'show sizes: to restore, deduplicated, stored, and what each snapshot alone holds',
    operands: [SNAPSHOTS],
    load: async () => (await import('./verbs/stats.ts')).runStats,
  }),
  verb({
    name: 'status', group: 'Looking around', flags: STATUS_FLAGS,
    summary: 'say whether backups, checks and copies are as they should be',
    description: 'Quick, for people and monitors: age of the newest snapshots, known damage, verification, space, replicas, and the rule of three '
      + 'copies on two media, one of them off-site. Exit code 0: all is well, 1: a warning, 2: critical, which includes a repository that cannot be opened.',
    examples: ['snap status', 'snap status --json', 'snap status --max-age 2d --series db --no-three-two-one'],
    load: async () => (await import('./verbs/status.ts')).runStatus,
  }),
];

const MORE: readonly Verb[] = [
  verb({
    name: 'completion', group: 'More', summary: 'print the completion script of a shell',
    operands: [{ name: 'SHELL', help: 'bash, zsh or fish' }],
    examples: ['source <(snap completion bash)', 'snap completion fish > ~/.config/fish/completions/snap.fish'],
    load: async () => (await import('./verbs/completion.ts')).runCompletion,
  }),
  verb({
    name: 'help', group: 'More', summary: 'explain a topic or a command',
    operands: [{ name: 'TOPIC', isOptional: true, isList: true, completes: 'topic', help: "'topics' lists them" }],
    load: async () => (await import('./verbs/help.ts')).runHelp,
  }),
  verb({
    name: 'version', group: 'More', summary: 'show the version',
    load: async () => (await import('./verbs/version.ts')).runVersion,
  }),
];

export const VERBS: readonly Verb[] = [...BACKUP_AND_RESTORE, ...LOOKING_AROUND, ...UPKEEP, ...MORE];
