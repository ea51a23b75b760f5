/** From facts and thresholds to what is wrong (pure). Every check says something, also that all is well. */
import { formatCount, formatDuration, formatSize } from '../../base/units.ts';
import { coveredShare } from '../verify/verify-coverage.ts';
import { isCurrent } from './copies.ts';
import type { CheckName, StatusCheck, StatusFacts, StatusLevel } from './status-report.ts';

export interface StatusThresholds {
  /** Age of the newest snapshot of each series from which on it is a warning, and critical; milliseconds. */
  readonly maxAgeMs: number;
  readonly criticalAgeMs: number;
  readonly minSnapshots: number;
  /** Used share of the disk of the repository, 0 to 1. */
  readonly maxUsed: number;
  readonly criticalUsed: number;
  readonly maxReplicaAgeMs: number;
  /** Whether the rule 3-2-1 is to be kept. */
  readonly expectsThreeTwoOne: boolean;
}

const HOUR_MS = 60 * 60 * 1000;

export const DEFAULT_THRESHOLDS: StatusThresholds = {
  maxAgeMs: 26 * HOUR_MS, criticalAgeMs: 3 * 26 * HOUR_MS, minSnapshots: 1, maxUsed: 0.85, criticalUsed: 0.95,
  maxReplicaAgeMs: 8 * 24 * HOUR_MS, expectsThreeTwoOne: true,
};

/** A prune waits a day for the grace period and for dead sessions; after so long it does not go on by itself. */
const STUCK_PLAN_MS = 7 * 24 * HOUR_MS;
/** Names in one message. */
const SHOWN = 3;

export function checksOf(facts: StatusFacts, thresholds: StatusThresholds): StatusCheck[] {
  return [
    { name: 'reachable', level: 'ok', message: 'The repository can be opened and listed' },
    snapshotCheck(facts, thresholds), freshnessCheck(facts, thresholds), sizeCheck(facts), rollbackCheck(facts), damageCheck(facts), verificationCheck(facts),
    spaceCheck(facts, thresholds), pruneCheck(facts), replicaCheck(facts, thresholds), copiesCheck(facts, thresholds),
  ];
}

function snapshotCheck({ snapshots }: StatusFacts, { minSnapshots }: StatusThresholds): StatusCheck {
  const count = `${formatCount(snapshots)} ${snapshots === 1 ? 'snapshot' : 'snapshots'}`;
  if (snapshots >= minSnapshots && snapshots > 0) return good('snapshots', `There ${snapshots === 1 ? 'is' : 'are'} ${count}`);
  if (snapshots === 0) return { name: 'snapshots', level: 'critical', message: 'There is no snapshot', hint: 'Run `snap backup`' };
  return { name: 'snapshots', level: 'warning', message: `There ${snapshots === 1 ? 'is' : 'are'} only ${count}, not ${formatCount(minSnapshots)}`, hint: 'Look at the retention policy, and at the log of the backups' };
}

function freshnessCheck({ series, at }: StatusFacts, { maxAgeMs, criticalAgeMs }: StatusThresholds): StatusCheck {
  const late = series.filter(each => at - each.newestAt > maxAgeMs).sort((a, b) => a.newestAt - b.newestAt);
  const [latest] = late;
  if (latest === undefined) {
    const oldest = Math.max(0, ...series.map(each => at - each.newestAt));
    return good('freshness', series.length === 0 ? 'There is no series to look at' : `The newest snapshot of every series is at most ${formatDuration(oldest)} old`);
  }
  const level: StatusLevel = at - latest.newestAt > criticalAgeMs ? 'critical' : 'warning';
  const names = shown(late.map(each => `'${each.series}' (${formatDuration(at - each.newestAt)})`));
  return {
    name: 'freshness', level, message: `The newest snapshot is older than ${formatDuration(maxAgeMs)} in ${late.length === 1 ? 'series' : `${late.length} series:`} ${names}`,
    hint: 'See why no backup was made; a series that has ended is left out with --ignore-series or forgotten',
  };
}

function sizeCheck({ shrunken }: StatusFacts): StatusCheck {
  if (shrunken.length === 0) return good('size', 'No newest snapshot is suspiciously small');
  return { name: 'size', level: 'warning', message: shown(shrunken, '; '), hint: 'See whether its sources were mounted and complete' };
}

function rollbackCheck({ rollback, unsignedDocuments }: StatusFacts): StatusCheck {
  if (rollback.length > 0) {
    return {
      name: 'roll-back', level: 'critical', message: rollback.join('; '),
      hint: 'If you did not put back an older copy of the repository yourself, somebody may be hiding what is newer: see docs/guides/ransomware.md',
    };
  }
  if (unsignedDocuments.length === 0) return good('roll-back', 'Everything that this host has seen is there');
  return {
    name: 'roll-back', level: 'warning', message: `No admin key signed ${shown(unsignedDocuments.map(name => `'${name}'`))}`,
    hint: 'They are ignored. Somebody without the admin key can write to the storage: see docs/guides/ransomware.md',
  };
}

