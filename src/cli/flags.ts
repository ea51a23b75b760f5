/** The flags of all verbs. Names are a contract with scripts: add, never rename. */
import {
  choice, choices, counted, flag, list, onUnless, rate, size, text, toggle, valued, wholeNumber, type ValuesOf,
} from './flag.ts';
import { LIMITS_FLAG } from './limit-timetable.ts';
import { REMOTE_FLAGS } from './remote-flags.ts';
import { parseChunker, parseCompression, parseMoment, parseParityShare, parsePast } from './values.ts';

export const GLOBAL_FLAGS = {
  repo: text('repo', 'LOCATION', 'the repository: a path, s3://bucket/prefix or sftp://user@host/path', { short: 'r', environment: 'SNAP_REPOSITORY' }),
  repositoryFile: text('repository-file', 'FILE', 'read the location of the repository from a file', { environment: 'SNAP_REPOSITORY_FILE', completes: 'file' }),
  passwordFile: text('password-file', 'FILE', 'read the password from a file', { short: 'p', environment: 'SNAP_PASSWORD_FILE', inFile: true, completes: 'file' }),
  passwordCommand: text('password-command', 'CMD', 'run a shell command that prints the password', { environment: 'SNAP_PASSWORD_COMMAND', inFile: true }),
  keyFile: text('key-file', 'FILE', 'open the repository with a key file instead of a password', { environment: 'SNAP_KEY_FILE', inFile: true, completes: 'file' }),
  cacheDir: text('cache-dir', 'DIR', 'where the local cache lives', { environment: 'SNAP_CACHE_DIR', inFile: true, completes: 'directory' }),
  config: text('config', 'FILE', 'configuration file', { environment: 'SNAP_CONFIG', completes: 'file' }),
  ...REMOTE_FLAGS,
  limitUpload: rate('limit-upload', 'upload at most RATE: KiB/s, or bytes/s with a unit such as 5M', { environment: 'SNAP_LIMIT_UPLOAD', inFile: true }),
  limitDownload: rate('limit-download', 'download at most RATE: KiB/s, or bytes/s with a unit such as 5M', { environment: 'SNAP_LIMIT_DOWNLOAD', inFile: true }),
  asOf: valued('as-of', 'TIME', 'read the repository as it was then, in a bucket that keeps versions (see snap help past)', parsePast),
  limits: LIMITS_FLAG,
  json: flag('json', 'print JSON lines for programs'),
  quiet: flag('quiet', 'print nothing but errors', { short: 'q' }),
  verbose: counted('verbose', 'say more; twice for even more', { short: 'v' }),
  progress: onUnless('progress', 'show no progress'),
};
export type GlobalValues = ValuesOf<typeof GLOBAL_FLAGS>;

/** Which snapshots a verb looks at. */
export const FILTER_FLAGS = {
  host: list('host', 'HOST', 'only snapshots of this host (may be repeated)', { short: 'H' }),
  tag: list('tag', 'TAG[,TAG]', "only snapshots with all these tags (repeated: any of them; '' means untagged)"),
  path: list('path', 'PATH', 'only snapshots that contain this source path (may be repeated)'),
  kind: choices('kind', ['full', 'incremental', 'config'], 'only snapshots of this kind (may be repeated)'),
  series: list('series', 'NAME', 'only snapshots of this series (may be repeated)'),
};
export type FilterValues = ValuesOf<typeof FILTER_FLAGS>;

/** What opens another repository: by default what opens this one. */
function fromCredentialFlags(what: string) {
  return {
    fromPasswordFile: text('from-password-file', 'FILE', `read the password of ${what} from a file`, { environment: 'SNAP_FROM_PASSWORD_FILE', completes: 'file' }),
    fromPasswordCommand: text('from-password-command', 'CMD', 'run a shell command that prints it', { environment: 'SNAP_FROM_PASSWORD_COMMAND' }),
    fromKeyFile: text('from-key-file', 'FILE', `open ${what} with a key file`, { environment: 'SNAP_FROM_KEY_FILE', completes: 'file' }),
  };
}

