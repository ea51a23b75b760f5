/**
 * Brings forgotten snapshots back, from the records that their markers carry, as long as no prune has taken what they need.
 * A dead ID never becomes valid again: the snapshot comes back under a new one, committed like a backup, so that a prune that
 * runs at the same time either sees it or has it fail.
 */
import type { CallOptions } from '../../base/call-options.ts';
import { SnapError } from '../../base/errors.ts';
import { formatCount } from '../../base/units.ts';
import type { SnapshotId } from '../../format/ids.ts';
import { loadForgotten, type ForgottenSnapshot } from '../../repository/forgotten.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import { PackReader } from '../../repository/pack-reader.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import { establishView, type SessionView } from '../../repository/session-view.ts';
import { loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';
import { TreeReader } from '../../repository/tree-reader.ts';
import { WritingSession } from '../../repository/writing-session.ts';
import { ClosureWalk } from '../reach/closure-walk.ts';
import { isolated, newCounters, type JobContext } from '../events.ts';
import { findLosses, type Losses } from './losses.ts';
import { displayPath } from '../path-bytes.ts';
import { filterSnapshots, type SnapshotFilter } from '../reading/select-snapshots.ts';

/** A forgotten snapshot that is not back yet. */
export interface Restorable extends ForgottenSnapshot {
  /** Everything that it needs is in packs that no prune wants. */
  readonly isComplete: boolean;
}

export interface BroughtBack {
  readonly from: SnapshotId;
  readonly to: SnapshotId;
  /** It was back before, under `to`. */
  readonly wasThere: boolean;
}

/** A prune that condemns packs again and again. */
const MAX_ROUNDS = 5;
const MIN_PREFIX = 4;

/** Last forgotten first. Each is walked through, though what several share only once. */
export async function listForgotten(repository: OpenRepository, filter: SnapshotFilter, context: JobContext = {}): Promise<Restorable[]> {
  const { signal, counters = newCounters() } = context;
  counters.phase = 'scanning';
  const { candidates } = await loadCandidates(repository, context);
  const chosen = filterSnapshots(candidates, filter);
  // No session is registered: nothing is referred to, and the answer is only true for this moment.
  await establishView(repository, { signal });
  Object.assign(counters, { phase: 'checking', totalEntries: chosen.length });
  const walk = new ClosureWalk(repository, new TreeReader(repository, new PackReader(repository)), { signal });
  const found: Restorable[] = [];
  for (const each of chosen) {
    found.push({ ...each, isComplete: await walk.isWhole(each.snapshot) });
    counters.entriesDone++;
  }
  return found;
}

/**
 * Names are IDs or their first digits. Nothing is committed before all names are understood.
 * @throws SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS; SNAPSHOT_GONE for the first that is not complete
 */
export async function undelete(repository: OpenRepository, owner: SessionOwner, names: readonly string[], context: JobContext = {}): Promise<BroughtBack[]> {
  const emit = isolated(context.onEvent);
  emit({ type: 'run-started', job: 'undelete', at: repository.clock.now() });
  const { all, back } = await loadCandidates(repository, context);
  const chosen = new Map(names.map(name => find(all, name)).map(found => [found.id, found]));
  const results: BroughtBack[] = [];
  for (const forgotten of chosen.values()) {
    const there = back.get(rootOf(forgotten.snapshot));
    const to = there ?? await bringBack(repository, owner, forgotten, context);
    if (there === undefined) emit({ type: 'snapshot-created', snapshotId: to });
    back.set(rootOf(forgotten.snapshot), to);
    results.push({ from: forgotten.id, to, wasThere: there !== undefined });
  }
  return results;
}

interface Candidates {
  readonly all: readonly ForgottenSnapshot[];
  /** Of several records of one snapshot the one that was forgotten last, and none when it is valid again. */
  readonly candidates: readonly ForgottenSnapshot[];
  /** Valid snapshots by their first IDs. */
  readonly back: Map<SnapshotId, SnapshotId>;
}

async function loadCandidates(repository: OpenRepository, context: JobContext): Promise<Candidates> {
  const call: CallOptions = { signal: context.signal };
  const { forgotten, unreadable } = await loadForgotten(repository, call);
  const emit = isolated(context.onEvent);
  for (const { id, error } of unreadable) {
    emit({ type: 'damage-found', finding: { object: 'forgotten marker', name: id, message: error.message, severity: 'warning', files: [] } });
  }
  const back = new Map((await loadSnapshots(repository, call)).snapshots.map(({ id, snapshot }) => [rootOf(snapshot), id]));
  const seen = new Set<SnapshotId>(back.keys());
  const candidates = forgotten.filter(({ snapshot }) => !seen.has(rootOf(snapshot)) && seen.add(rootOf(snapshot)));
  return { all: forgotten, candidates, back };
}

/** The same for all records of one snapshot: labels and undeletions give it new IDs. */
function rootOf({ id, originalId }: SnapshotRecord['snapshot']): SnapshotId {
  return originalId ?? id;
}

function find(all: readonly ForgottenSnapshot[], name: string): ForgottenSnapshot {
  const prefix = name.toLowerCase();
  const hint = '`snap undelete` lists what was forgotten and can be brought back';
  if (!/^[0-9a-f]{1,32}$/.test(prefix) || prefix.length < MIN_PREFIX) {
    throw new SnapError('SNAPSHOT_NOT_FOUND', `'${name}' is not the ID of a forgotten snapshot, or the first ${MIN_PREFIX} or more digits of one`, { hint });
  }
  const matches = all.filter(({ id }) => id.startsWith(prefix));
  if (matches.length > 1) throw new SnapError('SNAPSHOT_AMBIGUOUS', `'${name}' matches ${matches.length} forgotten snapshots`, { hint: 'Give more digits' });
  const [match] = matches;
  if (match === undefined) throw new SnapError('SNAPSHOT_NOT_FOUND', `No forgotten snapshot matches '${name}'`, { hint });
  return match;
}

async function bringBack(repository: OpenRepository, owner: SessionOwner, { id, snapshot }: ForgottenSnapshot, context: JobContext): Promise<SnapshotId> {
  const { signal, counters = newCounters() } = context;
  const session = await WritingSession.begin(repository, {
    owner, compressionLevel: 1, discard: false, signal, onRevoked: sessionId => { isolated(context.onEvent)({ type: 'session-revoked', sessionId }); },
  });
  try {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      counters.phase = 'checking';
      const trees = new TreeReader(repository, new PackReader(repository));
      const walk = new ClosureWalk(repository, trees, { signal });
      if (!await walk.isWhole(snapshot)) throw await gone(repository, trees, session.view, { id, snapshot }, { signal });
      session.reference(walk.packs);
      counters.phase = 'finishing';
      const committed = await session.commit(identity => ({ ...snapshot, id: identity.id, gcNumber: identity.gcNumber, originalId: rootOf(snapshot) }));
      if (committed !== undefined) return committed.id;
    }
    throw new SnapError('SESSION_REVOKED', 'Prunes took the session for dead again and again', { hint: 'Run the command again when no prune runs' });
  } finally {
    await session.end();
  }
}

async function gone(
  repository: OpenRepository, trees: TreeReader, view: SessionView, { id, snapshot }: Pick<ForgottenSnapshot, 'id' | 'snapshot'>, call: CallOptions,
): Promise<SnapError> {
  const losses = await findLosses(repository, trees, view, snapshot, call);
  const shown = losses.paths.map(({ path, isEverythingBelow }) => `${isEverythingBelow ? 'everything below ' : ''}'${displayPath(path)}'`).join(', ');
  const more = losses.total > losses.paths.length ? ` and ${formatCount(losses.total - losses.paths.length)} more` : '';
  return new SnapError('SNAPSHOT_GONE', `Snapshot '${id}' cannot be brought back: ${reasonOf(losses)} what it needs for ${shown}${more}`, {
    hint: 'Other snapshots or a replica may hold these files: see `snap find`', context: { snapshot: id },
  });
}

function reasonOf({ areCondemned }: Losses): string {
  return areCondemned ? 'a prune was faster and is about to delete' : 'a prune was faster and has deleted, or damage has destroyed,';
}
