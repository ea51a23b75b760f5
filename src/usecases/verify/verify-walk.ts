/** The walks of a check: over all trees, and when something is wrong once more to say which files that hits. */
import type { CallOptions } from '../../base/call-options.ts';
import { DamageTrace } from './damage-trace.ts';
import type { VerifyRun } from './verify-run.ts';
import { TreeCheck } from './verify-trees.ts';

/** What a walk misses may have been moved by a prune since the session looked: then it looks and walks once more. */
export async function checkTrees({ session, snapshots, damage, counters }: VerifyRun, call: CallOptions): Promise<TreeCheck> {
  for (let isSecond = false; ; isSecond = true) {
    const check = new TreeCheck(session, damage, counters, call);
    for (const { snapshot } of snapshots) await check.checkSnapshot(snapshot);
    if (!check.isHit || isSecond) return check;
    await session.lookAgain(session.looks, call);
  }
}

/** Gives every finding about damage the files that need what is damaged. */
export async function nameFiles(run: VerifyRun, trees: TreeCheck): Promise<void> {
  const { repository, session, snapshots, damage, call } = run;
  if (damage.isEmpty && !trees.isHit) return;
  const { chunks } = repository.cache;
  const usable = [...chunks.packs()].filter(({ number }) => chunks.isUsable(number)).map(({ number }) => number);
  // What lies in a pack that is missing can be blamed on it only when the index may be asked for it.
  for (const number of damage.badPacks()) chunks.addUsable(number);
  try {
    const trace = new DamageTrace(session, damage, call);
    for (const record of snapshots) await trace.trace(record);
  } finally {
    chunks.setUsable(usable);
  }
}
