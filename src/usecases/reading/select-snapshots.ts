/** Finds snapshots by name and by filters, as people write them on a command line. */
import { equalBytes, utf8, type Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import type { SnapshotKind } from '../../format/snapshot.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { loadSnapshots, type SnapshotListing, type SnapshotRecord, type UnreadableSnapshot } from '../../repository/snapshots.ts';
import { pathNames, pathOfNames } from '../path-bytes.ts';

/** Every given field must fit; within a field one of its values. An absent or empty field fits everything. */
export interface SnapshotFilter {
  readonly host?: readonly string[] | undefined;
  /** Each list is a set of tags that must all be there (`--tag a,b`); the empty tag stands for "no tags". */
  readonly tags?: readonly (readonly string[])[] | undefined;
  /** A component with exactly this source path. */
  readonly paths?: readonly (string | Bytes)[] | undefined;
  readonly kind?: readonly SnapshotKind[] | undefined;
  readonly series?: readonly string[] | undefined;
}

const MIN_PREFIX = 4;
/** Candidates that a message names. */
const SHOWN = 5;
const LATEST = /^latest(?:~(\d{1,9}))?$/;

/**
 * Valid snapshots that fit, oldest first. Records that cannot be read are left out, since they must not hide the others;
 * `onUnreadable` is told of each.
 */
export async function listSnapshots(
  repository: OpenRepository, filter: SnapshotFilter = {}, options: CallOptions & { readonly onUnreadable?: (snapshot: UnreadableSnapshot) => void } = {},
): Promise<SnapshotRecord[]> {
  const { snapshots, unreadable } = await loadSnapshots(repository, options);
  for (const each of unreadable) options.onUnreadable?.(each);
  return filterSnapshots(snapshots, filter);
}

export function filterSnapshots<Found extends Pick<SnapshotRecord, 'snapshot'>>(records: readonly Found[], filter: SnapshotFilter): Found[] {
  const paths = filter.paths?.map(path => normalizePath(typeof path === 'string' ? utf8(path) : path));
  return records.filter(({ snapshot }) => isOneOf(filter.host, snapshot.host) && isOneOf(filter.kind, snapshot.kind)
    && isOneOf(filter.series, snapshot.series) && fitsTags(filter.tags, snapshot.tags)
    && (isAbsent(paths) || paths.some(path => snapshot.components.some(component => equalBytes(normalizePath(component.sourcePath), path)))));
}

function isAbsent<T>(values: readonly T[] | undefined): values is undefined {
  return values === undefined || values.length === 0;
}

function isOneOf<T>(values: readonly T[] | undefined, value: T): boolean {
  return isAbsent(values) || values.includes(value);
}

function fitsTags(sets: SnapshotFilter['tags'], tags: readonly string[]): boolean {
  if (isAbsent(sets)) return true;
  return sets.some(set => {
    const wanted = set.filter(tag => tag !== '');
    return wanted.length === 0 ? tags.length === 0 : wanted.every(tag => tags.includes(tag));
  });
}

function normalizePath(path: Bytes): Bytes {
  return pathOfNames(pathNames(path));
}

/**
 * The one snapshot that a name stands for: `latest` and `latest~N` among those that fit the filter, a full ID or a unique
 * prefix of at least 4 digits among all.
 * @throws SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS; the error of a record that cannot be read and that is meant, or may be
 */
export async function resolveSnapshot(
  repository: OpenRepository, name: string, filter: SnapshotFilter = {}, options: CallOptions = {},
): Promise<SnapshotRecord> {
  return resolveIn(await loadSnapshots(repository, options), name, filter);
}

/** The same in a listing that is there already. */
export function resolveIn({ snapshots, unreadable }: SnapshotListing, name: string, filter: SnapshotFilter = {}): SnapshotRecord {
  const latest = LATEST.exec(name);
  if (latest !== null) {
    const record = nthLatest(name, filterSnapshots(snapshots, filter), Number(latest[1] ?? 0), snapshots.length);
    refuseToGuess(name, record, unreadable);
    return record;
  }
  const prefix = name.toLowerCase();
  if (!/^[0-9a-f]{1,32}$/.test(prefix)) {
    throw new SnapError('SNAPSHOT_NOT_FOUND', `'${name}' is not the name of a snapshot`, {
      hint: "Give its ID, the first 4 or more digits of it, 'latest' or 'latest~N'; `snap snapshots` lists them",
    });
  }
  if (prefix.length < MIN_PREFIX) {
    throw new SnapError('SNAPSHOT_NOT_FOUND', `'${name}' is too short for the name of a snapshot`, { hint: `Give at least ${MIN_PREFIX} digits of its ID` });
  }
  const matches = snapshots.filter(({ id }) => id.startsWith(prefix));
  if (matches.length > 1) throw ambiguous(name, matches);
  const [match] = matches;
  if (match !== undefined) return match;
  const damaged = unreadable.find(({ id }) => id.startsWith(prefix));
  if (damaged !== undefined) throw damaged.error;
  throw new SnapError('SNAPSHOT_NOT_FOUND', `No snapshot matches '${name}'`, { hint: hintOf(snapshots) });
}

function nthLatest(name: string, fitting: readonly SnapshotRecord[], steps: number, total: number): SnapshotRecord {
  const record = fitting.at(-1 - steps);
  if (record !== undefined) return record;
  const among = fitting.length === total ? 'the repository holds' : 'the filters let through';
  throw new SnapError('SNAPSHOT_NOT_FOUND', `There is no snapshot '${name}'`, {
    hint: total === 0 ? 'The repository holds no snapshots yet' : `Of ${total} snapshots in the repository, ${among} ${fitting.length}`,
  });
}

/** An older snapshot in place of the newest one would go unnoticed. */
function refuseToGuess(name: string, { storedAt }: SnapshotRecord, unreadable: readonly UnreadableSnapshot[]): void {
  const newer = unreadable.find(each => each.storedAt >= storedAt);
  if (newer === undefined) return;
  throw new SnapError(newer.error.code, `Snapshot '${newer.id}' cannot be read, so nobody knows which one '${name}' is: ${newer.error.message}`, {
    hint: '`snap snapshots` lists those that can be read; name one by its ID', cause: newer.error, context: { ...newer.error.context },
  });
}

function ambiguous(name: string, matches: readonly SnapshotRecord[]): SnapError {
  const shown = matches.slice(0, SHOWN).map(({ id }) => id);
  const more = matches.length > SHOWN ? ` and ${matches.length - SHOWN} more` : '';
  return new SnapError('SNAPSHOT_AMBIGUOUS', `'${name}' matches ${matches.length} snapshots`, { hint: `Give more digits: ${shown.join(', ')}${more}` });
}

function hintOf(snapshots: readonly SnapshotRecord[]): string {
  const newest = snapshots.at(-1);
  return newest === undefined ? 'The repository holds no snapshots yet' : `\`snap snapshots\` lists all ${snapshots.length}; the newest is ${newest.id}`;
}

/** Splits `SNAPSHOT:PATH` at its first colon; a name without one has no path. Snapshot names have no colons. */
export function splitSnapshotPath(text: string): { readonly name: string; readonly path: string | undefined } {
  const colon = text.indexOf(':');
  if (colon < 0) return { name: text, path: undefined };
  const path = text.slice(colon + 1);
  return { name: text.slice(0, colon), path: path === '' ? undefined : path };
}
