/** Backs up a source as one snapshot (architecture, "Backup"). The order of the steps is the order of this file. */
import { invariant, SnapError } from '../../base/errors.ts';
import { equalBytes, toHex, type Bytes } from '../../base/bytes.ts';
import type { ProfileName } from '../../format/chunking.ts';
import { snapshotName } from '../../format/object-names.ts';
import type { Component, Snapshot, SnapshotKind } from '../../format/snapshot.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { PackWritten } from '../../repository/pack-assembler.ts';
import { isMarkedDead, loadSnapshots, type SnapshotRecord } from '../../repository/snapshots.ts';
import { WritingSession, type Committed, type CommitIdentity } from '../../repository/writing-session.ts';
import type { Source } from '../../sources/source.ts';
import type { BackupOptions, BackupRun } from './backup-run.ts';
import { BackupTally } from './backup-tally.ts';
import { isolated, listensToEntries, newCounters, type JobContext } from '../events.ts';
import { refuseEmptySource } from './guards.ts';
import { IngestEngine, profilesOf } from '../ingest-engine.ts';
import { findParent } from './parent-snapshot.ts';
import type { BackupReport } from '../reports.ts';
import { findRollback } from '../rollback-check.ts';
import { backupStream } from './stream-backup.ts';
import { openTree, backupTree, type OpenedTree } from './tree-backup.ts';

/** A prune that condemns what was stored, again and again; one round more is needed for damage that a round comes upon. */
const MAX_ROUNDS = 5;

interface Added {
  dataChunks: number;
  treeChunks: number;
  rawBytes: number;
  storedBytes: number;
}

/** @throws SOURCE_MISSING, SOURCE_EMPTY, SOURCE_FAILED, COMMAND_FAILED, SESSION_REVOKED and every repository error: then there is no snapshot */
export async function backup(repository: OpenRepository, source: Source, options: BackupOptions, context: JobContext = {}): Promise<BackupReport> {
  const { clock } = repository;
  const started = clock.monotonic();
  const startedAt = options.time ?? clock.nowPair();
  const emit = isolated(context.onEvent);
  const counters = context.counters ?? newCounters();
  emit({ type: 'run-started', job: 'backup', at: clock.now() });
  const opened = source.kind === 'tree' ? await openTree(source, context) : undefined;
  const added: Added = { dataChunks: 0, treeChunks: 0, rawBytes: 0, storedBytes: 0 };
  const session = await WritingSession.begin(repository, {
    owner: options.owner, compressionLevel: options.compressionLevel, discard: options.dryRun, signal: context.signal,
    onPackWritten: pack => {
      count(added, pack);
      counters.bytesAdded = added.storedBytes;
      emit({ type: 'pack-written', packId: pack.packId, sizeBytes: pack.sizeBytes, chunks: pack.chunks });
    },
    onRevoked: sessionId => { emit({ type: 'session-revoked', sessionId }); },
  });
  try {
    // A parent only says what need not be read again, and every chunk is looked up: a forgotten one does no harm.
    const { snapshots } = await loadSnapshots(repository, { signal: context.signal, ignoresMarkers: true });
    const rollback = await findRollback(repository, snapshots, session.view.gcNumber, context);
    const parent = findParent(snapshots, { series: options.series, host: options.owner.host, paths: pathTexts(source, opened) });
    if (parent !== undefined) emit({ type: 'parent-found', snapshotId: parent.id, createdAt: parent.snapshot.startedAt[0] * 1000 });
    const stored = await storeAndCommit({ repository, options, context, session, parent, startedAt, emit, counters, source, opened, snapshots, added, rollback });
    const { tally, committed, isUnchanged } = stored;
    if (committed !== undefined) {
      emit({ type: 'snapshot-created', snapshotId: committed.id });
      repository.cache.objects.put(snapshotName(committed.id), committed.bytes); // the next run compares with it
      await repository.cache.remember({ lastSnapshot: committed.id, highestGc: session.view.gcNumber, highestKeyring: repository.keyringNumber });
    }
    return makeReport(stored.kind, tally, added, {
      snapshotId: committed?.id, parentId: parent?.id, dryRun: options.dryRun, unchanged: isUnchanged, startedAt: startedAt[0] * 1000 + Math.floor(startedAt[1] / 1e6),
      durationMs: clock.monotonic() - started,
    });
  } finally {
    counters.phase = 'finishing';
    await session.end();
  }
}

