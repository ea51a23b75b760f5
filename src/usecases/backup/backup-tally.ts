/** Counts what a backup does, reports problems and entries as events, and feeds the counters that a renderer polls. */
import type { Bytes } from '../../base/bytes.ts';
import type { SnapError } from '../../base/errors.ts';
import type { Change } from './directory-state.ts';
import type { Counters, SnapEvent } from '../events.ts';
import { joinPath } from '../path-bytes.ts';
import { ProblemList } from '../reports.ts';

export class BackupTally {
  readonly problems = new ProblemList();
  readonly files: Record<Change, number> = { new: 0, changed: 0, unmodified: 0 };
  readonly directories: Record<Change, number> = { new: 0, changed: 0, unmodified: 0 };
  bytesTotal = 0;
  bytesRead = 0;
  /** Unchanged files of which the repository has not everything. */
  filesMissing = 0;
  readonly #counters: Counters;
  readonly #emit: (event: SnapEvent) => void;
  /** Building a path for every file costs; it is done only when somebody listens. */
  readonly #isListening: boolean;

  constructor(counters: Counters, emit: (event: SnapEvent) => void, isListening: boolean) {
    this.#counters = counters;
    this.#emit = emit;
    this.#isListening = isListening;
  }

  visiting(path: Bytes): void {
    this.#counters.currentPath = path;
  }

  file(directory: Bytes, name: Bytes, change: Change, sizeBytes: number): void {
    this.manyFiles(change, 1, sizeBytes);
    if (change !== 'unmodified') this.bytesRead += sizeBytes;
    if (this.#isListening) this.#emit({ type: 'entry-stored', path: joinPath(directory, name), change, sizeBytes });
  }

  /** Files of a directory that was taken over whole. */
  manyFiles(change: Change, count: number, sizeBytes: number): void {
    this.files[change] += count;
    this.bytesTotal += sizeBytes;
    this.#counters.entriesDone += count;
    this.#counters.bytesDone += sizeBytes;
  }

  directory(change: Change): void {
    this.directories[change]++;
    this.#counters.entriesDone++;
  }

  /** Without a path the problem concerns the repository as a whole. */
  problem({ path, during, error }: { readonly path: Bytes | undefined; readonly during: string; readonly error: SnapError }): void {
    this.problems.add({ path, during, code: error.code, message: error.message });
    this.#counters.problems++;
    this.#emit({ type: 'problem-found', path, during, code: error.code, message: error.message });
  }

  /** Packs that turned out to be damaged. */
  healing(packs: readonly string[], error: SnapError): void {
    for (const name of packs) {
      this.#emit({
        type: 'damage-found', finding: { object: 'pack', name, severity: 'warning', files: [], message: `What this backup needs of the pack is stored again: ${error.message}` },
      });
    }
  }

  /** What was gone when the backup began: it is back now, for older snapshots too. */
  tellHealed(): void {
    if (this.filesMissing === 0) return;
    const message = `Content of files that did not change (${this.filesMissing}) was gone; what can be read of it is stored again, and older snapshots have it again, too`;
    this.#emit({ type: 'damage-found', finding: { object: 'content', name: 'earlier snapshots', severity: 'warning', files: [], message } });
  }

  get filesTotal(): number {
    return this.files.new + this.files.changed + this.files.unmodified;
  }
}
