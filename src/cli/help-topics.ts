/** `snap help TOPIC`: what people need at hand when there is no browser. Lists that the code knows are generated from it. */
import { EXIT_CODES } from './outcome.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import { formatPairs } from './text-table.ts';
import type { Verb } from './verb.ts';

interface Topic {
  readonly name: string;
  readonly summary: string;
  readonly text: (verbs: readonly Verb[]) => string;
}

const REPOSITORIES = `\
A repository is everything at one location: packs with your data, the index, snapshots and keys, all encrypted.

Locations:
  /srv/backup                                  a folder
  s3://bucket/prefix                           Amazon S3, or the server of --s3-endpoint
  s3:https://host:port/bucket/prefix           another S3 server
  sftp://user@host:port/path                   a server with SFTP
A path with a colon in it begins with './'. This version opens folders only and refuses the others with a message.

Name it with -r LOCATION, in SNAP_REPOSITORY, in a file named by SNAP_REPOSITORY_FILE or --repository-file, or under
'repository:' in the configuration file; the first of these counts. S3 takes its credentials from AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_PROFILE.

Any number of machines may write into one repository at the same time, and restore from it. There are no locks to clean up.`;

const PASSWORDS = `\
The password opens a key slot, and the key slot opens the repository. Without any password or key file nobody can read the
repository, and nobody can recover it: keep one at another place than the machine you back up.

A password is never given on the command line, where other users could see it. It comes from, first found first taken:
  --password-file FILE, --password-command CMD, --key-file FILE
  SNAP_PASSWORD, SNAP_PASSWORD_FILE, SNAP_PASSWORD_COMMAND, SNAP_KEY_FILE
  password-file, password-command or key-file in the configuration file
  a question on the terminal; without a terminal the run ends with exit code 2
A password is one line of text; the line break at the end of a file or of the output of a command does not count.
--password-file /dev/fd/3 reads from an open descriptor. The command is run by the shell.

  snap key list                 shows the key slots
  snap key add                  adds a password, for another person or machine
  snap key add --new-key-file F makes a key file of 32 random bytes instead
  snap key passwd               changes the password that you opened the repository with
  snap key remove SLOT          removes one
SNAP_NEW_PASSWORD, SNAP_NEW_PASSWORD_FILE and SNAP_NEW_PASSWORD_COMMAND answer for the new password.
Changing a password does not encrypt the data again: whoever copied the old key slot and knows the old password can still
read what was stored until then.`;

const SNAPSHOT_NAMES = `\
Wherever a snapshot is asked for, these name one:
  1f4c9a2e...      its whole id
  1f4c             the first 4 or more digits, when only one snapshot begins with them
  latest           the newest
  latest~2         the one two before the newest
  latest:/etc      a path in it (restore, ls, diff)

Filters narrow down which snapshots are meant, for 'latest' too:
  --host H --series S --kind K --path P      repeated: any of them
  --tag a,b                                  both tags; repeated: any of the groups; --tag '' means untagged
  --path P                                   snapshots whose sources contain the path

A series is a line of snapshots of the same thing. Without --series it follows from host and paths.`;

const PATTERNS = `\
A pattern is a path; each of its parts may contain
  *        any characters, but no slash
  ?        one character
  [a-z]    one of these, [!a-z] one of all others
  **       as a whole part: any number of parts, also none
  \\        takes the next character as it is

  node_modules      everything of that name, anywhere, with all below it
  /home/*/.cache    begins with a slash: counted from the root
  a/b               whole parts only, anywhere: matches /x/a/b, not /x/aa/b
  *.tmp/            ends with a slash: folders only
  cache/**          everything inside, but not the folder itself
  !keep.tmp         takes back what an earlier pattern matched; the last match counts
What lies below a folder that is left out cannot be taken back.

In the file of --exclude-file each line is a pattern; empty lines and lines that begin with '#' do not count, $NAME stands for
an environment variable and $$ for a dollar sign.
--iexclude takes upper and lower case alike.
--exclude-if-present NAME leaves out folders that contain NAME; NAME:HEADER only if that file begins with HEADER.
--exclude-caches leaves out folders with a valid CACHEDIR.TAG (https://bford.info/cachedir/).
The repository and the cache of the run itself are always left out.
See what would be taken with: snap backup --dry-run -vv PATH`;

const KINDS = `\
Every snapshot is complete and restores by itself; the kind says how it was made.
  incremental   files that look the same as in the last snapshot (size, times, inode) are not read again. The default
  full          every file is read again. The first snapshot of a series is always full
  config        the small, often needed part: configuration
Content that is stored already is never stored twice, whatever the kind.`;