function damageCheck({ unreadableSnapshots, coverage, gcError }: StatusFacts): StatusCheck {
  const found = [
    ...gcError === undefined ? [] : [gcError],
    ...unreadableSnapshots.length === 0 ? [] : [`${counted(unreadableSnapshots.length, 'snapshot')} cannot be read: ${shown(unreadableSnapshots)}`],
    ...coverage.packsDamaged === 0 ? [] : [`the last checks found damage in ${counted(coverage.packsDamaged, 'pack')}`],
  ];
  if (found.length === 0) return good('damage', 'No damage is known');
  return { name: 'damage', level: 'critical', message: capital(found.join('; ')), hint: 'Run `snap verify`; docs/guides/recovery.md leads on' };
}

function verificationCheck({ coverage, lastVerifiedAt, overduePacks, overdueBytes, at }: StatusFacts): StatusCheck {
  const share = `${percent(coveredShare(coverage))} of the data verified within ${coverage.days} days`;
  const last = lastVerifiedAt === undefined ? 'never verified' : `last verified ${formatDuration(Math.max(0, at - lastVerifiedAt))} ago`;
  if (overduePacks === 0) return good('verification', `${capital(last)}; ${share}`);
  return {
    name: 'verification', level: 'warning',
    message: `${counted(overduePacks, 'pack')} (${formatSize(overdueBytes)}) stored more than ${coverage.days} days ago ${overduePacks === 1 ? 'was' : 'were'} not verified since; ${last}; ${share}`,
    hint: 'Run `snap verify --read-data-subset oldest:5%` regularly',
  };
}

function spaceCheck({ space }: StatusFacts, { maxUsed, criticalUsed }: StatusThresholds): StatusCheck {
  if (space === undefined) return good('space', 'The storage tells no limit');
  const used = space.totalBytes === 0 ? 0 : 1 - space.freeBytes / space.totalBytes;
  const message = `${percent(used)} of ${formatSize(space.totalBytes)} are used, ${formatSize(space.freeBytes)} are free`;
  const level: StatusLevel = used >= criticalUsed ? 'critical' : used >= maxUsed ? 'warning' : 'ok';
  return { name: 'space', level, message, hint: level === 'ok' ? undefined : 'Make room: `snap forget --prune` with a shorter policy, or a larger disk' };
}

function pruneCheck({ unfinishedPlans, forgottenSincePrune, pendingBytes, at }: StatusFacts): StatusCheck {
  const stuck = unfinishedPlans.filter(({ since }) => since !== undefined && at - since > STUCK_PLAN_MS);
  if (stuck.length > 0) {
    return { name: 'prune', level: 'warning', message: `The prune of plan ${stuck.map(({ number }) => number).join(', ')} has not ended for a week`, hint: 'Run `snap prune`; it says what it waits for' };
  }
  const parts = [
    ...forgottenSincePrune === 0 ? [] : [`${counted(forgottenSincePrune, 'snapshot')} forgotten since the last prune`],
    ...unfinishedPlans.length === 0 ? [] : [`${formatSize(pendingBytes)} condemned, to be deleted by the next prune`],
  ];
  return good('prune', parts.length === 0 ? 'Nothing waits for a prune' : capital(parts.join('; ')));
}

function replicaCheck({ replicas, at }: StatusFacts, { maxReplicaAgeMs }: StatusThresholds): StatusCheck {
  if (replicas.length === 0) return good('replicas', 'There are no replicas');
  const bad = replicas.flatMap(replica => {
    const { record, lag, look } = replica;
    if (look !== undefined && 'error' in look) return [`'${record.location}' cannot be looked at: ${look.error}`];
    if (look !== undefined && look.missing > 0) return [`'${record.location}' does not hold ${counted(look.missing, 'snapshot')} that the record says it has`];
    if (!isCurrent(replica, { at, maxReplicaAgeMs })) return [`'${record.location}' lacks ${counted(lag.snapshots, 'snapshot')}${record.succeededAt === undefined ? ' and was never completed' : `, last completed ${formatDuration(at - record.succeededAt)} ago`}`];
    return record.error === undefined ? [] : [`the last replication to '${record.location}' failed: ${record.error.message}`];
  });
  if (bad.length === 0) return good('replicas', replicas.length === 1 ? 'The replica is up to date' : `All ${replicas.length} replicas are up to date`);
  return { name: 'replicas', level: 'warning', message: capital(bad.join('; ')), hint: 'Run `snap replicate`, and see that its schedule works' };
}

function copiesCheck({ copies }: StatusFacts, { expectsThreeTwoOne }: StatusThresholds): StatusCheck {
  const sum = `${copies.copies} copies on ${counted(copies.media, 'medium', 'media')}, ${copies.offSite} off-site`;
  if (copies.isMet) return good('3-2-1', `${capital(sum)}`);
  const message = `${capital(copies.lacking.join('; '))} (${sum})`;
  return expectsThreeTwoOne ? { name: '3-2-1', level: 'warning', message, hint: 'Add a replica elsewhere with `snap replicate`; places are described in the configuration (snap help status)' } : good('3-2-1', message);
}

function good(name: CheckName, message: string): StatusCheck {
  return { name, level: 'ok', message };
}

function percent(share: number): string {
  // Never 100 % while something is missing.
  return `${Math.floor(share * 100)} %`;
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}

function shown(names: readonly string[], separator = ', '): string {
  const more = names.length - SHOWN;
  return names.slice(0, SHOWN).join(separator) + (more > 0 ? `${separator}and ${more} more` : '');
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
