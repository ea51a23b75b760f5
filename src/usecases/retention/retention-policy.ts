/**
 * Decides which snapshots a retention policy keeps, with every reason (pure). Beyond the rules of a group stands what no policy
 * can break: pins, the newest snapshot of every series, and the newest one that is complete.
 *
 * Snapshots say themselves when they were made, and a writer may lie. So the rules are applied twice: to those whose time fits
 * the time of storage, and to all; what either keeps stays. Junk with false times then pushes out nothing that is honest, and a
 * history that was imported with its old times is still thinned out as everybody expects (docs/decisions/0007).
 */
import { toHex } from '../../base/bytes.ts';
import { GiB } from '../../base/units.ts';
import type { SnapshotId } from '../../format/ids.ts';
import type { Snapshot, SnapshotKind } from '../../format/snapshot.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { parseCalendarDuration } from './calendar.ts';
import { applyRules, hasRules, NO_RULES, type Calendar, type Candidate, type KeepReason, type KeepRules } from './keep-rules.ts';

export const GROUP_KEYS = ['series', 'kind', 'host', 'paths', 'tags'] as const;
export type GroupKey = (typeof GROUP_KEYS)[number];

export interface RetentionPolicy {
  /** For every snapshot, counted in its group. */
  readonly rules: KeepRules;
  /** For the snapshots of one kind, counted among those of the group; they add to the rules above. */
  readonly kinds: { readonly [Kind in SnapshotKind]?: KeepRules | undefined };
  readonly groupBy: readonly GroupKey[];
}

function within(duration: string): KeepRules {
  return { ...NO_RULES, within: { all: parseCalendarDuration(duration) } };
}

/** When nobody says anything. */
export const DEFAULT_POLICY: RetentionPolicy = {
  rules: { ...NO_RULES, counts: { daily: 7, weekly: 4, monthly: 3 } },
  kinds: { full: within('30d'), incremental: within('7d'), config: within('90d') },
  groupBy: ['series', 'kind'],
};
export const DEFAULT_MAX_BYTES: number = 50 * GiB;

export interface Decision {
  readonly record: SnapshotRecord;
  readonly keeps: boolean;
  /** Why it is kept, or why not; never empty. */
  readonly reasons: readonly string[];
  /** Kept whatever its size: pinned, tagged, or one of the last of its series. */
  readonly isAssured: boolean;
  readonly hasTrueTime: boolean;
}

/** Newest first. */
export type DecisionGroup = readonly Decision[];

const DAY_MS = 86_400_000;
/** A clock that is ahead, or a zone taken for another. */
export const EARLY_MS: number = DAY_MS;
/**
 * A record is stored at the end of its backup: a first one over a slow line, or a suspended machine, takes days. What takes
 * longer has no say in the first of the two rounds, which costs nothing; a larger bound would let junk that is written today
 * pose as that many daily snapshots.
 */
export const LATE_MS: number = 3 * DAY_MS;
/** Last moment of the calendar of JavaScript, less what arithmetic may add; times of snapshots may be anything. */
const MAX_TIME_MS = 8.64e15 - 400 * DAY_MS;

/** The time that a snapshot gives itself, ms since 1970. */
export function timeOf({ startedAt: [seconds, nanoseconds] }: Pick<Snapshot, 'startedAt'>): number {
  return Math.max(-MAX_TIME_MS, Math.min(MAX_TIME_MS, seconds * 1000 + Math.floor(nanoseconds / 1e6)));
}

export function fitsStorageTime({ snapshot, storedAt }: SnapshotRecord): boolean {
  const timeMs = timeOf(snapshot);
  return timeMs <= storedAt + EARLY_MS && timeMs >= storedAt - LATE_MS;
}

export function isPartial({ statistics }: Snapshot): boolean {
  return statistics.sourceErrors > 0;
}

/**
 * What stands for one another: snapshots of a series, but those of configuration only for their like, since they hold a part.
 */
export function lineOf({ series, kind }: Snapshot): string {
  return `${kind === 'config' ? 'config' : ''}\0${series}`;
}

/**
 * @param records oldest first: those that the policy is about
 * @param all oldest first: every valid snapshot of the repository, by which the last ones of a series are found
 * @returns groups by the age of their oldest snapshot, oldest first
 */