export const INIT_FLAGS = {
  suite: choice('suite', ['aes-256-gcm', 'chacha20-poly1305'], 'cipher of the packs (default aes-256-gcm)'),
  chunker: valued('chunker', 'SIZES', 'AVERAGE or MIN,AVERAGE,MAX of a chunk (default 64K,256K,1M)', parseChunker),
  label: text('label', 'TEXT', 'label of the first key slot'),
  from: text('from', 'LOCATION', 'make a replica of this repository: the same ID and keys, so that packs can be copied as they are'),
  newKeys: flag('new-keys', 'with --from: keys of its own; only chunk sizes and what names equal content are taken over'),
  ...fromCredentialFlags('the other repository'),
};

export const BACKUP_FLAGS = {
  kind: choice('kind', ['full', 'incremental', 'config'], 'full reads every file again (default incremental; the first is full)', { inFile: true }),
  tag: list('tag', 'TAG', 'tag of the snapshot (may be repeated, or separated by commas)', { inFile: true }),
  series: text('series', 'NAME', 'the line of snapshots that this one continues (default: by host and paths)', { inFile: true }),
  host: text('host', 'HOST', 'name of this host in the snapshot', { short: 'H', environment: 'SNAP_HOST', inFile: true }),
  description: text('description', 'TEXT', 'a sentence about the snapshot'),
  time: valued('time', 'TIME', "time of the snapshot: '2026-05-31 14:00:00', RFC 3339 or now", parseMoment),
  exclude: list('exclude', 'PATTERN', 'leave out what matches (see snap help patterns)', { short: 'e', inFile: true }),
  iexclude: list('iexclude', 'PATTERN', 'the same, upper and lower case alike', { inFile: true }),
  excludeFile: list('exclude-file', 'FILE', 'read exclude patterns from a file', { inFile: true, completes: 'file' }),
  excludeCaches: flag('exclude-caches', 'leave out folders marked with a CACHEDIR.TAG file', { inFile: true }),
  excludeIfPresent: list('exclude-if-present', 'NAME[:HEADER]', 'leave out folders that contain this file', { inFile: true }),
  excludeLargerThan: size('exclude-larger-than', 'leave out files above this size', { inFile: true }),
  oneFileSystem: flag('one-file-system', 'do not enter other file systems', { short: 'x', inFile: true }),
  filesFrom: list('files-from', 'FILE', "read paths to back up from a file, one a line, '#' starts a comment ('-' = standard input)", { completes: 'file' }),
  filesFromVerbatim: list('files-from-verbatim', 'FILE', 'the same without comments', { completes: 'file' }),
  filesFromRaw: list('files-from-raw', 'FILE', 'the same with a NUL after each path', { completes: 'file' }),
  stdin: flag('stdin', 'back up standard input as one file'),
  command: text('command', 'CMD', 'back up what a shell command prints; no snapshot when it fails'),
  stdinFilename: text('stdin-filename', 'NAME', 'file name of that stream in the snapshot (default stdin)'),
  dryRun: flag('dry-run', 'store nothing, only say what would be done (-v lists it)', { short: 'n' }),
  skipIfUnchanged: flag('skip-if-unchanged', 'make no snapshot when nothing changed', { inFile: true }),
  allowEmpty: flag('allow-empty', 'accept an empty source although the last snapshot had files', { inFile: true }),
  grouping: onUnless('grouping', 'give every chunk a frame of its own, against guessing by compressed sizes', { inFile: true }),
  ignoreInode: flag('ignore-inode', 'do not take a new inode number for a change', { inFile: true }),
  compression: valued('compression', 'LEVEL', 'fastest, auto, better, max, or a zstd level from 1 to 19 (default auto = 1)', parseCompression, { environment: 'SNAP_COMPRESSION', inFile: true }),
  readConcurrency: wholeNumber('read-concurrency', 1, 64, 'threads that read, compress and encrypt (default: one per processor)', { environment: 'SNAP_READ_CONCURRENCY', inFile: true }),
  validate: flag('validate', 'then read back what was written, and check it and the whole tree of the snapshot', { inFile: true }),
  parity: valued('parity', 'PERCENT', 'add parity to the new packs, from 1% to 50% of their size (see snap parity)', parseParityShare, { inFile: true }),
};

