/** Counts what a restore does, reports entries, problems and damage as events, and feeds the counters that a renderer polls. */
import type { Bytes } from '../../base/bytes.ts';
import type { SnapError } from '../../base/errors.ts';
import type { SnapshotId } from '../../format/ids.ts';
import { PREFIXES } from '../../format/object-names.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { TargetProblem } from '../../targets/target.ts';
import { isolated, listensToEntries, newCounters, type Counters, type JobContext, type SnapEvent } from '../events.ts';
import { FindingList } from '../findings.ts';
import { joinPath } from '../path-bytes.ts';
import { ProblemList } from '../reports.ts';
import type { Place } from '../reading/snapshot-tree.ts';

export type RestoreAction = 'created' | 'updated' | 'kept' | 'removed';

export class RestoreTally {
  readonly problems = new ProblemList();
  readonly findings: FindingList;
  readonly counters: Counters;
  entriesTotal = 0;
  filesRestored = 0;
  filesKept = 0;
  filesRemoved = 0;
  filesVerified = 0;
  bytesTotal = 0;
  bytesWritten = 0;
  bytesReused = 0;
  readonly #snapshotId: SnapshotId;
  readonly #emit: (event: SnapEvent) => void;
  readonly #isListening: boolean;
  readonly #damagedObjects = new Set<string>();

  constructor(snapshotId: SnapshotId, context: JobContext) {
    this.#snapshotId = snapshotId;
    this.#isListening = listensToEntries(context);
    this.#emit = isolated(context.onEvent);
    this.counters = context.counters ?? newCounters();
    this.findings = new FindingList(finding => { this.#emit({ type: 'damage-found', finding }); });
  }

  started(at: number): void {
    this.#emit({ type: 'run-started', job: 'restore', at });
  }

  /** A directory that is restored or entered. */
  directory(): void {
    this.entriesTotal++;
    this.counters.entriesDone++;
  }

  /** Anything but a directory that is selected, before it is restored. */
  selected(entry: Entry): void {
    this.entriesTotal++;
    this.bytesTotal += entry.sizeBytes ?? 0;
  }

  /** The entry is as it should be. `reusedBytes` of its size were right at the target already. */
  done(directory: Place, entry: Entry, action: 'created' | 'updated' | 'kept'): void {
    if (action === 'kept') this.filesKept++;
    else this.filesRestored++;
    this.counters.entriesDone++;
    this.#entry(() => joinPath(directory.path, entry.name), action, entry.sizeBytes ?? 0);
  }

  removed(path: Bytes): void {
    this.filesRemoved++;
    this.#entry(() => path, 'removed', 0);
  }

  written(bytes: number): void {
    this.bytesWritten += bytes;
    this.counters.bytesDone += bytes;
  }

  /** Zeros that take no room: nothing is written for them. */
  madeHole(bytes: number): void {
    this.counters.bytesDone += bytes;
  }

  reused(bytes: number): void {
    this.bytesReused += bytes;
    this.counters.bytesDone += bytes;
  }

  problem(path: Bytes | undefined, during: string, error: SnapError): void {
    const { code, message } = error;
    this.problems.add({ path, during, code, message });
    this.counters.problems++;
    this.#emit({ type: 'problem-found', path, during, code, message });
  }

  /** @throws the error when it concerns the whole target: with a full disk every other file would only fail as well */
  targetProblem({ path, error }: TargetProblem, during: string = 'write'): void {
    if (error.code === 'NO_SPACE') throw error;
    this.problem(path, during, error);
  }

  damage(object: string, name: string, message: string, path: Bytes): void {
    this.findings.add({ object, name, message, severity: 'damage', files: [{ snapshotId: this.#snapshotId, path }] });
    this.counters.problems++;
  }

  /** An object that the restore can do without, perhaps with losses. */
  damagedObject(name: string, message: string): void {
    if (this.#damagedObjects.has(name)) return;
    this.#damagedObjects.add(name);
    this.findings.add({ object: name.startsWith(PREFIXES.gc) ? 'gc document' : 'index segment', name, message, severity: 'damage', files: [] });
    this.counters.problems++;
  }

  #entry(path: () => Bytes, action: RestoreAction, sizeBytes: number): void {
    if (this.#isListening) this.#emit({ type: 'entry-restored', path: path(), action, sizeBytes });
  }
}