export function decide(records: readonly SnapshotRecord[], all: readonly SnapshotRecord[], policy: RetentionPolicy, calendar: Calendar): DecisionGroup[] {
  const lastOnes = findLastOnes(all);
  return groupRecords(records, policy.groupBy).map(group => {
    const candidates = group.map(candidateOf).reverse();
    const kept = applyPolicy(candidates, policy, calendar);
    const withTrueTimes = candidates.filter(each => each.hasTrueTime);
    const keptTrue = withTrueTimes.length === candidates.length ? kept : applyPolicy(withTrueTimes, policy, calendar);
    return candidates.map(candidate => decisionOf(candidate, lastOnes.get(candidate.record.id), kept.get(candidate), keptTrue.get(candidate)));
  });
}

interface RecordCandidate extends Candidate {
  readonly record: SnapshotRecord;
  readonly hasTrueTime: boolean;
}

function candidateOf(record: SnapshotRecord): RecordCandidate {
  const { snapshot } = record;
  return { record, timeMs: timeOf(snapshot), tags: snapshot.tags, isPartial: isPartial(snapshot), hasTrueTime: fitsStorageTime(record) };
}

function applyPolicy(candidates: readonly RecordCandidate[], { rules, kinds }: RetentionPolicy, calendar: Calendar): Map<RecordCandidate, KeepReason[]> {
  const kept = applyRules(candidates, rules, calendar);
  for (const kind of new Set(candidates.map(({ record }) => record.snapshot.kind))) {
    const own = kinds[kind] ?? NO_RULES;
    const ofKind = candidates.filter(({ record }) => record.snapshot.kind === kind);
    for (const [candidate, reasons] of applyRules(ofKind, own, calendar)) {
      kept.set(candidate, [...kept.get(candidate) ?? [], ...reasons.map(reason => ({ ...reason, text: `${kind}: ${reason.text}` }))]);
    }
    // Nobody said anything about it, so it is not meant.
    if (!hasRules(rules) && !hasRules(own)) for (const candidate of ofKind) kept.set(candidate, [{ text: 'no rule for its kind', isByTag: false }]);
  }
  return kept;
}

function decisionOf(
  { record, hasTrueTime }: RecordCandidate, lastReason: string | undefined, kept: readonly KeepReason[] = [], keptTrue: readonly KeepReason[] = [],
): Decision {
  const texts = kept.map(({ text }) => text);
  const reasons = [
    ...record.snapshot.protected ? ['pinned'] : [], ...texts, ...lastReason === undefined ? [] : [lastReason],
    ...keptTrue.filter(({ text }) => !texts.includes(text)).map(({ text }) => `${text} of those with true times`),
  ];
  const keeps = reasons.length > 0;
  return {
    record, keeps, reasons: keeps ? reasons : ['not kept by any rule'], hasTrueTime,
    isAssured: record.snapshot.protected || lastReason !== undefined || kept.some(({ isByTag }) => isByTag),
  };
}

/** By ID, with the reason. What of a series has true times is looked at apart, so that a false one stands for nobody else. */
function findLastOnes(all: readonly SnapshotRecord[]): Map<SnapshotId, string> {
  const found = new Map<SnapshotId, string>();
  const seen = new Set<string>();
  for (const record of all.toReversed()) {
    const [isComplete, isTrue] = [!isPartial(record.snapshot), fitsStorageTime(record)];
    const first = [
      { what: 'newest', isMet: true }, { what: 'newest complete', isMet: isComplete },
      { what: 'newest with a true time', isMet: isTrue }, { what: 'newest complete with a true time', isMet: isTrue && isComplete },
    ].filter(({ what, isMet }) => isMet && !seen.has(keyOf(what, record.snapshot)));
    for (const { what } of first) seen.add(keyOf(what, record.snapshot));
    if (first[0] !== undefined) found.set(record.id, `${first[0].what} of its series`);
  }
  return found;
}

function keyOf(what: string, snapshot: Snapshot): string {
  return `${what}\0${lineOf(snapshot)}`;
}

function groupRecords(records: readonly SnapshotRecord[], groupBy: readonly GroupKey[]): SnapshotRecord[][] {
  const groups = new Map<string, SnapshotRecord[]>();
  for (const record of records) {
    const key = JSON.stringify(groupBy.map(each => groupValue(record.snapshot, each)));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [record]);
    else group.push(record);
  }
  return [...groups.values()];
}

function groupValue(snapshot: Snapshot, key: GroupKey): string | readonly string[] {
  switch (key) {
    case 'series': return snapshot.series;
    case 'kind': return snapshot.kind;
    case 'host': return snapshot.host;
    case 'paths': return snapshot.components.map(({ sourcePath }) => toHex(sourcePath)).sort();
    case 'tags': return [...snapshot.tags].sort();
  }
}
