/** Names what of a snapshot is not complete any more: a second walk, with paths, only made when something is missing. */
import type { Bytes } from '../../base/bytes.ts';
import type { CallOptions } from '../../base/call-options.ts';
import type { Snapshot } from '../../format/snapshot.ts';
import type { OpenRepository } from '../../repository/opened-repository.ts';
import type { SessionView } from '../../repository/session-view.ts';
import type { TreeReader } from '../../repository/tree-reader.ts';
import { ClosureCheck } from '../backup/closure-check.ts';
import { ClosureWalk } from '../reach/closure-walk.ts';
import { joinPath } from '../path-bytes.ts';
import { SnapshotTree } from '../reading/snapshot-tree.ts';
import { TreeWalk } from '../reading/tree-walk.ts';

export interface Losses {
  /** The first ones. */
  readonly paths: readonly { readonly path: Bytes; readonly isEverythingBelow: boolean }[];
  readonly total: number;
  /** All of it is still there, in packs that a prune has condemned. */
  readonly areCondemned: boolean;
}

const SHOWN = 3;

/** Changes the set of usable packs: the session cannot go on afterwards. */
export async function findLosses(repository: OpenRepository, trees: TreeReader, view: SessionView, snapshot: Snapshot, call: CallOptions): Promise<Losses> {
  const paths: { path: Bytes; isEverythingBelow: boolean }[] = [];
  let total = 0;
  const lose = (path: Bytes, isEverythingBelow: boolean): void => {
    total++;
    if (paths.length < SHOWN) paths.push({ path, isEverythingBelow });
  };
  const tree = new SnapshotTree(trees, snapshot);
  const walk: TreeWalk = new TreeWalk(tree, { ...call, onDamage: () => { lose(walk.current?.path ?? tree.root.path, true); } });
  const closure = new ClosureCheck(repository, trees, () => undefined);
  if (!await closure.holds(tree.root.entry, new Set())) lose(tree.root.path, false);
  for await (const step of walk.steps(tree.root)) {
    if (step.kind === 'leave') continue;
    const [entry, path] = step.kind === 'enter' ? [step.place.entry, () => step.place.path] : [step.entry, () => joinPath(step.directory.path, step.entry.name)];
    if (!await closure.holds(entry, new Set())) lose(path(), false);
  }
  const { chunks } = repository.cache;
  for (const { id, sizeBytes } of view.packs) {
    const number = chunks.packNumber(id);
    if (view.excluded.has(id) && number !== undefined && chunks.pack(number)?.sizeBytes === sizeBytes) chunks.addUsable(number);
  }
  return { paths, total, areCondemned: view.excluded.size > 0 && await new ClosureWalk(repository, trees, call).isWhole(snapshot) };
}
