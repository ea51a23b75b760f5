/** `snap help TOPIC`: what people need at hand when there is no browser. Lists that the code knows are generated from it. */
import { EXIT_CODES } from './outcome.ts';
import { spelling, type Flag } from './flag.ts';
import { GLOBAL_FLAGS } from './flags.ts';
import { REMOTE_FLAGS } from './remote-flags.ts';
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
  azure:account/container/prefix               Azure Blob Storage
  sftp://user@host:port/path                   a server with SFTP
A path with a colon in it begins with './'. 'snap help locations' has the settings of S3, Azure and SFTP.

Name it with -r LOCATION, in SNAP_REPOSITORY, in a file named by SNAP_REPOSITORY_FILE or --repository-file, or under
'repository:' in the configuration file; the first of these counts.

Any number of machines may write into one repository at the same time, and restore from it. There are no locks to clean up.`;

/** The flags of remote repositories stand here instead of in the help of each verb. */
function locationsText(): string {
  const flags = Object.values<Flag<unknown>>(REMOTE_FLAGS).map(each => {
    const environment = each.environment === undefined ? '' : ` [${each.environment}]`;
    return [`${spelling(each)}${each.value === undefined ? '' : ` <${each.value}>`}`, each.help + environment] as const;
  });
  return [LOCATIONS, '', 'Global options, also in the configuration file:', ...formatPairs(flags).map(line => `  ${line}`)].join('\n');
}

const LOCATIONS = `\
  s3://bucket/prefix                    Amazon S3, or the server of --s3-endpoint, SNAP_S3_ENDPOINT or AWS_ENDPOINT_URL
  s3:https://host:port/bucket/prefix    another S3 server; key:secret@ before the host is possible
  azure:account/container/prefix        Azure Blob Storage, or the server of --azure-endpoint
  sftp://user@host:port/path            an SSH server; host may be an alias of ~/.ssh/config
  sftp://user@host:port/~/path          the same, below the home folder

S3 takes credentials, region and profile as the AWS tools do: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
AWS_PROFILE, AWS_REGION, ~/.aws, or the role of the machine. 'snap init' makes the bucket when it is missing. A backup needs the
rights to list, read and write; only forget, prune and repair need the right to delete. docs/guides/s3.md has the policies.
A server with a certificate of its own authority: name that in NODE_EXTRA_CA_CERTS.

Azure takes the first of AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY (of the account) and AZURE_STORAGE_SAS_TOKEN that is
set. 'snap init' makes the container when it is missing. docs/guides/azure.md has the rights.

SFTP takes keys, agent, known hosts, aliases and jump hosts as ssh does. A key with a passphrase must be in the agent. A server
that is not in ~/.ssh/known_hosts yet is refused: compare its fingerprint, then add it with ssh-keyscan, or with ssh.`;

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
open the repository, also what is stored later. 'snap key rotate' does not help against that, since the new keys stand in the
repository as well; only a new repository does. Rotation bounds how much is encrypted under one key.`;

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

const REPLICATION = `\
Keep three copies of what matters, on two media, one of them elsewhere. A replica is a repository that snapshots are copied to:

  snap -r sftp://backup@host/snap init --from /srv/backup     once; the replica has the same keys, and a password of its own
  snap -r /srv/backup replicate --to sftp://backup@host/snap --to cloud=s3://bucket/snap --verify
  snap -r /srv/backup replicate --status

How packs are copied depends on what the two have in common:
  the keys (init --from)                   packs as they are; each side can heal the other: snap repair packs --from
  what names content (... --new-keys)      everything is encrypted anew, equal content is still found
  nothing (snap init)                      the same, and every chunk and folder gets a new name

Filters, --latest and --within choose snapshots; SNAPSHOTs name them. A snapshot that the retention of the replica forgot
is not copied again, unless with --again: so the replica keeps its own time, with snap -r REPLICA forget --keep-... --prune.
Several --to: each pack is read once; a replica that fails stops only itself (exit code 3). Damage here keeps back only
the snapshots that it hits (exit code 13). Run it again after an interruption; what was copied stays.

Passwords: the same as here, or SNAP_TO_PASSWORD, --to-password-file, --to-password-command, --to-key-file; repeated, one for
each --to.`;

const KINDS = `\
Every snapshot is complete and restores by itself; the kind says how it was made.
  incremental   files that look the same as in the last snapshot (size, times, inode) are not read again. The default
  full          every file is read again. The first snapshot of a series is always full
  config        the small, often needed part: configuration
Content that is stored already is never stored twice, whatever the kind.`;

