/**
 * Restores a snapshot into a temporary place, reads everything back through the code that reads sources, and compares it with the
 * snapshot: the one proof that a backup can be had again. What differs from the live files is said as well, and is no fault.
 */
import type { Bytes } from '../../base/bytes.ts';
import { hasCode, SnapError } from '../../base/errors.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { SessionOwner } from '../../repository/registration.ts';
import type { SnapshotRecord } from '../../repository/snapshots.ts';
import type { TreeSource } from '../../sources/source.ts';
import { ROOT_DIRECTORY, type TreeTarget } from '../../targets/target.ts';
import type { Change, Difference } from '../browse/diff.ts';
import { diffLive, type OpenLiveFile } from '../browse/diff-live.ts';
import { hasSameMetadata } from '../browse/entry-comparison.ts';
import { isolated, type JobContext, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import type { EngineFactory } from '../ingest-engine.ts';
import { pathNames, pathOfNames, ROOT_PATH } from '../path-bytes.ts';
import { ProblemList, type RestoreReport, type TestRestoreReport } from '../reports.ts';
import { restore } from './restore.ts';

export interface TestRestoreOptions {
  readonly engines: EngineFactory;
  readonly owner: SessionOwner;
  readonly snapshot: SnapshotRecord;
  /** An empty place of its own, which is emptied again; a new target of it each time. */
  readonly target: () => TreeTarget;
  /** The same place, to be read. */
  readonly restored: () => TreeSource;
  /** Absolute path of that place. */
  readonly restoredPath: Bytes;
  readonly openFile: OpenLiveFile;
  /** Restores owners, too; without it they are not compared either. */
  readonly setsOwner: boolean;
  /** What the snapshot was made of, as far as it is on this machine. */
  readonly live?: TreeSource | undefined;
}

/** Bits of a mode that come with the owner: set-user-ID, set-group-ID. */
const OWNER_BITS = 0o6000;

const FAULTS: Readonly<Record<Exclude<Change, 'metadata'>, string>> = {
  added: 'There is an entry that the snapshot does not have', removed: 'The entry did not come back', content: 'The entry came back with other content',
  type: 'The entry came back as one of another type',
};

function withoutOwner(entry: Entry): Entry {
  return { ...entry, uid: undefined, gid: undefined, mode: entry.mode & ~OWNER_BITS };
}

/** @throws NO_SPACE before anything is written, and everything that `restore` throws; the place is emptied in any case */
export async function testRestore(repository: OpenRepository, options: TestRestoreOptions, context: JobContext = {}): Promise<TestRestoreReport> {
  const { clock } = repository;
  const started = clock.monotonic();
  const run = new TestRestore(repository, options, context);
  try {
    const restored = await run.restore();
    await run.compareRestored(restored);
    const live = options.live === undefined ? undefined : await run.compareLive(options.live);
    return run.report(restored, live, clock.monotonic() - started);
  } finally {
    await run.empty();
  }
}

class TestRestore {
  readonly #repository: OpenRepository;
  readonly #options: TestRestoreOptions;
  readonly #context: JobContext;
  readonly #findings: FindingList;
  readonly #problems = new ProblemList();
  readonly #emit: ReturnType<typeof isolated>;

  constructor(repository: OpenRepository, options: TestRestoreOptions, context: JobContext) {
    this.#repository = repository;
    this.#options = options;
    this.#context = context;
    this.#emit = isolated(context.onEvent);
    this.#findings = new FindingList(finding => { this.#emit({ type: 'damage-found', finding }); });
  }

  restore(): Promise<RestoreReport> {
    const { engines, owner, snapshot, setsOwner } = this.#options;
    return restore(this.#repository, this.#options.target(), {
      engines, owner, snapshot, setsOwner, overwrite: 'always', delete: false, dryRun: false, verify: false, sparse: false,
    }, this.#context);
  }

  /** Every entry: its content by hash, its link target, its metadata. */
  async compareRestored(restored: RestoreReport): Promise<void> {
    const { snapshot, openFile, owner } = this.#options;
    if (this.#context.counters !== undefined) this.#context.counters.phase = 'checking';
    const known = new KnownFaults(restored);
    // What cannot be read back here was not compared, so it is a problem.
    const onEvent = (event: SnapEvent): void => {
      if (event.type !== 'problem-found' || event.path === undefined) return;
      this.#problem(this.#pathInSnapshot(event.path), `The entry could not be read back: ${event.message}`);
    };
    const { signal } = this.#context;
    const differences = diffLive(this.#repository, { snapshot, path: ROOT_PATH }, this.#options.restored(), { owner, openFile, withXattrs: true }, { signal, onEvent });
    await this.#each(differences, difference => {
      const path = this.#pathInSnapshot(difference.path);
      if (!known.explain(path)) this.#judge(path, difference);
    });
  }

  #judge(path: Bytes, { change, before, after }: Difference): void {
    const { snapshot: { id }, setsOwner } = this.#options;
    if (before === undefined) return this.#problem(path, 'There is an entry that the snapshot does not have');
    if (change === 'metadata') {
      // Owners, and the rights that come with them, are not restored by somebody who may not give them.
      const isAsFarAsAllowed = !setsOwner && after !== undefined && hasSameMetadata(withoutOwner(before), withoutOwner(after));
      return isAsFarAsAllowed ? undefined : this.#problem(path, 'The entry came back with other metadata');
    }
    this.#findings.add({ object: 'restored entry', name: id, message: FAULTS[change], severity: 'damage', files: [{ snapshotId: id, path }] });
  }

  #problem(path: Bytes, message: string): void {
    const code = 'TARGET_FAILED';
    this.#problems.add({ path, during: 'verify', code, message });
    this.#emit({ type: 'problem-found', path, during: 'verify', code, message });
  }

  async compareLive(live: TreeSource): Promise<NonNullable<TestRestoreReport['live']>> {
    const { snapshot, openFile, owner } = this.#options;
    const counts: Record<Change, number> = { added: 0, removed: 0, content: 0, metadata: 0, type: 0 };
    let sameStat = 0;
    const differences = diffLive(this.#repository, { snapshot }, live, { owner, openFile, withXattrs: false }, this.#context);
    await this.#each(differences, ({ path, change, before, after }) => {
      counts[change]++;
      if (change === 'metadata') return;
      if (change === 'content' && hasSameStat(before!, after!)) sameStat++;
      this.#emit({ type: 'difference-found', path, change });
    });
    return { ...counts, sameStat };
  }

  /** What cannot be read in the repository was found by the restore already. */
  async #each(differences: AsyncIterable<Difference>, look: (difference: Difference) => void): Promise<void> {
    try {
      for await (const difference of differences) look(difference);
    } catch (error) {
      if (!hasCode(error, 'DAMAGE_FOUND')) throw error;
      this.#findings.damage('snapshot', this.#options.snapshot.id, error.message);
    }
  }

  #pathInSnapshot(path: Bytes): Bytes {
    const below = path.subarray(this.#options.restoredPath.length);
    return below.length === 0 ? ROOT_PATH : below;
  }

  report(restored: RestoreReport, live: TestRestoreReport['live'], durationMs: number): TestRestoreReport {
    const findings = [...restored.findings, ...this.#findings.list];
    const problemsTotal = restored.problemsTotal + this.#problems.total;
    const isDamaged = findings.some(({ severity }) => severity === 'damage');
    return {
      job: 'test-restore', status: isDamaged ? 'failed' : problemsTotal > 0 ? 'partial' : 'complete', snapshotId: restored.snapshotId,
      entries: restored.entriesTotal, bytes: restored.bytesTotal, live, durationMs,
      problems: [...restored.problems, ...this.#problems.list], problemsTotal, findings,
    };
  }

  /** Whatever happened before; what cannot be removed is said. */
  async empty(): Promise<void> {
    const target = this.#options.target();
    try {
      await target.begin({ overwrite: 'always', sparse: false, owner: false, dryRun: false, onProblem: () => undefined });
      for (const { path, error } of target.removeOthers(ROOT_DIRECTORY, () => false).problems) this.#leftBehind(path, error);
    } catch (error) {
      if (!(error instanceof SnapError)) throw error;
      this.#leftBehind(this.#options.restoredPath, error);
    } finally {
      await target.close();
    }
  }

  #leftBehind(path: Bytes, { code, message }: SnapError): void {
    this.#emit({ type: 'problem-found', path, during: 'remove', code, message: `What was restored for the test could not be removed: ${message}` });
  }
}