const JSON_LINES = `\
With --json standard output has one JSON object a line, each with a field 'message_type':
  status          progress about every second, not with --no-progress or -q
  verbose_status  one entry, with -v
  error           a problem with one entry; the run goes on
  damage          damage found in the repository
  summary         the end of a backup, restore or check; 'exit_code' repeats the exit code
  exit_error      the run failed: 'code' is the exit code, 'message', 'error_code', 'hint'
  snapshot, node, match, change, version, stats, key, ...   answers of the other verbs
Times are RFC 3339, sizes are bytes. Fields are only ever added; ignore what you do not know.
A name that is not UTF-8 appears with its odd bytes as \\xNN and backslashes doubled, and whole in base64 in the field of
the same name with '_bytes' at its end. docs/events.md lists every field.`;

const CRASH_SAFETY = `\
You may interrupt snap at any time: Ctrl-C, SIGTERM, a crash, a power cut, a lost connection. The repository stays
consistent, because the snapshot is written last, after everything that it needs is durable.
A backup that was interrupted left no snapshot, but what it stored is found again: the next run continues from there.
A restore that was interrupted continues when it is run again; files that are complete are not written again.
The first Ctrl-C ends cleanly, a second one at once. Both are safe.
'snap verify' checks the structure, 'snap verify --read-data' every stored byte; exit code 13 means damage.`;

const CONFIGURATION = `\
snap reads one YAML file: the one of --config or SNAP_CONFIG, else ./snap.yaml, ~/.config/snap/snap.yaml or
/etc/snap/snap.yaml, the first that exists. Flags and environment variables count more than the file.

  repository: /srv/backup
  password-file: /etc/snap/password
  backup:
    exclude: [node_modules, '*.tmp']
    exclude-caches: true
    tag: [daily]

Keys are the long names of flags: global ones at the top, those of a verb in a section named after it. Paths count from the
folder of the file. An unknown key is an error that names its line. A ./snap.yaml that belongs to another user is refused.`;

const FIRST_BACKUP = `\
  snap try ~/Documents            a trial: backs up, verifies, restores, compares, and tells you what it did

  export SNAP_REPOSITORY=/srv/backup
  snap init                       asks for a new password; keep it well
  snap backup ~/Documents
  snap snapshots
  snap restore latest --target /tmp/restored
  snap verify --read-data`;

export const TOPICS: readonly Topic[] = [
  { name: 'first-backup', summary: 'from nothing to a restored backup', text: () => FIRST_BACKUP },
  { name: 'repositories', summary: 'where backups go', text: () => REPOSITORIES },
  { name: 'passwords', summary: 'passwords, key files and key slots', text: () => PASSWORDS },
  { name: 'snapshots', summary: 'how to name snapshots', text: () => SNAPSHOT_NAMES },
  { name: 'patterns', summary: 'what to leave out or select', text: () => PATTERNS },
  { name: 'kinds', summary: 'full, incremental and config snapshots', text: () => KINDS },
  { name: 'configuration', summary: 'the file snap.yaml', text: () => CONFIGURATION },
  { name: 'environment', summary: 'environment variables', text: environmentText },
  { name: 'exit-codes', summary: 'what a script can rely on', text: exitCodesText },
  { name: 'json', summary: 'output for programs', text: () => JSON_LINES },
  { name: 'crash-safety', summary: 'what happens when a run is interrupted', text: () => CRASH_SAFETY },
  { name: 'topics', summary: 'this list', text: topicsText },
];

export function topicText(name: string, verbs: readonly Verb[]): string | undefined {
  return TOPICS.find(topic => topic.name === name)?.text(verbs);
}

function topicsText(): string {
  return ["Topics for 'snap help TOPIC':", ...formatPairs(TOPICS.map(topic => [topic.name, topic.summary])).map(line => `  ${line}`)].join('\n');
}

function exitCodesText(): string {
  const lines = EXIT_CODES.map(([code, meaning]) => `${String(code).padStart(5)}  ${meaning}`);
  return ['Exit codes. Take any other code for a failure.', ...lines].join('\n');
}

function environmentText(verbs: readonly Verb[]): string {
  const flags = [...Object.values(GLOBAL_FLAGS), ...verbs.flatMap(verb => Object.values(verb.flags))];
  const variables = new Map<string, string>([
    ['SNAP_PASSWORD', 'the password'],
    ['SNAP_NEW_PASSWORD', 'the new password, for snap key add and snap key passwd'],
  ]);
  for (const each of flags) if (each.environment !== undefined) variables.set(each.environment, `like --${each.name}`);
  return [
    'Environment variables; flags count more:', ...formatPairs([...variables]).map(line => `  ${line}`), '',
    'Also honoured: AWS_ENDPOINT_URL and the other AWS names, XDG_CONFIG_HOME, XDG_CACHE_HOME, CACHE_DIRECTORY (systemd), TMPDIR,',
    'NO_COLOR.',
  ].join('\n');
}
