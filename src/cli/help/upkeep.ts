/** Texts of `snap help TOPIC` about looking after repositories. */

export const STATUS = `\
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

export const VERIFICATION = `\
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

export const REPAIR = `\
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

export const RETENTION = `\
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

export const PRUNE = `\
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

export const REPLICATION = `\
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

export const PAST = `\
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