export const RESTORE_FLAGS = {
  ...FILTER_FLAGS,
  target: text('target', 'DIR', 'folder to restore into', { short: 't', completes: 'directory' }),
  include: list('include', 'PATTERN', 'restore only what matches (may be repeated)', { short: 'i' }),
  exclude: list('exclude', 'PATTERN', 'leave out what matches (may be repeated)', { short: 'e' }),
  overwrite: choice('overwrite', ['always', 'if-changed', 'if-newer', 'never'], 'what to do with files that are there (default always)'),
  delete: flag('delete', 'remove files at the target that the snapshot does not have'),
  dryRun: flag('dry-run', 'write nothing, only say what would be done (-v lists it)', { short: 'n' }),
  verify: flag('verify', 'read the restored files back and compare them'),
  sparse: toggle('sparse', 'make holes of all runs of zeros, not only where the source had them'),
  owner: onUnless('owner', 'leave the owner to the user who restores'),
  inPlace: flag('in-place', 'restore to the original paths; saves the present state as a snapshot first'),
  yes: flag('yes', 'answer the question of --in-place with yes', { short: 'y' }),
  readConcurrency: wholeNumber('read-concurrency', 1, 64, 'threads that decrypt and decompress (default: one per processor)', { environment: 'SNAP_READ_CONCURRENCY', inFile: true }),
};

export const SNAPSHOTS_FLAGS = {
  ...FILTER_FLAGS,
  details: flag('details', 'show sizes, parent, tags and components of each snapshot'),
  latest: wholeNumber('latest', 1, 1_000_000, 'only the newest N of each series'),
};

export const LS_FLAGS = {
  ...FILTER_FLAGS,
  long: flag('long', 'show mode, owner, size and time', { short: 'l' }),
  recursive: flag('recursive', 'list everything below PATH (always so without PATH)', { short: 'R' }),
};

export const FIND_FLAGS = {
  ...FILTER_FLAGS,
  snapshot: list('snapshot', 'SNAPSHOT', 'look only into this snapshot (may be repeated)', { short: 's' }),
  ignoreCase: flag('ignore-case', 'take upper and lower case alike', { short: 'i' }),
  type: choices('type', ['file', 'dir', 'symlink', 'other'], 'only entries of this type (may be repeated)'),
  newerThan: valued('newer-than', 'TIME', 'only entries changed at or after this time', parseMoment),
  olderThan: valued('older-than', 'TIME', 'only entries changed before this time', parseMoment),
  largerThan: size('larger-than', 'only files of at least this size'),
  smallerThan: size('smaller-than', 'only files below this size'),
  long: flag('long', 'show mode, owner, size and time', { short: 'l' }),
};

export const DIFF_FLAGS = {
  ...FILTER_FLAGS,
  metadata: flag('metadata', 'show also what differs in owner, mode, time or attributes only'),
  content: flag('content', 'read live files and compare their content, not only size and time'),
};

export const HISTORY_FLAGS = {
  ...FILTER_FLAGS,
  all: flag('all', 'show also the snapshots in which nothing changed', { short: 'a' }),
};

export const DUMP_FLAGS = {
  ...FILTER_FLAGS,
  format: choice('format', ['tar', 'zip'], 'archive format of a directory (default tar)', { short: 'f' }),
  output: text('output', 'FILE', 'write to a file instead of standard output', { short: 'o', completes: 'file' }),
};

export const STATS_FLAGS = { ...FILTER_FLAGS };

export const TRY_FLAGS = {
  at: text('at', 'DIR', 'where to make the trial repository (default a new folder below ./.snap-try)', { completes: 'directory' }),
  keep: flag('keep', 'keep the restored copy'),
};
