/** Further names of files: made when the window with their first name is written. */
import type { Bytes } from '../../base/bytes.ts';
import { SnapError } from '../../base/errors.ts';
import type { Entry } from '../../format/tree-node.ts';
import type { TargetHandle, TargetProblem, TreeTarget } from '../../targets/target.ts';
import type { HardLinks, LinkOriginal } from './hard-links.ts';
import { displayPath, joinPath } from '../path-bytes.ts';
import { WINDOW_REFERENCES } from './restore-plan.ts';
import type { RestoreTally } from './restore-tally.ts';
import type { Place } from '../reading/snapshot-tree.ts';

const FIRST_NAME_LOST = 'The first name of this hard-linked file could not be restored whole';

export interface PendingLink {
  readonly directory: Place;
  readonly parent: TargetHandle;
  readonly entry: Entry;
  readonly original: LinkOriginal;
}

export interface RestoreLinksParts {
  readonly target: TreeTarget;
  readonly links: HardLinks;
  readonly tally: RestoreTally;
  /** Writes what is under way; `make` is called in the course of it. */
  readonly flush: () => Promise<void>;
}

export class RestoreLinks {
  readonly #parts: RestoreLinksParts;
  #pending: PendingLink[] = [];
  /** Names that could not be made as links; they are to be restored as files of their own. */
  readonly #separate: PendingLink[] = [];

  constructor(parts: RestoreLinksParts) {
    this.#parts = parts;
  }

  add(directory: Place, parent: TargetHandle, entry: Entry, original: LinkOriginal): Promise<void> | undefined {
    this.#pending.push({ directory, parent, entry, original });
    return this.#pending.length >= WINDOW_REFERENCES ? this.#parts.flush() : undefined;
  }

  /** All first names that are waited for have been restored, or have failed. */
  make(): void {
    const pending = this.#pending;
    this.#pending = [];
    for (const link of pending) this.#make(link);
  }

  /** Names that the target did not take as links since the last call. */
  takeSeparate(): PendingLink[] {
    return this.#separate.splice(0);
  }

  #make(link: PendingLink): void {
    const { target, links, tally } = this.#parts;
    const { directory, parent, entry, original } = link;
    const failure = links.failureOf(original.slot);
    const path = (): Bytes => joinPath(directory.path, entry.name);
    if (failure === 'damage') return tally.damage('file', displayPath(original.name), FIRST_NAME_LOST, path());
    if (failure === 'target') return tally.problem(path(), 'write', new SnapError('TARGET_FAILED', FIRST_NAME_LOST));
    const existing = target.inspect(parent, entry);
    if (existing.kind === 'problem') return tally.targetProblem(existing.problem);
    if (existing.kind === 'keep') return tally.done(directory, entry, 'kept');
    const problem = target.hardLink(parent, entry, original.parent, original.name);
    if (problem === undefined) {
      tally.reused(entry.sizeBytes ?? 0);
      tally.done(directory, entry, existing.kind === 'absent' ? 'created' : 'updated');
    } else if (cannotLink(problem)) this.#separate.push(link);
    else tally.targetProblem(problem);
  }
}

/** File systems without hard links, and files with too many names. */
function cannotLink({ error }: TargetProblem): boolean {
  return error.code === 'TARGET_FAILED' || error.code === 'DENIED';
}
