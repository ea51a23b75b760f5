/** The flags of the verbs that look after a repository. Names are a contract with scripts: add, never rename. */
import { flag, list, onUnless, size, text, valued, wholeNumber, type ValuesOf } from './flag.ts';
import { FILTER_FLAGS } from './flags.ts';
import { RETENTION_FLAGS } from './retention-flags.ts';
import { parseDuration, parseParityShare, parseUnused } from './values.ts';
import { parseLevel, parseSubset } from './verify-values.ts';

export const VERIFY_FLAGS = {
  ...FILTER_FLAGS,
  level: valued('level', 'LEVEL', 'how deep: 0 structure, 1 metadata, 2 tables, 3 sample, 4 data (default 1)', parseLevel),
  readData: flag('read-data', 'read and check the content of every pack, too: level 4'),
  readDataSubset: valued('read-data-subset', 'PART', 'read a part of it: 5%, 2G, 1/10, or longest ago first: oldest:5%, oldest:2G', parseSubset),
  coverageDays: wholeNumber('coverage-days', 1, 3650, 'days within which all data should be verified (default 35)', { inFile: true }),
  snapshot: text('snapshot', 'SNAPSHOT', 'only what this snapshot needs'),
  testRestore: flag('test-restore', 'then restore the snapshot (default latest) to a temporary place, read it back and compare it'),
  targetDir: text('target-dir', 'DIR', 'where that place is made (default the folder for temporary files)', { inFile: true, completes: 'directory' }),
  compareLive: flag('compare-live', 'say also what differs from the files that are there now'),
  readConcurrency: wholeNumber('read-concurrency', 1, 64, 'threads that decrypt and check (default: one per processor)', { environment: 'SNAP_READ_CONCURRENCY', inFile: true }),
};

const NEW_CREDENTIAL_FLAGS = {
  newPasswordFile: text('new-password-file', 'FILE', 'read the new password from a file', { environment: 'SNAP_NEW_PASSWORD_FILE', completes: 'file' }),
  newPasswordCommand: text('new-password-command', 'CMD', 'run a shell command that prints the new password', { environment: 'SNAP_NEW_PASSWORD_COMMAND' }),
  newKeyFile: text('new-key-file', 'FILE', 'write a new random key to this file and use it instead of a password', { completes: 'file' }),
};
export type NewCredentialValues = ValuesOf<typeof NEW_CREDENTIAL_FLAGS>;

export const KEY_ADD_FLAGS = {
  ...NEW_CREDENTIAL_FLAGS,
  label: text('label', 'TEXT', 'label of the new key slot'),
  writer: flag('writer', 'without the admin key: for machines that back up, and that nobody should be able to forget or prune from'),
};
export const KEY_PASSWD_FLAGS = { ...NEW_CREDENTIAL_FLAGS };
export const KEY_ROTATE_FLAGS = {
  maxBytes: size('max-bytes', 'also encrypt packs of older epochs anew, up to so many stored bytes; goes on with a rotation that is not complete'),
};

export const PARITY_FLAGS = {
  share: valued('share', 'PERCENT', 'share of the blocks of a pack that may be lost, from 1% to 50% (default 5%)', parseParityShare, { inFile: true }),
  verify: flag('verify', 'also read the parity that is there, and make it anew where it is damaged'),
  remove: flag('remove', 'remove all parity'),
  dryRun: flag('dry-run', 'store and remove nothing, only say what would be done', { short: 'n' }),
};

const REPAIR_FLAGS = {
  dryRun: flag('dry-run', 'change nothing, only say exactly what would be done and what is lost', { short: 'n' }),
  readConcurrency: wholeNumber('read-concurrency', 1, 64, 'threads that decrypt and check (default: one per processor)', { environment: 'SNAP_READ_CONCURRENCY', inFile: true }),
};