function hasSameStat(a: Entry, b: Entry): boolean {
  return a.type === 'file' && a.sizeBytes === b.sizeBytes && a.mtime[0] === b.mtime[0] && a.mtime[1] === b.mtime[1];
}

/** What the restore has said itself: no need to say it again, and what a place refuses is no damage. */
class KnownFaults {
  readonly #paths: ReadonlySet<string>;
  /** Nothing is expected below them either. */
  readonly #roots: ReadonlySet<string>;

  constructor({ problems, findings }: RestoreReport) {
    // Problems of the target name paths from its root, without a slash before them.
    const keys = (paths: readonly (Bytes | undefined)[]): string[] => paths.flatMap(path => path === undefined ? [] : pathKey(pathOfNames(pathNames(path))));
    // An entry whose metadata could not be set is there, with all that belongs below it.
    const absent = problems.filter(({ during }) => during !== 'metadata' && during !== 'finish');
    this.#paths = new Set(keys(problems.map(({ path }) => path)));
    this.#roots = new Set(keys([...absent.map(({ path }) => path), ...findings.flatMap(({ files }) => files.map(({ path }) => path))]));
  }

  explain(path: Bytes): boolean {
    if (this.#paths.size + this.#roots.size === 0) return false;
    const key = pathKey(path);
    if (this.#paths.has(key)) return true;
    for (let end = key.length; end > 0; end = key.lastIndexOf('/', end - 1)) if (this.#roots.has(key.slice(0, end))) return true;
    return false;
  }
}

function pathKey(path: Bytes): string {
  return Buffer.from(path).toString('latin1');
}