const RETENTION = `\
snap forget keeps a snapshot when at least one rule keeps it; rules count in each series and kind (--group-by).
  --keep-last N                   the newest N
  --keep-daily N, -weekly, ...    the newest of each of the last N days that have any; while there are fewer, the oldest too
  --keep-within 30d               everything so long back from the newest; 1y5m7d2h: years, months, days, hours
  --keep-within-daily 30d, ...    one a day so long
  --keep-tag T; snap pin          what has the tag; this very snapshot
  --max-size 50G                  then the oldest go until the rest fits
Days are those of local time, weeks begin on Monday. The newest snapshot of every series always stays, and so does its newest
complete one.

Without keep options: 7 daily, 4 weekly, 3 monthly, and everything within 30 days of full, 7 of incremental and 90 of config
snapshots; above 50 GiB it stops and asks for --max-size. Any keep option replaces all of that.

In the configuration file the rules of a kind stand in a section of their own and add to the others:
  forget:
    keep-daily: 7
    full: { keep-within: 90d }

Exit code 14: something looks wrong (a date in the future, nearly everything would go, the newest snapshot has shrunk).
Nothing was changed; --dry-run shows every decision and its reasons, --force goes on.
Space is freed by snap prune. Until then 'snap undelete' lists what was forgotten and brings it back.`;

const PRUNE = `\
Forgetting a snapshot frees nothing: snap prune does. It looks at every snapshot, removes packs that nothing needs, and stores
anew what is still needed of packs that are mostly unused.
  snap prune --dry-run         what would be freed, to the byte; nothing is changed
  --max-unused 5%|2G|unlimited how much unused data may stay in packs that are partly needed; less costs more work
  --max-repack 50G             store at most so much anew in one run; the next one goes on
  --wait 2h                    wait for backups that are running

Backups need not stop. What a running backup may use is not deleted before it has ended; then the next prune goes on, or this
one with --wait. A backup that was killed is given up after a day of silence, and at once when its process ran on this machine.
If it was only asleep, it stores again what is gone, and then makes its snapshot.
Except in a folder of this machine, packs are deleted 24 hours after they were condemned (--grace): the next prune does it.

Interrupting a prune is safe; the next one, on any machine, goes on. Whatever cannot be read stops it before anything is
deleted: 'snap verify' says what is hit.`;

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

const VERIFICATION = `\
snap verify only reads, never trusts the local cache, and may run beside backups and prunes. How deep it looks:
  --level 0   structure   one listing and the small objects
  --level 1   metadata    every snapshot, index segment and folder; every chunk has a place (the default)
  --level 2   tables      both tables of every pack, compared with each other and with the index
  --level 3   sample      some of the data: --read-data-subset 5%, 2G, 1/30 (part 1 of 30), oldest:5%, oldest:2G
  --level 4   data        all of it: --read-data
'oldest:' takes what was verified longest ago, or never, first: repeated every day it goes through everything. What was verified
when is kept in the repository, and every run says how much of the data that covers within --coverage-days.

  --snapshot S      what one snapshot needs
  --test-restore    restores it to a temporary place, reads it back, compares it, and removes it again;
                    --target-dir DIR says where, --compare-live also names what differs from the files that are there now
  snap backup --validate    reads back what the backup has just written

Exit codes: 0 no damage (warnings are possible), 13 damage, 1 could not be found out, as with objects of a newer version,
3 a test restore could not try everything here. Every finding names the files and snapshots hit and what to do next.`;

const REPAIR = `\
When 'snap verify' finds damage: restore what you need now ('snap restore' restores all that is whole and names the rest), look
whether disk or memory are at fault, and then, in this order:
  snap verify --read-data           to know all of it
  snap repair index                 if the index is damaged or gone; a damaged segment stops backups
  snap repair packs                 saves what is whole of damaged packs, heals what it can, puts the packs into quarantine
       --from LOCATION              heals from a copy of the repository as well, usually without any loss
  snap backup ...                   stores again what the sources still have, which heals older snapshots, too
  snap repair snapshots --forget    what is lost for good: new snapshots that say exactly what is missing replace the old ones
  snap repair packs --empty-quarantine, snap prune

Each takes --dry-run. No repair changes an object, or removes anything before what replaces it is stored and read back; what is
lost is named before. Interrupting one is safe: run it again. Backups may go on meanwhile. Beside an unfinished prune no repair
begins (exit code 11): run 'snap prune', or 'snap prune --close-plan'.

Exit codes: 0 all is well, 13 something stays lost and is named, 3 something could not be done yet, and the message says what.
The objects 'config', 'keyring/' and 'keys/' cannot be made again by anybody: keep a copy of these few kilobytes.`;