/** Another repository, and what opens it: by default what opens this one. */
const FROM_FLAGS = {
  from: text('from', 'LOCATION', 'heal from this copy of the repository, or one that shares its deduplication secret'),
  fromPasswordFile: text('from-password-file', 'FILE', 'read the password of that one from a file', { environment: 'SNAP_FROM_PASSWORD_FILE', completes: 'file' }),
  fromPasswordCommand: text('from-password-command', 'CMD', 'run a shell command that prints it', { environment: 'SNAP_FROM_PASSWORD_COMMAND' }),
  fromKeyFile: text('from-key-file', 'FILE', 'open that one with a key file', { environment: 'SNAP_FROM_KEY_FILE', completes: 'file' }),
};
export type FromValues = ValuesOf<typeof FROM_FLAGS>;

export const REPAIR_INDEX_FLAGS = { ...REPAIR_FLAGS, full: flag('full', 'read the tables of all packs, not only of those that the index lacks or contradicts') };

export const REPAIR_PACKS_FLAGS = {
  ...REPAIR_FLAGS,
  readData: flag('read-data', 'read every pack to its last frame to find what is damaged'),
  readDataSubset: valued('read-data-subset', 'PART', 'read a part of them: 5%, 2G, 1/10, oldest:5% or oldest:2G', parseSubset),
  ...FROM_FLAGS,
  emptyQuarantine: flag('empty-quarantine', 'remove the packs that earlier repairs put aside, if a check finds nothing wrong'),
};

export const REPAIR_SNAPSHOTS_FLAGS = { ...FILTER_FLAGS, ...REPAIR_FLAGS, forget: flag('forget', 'forget what was repaired, and named snapshots whose record cannot be read') };

/** How a prune frees space. */
const SPACE_FLAGS = {
  maxUnused: valued('max-unused', 'LIMIT', 'leave so much unused data in packs that are partly needed: 5%, 2G or unlimited (default 5%)', parseUnused, { inFile: true }),
  maxRepack: size('max-repack', 'store at most so many bytes of partly needed packs anew in one run', { inFile: true }),
  repackSmall: onUnless('repack-small', 'leave small packs alone instead of merging them', { inFile: true }),
  grace: valued('grace', 'DURATION', 'delete packs so long after they were condemned (default 0 in a local folder, 24h elsewhere)', parseDuration, { inFile: true }),
  wait: valued('wait', 'DURATION', 'wait so long for backups that are running, and for the grace period (default 0)', parseDuration, { inFile: true }),
};
export type SpaceValues = ValuesOf<typeof SPACE_FLAGS>;

export const PRUNE_FLAGS = {
  dryRun: flag('dry-run', 'change nothing, only say exactly what would be freed', { short: 'n' }),
  ...SPACE_FLAGS,
  closePlan: flag('close-plan', 'give up plans of prunes that died: what they condemned is usable again. Only when none of them is running'),
};

export const FORGET_FLAGS = {
  ...FILTER_FLAGS,
  ...RETENTION_FLAGS,
  dryRun: flag('dry-run', 'change nothing, only show what would be kept and why, and what a prune would then free', { short: 'n' }),
  prune: flag('prune', 'then free the space, as snap prune does', { inFile: true }),
  ...SPACE_FLAGS,
  force: flag('force', 'forget although a guard objects, or a snapshot is pinned or the last of its series'),
};

export const UNDELETE_FLAGS = { ...FILTER_FLAGS };

export const TAG_FLAGS = {
  ...FILTER_FLAGS,
  set: list('set', 'TAG', "replace all tags ('' removes them; may be repeated)"),
  add: list('add', 'TAG', 'add a tag (may be repeated)'),
  remove: list('remove', 'TAG', 'remove a tag (may be repeated)'),
};

export const PIN_FLAGS = { ...FILTER_FLAGS };

export const RECOVER_FLAGS = {
  dryRun: flag('dry-run', 'change nothing, only say what would be put back; this is so without --yes', { short: 'n' }),
  yes: flag('yes', 'put it back', { short: 'y' }),
};

export const CACHE_FLAGS = {
  remove: flag('remove', 'remove the cache of the repository given with -r (it is built again when needed)'),
  rebuild: flag('rebuild', 'remove it and build it again now'),
  acceptRollBack: flag('accept-roll-back', 'after you put back an older copy of the repository yourself: forget what this host has seen that is not there any more'),
};
