/** Texts of `snap help TOPIC` about backups, and what they need. */

export const FIRST_BACKUP = `\
  snap try ~/Documents            a trial: backs up, verifies, restores, compares, and tells you what it did

  export SNAP_REPOSITORY=/srv/backup
  snap init                       asks for a new password; keep it well
  snap backup ~/Documents
  snap snapshots
  snap restore latest --target /tmp/restored
  snap verify --read-data`;

export const REPOSITORIES = `\
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

export const LOCATIONS = `\
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

export const PASSWORDS = `\
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

export const SNAPSHOT_NAMES = `\
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

export const PATTERNS = `\
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

export const KINDS = `\
Every snapshot is complete and restores by itself; the kind says how it was made.
  incremental   files that look the same as in the last snapshot (size, times, inode) are not read again. The default
  full          every file is read again. The first snapshot of a series is always full
  config        the small, often needed part: configuration
Content that is stored already is never stored twice, whatever the kind.`;

export const CONFIGURATION = `\
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

export const LIMITS = `\
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

export const JSON_LINES = `\
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

export const CRASH_SAFETY = `\
You may interrupt snap at any time: Ctrl-C, SIGTERM, a crash, a power cut, a lost connection. The repository stays
consistent, because the snapshot is written last, after everything that it needs is durable.
A backup that was interrupted left no snapshot, but what it stored is found again: the next run continues from there.
A restore that was interrupted continues when it is run again; files that are complete are not written again.
The first Ctrl-C ends cleanly, a second one at once. Both are safe.
'snap verify' checks the structure, 'snap verify --read-data' every stored byte; exit code 13 means damage.`;