const CONFIGURATION = `\
snap reads one YAML file: the one of --config or SNAP_CONFIG, else ./snap.yaml, ~/.config/snap/snap.yaml or
/etc/snap/snap.yaml, the first that exists. Flags and environment variables count more than the file.

  repository: /srv/backup
  password-file: /etc/snap/password
  backup:
    exclude: [node_modules, '*.tmp']
    exclude-caches: true
    tag: [daily]

Limits may depend on the hour (see snap help limits). Keys are the long names of flags: global ones at the top, those of a verb
in a section named after it. Paths count from the
folder of the file. An unknown key is an error that names its line. A ./snap.yaml that belongs to another user is refused.`;

const LIMITS = `\
--limit-upload RATE and --limit-download RATE bound the bytes per second of the whole run, over all connections. A bare number
counts KiB/s; 5M or 5MiB/s are bytes with a unit. In the configuration file they may depend on the hour:

  limit-upload: 10M          outside the hours below; left out: no limit
  limits:
    - days: mon-fri          or sat,sun, or one day; left out: every day
      from: 08:00            until before 'to', by the clock of this machine; 22:00 to 06:00 goes over midnight
      to: 18:00
      upload: 1M             or unlimited; download likewise

Of the periods that hold, the first that names a direction counts. A run follows the timetable while it goes on. A flag, or
SNAP_LIMIT_UPLOAD and SNAP_LIMIT_DOWNLOAD, count at every hour. --concurrency N is how many requests go at once (default 16).`;

const STATUS = `\
'snap status' says within a second whether all is as it should be; exit code 0: yes, 1: a warning, 2: critical. With --json one
line for monitors. It reads no pack and no tree. A repository that cannot be opened is critical.

  freshness     each series has a snapshot of the last --max-age (26h); critical from --critical-age on (three times that)
  size          no newest snapshot holds less than half of what is usual
  roll-back     all that this host has seen is still there
  damage        no damage is known
  verification  what is older than --coverage-days (35) was verified within them
  space         the disk is less than --max-used (85%) full; critical from --critical-used on (95%)
  replicas      all are up to date; --replicas looks at them, too
  3-2-1         three copies with the original, on two media, one off-site (--no-three-two-one does not ask)

All options may stand in the section 'status' of the configuration file. Where the location does not tell the truth about medium
and place, say it there:
  status:
    places:
      - location: /mnt/nas/backup
        medium: nas
        off-site: true`;

const PAST = `\
Where a bucket of S3 keeps versions, nothing that was removed or overwritten is gone at once:

  snap snapshots --as-of '2026-05-31 14:00'                     the snapshots that there were then
  snap restore latest --target DIR --as-of '2026-05-31 14:00'   restores from them; ls, find, dump, verify ... likewise
  snap recover --as-of '2026-05-31 14:00'                       says what was removed or replaced since
  snap recover --as-of '2026-05-31 14:00' --yes                 puts it back

--as-of reads only, and needs the right to list and read versions. The passwords of that time open it. 'recover' makes old
versions the current ones; what was added since stays, but for markers that would forget the snapshots again. Stop every backup,
prune and replication before. Afterwards: snap repair index, snap verify --read-data, snap cache --accept-roll-back (each host).

With --s3-object-lock governance|compliance, in a bucket with Object Lock, nobody can remove the bytes of what stays for
--s3-object-lock-days (30). 'snap lock' extends the locks of what is needed still: run it at least every half of these days.
docs/guides/ransomware.md is about attackers who delete.`;

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
  { name: 'locations', summary: 'S3, Azure and SFTP: addresses, credentials, settings', text: locationsText },
  { name: 'passwords', summary: 'passwords, key files and key slots', text: () => PASSWORDS },
  { name: 'snapshots', summary: 'how to name snapshots', text: () => SNAPSHOT_NAMES },
  { name: 'patterns', summary: 'what to leave out or select', text: () => PATTERNS },
  { name: 'verification', summary: 'how deep snap verify looks, and what to run when', text: () => VERIFICATION },
  { name: 'status', summary: 'whether all is as it should be, for people and monitors', text: () => STATUS },
  { name: 'repair', summary: 'from damage to a clean repository', text: () => REPAIR },
  { name: 'replication', summary: 'copies at other places', text: () => REPLICATION },
  { name: 'kinds', summary: 'full, incremental and config snapshots', text: () => KINDS },
  { name: 'retention', summary: 'which snapshots to keep', text: () => RETENTION },
  { name: 'prune', summary: 'freeing space, and what it waits for', text: () => PRUNE },
  { name: 'configuration', summary: 'the file snap.yaml', text: () => CONFIGURATION },
  { name: 'limits', summary: 'bytes per second, and at which hours', text: () => LIMITS },
  { name: 'past', summary: 'what a bucket with versions held earlier, and how to get it back', text: () => PAST },
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