interface StoreParts extends Omit<BackupRun, 'tally' | 'engine'> {
  readonly emit: ReturnType<typeof isolated>;
  readonly source: Source;
  readonly opened: OpenedTree | undefined;
  readonly snapshots: readonly SnapshotRecord[];
  readonly added: Added;
  readonly rollback: readonly SnapError[];
}

interface Stored {
  readonly tally: BackupTally;
  readonly committed: Committed | undefined;
  readonly isUnchanged: boolean;
  readonly kind: SnapshotKind;
}

/** Stores the components and commits; when a revocation took chunks away (W8), or some were found damaged, stores these once more. */
async function storeAndCommit(parts: StoreParts): Promise<Stored> {
  const { repository, options, context, session, parent, source, opened, counters, emit } = parts;
  const kind = options.kind === 'incremental' && parent === undefined ? 'full' : options.kind;
  for (let round = 1; round <= MAX_ROUNDS; round++) {
    const tally = new BackupTally(counters, emit, listensToEntries(context));
    for (const error of parts.rollback) tally.problem({ path: undefined, during: 'open', error });
    counters.phase = 'reading';
    const components = await storeComponents({ repository, options: { ...options, kind }, context, session, tally, counters, parent, startedAt: parts.startedAt }, source, opened);
    await finishSource(source);
    if (components.length === 0) throw new SnapError('SOURCE_FAILED', 'Nothing of the source could be read, so no snapshot was made');
    refuseEmptySource(tally.filesTotal, parent?.snapshot, options.allowEmpty || source.kind === 'stream');
    counters.phase = 'finishing';
    const isUnchanged = parent !== undefined && sameComponents(components, parent.snapshot.components);
    const isEnough = options.skipIfUnchanged && isUnchanged && !session.isDoubtful && !await isMarkedDead(repository, parent.id, context);
    if (options.dryRun || isEnough) {
      await session.flush();
      return { tally, committed: undefined, isUnchanged, kind };
    }
    const committed = await session.commit(identity => makeSnapshot(parts, kind, tally, components, identity));
    if (committed !== undefined) return { tally, committed, isUnchanged, kind };
    if (source.kind === 'stream') {
      throw new SnapError('SESSION_REVOKED', 'A prune revoked the session, and a stream cannot be read again', { hint: 'Run the backup again' });
    }
  }
  throw new SnapError('CHUNK_MISSING', `What the snapshot needs was gone or damaged again after each of ${MAX_ROUNDS} attempts to store it`, { hint: 'Run `snap verify --read-data`' });
}

/** One engine for each round: what it sealed belongs to packs of this round. */
async function storeComponents(run: Omit<BackupRun, 'engine'>, source: Source, opened: OpenedTree | undefined): Promise<Component[]> {
  const engine = new IngestEngine(run.options.engines, run.session, run.options);
  try {
    return source.kind === 'tree' ? await backupTree({ ...run, engine }, source, opened!) : [await backupStream({ ...run, engine }, source)];
  } finally {
    await engine.close();
  }
}

/** A source that was not read to its end makes no snapshot. */
async function finishSource(source: Source): Promise<void> {
  try {
    await source.finish();
  } catch (error) {
    if (error instanceof SnapError) throw error;
    throw new SnapError('SOURCE_FAILED', 'The source could not be read to its end, so no snapshot was made', { cause: error });
  }
}

function pathTexts(source: Source, opened: OpenedTree | undefined): string[] {
  const paths = source.kind === 'tree' ? opened!.roots.map(root => root.path) : [source.name];
  return paths.map(toHex).sort();
}

