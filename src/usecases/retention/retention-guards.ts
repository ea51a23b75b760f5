/** Reasons not to forget what a policy says: signs that something else is wrong (pure). One run that is wrong can cost everything. */
import { formatCount, formatSize } from '../../base/units.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import { EARLY_MS, isPartial, lineOf, timeOf, type DecisionGroup, type GroupKey } from './retention-policy.ts';

export interface GuardOptions {
  readonly nowMs: number;
  /** Share of a group, 0 to 1, that one run may forget; by default 95 %, and small numbers do not matter. */
  readonly maxForgetShare?: number | undefined;
  readonly groupBy: readonly GroupKey[];
}

const DEFAULT_SHARE = 0.95;
/** By default up to so many may always go: a new policy on a short history forgets most of it, and rightly. */
const HARMLESS = 30;
/** Earlier snapshots that the newest is compared with, and what they must hold to mean anything. */
const COMPARED = 5;
const LEAST_FILES = 100;
const LEAST_BYTES = 10 * 2 ** 20;

/** One sentence each. `all` oldest first: every valid snapshot of the repository. */
export function findObjections(groups: readonly DecisionGroup[], all: readonly SnapshotRecord[], options: GuardOptions): string[] {
  return [...futureObjections(groups, options), ...shareObjections(groups, options), ...shrinkObjections(groups, all)];
}

function futureObjections(groups: readonly DecisionGroup[], { nowMs }: GuardOptions): string[] {
  const ahead = groups.flat().map(({ record }) => record).filter(({ snapshot, storedAt }) => timeOf(snapshot) > Math.min(nowMs, storedAt) + EARLY_MS);
  if (ahead.length === 0) return [];
  const [{ id, snapshot }] = ahead as [SnapshotRecord];
  const which = ahead.length === 1 ? `Snapshot '${id}' is dated` : `${formatCount(ahead.length)} snapshots are dated`;
  const first = `${new Date(timeOf(snapshot)).toISOString().slice(0, 10)}${ahead.length === 1 ? '' : `, '${id}'`}`;
  return [`${which} in the future (${first}): was a clock wrong?`];
}

function shareObjections(groups: readonly DecisionGroup[], { maxForgetShare, groupBy }: GuardOptions): string[] {
  const share = maxForgetShare ?? DEFAULT_SHARE;
  return groups.flatMap(group => {
    const removed = group.filter(({ keeps }) => !keeps).length;
    if (removed <= share * group.length || (maxForgetShare === undefined && removed <= HARMLESS)) return [];
    return [`${formatCount(removed)} of ${formatCount(group.length)} snapshots of ${describeGroup(group, groupBy)} would go, more than ${Math.round(share * 1000) / 10} %`];
  });
}

/** Of a series that loses snapshots: when the newest one is only a rest, the older ones may be all that is left. */
function shrinkObjections(groups: readonly DecisionGroup[], all: readonly SnapshotRecord[]): string[] {
  const lines = new Map(groups.flat().filter(({ keeps }) => !keeps).map(({ record }): [string, SnapshotRecord[]] => [lineOf(record.snapshot), []]));
  for (const record of all) lines.get(lineOf(record.snapshot))?.push(record);
  return [...lines.values()].flatMap(records => shrinkObjection(records) ?? []);
}

/** @param records at least one, all of a series, oldest first. Undefined when the newest is about as large as those before it */
export function shrinkObjection(records: readonly SnapshotRecord[]): string | undefined {
  const [newest, ...earlier] = records.toReversed() as [SnapshotRecord, ...SnapshotRecord[]];
  const compared = earlier.map(({ snapshot }) => snapshot)
    .filter(snapshot => !isPartial(snapshot) && (snapshot.statistics.files >= LEAST_FILES || snapshot.statistics.bytes >= LEAST_BYTES)).slice(0, COMPARED);
  if (compared.length === 0) return undefined;
  const { files, bytes } = newest.snapshot.statistics;
  const usual = { files: median(compared.map(each => each.statistics.files)), bytes: median(compared.map(each => each.statistics.bytes)) };
  if (2 * files >= usual.files && 2 * bytes >= usual.bytes) return undefined;
  return `The newest snapshot of series '${newest.snapshot.series}', '${newest.id}', holds only ${formatCount(files)} files with ${formatSize(bytes)}, `
    + `where ${formatCount(usual.files)} files with ${formatSize(usual.bytes)} are usual`;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

/** `series 'x', kind full`: what the snapshots of a group have in common, as far as it is short. */
export function describeGroup([first]: DecisionGroup, groupBy: readonly GroupKey[]): string {
  if (first === undefined || groupBy.length === 0) return 'the repository';
  const { series, kind, host, tags } = first.record.snapshot;
  const names = { series: `series '${series}'`, kind: `kind ${kind}`, host: `host '${host}'`, tags: `tags '${tags.join(',')}'`, paths: `the paths of '${series}'` };
  return groupBy.map(key => names[key]).join(', ');
}