function count(added: Added, pack: PackWritten): void {
  if (pack.type === 'data') added.dataChunks += pack.chunks;
  else added.treeChunks += pack.chunks;
  added.rawBytes += pack.rawBytes;
  added.storedBytes += pack.sizeBytes;
}

function sameComponents(a: readonly Component[], b: readonly Component[]): boolean {
  return a.length === b.length && a.every((component, i) => {
    const [x, y] = [component.root, b[i]!.root];
    const sameNode = x.type === 'directory' && y.type === 'directory' && equalBytes(x.directoryNode!, y.directoryNode!);
    const sameFile = x.type === y.type && x.type !== 'directory' && x.mtime[0] === y.mtime[0] && x.mtime[1] === y.mtime[1] && x.ctime?.[0] === y.ctime?.[0]
      && x.ctime?.[1] === y.ctime?.[1] && x.sizeBytes === y.sizeBytes;
    return equalBytes(component.sourcePath, b[i]!.sourcePath) && (sameNode || sameFile) && x.mode === y.mode && x.uid === y.uid && x.gid === y.gid;
  });
}

function makeSnapshot(parts: StoreParts, kind: SnapshotKind, tally: BackupTally, components: readonly Component[], identity: CommitIdentity): Snapshot {
  const { repository, options, parent, startedAt, snapshots, added } = parts;
  const { owner } = options;
  const previous = snapshots.findLast(record => record.snapshot.hostId === owner.hostId);
  return {
    id: identity.id, kind, parent: kind === 'full' ? undefined : parent?.id, startedAt, finishedAt: repository.clock.nowPair(),
    host: owner.host, hostId: owner.hostId, user: owner.user, series: options.series, tags: options.tags, components,
    statistics: {
      files: tally.filesTotal, directories: tally.directories.new + tally.directories.changed + tally.directories.unmodified, bytes: tally.bytesTotal,
      bytesAddedRaw: added.rawBytes, bytesAddedStored: added.storedBytes, chunksAdded: added.dataChunks + added.treeChunks,
      sourceErrors: tally.problems.total,
    },
    program: owner.program,
    chunkers: Object.entries(profilesOf(repository.config.chunker)).map(([profile, parameters]) => ({ ...parameters, profile: profile as ProfileName })),
    gcNumber: identity.gcNumber, previous: previous === undefined ? undefined : previousOf(repository, previous.id),
    description: options.description, protected: false,
  };
}

/** Link to the previous snapshot of the same host, so that a hidden one is noticed (repository design, section 15). */
function previousOf(repository: OpenRepository, id: SnapshotRecord['id']): Snapshot['previous'] {
  const bytes: Bytes | undefined = repository.cache.objects.get(`snapshots/${id}`);
  return bytes === undefined ? undefined : { id, digest: repository.kernel.blake3(bytes) };
}

function makeReport(
  kind: SnapshotKind, tally: BackupTally, added: Added,
  rest: Pick<BackupReport, 'snapshotId' | 'parentId' | 'dryRun' | 'unchanged' | 'startedAt' | 'durationMs'>,
): BackupReport {
  const { files, directories, problems } = tally;
  invariant(problems.total >= problems.list.length, 'The list of problems is longer than their number');
  return {
    job: 'backup', status: problems.total > 0 ? 'partial' : 'complete', kind, ...rest,
    filesNew: files.new, filesChanged: files.changed, filesUnmodified: files.unmodified,
    directoriesNew: directories.new, directoriesChanged: directories.changed, directoriesUnmodified: directories.unmodified,
    filesTotal: tally.filesTotal, bytesTotal: tally.bytesTotal, bytesRead: tally.bytesRead,
    dataChunksAdded: added.dataChunks, treeChunksAdded: added.treeChunks, bytesAddedRaw: added.rawBytes, bytesAddedStored: added.storedBytes,
    problems: problems.list, problemsTotal: problems.total,
  };
}
